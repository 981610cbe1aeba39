#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Lines and branches that the tests ran, by folder, and each branch of a decision that none of them took, from a build with
-Db_coverage=true:

    coverage.py BUILD       0 only when each folder reaches its target, and each branch of a decision was taken

A branch is one way out of a condition, as the compiler sees it; the ways of a line are counted from 1, from the left. What cannot
be taken stands in coverage-except.txt beside this, with its reason.
"""
import collections
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.realpath(os.path.join(HERE, "..", ".."))
TARGETS = {"src/trust": 90, "src/bundle": 90, "src/update": 90, "src/slots": 90, "src/wire": 90, "edge-fw/boot": 90}
# The decisions: what is right, what starts, what becomes permanent. With functions: only these of the file.
DECISIONS = {
    "src/trust/tuf-verify.c": (),
    "src/trust/key.c": (),
    "src/bundle/bundle-read.c": (),
    "src/bundle/bundle-remote.c": (),
    "src/bundle/chunks.c": (),
    "src/bundle/verity.c": (),
    "src/bundle/objects.c": ("digest_is", "object_check", "object_have", "object_put", "object_get", "object_patch_put", "object_patch_get"),
    "src/wire/image.c": (),
    "src/slots/boot.c": (),
    "src/slots/evidence.c": (),
    "src/slots/vars.c": (),
    "src/update/machine.c": (),
    "src/update/trial.c": (),
    "src/update/confirm.c": (),
    "src/update/revert.c": (),
    "edge-fw/boot/boot.c": (),
    "edge-fw/boot/verify.c": (),
    "edge-fw/boot/state.c": (),
    "edge-fw/boot/swap.c": (),
    "edge-fw/boot/keyset.c": (),
}


class File:
    def __init__(self):
        self.lines = collections.Counter()     # line: times
        self.branches = collections.Counter()  # (line, way): times
        self.function = {}                     # line: name


def reports(build):
    found = [os.path.join(folder, f) for folder, _, files in os.walk(build) for f in files if f.endswith(".gcda")]
    for i in range(0, len(found), 40):
        out = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *found[i:i + 40]],
                             cwd=build, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
        yield from (json.loads(text) for text in out.splitlines())


def counts(build):
    """{path: File}, all objects of a file together."""
    files = collections.defaultdict(File)
    for report in reports(build):
        for f in report["files"]:
            path = os.path.relpath(os.path.realpath(os.path.join(report["current_working_directory"], f["file"])), SOURCE)
            if not path.startswith(("src/", "edge-fw/")) or not path.endswith(".c"):
                continue
            for at in f["lines"]:
                line = at["line_number"]
                files[path].lines[line] += at["count"]
                files[path].function[line] = at.get("function_name", "")
                for way, b in enumerate(at["branches"], 1):
                    files[path].branches[line, way] += b["count"]
    return files


def share(counters):
    total, run = sum(len(c) for c in counters), sum(1 for c in counters for n in c.values() if n)
    return run, total, 100 * run / total if total else 100.0


def print_folders(files):
    """How many folders miss their target."""
    folders, missed = collections.defaultdict(list), 0
    for path, f in files.items():
        folders[os.path.dirname(path)].append(f)
    print(f"{'folder':22} {'lines':>13} {'':8} target {'branches':>14}")
    for name, of in sorted(folders.items()):
        run, total, percent = share([f.lines for f in of])
        target = TARGETS.get(name)
        missed += target is not None and percent < target
        ways = share([f.branches for f in of])
        print(f"{name:22} {run:6}/{total:<6} {percent:5.1f} %  {str(target or '-'):>5}  {ways[0]:6}/{ways[1]:<6} {ways[2]:5.1f} %"
              + ("  below its target" if target and percent < target else ""))
    return missed + sum(name not in folders for name in TARGETS)


def exceptions():
    """{(path, function, text, way): reason}"""
    found = {}
    with open(os.path.join(HERE, "coverage-except.txt"), encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                path, function, text, way, reason = (part.strip() for part in line.split(" | "))
                found[path, function, text, int(way)] = reason
    return found


def print_decisions(files):
    """How many of their branches were not taken, nor are excused, and excuses that are not needed."""
    excused, missed = exceptions(), 0
    unused = set(excused)
    for path, functions in DECISIONS.items():
        f = files.get(path, File())
        with open(os.path.join(SOURCE, path), encoding="utf-8") as source:
            text = [line.strip() for line in source]
        ways = {k: n for k, n in f.branches.items() if not functions or f.function[k[0]] in functions}
        untaken = collections.defaultdict(list)
        for (line, way), n in sorted(ways.items()):
            key = (path, f.function[line], text[line - 1], way)
            if n == 0 and key in excused:
                unused.discard(key)
            elif n == 0:
                untaken[line].append(way)
        missed += sum(map(len, untaken.values())) + (not f.branches)
        run, total, percent = share([ways])
        print(f"{path:28} {run:5}/{total:<5} branches {percent:5.1f} %")
        for line, which in untaken.items():
            times = " ".join(str(n) for (l, _), n in sorted(ways.items()) if l == line)
            print(f"  {path}:{line}: way {' '.join(map(str, which))} of {times}: {text[line - 1]}")
    for key in sorted(unused):
        print(f"coverage-except.txt: no such branch, or it was taken: {' | '.join(map(str, key))}")
    return missed + len(unused)


def main():
    files = counts(os.path.abspath(sys.argv[1]))
    folders = print_folders(files)
    print()
    branches = print_decisions(files)
    print(f"\n{folders} folders below their target, {branches} branches of decisions open")
    return 1 if folders or branches else 0


sys.exit(main())
