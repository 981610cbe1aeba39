#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A node brought from one real firmware to the next over a line of 115200 baud, by patch and by full image: seconds of the
whole deployment, by edgeferryd, edgeferry-worker and a host node.

    patch-road.py BUILD FOLDER…

A FOLDER holds old.bin and new.bin. Exit 1 when a patch was not used, or was not faster.
"""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from farm import Farm  # noqa: E402

BAUD = 115200
build, *folders = sys.argv[1:]


def seconds(g, bundle, *options):
    start = time.monotonic()
    g.cli("install", *options, bundle)
    return time.monotonic() - start


def road(folder):
    old, new = (open(f"{folder}/{name}.bin", "rb").read() for name in ("old", "new"))
    with Farm(build) as f:
        (line,) = f.shared({"n1": 1}, baud=BAUD)
        g = f.gateway()
        g.configure("n1", line, address=1, baud=BAUD)
        g.start()
        g.present(1)
        for version, payload in (("2.0.0", old), ("3.0.0", new)):
            f.release(version, payload)
        full = seconds(g, f.bundle("2.0.0"))
        patch = seconds(g, f.bundle("3.0.0"))
        said = re.findall(r"by a patch of (\d+) bytes", g.cli("history", "--max=0").stdout)
    print(f"{os.path.basename(folder):24} {len(new):7} bytes {full:6.1f} s   patch {said[0] if said else '-':>6} bytes {patch:6.1f} s"
          f"   {full / patch:5.1f} times as fast", flush=True)
    return bool(said) and patch < full


sys.exit(0 if all([road(folder.rstrip("/")) for folder in folders]) else 1)
