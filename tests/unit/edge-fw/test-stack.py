#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/lab/edge_stack.py on small programs whose stack is known: it finds the depth, and what breaks a rule. TAP.

    test-stack.py COMPILER…
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
import edge_stack  # noqa: E402

# What every image has; the stack grows in eat() by SIZE bytes and what the compiler adds.
FRAME = """
#include <stddef.h>
#define EAT(n) do { volatile char room[n]; room[0] = 1; (void)room[0]; } while (0)
#define KEEP __attribute__((noinline, used))
#define INIT void crypto_init(void *c) { __asm volatile("" :: "r"(c)); }
KEEP void trap(void) { EAT(16); }
KEEP void fault(void) { EAT(16); }
KEEP void board_uart_irq(void) { EAT(16); }
KEEP void board_tick_irq(void) { EAT(200); }
KEEP void board_watchdog_irq(void) { EAT(16); }
int main(void);
KEEP void c_start(void) { main(); }
KEEP void reset_handler(void) { c_start(); }
"""
# file: (source, what measure says: bytes below and above, or a word of its complaint)
PROGRAMS = {
    "flat": ("INIT KEEP void eat(void) { EAT(400); } int main(void) { eat(); eat(); return 0; }", (400, 760)),
    "large": ("INIT KEEP void eat(void) { EAT(1500); } int main(void) { eat(); return 0; }", (1500, 1860)),
    "deep": ("INIT KEEP int b(void) { EAT(300); return 1; } KEEP int a(void) { EAT(300); return b() + 1; }"
             "int main(void) { return a(); }", (600, 960)),
    "tail": ("INIT KEEP void b(void) { EAT(300); } KEEP void a(void) { EAT(300); b(); }"
             "int main(void) { a(); return 0; }", (300, 960)),     # a Cortex-M0 has no such calls
    "recursion": ("INIT KEEP int a(int n); KEEP int b(int n) { EAT(8); return n ? a(n - 1) + 1 : 0; }"
                  "int a(int n) { EAT(8); return b(n) + 2; } int main(void) { return a(3); }", "recursion"),
    "pointer": ("INIT void (*volatile p)(void); KEEP void call(void) { p(); EAT(8); }"
                "int main(void) { call(); return 0; }", "pointer"),
    "nobody-known": ("INIT KEEP void hook(void) { EAT(8); } void (*const table[])(void) = {hook};"
                     "int main(void) { __asm volatile(\"\" :: \"r\"(table)); return 0; }", "address is taken"),
    "growing": ("INIT KEEP void a(size_t n) { EAT(n); } int main(void) { a(7); return 0; }", "beforehand"),
    "too-much": ("INIT KEEP void eat(void) { EAT(3000); } int main(void) { eat(); return 0; }", "reserved"),
    "data": ("int state; KEEP void crypto_init(void *c) { state++; __asm volatile(\"\" :: \"r\"(c)); }"
             "int main(void) { crypto_init(0); return 0; }", "RAM"),
    "nothing-lent": ("int main(void) { return 0; }", "lend"),
}
SCRIPT = """
ENTRY(reset_handler)
data_start = 0x20000010; stack_top = 0x20004000; STACK_SIZE = 2048;
SECTIONS { .text 0x8000 : { *(.text*) *(.rodata*) } .data 0x20000010 : { *(.data* .sdata* .bss* .sbss* COMMON) } }
"""


def build(folder, gcc, flags, name, source):
    # crypto_init counts as lent in crypto.c only
    path, elf = f"{folder}/crypto.c", f"{folder}/{name}.elf"
    with open(path, "w") as f:
        f.write(FRAME + source)
    with open(f"{folder}/script", "w") as f:
        f.write(SCRIPT)
    library = subprocess.run([gcc, *(f.removesuffix("_zicsr") for f in flags), "-print-libgcc-file-name"], check=True,
                             capture_output=True, text=True).stdout.strip()
    subprocess.run([gcc, *flags, "-Os", "-g", "-ffreestanding", "-nostdlib", "-nostartfiles", "-w", path, library, "-o",
                    elf,
                    "-Wl,--no-warn-rwx-segments,-T," + f"{folder}/script"], check=True)
    return elf


def verdict(elf, want):
    try:
        total, _, _ = edge_stack.measure(elf)
    except edge_stack.Bad as e:
        return isinstance(want, str) and want in str(e), str(e)
    return isinstance(want, tuple) and want[0] <= total <= want[1], f"{total} bytes"


def main():
    count = failed = 0
    for gcc in sys.argv[1:]:
        cores = [["-march=rv32imac_zicsr", "-mabi=ilp32", "-msave-restore"]] if "riscv" in gcc else \
            [["-mthumb", "-mcpu=cortex-m0"], ["-mthumb", "-mcpu=cortex-m3"]]
        for flags in cores:
            for name, (source, want) in PROGRAMS.items():
                with tempfile.TemporaryDirectory() as folder:
                    good, seen = verdict(build(folder, gcc, flags, name, source), want)
                count += 1
                failed += not good
                print(f"{'ok' if good else 'not ok'} {count} - {name}, {flags[-1 if 'riscv' not in gcc else 0]}: {seen}",
                      flush=True)
    print(f"1..{count}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
