#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Pictures of what the CLI prints, for the README: each command is run on a terminal against the stage that ./demo --keep
left up, and docs/screens/NAME.svg shows what came. Where this source tree lies is shown as ~/edgeferry.

  ./demo --keep && tests/lab/screens.py && ./demo --stop
"""
import html
import os
import pty
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STAGE = f"{ROOT}/build/demo"
SCREENS = {"status": ["status"], "nodes": ["nodes"], "history": ["history", "--max=14"]}
WIDTH = 118     # of the terminal
CELL_W, CELL_H, EDGE = 7.8, 18, 14
TONES = {"1": 'font-weight="bold"', "2": 'fill="#8b949e"', "31": 'fill="#ff7b72"', "32": 'fill="#7ee787"', "33": 'fill="#e3b341"'}


def on_terminal(command):
    """What it prints on a terminal of that width."""
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "COLUMNS": str(WIDTH)}
    env.pop("NO_COLOR", None)
    subprocess.run(["stty", "cols", str(WIDTH), "rows", "50"], stdin=slave, check=True)
    p = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    out = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
    os.close(master)
    if p.wait() not in (0, 2):
        sys.exit(f"{' '.join(command)}: exit {p.returncode}")
    return out.decode().replace(ROOT, "~/edgeferry").replace("\r", "").rstrip("\n").split("\n")


def spans(line):
    """SVG of one line, its colours kept."""
    out, tone = [], ""
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            tone = TONES.get(part[2:-1], "")
        elif part:
            out.append(f"<tspan {tone}>{html.escape(part, quote=False)}</tspan>" if tone else html.escape(part, quote=False))
    return "".join(out)


def svg(lines):
    height, width = len(lines) * CELL_H + 2 * EDGE, WIDTH * CELL_W + 2 * EDGE
    text = "\n".join(f'<text x="{EDGE}" y="{EDGE + 13 + i * CELL_H}" xml:space="preserve">{spans(line)}</text>'
                     for i, line in enumerate(lines))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
            f'font-family="ui-monospace, DejaVu Sans Mono, monospace" font-size="13" fill="#e6edf3">\n'
            f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n{text}\n</svg>\n')


def main():
    os.makedirs(f"{ROOT}/docs/screens", exist_ok=True)
    address = f"--address=unix:path={STAGE}/bus"
    for name, words in SCREENS.items():
        lines = on_terminal([f"{ROOT}/build/src/cli/edgeferry", address, *words])
        with open(f"{ROOT}/docs/screens/{name}.svg", "w") as f:
            f.write(svg([f"\x1b[2m$\x1b[0m edgeferry {' '.join(words)}", *lines]))
        print(f"docs/screens/{name}.svg: {len(lines)} lines")


main()
