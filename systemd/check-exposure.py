#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""S-29: what systemd-analyze says of each unit's exposure, 0 to 10, stays below: check-exposure.py UNIT=LIMIT…

The unit files of the build, by the rules of the systemd that is installed. TAP.
"""
import os
import re
import subprocess
import sys
import tempfile


def exposure(unit):
    """The number, and what it is made of."""
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.basename(unit).replace("@.", "@test.")
        with open(unit) as f, open(f"{folder}/{name}", "w") as out:
            # the programs need not be installed
            out.write(re.sub(r"^(Exec\w+=)\S+", r"\1/bin/true", f.read(), flags=re.M))
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", f"{folder}/{name}"],
                              capture_output=True, text=True)
    found = re.search(r"exposure level for \S+: (\d+\.\d)", done.stdout)
    if not found:
        raise RuntimeError(done.stderr or done.stdout)
    return float(found[1]), [line for line in done.stdout.splitlines() if line.startswith("✗")]


def main():
    print(f"1..{len(sys.argv) - 1}")
    failed = 0
    for n, argument in enumerate(sys.argv[1:], 1):
        unit, limit = argument.rsplit("=", 1)
        level, reasons = exposure(unit)
        good = level <= float(limit)
        failed += not good
        print(f"{'' if good else 'not '}ok {n} - {os.path.basename(unit)}: {level}, at most {limit}")
        for line in [] if good else reasons:
            print("# " + re.sub(r"\s{2,}", "  ", line))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
