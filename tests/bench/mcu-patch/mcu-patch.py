#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Patches for microcontrollers: their size against the full image, bsdiff and xdelta3 in the same run.

    mcu-patch.py --build BUILD [--sizes] [FOLDER…]

A FOLDER holds old.bin and new.bin, or folders that do. For each pair: bytes of the patch and of bsdiff's and xdelta3's
in per cent of the new image, seconds and memory of the encoder (edgeferry-repo patch, which applies it as well), and
what the decoder takes on an emulated core: instructions a byte of the new image, those of the dearest page, stack.
The image's processor is what edgeferry-repo finds; the decoder of a RISC-V patch runs on RV32, all others run as
Cortex-M0 code. Then the geometric mean, and code and RAM of the decoder as each board's compiler flags make it, with
the board's model. --sizes: these alone. Exit 1 where a limit is passed.
"""
import argparse
import json
import math
import os
import pathlib
import shlex
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PATCH = ["patch", "patch-code", "patch-field", "patch-generic", "patch-map", "patch-riscv", "patch-thumb", "patch-walk", "patch-want-none", "crc"]
BOARDS = ["nrf51-microbit", "mps2-an385", "mps2-an505", "riscv-virt"]
EMULATORS = {"thumb": ("nrf51-microbit", ["qemu-system-arm", "-M", "mps2-an385"], 0x21000000, 0, 0x20000000),
             "riscv": ("riscv-virt", ["qemu-system-riscv32", "-M", "virt", "-bios", "none", "-m", "64"], 0x81000000, 0x80000000, 0x80100000)}
# of the whole; of an image of 400 KiB; of a Cortex-M0
MEAN_MAX, SECONDS_MAX, KIB_MAX, CODE_MAX, RAM_MAX, MEDIAN_MAX, WORST_MAX = 1.7, 30, 128 << 10, 4608, 6144, 600, 2500


class Compiler:
    """That of a board's firmware, with its flags."""

    def __init__(self, build, board):
        command = subprocess.run(["ninja", "-C", build, "-t", "commands", f"edge-fw/cross/{board}-common-wire-crc.o"],
                                 check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        words = shlex.split(command)
        self.gcc, self.flags = words[0], words[1:words.index("-MD")]
        # gcc has a library for rv32imac alone
        target = ["-mabi=ilp32", "-march=rv32imac"] if "riscv" in board else [f for f in self.flags if f.startswith("-m")]
        self.libgcc = subprocess.run([self.gcc, *target, "-print-libgcc-file-name"], check=True, capture_output=True, text=True).stdout.strip()
        self.model = "ef_patch_riscv" if "riscv" in board else "ef_patch_thumb"

    def link(self, source, out, *options):
        sources = [HERE / source, *(ROOT / f"src/wire/{name}.c" for name in PATCH)]
        subprocess.run([self.gcc, *self.flags, f"-DMODEL={self.model}", "-Wno-missing-prototypes", "-nostdlib", "-nostartfiles",
                        *map(str, sources), "-Wl,--gc-sections,--no-warn-rwx-segments", *options, self.libgcc, "-o", out], check=True)

    def sizes(self, elf):
        text, data, bss = map(int, subprocess.run([self.gcc.replace("gcc", "size"), elf], check=True, capture_output=True,
                                                  text=True).stdout.splitlines()[1].split()[:3])
        return text, data + bss


def decoder_sizes(build, folder, board):
    elf = f"{folder}/sized"
    # what every program has anyway lies elsewhere
    Compiler(build, board).link("sized.c", elf, "-Wl,-e,start,--defsym=sized_io=0", "-Wl,--defsym=memcpy=0x100,--defsym=memset=0x102,--defsym=memmove=0x104")
    return Compiler(build, board).sizes(elf)


class Emulator:
    def __init__(self, build, folder, kind):
        board, self.command, self.input, rom, ram = EMULATORS[kind]
        self.folder, self.elf = folder, f"{folder}/emulated-{kind}"
        script = f"{folder}/{kind}.ld"
        with open(script, "w", encoding="utf-8") as f:
            f.write(f"SECTIONS {{ . = {rom:#x}; .text : {{ KEEP(*(.first)) *(.text*) *(.rodata*) }}\n"
                    f". = {ram:#x}; .data : {{ *(.data*) *(.sdata*) *(.bss*) *(.sbss*) *(COMMON) }} }}\n")
        c = Compiler(build, board)
        subprocess.run([c.gcc, *c.flags, "-fno-lto", "-c", str(ROOT / "edge-fw/port/libc/string.c"), "-o", f"{folder}/string.o"], check=True)
        c.link("emulated.c", self.elf, f"{folder}/string.o", "-Wl,-T," + script)

    def apply(self, old, patch, new_size):
        """Instructions a byte, of the dearest page, stack."""
        with open(f"{self.folder}/input", "wb") as f:
            f.write(struct.pack("<II", len(patch), old.stat().st_size) + patch)
        loads = []
        for file, at in (f"{self.folder}/input", self.input), (old, self.input + 0x400000):
            loads += ["-device", f"loader,file={file},addr={at:#x},force-raw=on"]
        out = subprocess.run([*self.command, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0", "-semihosting-config",
                              "enable=on,target=native", "-kernel", self.elf, *loads],
                             capture_output=True, text=True, timeout=600)
        reason, count, dearest, stack = map(int, (out.stdout + out.stderr).split())
        if reason:
            raise ValueError(f"the emulated decoder ended with reason {reason}")
        return count / max(new_size, 1), dearest / 256, stack


def measured(command):
    """Seconds of processor, KiB, output."""
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(p.pid, 0)
        if status:
            raise ValueError(f"{command[0]} failed")
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss, out.read()


def peer(folder, *command):
    if not shutil.which(command[0]):
        return math.nan
    out = f"{folder}/peer"
    subprocess.run([w.replace("OUT", out) for w in command], check=True)
    return os.path.getsize(out)


def pairs(folders):
    for folder in map(pathlib.Path, folders):
        found = [p.parent for p in sorted([folder / "old.bin", *folder.glob("*/old.bin"), *folder.glob("*/*/old.bin")]) if p.exists()]
        if not found:
            sys.exit(f"mcu-patch.py: {folder}: no old.bin in it")
        yield from found


def mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def measure(build, folder, emulators, pair):
    old, new, out = pair / "old.bin", pair / "new.bin", f"{folder}/patch"
    seconds, kib, said = measured([f"{build}/src/repo/edgeferry-repo", "patch", "--json", "--out", out, str(old), str(new)])
    said, size = json.loads(said), new.stat().st_size
    peers = [peer(folder, "bsdiff", str(old), str(new), "OUT"), peer(folder, "xdelta3", "-e", "-9", "-f", "-s", str(old), str(new), "OUT")]
    kind = "riscv" if said["arch"] == "riscv" else "thumb"
    if kind not in emulators:
        emulators[kind] = Emulator(build, folder, kind)
    applied = emulators[kind].apply(old, pathlib.Path(out).read_bytes(), size)
    row = [100 * n / size for n in (said["patch-size"], *peers)]
    print(f"{pair.name[:28]:28} {said['arch']:8}{size:9,}{said['patch-size']:8,}{row[0]:8.3f}{row[1]:8.2f}{row[2]:8.2f}"
          f"{seconds:7.1f}{kib / 1024:6.0f}{applied[0]:8.0f}{applied[1]:8.0f}{applied[2]:6}", flush=True)
    return row, size, seconds, kib, applied


def report(rows):
    """Lines of what holds; whether all does."""
    sizes = [mean(r[0][k] for r in rows) for k in range(3)]
    print(f"{'geometric mean, % of the image':53}{sizes[0]:8.3f}{sizes[1]:8.2f}{sizes[2]:8.2f}\n")
    small = [r for r in rows if r[1] <= 400 << 10]
    return [("geometric mean, %", sizes[0], MEAN_MAX),
            ("encoder, seconds for images of up to 400 KiB", max((r[2] for r in small), default=0), SECONDS_MAX),
            ("encoder, KiB for such", max((r[3] for r in small), default=0), KIB_MAX),
            ("instructions a byte, median", statistics.median(r[4][0] for r in rows), MEDIAN_MAX),
            ("instructions a byte, worst pair", max(r[4][0] for r in rows), WORST_MAX)], max(r[4][2] for r in rows)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--sizes", action="store_true")
    p.add_argument("folders", nargs="*", metavar="FOLDER")
    a = p.parse_args()
    limits, stack = [], 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcu-patch.") as folder:
        if a.folders and not a.sizes:
            print(f"{'pair':28} {'model':8}{'bytes':>9}{'patch':>8}{'%':>8}{'bsdiff':>8}{'xdelta3':>8}{'s':>7}{'MiB':>6}{'insns':>8}{'page':>8}{'stack':>6}")
            emulators = {}
            rows = [measure(a.build, folder, emulators, pair) for pair in pairs(a.folders)]
            limits, stack = report(rows)
        print(f"{'decoder':16}{'code':>7}{'RAM':>7}")
        for board in BOARDS:
            code, ram = decoder_sizes(a.build, folder, board)
            print(f"{board:16}{code:7,}{ram:7,}")
            if board == BOARDS[0]:
                limits += [("code on Cortex-M0", code, CODE_MAX), (f"RAM on Cortex-M0, with {stack} of stack", ram + stack, RAM_MAX)]
    print()
    for name, is_, limit in limits:
        print(f"{name}: {is_:,.6g}, {is_ / limit:.2f} of {limit:,}{'' if is_ <= limit else ', MORE'}")
    print(f"{time.monotonic() - started:.0f} s in all")
    sys.exit(any(is_ > limit for _, is_, limit in limits))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, subprocess.SubprocessError) as e:
        sys.exit(f"mcu-patch.py: {e}")
