#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
How long an update takes the lab's gateway away, and what the time goes to, beside a plain restart of the same machine.

  downtime.py WORK [DEB]   as of e2e/test-machine.py. EDGEFERRY_BUILD: the build folder. ROUNDS: there and back, 2
"""
import os
import pathlib
import re
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "e2e")]
from lab import Lab  # noqa: E402
from machine import Gone  # noqa: E402
from tap import equal  # noqa: E402

CAUSES = ("shut-down", "firmware and boot loader", "kernel and initramfs", "systemd until all is up", "checks and confirmation")
RESTARTS = "reboot: Restarting system"


def measured(lab, begin, asked, ended):
    """begin(): makes the machine restart, once. Seconds by cause, from the line "asked" to the line "ended" after the
    restart, or to where systemd says that all is up when that comes later.

    By the guest's clocks of both starts; what lies between these, by this machine's."""
    machine = lab.machine
    here = len(machine.serial())

    def said():
        return machine.serial()[here:].partition(RESTARTS)

    def stamp(text, mark):
        return float(re.search(r"\[ *([\d.]+)\][^\n]*" + mark, text)[1])

    begin()
    machine.wait(RESTARTS, lambda: said()[1], 1800, step_s=0.02)
    restarted = time.monotonic()
    machine.wait(ended, lambda: re.search(ended + r".*\n", said()[2]), 1800, step_s=0.02)
    away = time.monotonic() - restarted
    lab.ready()
    machine.wait("all that starts", lambda: machine.run("systemctl is-system-running", check=False).strip() == "running")
    first, _, second = said()
    line, end = first.rpartition("\n")[2] + RESTARTS, stamp(second, ended)
    systemd, up = (int(machine.run(f"systemctl show -p {name}TimestampMonotonic --value")) / 1e6
                   for name in ("Userspace", "Finish"))
    return dict(zip(CAUSES, (stamp(line, RESTARTS) - stamp(first, asked), away - end, systemd, up - systemd, max(end - up, 0))))


def update(lab, release):
    """Installs a release, which must be confirmed."""
    found = measured(lab, lambda: lab.begin(release), "staged -> activating", "confirming -> confirmed")
    d = lab.over(release)
    equal((d["state"], d["reason"]), ("confirmed", "ok"), f"deployment of {release}")
    return found


def restart(lab):
    def begin():
        try:
            lab.machine.run("systemctl reboot")
        except Gone:
            pass    # it went before it had answered
    return measured(lab, begin, r"guest-exec called: [^\n]*systemctl reboot", r"systemd\[1\]: Startup finished")


def text(seconds):
    return f"{sum(seconds.values()):.1f} s away: " + ", ".join(f"{what} {s:.1f}" for what, s in seconds.items())


def main():
    lab = Lab(sys.argv[1], {"1.0.0": None, "2.0.0": None, "3.0.0": None}, *sys.argv[2:])
    found = {"update": [], "restart": []}
    try:
        lab.prepare({"2.0.0", "3.0.0"})
        for _ in range(int(os.environ.get("ROUNDS", "2"))):
            lab.fresh()
            for release in ("2.0.0", "3.0.0"):
                for what, seconds in (("update", update(lab, release)), ("restart", restart(lab))):
                    found[what].append(seconds)
                    print(f"{what}: {text(seconds)}", flush=True)
    finally:
        lab.close()
    middle = {what: {cause: statistics.median(one[cause] for one in rounds) for cause in CAUSES}
              for what, rounds in found.items()}
    for what, seconds in middle.items():
        print(f"{what}, medians of {len(found[what])}: {text(seconds)}")
    print(f"ratio: {sum(middle['update'].values()) / sum(middle['restart'].values()):.2f}")


if __name__ == "__main__":
    main()
