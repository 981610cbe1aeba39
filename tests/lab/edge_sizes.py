#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the boards' images take, in bytes: a table, or with --tap the rules that hold for them.

    edge_sizes.py [--tap] [--doc FILE] FOLDER BOARD…   FOLDER holds boot-BOARD.elf, app-, recovery-, bare-

--doc: the document that has the table between the lines BEGIN and END below. It is brought up to date, or with --tap
compared: a figure may be off by TOLERANCE, which is what another release of the compiler may cost.
Text and data are in flash; RAM is everything from the first word to the end of what is reserved for the stack; stack
is the worst case that edge_stack.py finds. An application's agent is what it has more than one without: the agent of
the sample application can do everything, the one of the recovery image what the board's bootloader can.
"""
import argparse
import functools
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import edge_stack  # noqa: E402
import elf  # noqa: E402

BEGIN, END = "<!-- edge-sizes: written by ninja edge-sizes -->\n", "<!-- end of edge-sizes -->\n"
TOLERANCE = 0.02
# bytes: no board's code grows beyond without somebody deciding so
LIMITS = {"nrf51-microbit": {"bootloader text": 24 << 10, "bootloader RAM": 8 << 10, "application RAM": 8 << 10,
                             "agent text": 20 << 10, "small agent text": 11 << 10}}


class Sizes:
    def __init__(self, path):
        e = elf.Elf(path)
        data = e.value("data_end") - e.value("data_start")
        loaded = sum(s[5] for s in e.sections if s[2] & elf.ALLOC and s[1] != elf.NOBITS)
        self.text, self.data = loaded - data, data
        self.ram = e.value("bss_end") + e.value("STACK_SIZE") - e.value("ram_head")
        self.own_ram = e.value("bss_end") - e.value("data_start")


class Board:
    def __init__(self, folder, name):
        self.name = name
        self.boot, self.app, self.recovery, self.bare = (
            f"{folder}/{kind}-{name}.elf" for kind in ("boot", "app", "recovery", "bare"))
        # of a board whose usual ones take no patches
        self.patching = [p for p in (f"{folder}/{kind}-patch-{name}.elf" for kind in ("boot", "app")) if os.path.exists(p)]

    @functools.cached_property
    def rom(self):
        return edge_stack.Depth(edge_stack.Image(self.boot))

    @functools.cache
    def stack(self, image):
        return edge_stack.measure(image, None if os.path.basename(image).startswith("boot-") else self.rom)

    def figures(self):
        boot, app, recovery, bare = map(Sizes, (self.boot, self.app, self.recovery, self.bare))
        return {"bootloader text": boot.text, "bootloader data": boot.data, "bootloader RAM": boot.ram,
                "bootloader stack": self.stack(self.boot)[0],
                "application text": app.text, "application data": app.data, "application RAM": app.ram,
                "application stack": self.stack(self.app)[0],
                "agent text": app.text - bare.text, "agent RAM": app.own_ram - bare.own_ram,
                "small agent text": recovery.text - bare.text, "small agent RAM": recovery.own_ram - bare.own_ram}


def table(boards):
    text = ("| board | bootloader: text, data, RAM, stack | application: text, data, RAM, stack | "
            "of it the agent: text, RAM | small agent: text, RAM |\n|---|---|---|---|---|\n")
    for b in boards:
        f = [f"{n:,}" for n in b.figures().values()]
        text += f"| {b.name} | {' · '.join(f[:4])} | {' · '.join(f[4:8])} | {' · '.join(f[8:10])} | {' · '.join(f[10:])} |\n"
    return text


def split(document):
    """What is before the table, the table, what is behind it."""
    with open(document, encoding="utf-8") as f:
        before, begin, rest = f.read().partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document}: no line {BEGIN.strip()}, or no {END.strip()} behind it")
    return before + begin, old, end + after


def update(document, boards):
    before, _, after = split(document)
    with open(document, "w", encoding="utf-8") as f:
        f.write(before + table(boards) + after)


def documented(document, boards):
    """Boards whose line of the document is not what they are."""
    lines = {line.split(" | ")[0].strip("| "): line for line in split(document)[1].splitlines()}
    for b in boards:
        said = [int(n.replace(",", "")) for n in re.findall(r"(?<= )[0-9,]+(?= )", lines.get(b.name, ""))]
        now = list(b.figures().values())
        if len(said) != len(now) or any(abs(s - n) > TOLERANCE * n for s, n in zip(said, now)):
            yield b.name


def rules(boards, document):
    """(name, whether it holds, what was seen)"""
    for b in boards:
        for image in (b.boot, b.app, b.recovery, *b.patching):
            name = f"{os.path.basename(image)}: the stack is bounded and fits what is reserved"
            try:
                total, reserved, _ = b.stack(image)
                yield f"{name} ({total} of {reserved})", True, ""
            except (edge_stack.Bad, ValueError) as e:
                yield name, False, str(e)
        figures = b.figures()
        for what, limit in LIMITS.get(b.name, {}).items():
            yield f"{b.name}: {what}, {figures[what]}, is at most {limit}", figures[what] <= limit, ""
    if document:
        wrong = list(documented(document, boards))
        yield (f"{os.path.basename(document)} has these figures", not wrong,
               f"not of {', '.join(wrong)}: run ninja edge-sizes" if wrong else "")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tap", action="store_true")
    p.add_argument("--doc")
    p.add_argument("folder")
    p.add_argument("boards", nargs="+", metavar="BOARD")
    a = p.parse_args()
    boards = [Board(a.folder, b) for b in a.boards]
    if not a.tap:
        print(table(boards), end="")
        if a.doc:
            update(a.doc, boards)
        return
    failed = count = 0
    for name, holds, seen in rules(boards, a.doc):
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
