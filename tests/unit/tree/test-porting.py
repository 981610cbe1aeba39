#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/PORTING.md names all of the porting contract, and nothing that is no longer in it. TAP.

    test-porting.py SOURCE_ROOT
"""
import re
import sys

ROOT = sys.argv[1]


def read(path):
    with open(f"{ROOT}/{path}", encoding="utf-8") as f:
        return f.read()


def code(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


page, header = read("docs/PORTING.md"), code(read("edge-fw/port/port.h"))
quoted = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", page))))

functions = set(re.findall(r"\b(port_\w+)\(", header))
board = re.search(r"struct port_board \{(.*?)\n\};", header, re.S)[1]
fields = {re.sub(r"\[.*|\W", "", name) for line in board.split(";") for name in line.split(",") if name.strip()
          for name in [name.split()[-1]]}
macros = set(re.findall(r"#define (PORT_\w+)", read("edge-fw/port/riscv-virt/port-config.h")))
boards = re.search(r"^edge_boards = \{\n(.*?)^\}", read("edge-fw/cross/meson.build"), re.S | re.M)[1]
keys = set(re.findall(r"'(\w+)': (?=[\['a-z])", boards))

known = functions | fields | macros | keys
count = failed = 0
for what, names in {"function of port.h": functions, "field of struct port_board": fields,
                    "macro of port-config.h": macros, "key of edge_boards": keys}.items():
    missing = sorted(names - quoted)
    count += 1
    failed += bool(missing) or not names
    print(f"{'not ok' if missing or not names else 'ok'} {count} - every {what} is explained: {', '.join(missing)}")
gone = sorted(n for n in quoted if re.fullmatch(r"port_[a-z]\w*[a-z]", n) and n not in functions)
count += 1
failed += bool(gone)
print(f"{'not ok' if gone else 'ok'} {count} - every function it names is there: {', '.join(gone)}")
print(f"1..{count}")
sys.exit(failed > 0)
