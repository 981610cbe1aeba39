#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The emulated gateway of test-machine.py with images that are made for dm-verity: the root hash goes from the signed
release through grubenv and the kernel's command line to the initramfs, and / is what was signed.

  test-verity.py WORK [DEB]   as test-machine.py, WORK not the same
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/lab/vm")]
import verity  # noqa: E402
from lab import ENDS, scenes  # noqa: E402
from tap import equal, holds  # noqa: E402

RELEASES = {"1.0.0": verity.slot, "2.0.0": verity.slot, "3.0.0": verity.slot, "4.0.0": verity.slot}
READ_EARLY = ("/usr/lib/os-release", b"Debian")     # by systemd, which does not mind what it says
READ_NEVER = ("/etc/lab-release", b"3.0.0")


def runs_verified(lab, slot, release, trial=False):
    """/ is the slot, on dm-verity with the root hash of the release."""
    equal(lab.running(), (slot, trial), "slot, on trial")
    equal(lab.release_running(), release, "what runs")
    equal(lab.machine.run("findmnt -no SOURCE /").strip(), "/dev/mapper/root", "the root file system")
    table = lab.machine.run("dmsetup table root").split()
    equal(table[2:4], ["verity", "1"], "device mapper")
    equal(lab.machine.run(f"lsblk -no PARTLABEL /dev/block/{table[4]}").strip(), f"system_{slot.lower()}", "below it")
    equal(table[11], verity.root(lab.slot(release))[1], "root hash")
    equal("panic_on_corruption" in table, trial, "whether what does not match ends it")
    holds(lab.machine.run("touch /x", check=False), "the root file system can be written")


def stage(lab, release):
    """Until it waits for somebody who activates it."""
    here = len(lab.machine.serial())
    lab.begin(release)
    lab.says("fetching -> staged", here)


def activate(lab, release):
    here = len(lab.machine.serial())
    lab.cli("activate")
    lab.says(ENDS, here)
    d = lab.over(release)
    lab.ready()
    return d


def first_start(lab):
    lab.fresh()
    runs_verified(lab, "A", "1.0.0")
    equal(lab.machine.run("systemctl is-system-running --wait", check=False).strip(), "running", "system")


def there_and_back(lab):
    for release, slot in (("2.0.0", "B"), ("3.0.0", "A")):
        stage(lab, release)
        d = activate(lab, release)
        equal((d["state"], d["reason"]), ("confirmed", "ok"), f"deployment of {release}")
        runs_verified(lab, slot, release, trial=True)
        lab.restart()
        runs_verified(lab, slot, release)


def panics(lab, here, what):
    """That a start ended by dm-verity, because of data or of its tree; here: as of says()."""
    said = re.findall(r"device-mapper: verity: .*|Kernel panic - .*", lab.machine.serial()[here:])
    print("# " + "\n# ".join(said[:2]), flush=True)
    holds(len(said) > 1 and f"{what} block" in said[0] and "dm-verity device corrupted" in said[1], "no panic of dm-verity")


def byte_on_trial(lab):
    """A bit of the slot that nothing but dm-verity would notice changes between staging and the restart."""
    stage(lab, "4.0.0")
    verity.flip(lab, "B", lab.slot("4.0.0"), *READ_EARLY)
    d = activate(lab, "4.0.0")
    equal((d["state"], d["reason"]), ("reverted", "trial-not-booted"), "deployment")
    print(f"# {d['detail']}", flush=True)
    panics(lab, 0, "data")
    runs_verified(lab, "A", "3.0.0")


def byte_while_it_runs(lab):
    """Of a file that is in use now and then: that file cannot be read, all else goes on, and the next update mends it."""
    verity.flip(lab, "A", lab.slot("3.0.0"), *READ_NEVER)
    said = lab.machine.run(f"cat {READ_NEVER[0]}", check=False)
    holds("Input/output error" in said, f"reading the file: {said}")
    equal(lab.machine.run("systemctl is-active edgeferry.service").strip(), "active", "the service")
    stage(lab, "4.0.0")
    d = activate(lab, "4.0.0")
    equal((d["state"], d["reason"]), ("confirmed", "ok"), "deployment")
    runs_verified(lab, "B", "4.0.0", trial=True)


def other_root_hash(lab):
    """A slot whose root hash on the command line is not its own does not start."""
    right = verity.root(lab.slot("3.0.0"))[1]
    wrong = ("1" if right[0] == "0" else "0") + right[1:]
    here = len(lab.machine.serial())
    lab.machine.run(f"sed -i 's/{right}/{wrong}/; s/edgeferry_trial=-/edgeferry_trial=A/' /boot/grub/grubenv && sync")
    lab.restart()
    panics(lab, here, "metadata")
    runs_verified(lab, "B", "4.0.0")


SCENES = [
    ("starts verified from slot A", first_start, []),
    ("A -> B -> A, each verified, confirmed and lasting", there_and_back, ["2.0.0", "3.0.0"]),
    ("F-02 one bit of the new slot changed", byte_on_trial, ["4.0.0"]),
    ("one bit of the running slot changed", byte_while_it_runs, ["4.0.0"]),
    ("another root hash than that of the slot", other_root_hash, []),
]

sys.exit(scenes(verity.VerityLab(sys.argv[1], RELEASES, *sys.argv[2:], loader=verity.Grub), SCENES))
