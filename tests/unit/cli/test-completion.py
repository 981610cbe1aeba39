#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Completion in bash and zsh against the program: test-completion.py SOURCE EDGEFERRY (TAP)."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE, CLI = sys.argv[1:3]
BASH = """source {source}/conf/completion/edgeferry.bash
compopt() {{ echo "compopt $*"; }}
COMP_WORDS=(edgeferry "$@"); COMP_CWORD=$#
_edgeferry
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# what the completion system of zsh would be handed
ZSH = """_describe() {{ [[ $1 == -o ]] && shift; print -l -- ${{(P)2}}; }}
_files() {{ print -- "compopt -o default"; }}
complete_it() {{ source {source}/conf/completion/edgeferry.zsh; }}
words=(edgeferry "$@"); CURRENT=$(( $# + 1 )); PREFIX=${{words[CURRENT]}}
complete_it
"""


def run(shell, text, *words):
    with tempfile.TemporaryDirectory(prefix="ef-completion.") as d:
        os.symlink(os.path.abspath(CLI), f"{d}/real")
        # of a daemon's answer no more than the form matters
        with open(f"{d}/edgeferry", "w", encoding="utf-8") as f:
            f.write('#!/bin/sh\n[ "$*" = "nodes --json=pretty" ] || exec "$(dirname "$0")/real" "$@"\n'
                    'printf \'[\\n  {\\n    "name": "meter",\\n    "link": "uart"\\n  },\\n  {\\n    "name": "pump-2"\\n  }\\n]\\n\'\n')
        os.chmod(f"{d}/edgeferry", 0o755)
        done = subprocess.run([shell, *(["-f"] if shell == "zsh" else ["--norc"]), "-c", text.format(source=os.path.abspath(SOURCE)), shell, *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "PATH": f"{d}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"})
        assert done.stderr == "" and done.returncode == 0, done.stderr
        return [line.split(":")[0] for line in done.stdout.splitlines() if line]


def help_of(*verb):
    return subprocess.run([CLI, *verb, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


def check(shell, text):
    verbs = re.findall(r"^  ([a-z]+) ", help_of().split("Options:")[0], re.M)
    assert len(verbs) > 15 and run(shell, text, "") == verbs, run(shell, text, "")
    for verb in ("install", "doctor", "monitor"):
        wanted = sorted(set(re.findall(r"--[a-z-]+", help_of(verb).split("Options:")[1])))
        got = [w for w in run(shell, text, verb, "--")]
        assert sorted(w.rstrip("=") for w in got) == wanted, f"{verb}: {got} {wanted}"
    assert run(shell, text, "nodes", "provision", "") == ["meter", "pump-2"]
    assert run(shell, text, "nodes", "") == re.findall(r"[a-z-]+", "discover provision rotate-key")
    assert run(shell, text, "config", "") == ["show"]
    assert "compopt -o default" in run(shell, text, "install", "")
    assert run(shell, text, "status", "") == []


def main():
    shells = {"bash": BASH, "zsh": ZSH}
    failed = 0
    print(f"1..{len(shells)}")
    for i, (shell, text) in enumerate(shells.items(), 1):
        if not shutil.which(shell):
            print(f"ok {i} - {shell} # SKIP not installed")
            continue
        try:
            check(shell, text)
            if shell == "bash":
                assert run(shell, text, "mon") == ["monitor"] and run(shell, text, "doctor", "--r") == ["compopt -o nospace", "--root="]
            print(f"ok {i} - {shell}")
        except AssertionError as e:
            failed += 1
            print(f"not ok {i} - {shell}\n# " + str(e).replace("\n", "\n# "))
    return failed > 0


sys.exit(main())
