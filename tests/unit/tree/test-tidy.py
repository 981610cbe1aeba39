#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every C file that is built for the host is clean in clang-tidy's eyes (.clang-tidy). TAP.

    test-tidy.py SOURCE_ROOT BUILD [--analyzer] [FILE...]

The analyzer, which follows paths through each function, takes ten times as long as all else: --analyzer has it run too.
"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT, BUILD = map(os.path.realpath, sys.argv[1:3])
ANALYZER = "--analyzer" in sys.argv[3:]
ONLY = [a for a in sys.argv[3:] if a != "--analyzer"]
TREES = ("src/", "edge-fw/", "tests/")


def commands():
    """One way in which each file is compiled, by its path in the tree."""
    found = {}
    with open(f"{BUILD}/compile_commands.json", encoding="utf-8") as f:
        for c in json.load(f):
            path = os.path.relpath(os.path.realpath(os.path.join(c["directory"], c["file"])), ROOT)
            if path.startswith(TREES) and path.endswith(".c"):
                found.setdefault(path, {**c, "command": re.sub(r"^\S*ccache ", "", c["command"])})
    return found


def cleaned_up(finding):
    """A leak of a variable that frees itself (util/cleanup.h): clang 14's analyzer does not know that attribute."""
    m = re.match(r"(\S+?):(\d+):\d+: error: Potential leak of memory pointed to by '(\w+)'", finding)
    if not m:
        return False
    with open(os.path.join(BUILD, m[1]), encoding="utf-8") as f:
        lines = f.read().splitlines()
    begin = max(i for i, line in enumerate(lines[:int(m[2])]) if line == "{")
    function = lines[begin:lines.index("}", begin)]
    if any(re.search(rf"\b_cleanup_.*\b{m[3]}\b", line) for line in function):
        return True
    # or by another name of it, as long as it keeps it
    where = re.search(r":(\d+):\d+: note: Memory is allocated", finding)
    return bool(where) and "_cleanup_" in lines[int(where[1]) - 1] and not any("TAKE_PTR" in line for line in function)


def look(folder, path):
    """What is wrong with it, as text; "" when nothing is."""
    more = ["--checks=-clang-analyzer-*"]
    if ANALYZER:
        told = path != "src/util/reason.c"      # where those functions are
        more = [f"--extra-arg=-include{ROOT}/tests/unit/tree/analyzer.h"] if told else []
    done = subprocess.run(["clang-tidy", "-p", folder, "--quiet", *more, f"{ROOT}/{path}"], cwd=ROOT,
                          capture_output=True, text=True)
    findings = re.split(r"^(?=\S+:\d+:\d+: (?:error|warning): )", done.stdout, flags=re.M)
    left = [f for f in findings if f.strip() and not cleaned_up(f)]
    if done.returncode and not done.stdout.strip():
        left.append(done.stderr or f"exit code {done.returncode}")
    return path, "".join(left)


def main():
    if not shutil.which("clang-tidy"):
        print("1..0 # SKIP no clang-tidy")
        return 0
    found = commands()
    assert "src/wire/cbor.c" in found, sorted(found)
    paths, failed = [p for p in sorted(found) if not ONLY or p in ONLY], 0
    with tempfile.TemporaryDirectory(prefix="ef-tidy-") as folder:
        with open(f"{folder}/compile_commands.json", "w", encoding="utf-8") as f:
            json.dump(list(found.values()), f)
        print(f"1..{len(paths)}")
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            for i, (path, wrong) in enumerate(threads.map(lambda p: look(folder, p), paths), 1):
                failed += wrong != ""
                print(f"{'not ok' if wrong else 'ok'} {i} - {path}")
                print("".join(f"# {line}\n" for line in wrong.splitlines()), end="", flush=True)
    return 1 if failed else 0


sys.exit(main())
