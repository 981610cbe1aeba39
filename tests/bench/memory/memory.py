#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Resident memory of the gateway's processes, idle and while a slot and two nodes are staged.

    memory.py BUILD

The stage is the end-to-end test's. Numbers are VmRSS of /proc/PID/status, in KiB, the largest of
samples taken every 10 ms; shared pages count in each process.
"""
import os
import sys
import tempfile
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
from stage import NODES, Stage  # noqa: E402

PROGRAMS = ("edgeferryd", "edgeferry-net", "edgeferry-worker")


def resident(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return 0


def sample(stage, peak):
    for name in PROGRAMS:
        for pid in stage.gateway.pids(name):
            peak[name] = max(peak.get(name, 0), resident(pid))


def main():
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="bench.", dir=build) as work, \
            Stage(build, f"{work}/stage", cache=f"{build}/lab") as s:
        s.outcome_of_install(s.bundle("1.0.0"), "1.0.0")
        time.sleep(3)
        idle, busy = {}, {}
        for _ in range(50):
            sample(s, idle)
            time.sleep(0.01)
        s.add_rootfs("2.0.0", s.rootfs("2.0.0", packages=("less",)))
        for node in NODES:
            s.add_firmware(node, "2.0.0")
        s.make_release("2.0.0", [*NODES, "rootfs"])
        s.publish()
        s.wake()
        end = time.monotonic() + 120
        while time.monotonic() < end:
            sample(s, busy)
            time.sleep(0.01)
            if "edgeferry-worker" in busy and not s.gateway.pids("edgeferry-worker"):
                break
        s.outcome("2.0.0")
        print(f"{'KiB resident':<20}{'idle':>8}{'staging':>9}")
        for name in PROGRAMS:
            print(f"{name:<20}{idle.get(name, 0):>8}{busy.get(name, 0):>9}")
        print(f"{'together':<20}{sum(idle.values()):>8}{sum(busy.values()):>9}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
