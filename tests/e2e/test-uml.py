#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A whole gateway in a minute: test-machine.py's disk under User-Mode Linux (tests/lab/vm/uml.py), systemd as PID 1, slots
updated from bundles by real restarts of a kernel. F-02, I-1, I-2: what goes wrong in a slot on trial ends in the old one.

  test-uml.py WORK    WORK: a folder for images, kept between runs. Root's. SCENES=1,2 picks scenes
"""
import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/lab/vm")]
import disk  # noqa: E402
import uml  # noqa: E402
from lab import scenes  # noqa: E402
from tap import Tap, equal  # noqa: E402


def ending_init(tree):
    """Process 1 ends, and the kernel panics."""
    uml.slot(tree)
    disk.program(tree / "usr/lib/systemd/systemd", "exit 1\n")


def failing_check(tree):
    uml.slot(tree)
    disk.rootfs.write(str(tree / "etc/edgeferry/checks.d/50-data-logger"), disk.rootfs.BAD_CHECK, 0o755)


RELEASES = {"1.0.0": uml.slot, "2.0.0": uml.slot, "3.0.0": failing_check, "4.0.0": ending_init}


def first_start(lab):
    lab.fresh()
    equal(lab.running(), ("A", False), "slot")
    equal(lab.machine.run("systemctl is-system-running --wait", check=False).strip(), "running", "system")


def there(lab):
    d = lab.install("2.0.0")
    equal((d["state"], d["reason"]), ("confirmed", "ok"), "deployment")
    equal(lab.running(), ("B", True), "slot, on trial")
    equal(lab.release_running(), "2.0.0", "what runs")


def falls_back(*args):
    """Also the first start of B that is no trial: that it was confirmed lasts."""
    def scene(lab):
        lab.falls_back(*args)
        equal(lab.running(), ("B", False), "slot")
    return scene


SCENES = [
    ("starts from slot A", first_start, []),
    ("A -> B, confirmed", there, ["2.0.0"]),
    ("F-24 a check fails in the new slot", falls_back("3.0.0", "check-failed", "libplant.so.4"), ["3.0.0"]),
    ("F-02 the kernel panics in the new slot", falls_back("4.0.0", "trial-not-booted"), ["4.0.0"]),
]

if not shutil.which(uml.LINUX) or os.geteuid() != 0:
    Tap().skip_all("needs root and user-mode-linux")
sys.exit(scenes(uml.UmlLab(sys.argv[1], RELEASES, loader=uml.Grub, machine=uml.UmlMachine), SCENES))
