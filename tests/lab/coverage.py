#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Lines that the tests ran, and branches of the code that decides what may run, from a build with -Db_coverage=true:

    coverage.py BUILD       one line a folder; 0 only when each folder with a target reaches it
"""
import collections
import json
import os
import subprocess
import sys

BUILD = os.path.abspath(sys.argv[1])
SOURCE = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
TARGETS = {"src/trust": 90, "src/bundle": 90, "src/update": 90, "src/slots": 90, "src/wire": 90, "edge-fw/boot": 90}
# every branch of the decision whether an image is right and which one starts
DECISIONS = ("edge-fw/boot/verify.c", "edge-fw/boot/boot.c", "src/wire/image.c")


def notes():
    for folder, _, files in os.walk(BUILD):
        yield from (os.path.join(folder, f) for f in files if f.endswith(".gcda"))


def counts():
    """({file: {line: times}}, {file: {(line, index): times}}), all objects of a file together."""
    lines, branches = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
    found = list(notes())
    for i in range(0, len(found), 40):
        out = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *found[i:i + 40]],
                             cwd=BUILD, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
        for text in out.splitlines():
            report = json.loads(text)
            for f in report["files"]:
                path = os.path.relpath(os.path.realpath(os.path.join(report["current_working_directory"], f["file"])), SOURCE)
                if path.startswith(("src/", "edge-fw/")) and path.endswith(".c"):
                    for at in f["lines"]:
                        lines[path][at["line_number"]] += at["count"]
                        for k, b in enumerate(at["branches"]):
                            branches[path][at["line_number"], k] += b["count"]
    return lines, branches


def share(counter):
    return len(counter), sum(1 for n in counter.values() if n)


def main():
    lines, branches = counts()
    folders = collections.defaultdict(lambda: [0, 0])
    for path, of in lines.items():
        total, run = share(of)
        folder = folders[os.path.dirname(path)]
        folder[0] += total
        folder[1] += run
    missed = 0
    for name, (total, run) in sorted(folders.items()):
        percent, target = 100 * run / total, TARGETS.get(name)
        missed += target is not None and percent < target
        print(f"{name:24} {run:6} of {total:6} lines  {percent:5.1f} %" + (f"  (target {target} %)" if target else ""))
    for path in DECISIONS:
        total, run = share(branches[path])
        print(f"{path:24} {run:6} of {total:6} branches" + (f"  {100 * run / total:5.1f} %" if total else ""))
    return 1 if missed or not lines else 0


sys.exit(main())
