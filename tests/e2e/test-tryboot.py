#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The emulated gateway of test-machine.py behind a Raspberry Pi's boot stage, played by tests/lab/vm/pi.py: autoboot.txt,
two boot partitions, and the argument "0 tryboot" that edgeferryd hands to logind and logind to the kernel.

  test-tryboot.py WORK [DEB]   as test-machine.py, WORK not the same
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/lab/vm")]
import disk  # noqa: E402
import pi  # noqa: E402
from lab import Lab, scenes  # noqa: E402
from tap import equal  # noqa: E402


def failing_check(tree):
    pi.slot(tree)
    disk.rootfs.write(str(tree / "etc/edgeferry/checks.d/50-data-logger"), disk.rootfs.BAD_CHECK, 0o755)


def ending_init(tree):
    pi.slot(tree)
    disk.program(tree / "usr/lib/systemd/systemd", "exit 1\n")


RELEASES = {"1.0.0": pi.slot, "2.0.0": pi.slot, "3.0.0": pi.slot, "4.0.0": failing_check, "5.0.0": ending_init}


class PiLab(Lab):
    """Each release brings its kernel."""

    def add_options(self, image):
        return ["--boot", pi.boot_image(image)]


def kernel_running(lab):
    return re.search(r"lab\.kernel=(\S+)", lab.machine.run("cat /proc/cmdline"))[1]


def runs(lab, slot, partition, tryboot):
    status = lab.status()["slots"]
    equal(kernel_running(lab), lab.release_running(), "the kernel's release, beside the root file system's")
    equal([s["slot"] for s in status if s["running"]], [slot], "running slot")
    equal(lab.machine.starts[-1], (partition, tryboot), "the start: partition, tryboot")


def first_start(lab):
    lab.fresh()
    runs(lab, "A", 2, False)


def there_and_back(lab):
    for release, slot, partition in (("2.0.0", "B", 3), ("3.0.0", "A", 2)):
        d = lab.install(release)
        equal((d["state"], d["reason"]), ("confirmed", "ok"), f"deployment of {release}")
        runs(lab, slot, partition, True)
        equal(lab.release_running(), release, "what runs")
        lab.restart()
        runs(lab, slot, partition, False)
        equal(lab.release_running(), release, "what runs after another restart")


def falls_back(release, *outcome):
    def scene(lab):
        before = lab.machine.starts[-1][0]
        lab.falls_back(release, *outcome)
        equal(lab.machine.starts[-2:], ((5 - before, True), (before, False)), "the last two starts")
        equal(kernel_running(lab), lab.release_running(), "the kernel's release, beside the root file system's")
    return scene


SCENES = [
    ("starts from slot A", first_start, []),
    ("A -> B -> A by tryboot, each confirmed and lasting", there_and_back, ["2.0.0", "3.0.0"]),
    ("F-24 a check fails in the new slot", falls_back("4.0.0", "check-failed", "libplant.so.4"), ["4.0.0"]),
    ("F-02 the kernel panics in the new slot", falls_back("5.0.0", "trial-not-booted"), ["5.0.0"]),
]

sys.exit(scenes(PiLab(sys.argv[1], RELEASES, *sys.argv[2:], loader=pi.Tryboot, machine=pi.PiMachine), SCENES))
