#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Idle services of update clients beside each other, on a booted system: run by `idle` beside this, in its container.

    measure.py SETTLE SECONDS     how long they are left alone first, and looked at then

Memory: what the processes of a unit have resident, in KiB: Pss (shared pages divided by who shares them) and Rss.
Wake-ups: how often they left the processor of their own will, per minute. Start: from systemctl start to ready, the
median and the least.
"""
import glob
import os
import subprocess
import sys
import time

MEMORY_KIB, WAKEUPS, STARTS = 8 * 1024, 6, 9
UNITS = {"edgeferry": ("edgeferry.service", "edgeferry-net@"), "rauc service": ("rauc.service",),
         "mender-client": ("mender-client.service",)}


def pids(prefixes):
    found = []
    for path in glob.glob("/proc/[0-9]*/cgroup"):
        try:
            with open(path) as f:
                where = f.read()
            if any("/" + p in where for p in prefixes):
                found.append(path.split("/")[2])
        except OSError:
            pass
    return found


def memory(processes):
    total = {"Pss:": 0, "Rss:": 0}
    for pid in processes:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            for line in f:
                key = line.split()[0]
                if key in total:
                    total[key] += int(line.split()[1])
    return total["Pss:"], total["Rss:"]


def wakeups(processes):
    total = 0
    for pid in processes:
        for path in glob.glob(f"/proc/{pid}/task/*/status"):
            with open(path) as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))
    return total


def started(unit):
    times = []
    for _ in range(STARTS):
        subprocess.run(["systemctl", "stop", unit], check=True)
        subprocess.run(["systemctl", "reset-failed"], check=True)   # too often in too short a time
        before = time.monotonic()
        subprocess.run(["systemctl", "start", unit], check=True)
        times.append(time.monotonic() - before)
    return 1000 * sorted(times)[STARTS // 2], 1000 * min(times)


def main():
    settle, seconds = int(sys.argv[1]), int(sys.argv[2])
    there = {name: units for name, units in UNITS.items()
             if subprocess.run(["systemctl", "cat", units[0]], capture_output=True).returncode == 0}
    ready = {name: started(units[0]) for name, units in there.items()}
    time.sleep(settle)      # whatever a start leaves to be done
    processes = {name: pids(units) for name, units in there.items()}
    before = {name: wakeups(p) for name, p in processes.items()}
    time.sleep(seconds)
    print(f"{'idle':<16}{'processes':>10}{'Pss KiB':>9}{'Rss KiB':>9}{'wake-ups/min':>14}{'start ms, least':>18}")
    ours = None
    for name, p in processes.items():
        rate = (wakeups(p) - before[name]) * 60 / seconds
        pss, rss = memory(p)
        ours = ours or (pss, rss, rate, len(p))
        print(f"{name:<16}{len(p):>10}{pss:>9}{rss:>9}{rate:>14.1f}{ready[name][0]:>11.0f}{ready[name][1]:>7.0f}" +
              (f"   {pss / ours[0]:.2f} of ours in memory" if p and name != "edgeferry" else ""))
    print(f"edgeferry against its limits: memory (Pss) {ours[0] / MEMORY_KIB:.2f} of 8 MiB, "
          f"wake-ups {ours[2] / WAKEUPS:.2f} of {WAKEUPS} a minute")
    return not (ours[3] == 2 and ours[0] <= MEMORY_KIB and ours[2] <= WAKEUPS)


if __name__ == "__main__":
    sys.exit(main())
