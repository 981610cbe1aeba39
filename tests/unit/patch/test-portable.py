#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same patches come out of every compiler, word size and byte order, and the same images out of them.

    test-portable.py SOURCE SEEDS    SEEDS is the program of seeds.c as this build makes it

Builds seeds.c with clang, and for a 32-bit big-endian processor, which is run in user emulation. TAP.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

SEEDS = ["500", "40", "5000"]
OTHERS = [("clang", ["clang", "-O0"], []), ("32 bits, big-endian", ["powerpc-linux-gnu-gcc", "-O1", "-static"], ["qemu-ppc-static"])]


def sources(root):
    wire = [p for p in sorted((root / "src/wire").glob("patch*.c")) if p.name != "patch-want-none.c"]
    return wire + [root / "src/wire/crc.c", *sorted((root / "src/patch").glob("*.c")), root / "tests/unit/patch/seeds.c"]


def run(command):
    return subprocess.run([*command, *SEEDS], capture_output=True, text=True, timeout=100)


def main():
    root, here = pathlib.Path(sys.argv[1]), run([sys.argv[2]])
    failed = False
    print(f"1..{len(OTHERS)}")
    with tempfile.TemporaryDirectory() as folder:
        for n, (name, compiler, emulator) in enumerate(OTHERS, 1):
            missing = [c for c in (compiler[0], *emulator) if not shutil.which(c)]
            if missing:
                print(f"ok {n} - {name} # SKIP {missing[0]} is not here")
                continue
            exe = f"{folder}/seeds-{n}"
            subprocess.run([*compiler, "-std=gnu17", f"-I{root}/include", f"-I{root}/src", f"-I{root}/tests/unit/patch/shim",
                            *map(str, sources(root)), "-o", exe], check=True)
            there = run([*emulator, exe])
            same = there.returncode == 0 == here.returncode and there.stdout == here.stdout
            failed |= not same
            print(f"{'ok' if same else 'not ok'} {n} - {name}: the same {SEEDS[1]} patches and images from seed {SEEDS[0]} on")
            for a, b in zip(here.stdout.splitlines(), there.stdout.splitlines()):
                if a != b:
                    print(f"# {a}\n# {b}")
            print("".join(f"# {line}\n" for line in there.stderr.splitlines()), end="")
    sys.exit(failed)


if __name__ == "__main__":
    main()
