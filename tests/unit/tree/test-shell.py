#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every shell script of the tree is clean in shellcheck's eyes (.shellcheckrc). TAP.

    test-shell.py SOURCE_ROOT
"""
import os
import shutil
import subprocess
import sys

ROOT = sys.argv[1]
SKIPPED = {".git", "build", "subprojects"}


def scripts():
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(d for d in folders if d not in SKIPPED)
        for name in sorted(files):
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                first = f.readline(64)
            if first.startswith(b"#!") and first.split()[0].endswith((b"/sh", b"/bash")) or name.endswith(".bash"):
                yield os.path.relpath(path, ROOT)


def main():
    if not shutil.which("shellcheck"):
        print("1..0 # SKIP no shellcheck")
        return 0
    found, failed = list(scripts()), 0
    assert "test" in found and "conf/completion/edgeferry.bash" in found, found
    print(f"1..{len(found)}")
    for i, path in enumerate(found, 1):
        # a file that is sourced has no line that says for which shell
        shell = ["--shell=bash"] if path.endswith(".bash") else []
        done = subprocess.run(["shellcheck", "--color=never", *shell, path], cwd=ROOT, capture_output=True, text=True)
        failed += done.returncode != 0
        print(f"{'not ok' if done.returncode else 'ok'} {i} - {path}")
        print("".join(f"# {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="")
    return 1 if failed else 0


sys.exit(main())
