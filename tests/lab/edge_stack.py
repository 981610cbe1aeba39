#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The worst-case stack of a board's image, from its machine code: what each function takes, and who calls whom.

    edge_stack.py [--rom BOOT.elf] [--path] IMAGE.elf…

Fails on a function whose address is taken and that nobody is known to call, on recursion, on a stack that grows by what is not known beforehand, on a call through a pointer that the
table below does not know, on more than the image reserves, and on code that the bootloader lends (boot/rom.h) and
that has data of its own. --path prints the deepest chain.

Whoever adds a call through a pointer adds a line to POINTERS, by the source names of the function that calls and of
those that may be called: "file.c:function", or "@name" for every function in the table of that name.
"""
import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import elf  # noqa: E402

SHA = ["crypto.c:sha256_init", "crypto.c:sha256_resume", "crypto.c:sha256_update", "crypto.c:sha256_final"]
READ = ["verify.c:read_slot", "verify.c:read_preflight"]
P256 = ["crypto-i15.c:crypto_p256_verify_raw", "crypto-m31.c:crypto_p256_verify_raw"]
SIGNATURES = ["crypto.c:crypto_p256_verify", "crypto-ed25519.c:ed25519_verify"]
SELF_TEST = ["app.c:self_test"]
CURVES = ["ec_prime_i15.c:api_muladd", "ec_p256_m31.c:api_muladd"]
CHACHA = ["chacha20_ct.c:br_chacha20_ct_run"]
NOISE = {"noise_" + f: "session-crypto.c:" + of + f for of, fs in (("crypto_", ("hash", "hkdf", "encrypt")),
                                                                 ("noise_", ("public", "shared", "decrypt"))) for f in fs}
IMAGE = ["image.c:ef_image_" + f for f in ("parse_header", "preflight", "check")]
FRAMES = ["session-transport.c:ef_session_" + f for f in ("seal", "open")]
PATCH = {f: [f"patch-{core}.c:{f}" for core in ("generic", "thumb", "riscv")] for f in ("decode", "encode", "follow")}
POINTERS = {
    "boot.c:boot_decide": ["@on_phase"],
    "image.c:take": READ + SHA,
    "image.c:go_on": SHA,
    "image.c:take_area": ["image.c:protected_tlv", "image.c:unprotected_tlv"],
    "image.c:take_key": SHA,
    "image.c:signature_holds": SIGNATURES,
    "image.c:walk_image": SHA,
    "verify.c:verify_digest": READ + SHA,
    "crypto-rom.c:crypto_init": ["crypto.c:crypto_init"],
    "agent.c:run_command": ["@commands"],
    "agent.c:watch_trial": SELF_TEST,
    "edgeferry.c:self_test": SELF_TEST,
    "image.c:confirm_image": SELF_TEST,
    "os-info.c:os_info": ["app.c:details", "recovery.c:details"],
    "stat.c:read_stat": ["stat.c:put_line", "stat.c:put_node", "app.c:put_stats"],
    "mcu.c:tick": ["app.c:tick", "bare.c:task"],
    "ecdsa_i15_vrfy_raw.c:br_ecdsa_i15_vrfy_raw": CURVES,
    "ecdsa_i31_vrfy_raw.c:br_ecdsa_i31_vrfy_raw": CURVES,
    "session-crypto.c:noise_shared": ["ec_c25519_i15.c:api_mul", "ec_c25519_m31.c:api_mul"],
    "poly1305_i15.c:br_poly1305_i15_run": CHACHA,
    "poly1305_ctmul.c:br_poly1305_ctmul_run": CHACHA,
    **{"hmac.c:" + f: ["@br_sha256_vtable"] for f in ("br_hmac_key_init", "process_key", "br_hmac_init",
                                                      "br_hmac_update", "br_hmac_out")},
    **{"crypto-rom.c:" + f: [lent] for f, lent in NOISE.items()},
    **{"crypto-rom.c:" + f.partition(":")[2]: [f] for f in IMAGE + FRAMES},
    "crypto-rom.c:crypto_p256_verify_raw": P256,
    "trap.c:fault": ["trap.c:record"],
    "patch-map.c:examine": PATCH["decode"],
    "patch-map.c:patch_learn": PATCH["decode"],
    "patch-map.c:put": PATCH["encode"],
    "patch-model.h:patch_follow": PATCH["follow"],
    "patch.c:next_byte": ["rebuild.c:next_byte"],
    "patch.c:check_old": ["rebuild.c:read_old"],
    "patch.c:patch_read": ["rebuild.c:read_old", "rebuild.c:read_new"],
    "patch.c:make_page": ["rebuild.c:next_byte", "rebuild.c:write_new"],
    "patch.c:right": SHA,
    # leave the program for good
    "port.c:port_start_image": [],
    "start.c:start_vectors": [],
    "forward.c:forward": [],
    "forward.c:first": [],
}
LENT = SHA + P256 + SIGNATURES + list(NOISE.values()) + IMAGE + FRAMES + ["crypto.c:crypto_init"]

# What an interrupt puts on the stack by itself, the program's root, and the handlers by level: one of each level
# may be on the stack at once.
ARM_FRAME = 36      # eight words, and one to align them
CORES = {
    elf.ARM: ("reset_handler", ARM_FRAME, [["board_uart_irq", "board_tick_irq"], ["board_watchdog_irq", "fault"]]),
    elf.RISCV: ("c_start", 0, [["trap"], ["trap"]]),     # a fault in a handler
}
STARTED = ["reset_handler", "forward", "first", "trap", "board_uart_irq", "board_tick_irq", "board_watchdog_irq", "fault"]
NOWHERE = ("??", "<artificial>")     # what the linker's compiler has no file for
# tables of the libraries, in which a number may look like an address
NUMBERS = ("P256_", "C255_", "K", "P1305", "R2", "br_sha256_IV", "Gwin")
# the compiler's and the library's own that are called by name alone: a number may look like their address
BY_NAME = ("__riscv_", "br_i15_", "GT.")
BINUTILS = {elf.ARM: "arm-none-eabi-", elf.RISCV: "riscv64-unknown-elf-"}


def called_from(source):
    """Names of the functions that may be called there, None: not known."""
    file, _, function = source.partition(":")
    if file not in NOWHERE:
        return POINTERS.get(source)
    found = [names for s, names in POINTERS.items() if s.endswith(":" + function)]
    return sum(found, []) if found else None


class Bad(Exception):
    pass


class Function:
    def __init__(self, name, start):
        self.name, self.start = name, start
        self.frame, self.calls, self.tails, self.constants = 0, set(), set(), set()
        self.pointer_calls = []     # addresses
        self.high = {}              # by register: the upper part of a constant, until the lower one comes

    def words(self):
        """Constants that are made or loaded; an upper part alone is one when nothing was added to it."""
        return self.constants | set(self.high.values())


def number(text):
    return int(text, 0)


class Image:
    """Functions of an image by address."""

    def __init__(self, path):
        self.elf = elf.Elf(path)
        self.tool = BINUTILS[self.elf.machine]
        self.functions, self.sources, self.files = {}, {}, {}
        self.ranges = sorted({(s.value & ~1, s.size) for s in self.elf.symbols if s.kind == elf.FUNCTION and s.size})
        text = subprocess.run([self.tool + "objdump", "-d", "--no-show-raw-insn", "-M", "no-aliases" if self.risc else "reg-names-std",
                               path], check=True, capture_output=True, text=True).stdout
        self.code = self._instructions(text)
        for start, size in self.ranges:
            self.functions[start] = self._function(start, size)

    @property
    def risc(self):
        return self.elf.machine == elf.RISCV

    @staticmethod
    def _instructions(text):
        code = {}
        for m in re.finditer(r"^ *([0-9a-f]+):\t(\S+)(?:\t([^\n]*))?$", text, re.M):
            operands = re.split(r"\s+(?:[@;]|# )", m[3] or "")[0].strip()
            code[int(m[1], 16)] = (m[2], operands)
        return code

    def _name(self, start):
        names = [s.name for s in self.elf.symbols if s.kind == elf.FUNCTION and s.value & ~1 == start]
        return names[0]

    def _function(self, start, size):
        f = Function(self._name(start), start)
        at = [a for a in range(start, start + size, 2) if a in self.code]
        step = self._risc if self.risc else self._arm
        registers = {}
        for a in at:
            step(f, a, *self.code[a], registers, start + size)
        return f

    def _jump(self, f, target, end, tail):
        if f.start <= target < end:
            return
        owner = next((s for s, n in self.ranges if s <= target < s + n), None)
        if owner is None:
            raise Bad(f"{f.name}: jumps to {target:#x}, which is in no function")
        (f.tails if tail else f.calls).add(owner)

    def _grow(self, f, a, by):
        if by is None:
            raise Bad(f"{f.name}: the stack grows at {a:#x} by what is not known beforehand")
        f.frame += max(0, by)

    # ---- Thumb: registers holds what is known of the low ones, for frames too large for an instruction ----

    def _arm(self, f, a, name, operands, registers, end):
        name = name.removesuffix(".n").removesuffix(".w")
        o = [x.strip() for x in operands.split(",")]
        m = re.match(r"\S+, \[pc, #(\d+)\]", operands)
        if name.startswith("ldr") and m:
            registers[o[0]] = self.elf.word((a + 4 & ~3) + int(m[1]))
            f.constants.add(registers[o[0]])
        elif name in ("movw", "movt") and o[1].startswith("#"):
            low = registers.get(o[0], 0) & 0xffff if name == "movt" else 0
            registers[o[0]] = low | number(o[1][1:]) << (16 if name == "movt" else 0)
            f.constants.add(registers[o[0]])
        elif name in ("movs", "mov") and len(o) == 2 and o[1].startswith("#"):
            registers[o[0]] = number(o[1][1:])
        elif name == "lsls" and o[-1].startswith("#") and o[1] in registers:
            registers[o[0]] = registers[o[1]] << number(o[-1][1:]) & 0xffffffff
        elif name in ("negs", "rsbs") and o[1] in registers:
            registers[o[0]] = -registers[o[1]] & 0xffffffff
        elif name == "push" or name == "stmdb" and o[0] == "sp!":
            self._grow(f, a, 4 * self._listed(operands))
        elif name in ("sub", "subw") and o[0] == "sp":
            self._grow(f, a, number(o[-1][1:]) if o[-1].startswith("#") else None)
        elif name == "add" and o[0] == "sp" and not o[-1].startswith("#"):
            n = registers.get(o[-1])
            self._grow(f, a, None if n is None else (1 << 32) - n if n >> 31 else 0)
        elif name in ("mov", "ldr", "str", "strd") and (o[0] == "sp" or operands.endswith("]!") and "[sp" in operands):
            if operands != "sp, r7":    # the frame pointer: gives back
                self._grow(f, a, -number(o[-1].rstrip("]!")[1:]) if "]!" in operands else None)
        elif name == "bl":
            self._jump(f, int(o[0].split()[0], 16), end, False)
        elif name == "blx" or name == "bx" and o[0] != "lr":
            f.pointer_calls.append(a)
        elif re.fullmatch(r"b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|)|cbn?z", name):
            self._jump(f, int(o[-1].split()[0], 16), end, True)
        elif name in ("tbb", "tbh"):
            raise Bad(f"{f.name}: a jump table at {a:#x}")
        elif not name.startswith(("str", "cmp")):
            registers.pop(o[0], None)

    @staticmethod
    def _listed(operands):
        count = 0
        for part in re.search(r"\{(.*)\}", operands)[1].split(","):
            first, _, last = part.strip().partition("-")
            count += int(last[1:]) - int(first[1:]) + 1 if last else 1
        return count

    # ---- RISC-V ----

    def _risc(self, f, a, name, operands, registers, end):
        name = name.removeprefix("c.")
        o = [x.strip() for x in operands.split(",")]
        if name == "lui":
            if o[0] in f.high:
                f.constants.add(f.high[o[0]])
            registers[o[0]] = f.high[o[0]] = number(o[1]) << 12 & 0xffffffff
        elif name == "auipc":
            registers[o[0]] = a + (number(o[1]) << 12) & 0xffffffff
        elif name in ("addi", "addi16sp", "li") and o[0] != "sp":
            to = o[1] if len(o) == 3 else o[0]
            base = 0 if name == "li" or o[1] == "zero" else registers.get(to)
            f.high.pop(to, None)
            registers.pop(o[0], None)
            if base is not None:
                registers[o[0]] = base + number(o[-1]) & 0xffffffff
                f.constants.add(registers[o[0]])
            elif "gp" in o:
                f.constants.add(self.elf.value("data_start"))
        elif o[0] == "sp" and name in ("addi", "addi16sp"):
            self._grow(f, a, -number(o[-1]))
        elif o[0] == "sp" and name == "add":
            n = registers.get(o[-1])
            self._grow(f, a, None if n is None else (1 << 32) - n if n >> 31 else 0)
        elif o[0] == "sp" and name == "sub":
            # __riscv_save_*: gives back what it has taken too much
            if not f.name.startswith("__riscv_save"):
                self._grow(f, a, None)
        elif name in ("jal", "j"):
            target = int(o[-1].split()[0], 16)
            link = o[0] if len(o) == 2 else "ra" if name == "jal" else "zero"
            owner = self._name(max(s for s, _ in self.ranges if s <= target))
            if link == "t0" and owner.startswith("__riscv_save"):
                f.frame += self.functions_frame(target)
            elif not owner.startswith("__riscv_"):
                self._jump(f, target, end, link == "zero")
        elif name in ("jalr", "jr"):
            m = re.fullmatch(r"(-?\d+)\((\w+)\)", o[-1])
            register = m[2] if m else o[-1]
            link = "zero" if name == "jr" else o[0] if len(o) > 1 else "ra"
            if register == "ra" and link == "zero" or f.name.startswith("__riscv_"):
                return
            if m and register in registers and registers[register] not in (None, 0):
                self._jump(f, registers[register] + int(m[1]) & 0xffffffff, end, link == "zero")
            else:
                f.pointer_calls.append(a)
        elif re.fullmatch(r"b(eq|ne|lt|ge|ltu|geu)z?|b(eqz|nez)", name):
            self._jump(f, int(o[-1].split()[0], 16), end, True)
        else:
            m = re.fullmatch(r"(-?\d+)\((\w+)\)", o[-1])
            if m and m[2] in registers:
                f.constants.add(registers[m[2]] + int(m[1]) & 0xffffffff)
                f.high.pop(m[2], None)
            elif m and m[2] == "gp":
                f.constants.add(self.elf.value("data_start"))
            if not name.startswith("s"):
                registers.pop(o[0], None)

    def functions_frame(self, save):
        """What __riscv_save_N takes: its first instruction, of which it may give a part back."""
        return -number(self.code[save][1].split(",")[-1])

    # ---- source names ----

    def source(self, addresses):
        """"file.c:function" of each address, by the innermost function inlined there."""
        new = [a for a in addresses if a not in self.sources]
        if new:
            lines = subprocess.run([self.tool + "addr2line", "-f", "-e", self.elf.path,
                                    *map(hex, new)], check=True, capture_output=True, text=True).stdout.splitlines()
            for a, name, place in zip(new, lines[::2], lines[1::2]):
                self.sources[a] = os.path.basename(place.split(":")[0]) + ":" + name
        return [self.sources[a] for a in addresses]

    def named(self, name):
        """Addresses of the functions that this source function became, or of those in a table."""
        if name[0] == "@":
            found = set()
            for s in self.elf.find(name[1:], elf.OBJECT):
                words = [self.elf.word(a) & ~1 for a in range(s.value, s.value + s.size & ~3, 4)]
                found |= {w for w in words if w in self.functions}
            return found
        file, _, function = name.partition(":")
        found = {s.value & ~1 for s in self.elf.find(function, elf.FUNCTION) if s.value & ~1 in self.functions}
        return {a for a in found if self.file(a) in (file, "")}     # not known: it may be

    def file(self, start):
        """The one that the function there is from, whatever was inlined at its beginning."""
        if start not in self.files:
            places = map(hex, range(start, start + min(dict(self.ranges)[start], 16), 2))
            out = subprocess.run([self.tool + "addr2line", "-a", "-i", "-e", self.elf.path, *places], check=True,
                                 capture_output=True, text=True).stdout
            outermost = [part.split("\n")[-2] for part in out.split("0x") if part.count("\n") > 1]
            files = [os.path.basename(line.split(":")[0]) for line in outermost]
            # the compiler's own instructions are from nowhere
            self.files[start] = next((f for f in files if f not in NOWHERE), "")
        return self.files[start]


class Depth:
    """Deepest use by function; rom: the image whose code this one calls through the table."""

    def __init__(self, image, rom=None):
        self.image, self.rom, self.known, self.unknown = image, rom, {}, set()

    def of(self, start, chain=()):
        if start in self.known:
            return self.known[start]
        f = self.image.functions[start]
        if start in chain:
            names = [self.image.functions[a].name for a in chain[chain.index(start):]] + [f.name]
            raise Bad("recursion: " + " → ".join(names))
        chain += (start,)
        best, path = 0, []
        for a in f.calls | f.tails:
            depth, below = self.of(a, chain)
            # a tail call gives the frame back first
            depth -= min(depth, f.frame) if a in f.tails and a not in f.calls else 0
            if depth > best:
                best, path = depth, below
        for a, source in zip(f.pointer_calls, self.image.source(f.pointer_calls)):
            names = called_from(source)
            if names is None:
                self.unknown.add(source)
            for name in names or []:
                for depth, below in self._named(name, chain):
                    if depth > best:
                        best, path = depth, below
        self.known[start] = f.frame + best, [(f.name, f.frame)] + path
        return self.known[start]

    def _named(self, name, chain):
        for a in self.image.named(name):
            yield self.of(a, chain)
        if self.rom and name in LENT:
            for a in self.rom.image.named(name):
                yield self.rom.of(a)

    def root(self, name):
        start = self.image.elf.function(name)
        return self.of(start)


def worst(depth):
    """(bytes, chain) of the program with one interrupt of each level on top."""
    root, frame, levels = CORES[depth.image.elf.machine]
    total, path = depth.root(root)
    for handlers in levels:
        found = [h for h in handlers if depth.image.elf.find(h, elf.FUNCTION)]
        n, below = max(depth.root(h) for h in found)
        total += frame + n
        path = path + [("interrupt", frame)] + below
    return total, path


def check_taken(image):
    """Every function whose address stands somewhere is one that POINTERS names, or one that the core calls."""
    inside = [range(s, s + n) for s, n in image.ranges]
    inside += [range(s.value, s.value + s.size) for s in image.elf.symbols
               if s.kind == elf.OBJECT and s.name.startswith(NUMBERS)]
    words = {w for f in image.functions.values() for w in f.words()}
    for at, size in image.elf.loaded():
        words |= {image.elf.word(a) for a in range(at, at + size - 3, 4) if not any(a in r for r in inside)}
    bit = 0 if image.risc else 1
    named = {a for names in POINTERS.values() for n in names for a in image.named(n)}
    named |= {a for n in LENT for a in image.named(n)}
    named |= {s.value & ~1 for n in STARTED for s in image.elf.find(n, elf.FUNCTION)}
    missing = [f.name for a, f in image.functions.items()
               if a | bit in words and a not in named and not f.name.startswith(BY_NAME)]
    if missing:
        raise Bad("functions whose address is taken and that no line of POINTERS names: " + ", ".join(sorted(missing)))


def check_lent(image):
    """No function that an application calls may touch RAM but through its arguments."""
    base, end = image.elf.value("data_start"), image.elf.value("stack_top")
    todo, seen = [a for name in LENT for a in image.named(name)], set()
    if not todo:
        raise Bad("nothing to lend")
    while todo:
        start = todo.pop()
        if start in seen:
            continue
        seen.add(start)
        f = image.functions[start]
        for c in f.words():
            if base <= c < end:
                raise Bad(f"{f.name}: is lent to applications and uses {c:#x}, the bootloader's RAM")
        todo += f.calls | f.tails
        for source in image.source(f.pointer_calls):
            todo += [a for name in called_from(source) or [] for a in image.named(name)]


def measure(path, rom=None):
    """(worst case, reserved, chain) of an image; Bad when it breaks a rule. rom: the bootloader's Depth."""
    image = Image(path)
    depth = Depth(image, rom)
    total, path = worst(depth)
    if depth.unknown:
        raise Bad("calls through pointers that POINTERS of edge_stack.py does not have: " +
                  ", ".join(sorted(depth.unknown)))
    check_taken(image)
    reserved = image.elf.value("STACK_SIZE")
    if not rom:
        check_lent(image)
    if total > reserved:
        raise Bad(f"needs {total} bytes of stack, {reserved} are reserved")
    return total, reserved, path


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rom", help="the bootloader, when the images are applications")
    p.add_argument("--path", action="store_true")
    p.add_argument("images", nargs="+")
    a = p.parse_args()
    failed = False
    rom = Depth(Image(a.rom)) if a.rom else None
    for path in a.images:
        try:
            total, reserved, chain = measure(path, rom)
            print(f"{os.path.basename(path):40} {total:6} of {reserved}")
            if a.path:
                for name, frame in chain:
                    print(f"    {frame:5} {name}")
        except (Bad, ValueError) as e:
            print(f"{path}: {e}", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
