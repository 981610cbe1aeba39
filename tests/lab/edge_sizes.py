#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the boards' images take, in bytes: a table, or with --tap the rules that hold for them.

    edge_sizes.py [--tap] FOLDER BOARD=OBJDUMP…       FOLDER holds boot-BOARD.elf, app*-BOARD.elf, bare-BOARD.elf

Text and data are in flash; RAM is everything from the first word to the end of what is reserved for the stack; stack
is the worst case that edge_stack.py finds. An application's agent is what it has more than one without.
"""
import argparse
import functools
import glob
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import edge_stack  # noqa: E402
import elf  # noqa: E402

# bytes: what was promised for the smallest core
LIMITS = {"nrf51-microbit": {"bootloader text": 24 << 10, "bootloader RAM": 8 << 10, "agent text": 12 << 10,
                             "application RAM": 8 << 10}}


class Sizes:
    def __init__(self, path):
        e = elf.Elf(path)
        data = e.value("data_end") - e.value("data_start")
        loaded = sum(s[5] for s in e.sections if s[2] & elf.ALLOC and s[1] != elf.NOBITS)
        self.text, self.data = loaded - data, data
        self.ram = e.value("bss_end") + e.value("STACK_SIZE") - e.value("ram_head")
        self.own_ram = e.value("bss_end") - e.value("data_start")


class Board:
    def __init__(self, folder, name, objdump):
        self.name, self.objdump = name, objdump
        self.boot, self.app, self.bare = (f"{folder}/{kind}-{name}.elf" for kind in ("boot", "app", "bare"))
        self.apps = sorted(glob.glob(f"{folder}/app*-{name}.elf"))

    @functools.cached_property
    def rom(self):
        return edge_stack.Depth(edge_stack.Image(self.boot, self.objdump))

    @functools.cache
    def stack(self, image):
        return edge_stack.measure(image, self.objdump, None if image == self.boot else self.rom)

    def figures(self):
        boot, app, bare = Sizes(self.boot), Sizes(self.app), Sizes(self.bare)
        return {"bootloader text": boot.text, "bootloader data": boot.data, "bootloader RAM": boot.ram,
                "bootloader stack": self.stack(self.boot)[0],
                "application text": app.text, "application data": app.data, "application RAM": app.ram,
                "application stack": self.stack(self.app)[0],
                "agent text": app.text - bare.text, "agent RAM": app.own_ram - bare.own_ram}


def table(boards):
    print("| board | bootloader: text, data, RAM, stack | application: text, data, RAM, stack | "
          "of it the agent: text, RAM |")
    print("|---|---|---|---|")
    for b in boards:
        f = [f"{n:,}" for n in b.figures().values()]
        print(f"| {b.name} | {' · '.join(f[:4])} | {' · '.join(f[4:8])} | {' · '.join(f[8:])} |")


def rules(boards):
    """(name, whether it holds, what was seen)"""
    for b in boards:
        for image in [b.boot, *b.apps]:
            name = f"{os.path.basename(image)}: the stack is bounded and fits what is reserved"
            try:
                total, reserved, _ = b.stack(image)
                yield f"{name} ({total} of {reserved})", True, ""
            except (edge_stack.Bad, ValueError) as e:
                yield name, False, str(e)
        figures = b.figures()
        for what, limit in LIMITS.get(b.name, {}).items():
            yield f"{b.name}: {what}, {figures[what]}, is at most {limit}", figures[what] <= limit, ""


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tap", action="store_true")
    p.add_argument("folder")
    p.add_argument("boards", nargs="+", metavar="BOARD=OBJDUMP")
    a = p.parse_args()
    boards = [Board(a.folder, *b.split("=")) for b in a.boards]
    if not a.tap:
        table(boards)
        return
    failed = count = 0
    for name, holds, seen in rules(boards):
        count += 1
        failed += not holds
        print(f"{'ok' if holds else 'not ok'} {count} - {name}")
        if seen:
            print(f"# {seen}")
    print(f"1..{count}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    try:
        main()
    except (edge_stack.Bad, ValueError, OSError) as e:
        sys.exit(f"edge_sizes.py: {e}")
