#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every C file is as clang-format leaves it (.clang-format). TAP.

    test-format.py SOURCE_ROOT
"""
import os
import shutil
import subprocess
import sys

ROOT = os.path.realpath(sys.argv[1])
TREES = ("src", "edge-fw", "include", "tests")


def main():
    if not shutil.which("clang-format"):
        print("1..0 # SKIP no clang-format")
        return 0
    paths = sorted(os.path.relpath(os.path.join(folder, name), ROOT) for tree in TREES
                   for folder, _, names in os.walk(os.path.join(ROOT, tree)) for name in names
                   if name.endswith((".c", ".h")))
    assert "src/wire/cbor.c" in paths, paths
    done = subprocess.run(["clang-format", "--dry-run", "--ferror-limit=1", "-Werror", *paths], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    print("1..1")
    print(f"{'not ok' if done.returncode else 'ok'} 1 - {len(paths)} files; to mend it: clang-format -i FILE")
    print("".join(f"# {line}\n" for line in done.stderr.splitlines() if ": error: " in line), end="")
    return 1 if done.returncode else 0


sys.exit(main())
