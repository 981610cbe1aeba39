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


def look(folder, path):
    checks = [] if ANALYZER else ["--checks=-clang-analyzer-*"]
    done = subprocess.run(["clang-tidy", "-p", folder, "--quiet", *checks, f"{ROOT}/{path}"], cwd=ROOT,
                          capture_output=True, text=True)
    return path, done.returncode, done.stdout if done.stdout.strip() else done.stderr


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
            for i, (path, code, text) in enumerate(threads.map(lambda p: look(folder, p), paths), 1):
                failed += code != 0
                print(f"{'not ok' if code else 'ok'} {i} - {path}")
                if code:
                    print("".join(f"# {line}\n" for line in text.splitlines()), end="", flush=True)
    return 1 if failed else 0


sys.exit(main())
