#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/HACKING.md says which test proves which rule: each file and name is there, and the file speaks of the
rule. TAP on standard output."""
import pathlib
import re
import sys

NEEDED = {"S-07", "S-09", "S-16", "S-27", "S-28", "F-03", "F-07", "F-08", "F-09", "F-10", "F-11", "F-12"}
WHO_MAY_WHAT = 8    # lines of the table of attackers
RULE = re.compile(r"\b[A-Z]-\d\d\b")
TEST = re.compile(r"`([\w./-]+):([^`]+)`")


def rows(root):
    """[(first cell, [(path, name)])]"""
    text = (root / "docs/HACKING.md").read_text().partition("## Which test proves which rule")[2]
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [(what.strip(), TEST.findall(tests)) for what, tests in cells[1:]]


def wrong(root, what, tests):
    if not tests:
        yield f"{what}: no test"
    for path, name in tests:
        file = root / "tests" / path
        text = file.read_text() if file.is_file() else ""
        if name not in text:
            yield f"{what}: no {name} in {path}"
    for rule in RULE.findall(what):
        silent = [path for path, _ in tests if (root / "tests" / path).is_file() and rule not in (root / "tests" / path).read_text()]
        if silent:
            yield f"{what}: not a word of {rule} in {', '.join(silent)}"


def main():
    root = pathlib.Path(sys.argv[1])
    table = rows(root)
    said = {r for what, _ in table for r in RULE.findall(what)}
    found = [w for row in table for w in wrong(root, *row)] + [f"{r}: not in the table" for r in sorted(NEEDED - said)]
    holders = sum(not RULE.match(what) for what, _ in table)
    if holders < WHO_MAY_WHAT:
        found.append(f"{holders} lines of attackers, wanted {WHO_MAY_WHAT}")
    print("1..1")
    print(f"{'not ' if found else ''}ok 1 - {len(table)} rules have tests: docs/HACKING.md")
    for w in found:
        print("#", w)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
