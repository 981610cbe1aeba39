#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the README shows: the output of commands on a terminal, from a gateway with a server and two nodes that run here.

    screens.py BUILD [FOLDER]     writes FOLDER/NAME.svg (docs/screens), one a command
"""
import fcntl
import html
import itertools
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios

LAB = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, LAB)
from farm import Farm  # noqa: E402
from servers import Servers  # noqa: E402

COLUMNS, LINE, CHARACTER, EDGE = 100, 18, 8.43, 14
COLOURS = {"31": "#ff6b68", "32": "#5fd787", "33": "#e5c07b", "34": "#61afef", "35": "#c678dd", "36": "#56b6c2"}
SCREENS = (("install", ("install", "2.0.0")), ("status", ("status",)), ("history", ("history",)))


def on_terminal(command):
    """What is on the terminal on the way, and in the end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
    os.close(theirs)
    out, reads = b"", []
    while select.select([ours], [], [], 60)[0]:
        try:
            reads.append(len(out))
            out += os.read(ours, 65536)
        except OSError:     # the other side is closed
            break
    os.close(ours)
    process.wait()
    return screen(out[:reads[len(reads) // 4]].decode()), screen(out.decode())


def screen(text):
    """Lines after cursor movements: what is written over is gone. Colours stay where they were written."""
    lines, row, column, colour = [[]], 0, 0, ""
    for m in re.finditer(r"\x1b\[([0-9;?]*)([A-Za-z])|\r|\n|[^\x1b]", text):
        if m[2]:
            count = int(m[1]) if m[1].isdigit() else 1
            if m[2] == "m":
                colour = "" if m[1] in ("", "0", "39") else m[1]
            elif m[2] == "A":
                row = max(0, row - count)
            elif m[2] == "K":
                del lines[row][column:]
            elif m[2] == "J":
                del lines[row][column:], lines[row + 1:]
        elif m[0] == "\r":
            column = 0
        elif m[0] == "\n":
            row += 1
            column = 0
            if row == len(lines):
                lines.append([])
        else:
            lines[row] += [(" ", "")] * (column + 1 - len(lines[row]))
            lines[row][column] = (m[0], colour)
            column += 1
    while lines and not lines[-1]:
        lines.pop()
    return lines


def spans(line):
    """(colour, text) for the parts of one colour."""
    return [(colour, "".join(c for c, _ in part)) for colour, part in itertools.groupby(line, key=lambda at: at[1])]


def style(colour):
    words = colour.split(";")
    found = [f' fill="{COLOURS[w]}"' for w in words if w in COLOURS]
    return "".join(found) + (' font-weight="bold"' if "1" in words else "") + (' opacity="0.6"' if "2" in words else "")


def svg(command, lines):
    lines = [[(c, "1") for c in "$ " + command], *lines]
    width, height = round(COLUMNS * CHARACTER + 2 * EDGE), len(lines) * LINE + 2 * EDGE
    body = "".join(
        f'<text xml:space="preserve" x="{EDGE}" y="{EDGE + (i + 1) * LINE - 5}">' +
        "".join(f"<tspan{style(colour)}>{html.escape(text)}</tspan>" for colour, text in spans(line)) + "</text>\n"
        for i, line in enumerate(lines))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="monospace" '
            f'font-size="14" fill="#dddddd">\n<rect width="100%" height="100%" rx="6" fill="#1e1e1e"/>\n{body}</svg>\n')


def main():
    folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join(LAB, "../../docs/screens")
    with Farm(sys.argv[1]) as f:
        f.release("2.0.0", b"two" * 70000)
        f.repo("publish", f"{f.dir}/www")
        with Servers(f"{f.dir}/servers", f"{f.dir}/www") as servers:
            g = f.gateway("gateway-1", f"[Source]\nURL={servers.url}\nCAFile={servers.ca}\n[Network]\nUser=nobody\n"
                          f"[Mqtt]\nBroker=localhost:{servers.broker_port}\nCAFile={servers.ca}\n")
            for name in ("meter", "lamp"):
                g.configure(name, f.node(name, "pty"))
            g.start()
            g.present(2)
            g.cli("check")
            for name, words in SCREENS:
                on_the_way, end = on_terminal([f"{f.build}/src/cli/edgeferry", f"--address=unix:path={g.dir}/bus", *words])
                with open(f"{folder}/{name}.svg", "w", encoding="utf-8") as out:
                    out.write(svg(" ".join(("edgeferry", *words)), on_the_way if name == "install" else end))
    return 0


if __name__ == "__main__":
    sys.exit(main())
