#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""count.py LOG...: sums meson's test logs into one closing line; non-zero when anything failed.

What failed stands just above that line, the end of its output with it: whoever sees only the end of a long
run's output still learns what and why.
"""
import json
import sys

SHOWN = 25  # lines of a failed test's output, of each kind


def show(path, test):
    print(f"FAILED {test['name']}: {test['result']}, {test['duration']:.0f} s ({path})")
    said = (test.get("stdout") or "").splitlines()
    refused = [i for i, line in enumerate(said) if line.lstrip().startswith("not ok")]
    for i in refused[:5]:
        print("\n".join("  " + line for line in said[max(0, i - 5) : i + 5]))
    if not refused:
        print("\n".join("  " + line for line in said[-SHOWN:]))
    print("\n".join("  ! " + line for line in (test.get("stderr") or "").splitlines()[-SHOWN:]))


def main(paths):
    passed = skipped = 0
    failed = []
    for path in paths:
        with open(path) as log:
            for test in (json.loads(line) for line in log if line.strip()):
                if test["result"] in ("OK", "EXPECTEDFAIL"):
                    passed += 1
                elif test["result"] == "SKIP":
                    skipped += 1
                else:
                    failed.append((path, test))
    for path, test in failed:
        show(path, test)
    print(f"{passed} passed, {len(failed)} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1:]))
