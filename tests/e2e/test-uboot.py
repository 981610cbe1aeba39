#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The emulated gateway of test-machine.py with U-Boot, which starts its kernels: what edgeferry writes into the environment
U-Boot follows, what U-Boot counts edgeferry understands, and fw_printenv of Debian's libubootenv sees the same.

  test-uboot.py WORK [DEB]   as test-machine.py, WORK not the same
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/lab/vm")]
import disk  # noqa: E402
import uboot  # noqa: E402
from lab import Lab, scenes  # noqa: E402
from machine import Gone  # noqa: E402
from tap import equal, holds  # noqa: E402


def ending_init(tree):
    """Process 1 ends, and the kernel panics: panic=."""
    uboot.slot(tree)
    disk.program(tree / "usr/lib/systemd/systemd", "exit 1\n")


RELEASES = {"1.0.0": uboot.slot, "2.0.0": uboot.slot, "3.0.0": uboot.slot, "4.0.0": ending_init}


def environment(lab):
    """{variable: value}, as fw_printenv reads it."""
    return dict(line.split("=", 1) for line in lab.machine.run("fw_printenv").splitlines())


def counts(lab, order, a, b, trial=None):
    """What is in the environment while the gateway runs."""
    want = {"BOOT_ORDER": order, "BOOT_A_LEFT": str(a), "BOOT_B_LEFT": str(b), "edgeferry_trial": trial}
    have = environment(lab)
    equal({name: have.get(name) for name in want}, want, "environment")


def starts(lab):
    """(slot, attempts of A, of B) of every start that U-Boot has made."""
    return re.findall(r"u-boot: starts slot ([AB]), attempts left: A (\d), B (\d)", lab.machine.serial())


def first_start(lab):
    lab.fresh()
    equal(lab.running(), ("A", False), "slot")
    equal(starts(lab), [("A", "2", "3")], "starts")
    counts(lab, "A B", 3, 3)
    equal(lab.machine.run("systemctl is-system-running --wait", check=False).strip(), "running", "system")


def there_and_back(lab):
    for release, slot, order in (("2.0.0", "B", "B A"), ("3.0.0", "A", "A B")):
        d = lab.install(release)
        equal((d["state"], d["reason"]), ("confirmed", "ok"), f"deployment of {release}")
        equal(lab.running(), (slot, True), "slot, on trial")
        equal(lab.release_running(), release, "what runs")
        counts(lab, order, 3, 3)
        lab.restart()
        equal(lab.running(), (slot, False), "slot after another restart")
        counts(lab, order, 3, 3)


def trial_panics(lab):
    before = len(starts(lab))
    lab.falls_back("4.0.0", "trial-not-booted")
    equal([slot for slot, _, _ in starts(lab)[before:]], ["B", "A"], "starts of the slots")
    counts(lab, "B A", 3, 0, trial="B")     # used up, which is all that a trial has to be


def count_runs_out(lab):
    """A slot that was confirmed, and one day does not start any more: each attempt is a kernel that panics."""
    equal(lab.install("2.0.0")["state"], "confirmed", "deployment")
    before = len(starts(lab))
    lab.machine.run("mv /usr/lib/systemd/systemd /usr/lib/systemd/away; printf '#!/bin/sh\\nexit 1\\n' > /usr/lib/systemd/systemd;"
                    "chmod 755 /usr/lib/systemd/systemd; sync")
    try:
        lab.machine.run("systemctl reboot")
    except Gone:
        pass    # it went before it had answered
    lab.machine.wait("U-Boot's other slot", lambda: starts(lab)[before:] and starts(lab)[-1][0] == "A", 1800)
    lab.ready()
    print("# " + ", ".join("%s (A %s, B %s left)" % start for start in starts(lab)[before:]), flush=True)
    equal(starts(lab)[before:], [("B", "3", "2"), ("B", "3", "1"), ("B", "3", "0"), ("A", "2", "0")], "starts")
    fell_back(lab)


def fell_back(lab):
    """edgeferry has understood, and can write the same release anew."""
    equal(lab.running(), ("A", False), "slot")
    counts(lab, "B A", 3, 0)
    status = lab.status()
    equal([(s["running"], s["primary"], s["mark"]) for s in status["slots"]], [(True, True, "good"), (False, False, "bad")],
          "slots")
    holds(status["release"] != "2.0.0", "2.0.0 is installed, says status")
    holds("fell-back" in lab.cli("history"), "the history does not say so")
    equal(lab.install("2.0.0")["state"], "confirmed", "the same release, written anew")
    counts(lab, "B A", 3, 3)


SCENES = [
    ("starts from slot A", first_start, []),
    ("A -> B -> A, each confirmed and lasting", there_and_back, ["2.0.0", "3.0.0"]),
    ("F-02 the kernel panics in the new slot", trial_panics, ["4.0.0"]),
    ("a confirmed slot does not start any more, three times", count_runs_out, ["2.0.0"]),
]

sys.exit(scenes(Lab(sys.argv[1], RELEASES, *sys.argv[2:], loader=uboot.Uboot, machine=uboot.UbootMachine), SCENES))
