#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A whole gateway, emulated: GRUB, kernel, systemd as PID 1, edgeferry from its own package. Slots are updated from
bundles by real restarts. F-02, I-1, I-2: what goes wrong in a slot on trial ends in the old one, by itself.

  test-machine.py WORK [DEB]   WORK: a folder for images, kept between runs; DEB: edgeferry's package, else built

Root's, and long: the kernel is emulated. SCENES=1,2 picks scenes, SEED, CUTS and SPAN (s) shape the power cuts.
"""
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/lab/vm")]
import disk  # noqa: E402
from machine import Gone, Machine  # noqa: E402
from tap import Tap, equal, holds  # noqa: E402

BUILD = os.environ["EDGEFERRY_BUILD"]
COMPATIBLE = "edgeferry.github.io,lab-gateway"


def broken_init(tree):
    """Process 1 ends, and the kernel panics. None at all would leave Debian's initramfs in a shell, which is a hang."""
    init = tree / "usr/lib/systemd/systemd"
    init.unlink()
    init.write_text("#!/bin/sh\nexit 1\n")
    init.chmod(0o755)


def failing_check(tree):
    disk.rootfs.write(str(tree / "etc/edgeferry/checks.d/50-data-logger"), disk.rootfs.BAD_CHECK, 0o755)


def broken_kernel(tree):
    for path in (tree / "boot").glob("vmlinuz-*"):
        path.write_bytes(b"\0" * 4096)


def broken_core(tree):
    (tree / "usr/libexec/edgeferry/edgeferryd").write_text("#!/bin/sh\nexit 1\n")


RELEASES = {"1.0.0": None, "2.0.0": None, "3.0.0": None, "4.0.0": broken_init, "5.0.0": failing_check,
            "6.0.0": broken_kernel, "7.0.0": broken_core}


class Lab:
    def __init__(self, work, deb=None):
        self.work = os.path.abspath(work)
        os.makedirs(self.work, exist_ok=True)
        self.deb = os.path.abspath(deb) if deb else None
        self.machine = None
        self.rng = random.Random(int(os.environ.get("SEED", time.time_ns() % 1000000)))

    def repo(self, *args):
        publisher = f"{self.work}/publisher"
        os.makedirs(publisher, exist_ok=True)
        done = subprocess.run([f"{BUILD}/src/repo/edgeferry-repo", *args], cwd=publisher, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"edgeferry-repo {' '.join(args)}: {done.stderr}")
        return done.stdout

    def package(self):
        """edgeferry_*.deb of this source tree."""
        if not self.deb:
            source = f"{self.work}/package/source"
            shutil.rmtree(source, ignore_errors=True)
            shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(
                "build", ".git", "bearssl-*", "tinyssh-*", "__pycache__"))
            disk.call("dpkg-buildpackage", "-b", "-us", "-uc", "-d", cwd=source,
                      env={"DEB_BUILD_OPTIONS": "nocheck nodoc parallel=2"})
            self.deb = next(str(p) for p in pathlib.Path(f"{self.work}/package").glob("edgeferry_*.deb"))
        return self.deb

    def prepare(self, releases):
        userland, bundles = f"{self.work}/userland.tar", f"{self.work}/bundles"
        if not os.path.exists(userland):
            disk.call(ROOT / "tests/lab/vm/userland.sh", self.package(), userland + ".new")
            os.rename(userland + ".new", userland)
        root = f"{self.work}/root.json"
        if not os.path.exists(root):
            shutil.rmtree(f"{self.work}/publisher", ignore_errors=True)
            self.repo("init", "demo")
            self.repo("export-root", root)
        os.makedirs(bundles, exist_ok=True)
        for release in sorted({"1.0.0", *releases}):
            image = disk.slot_image(userland, f"{self.work}/slot-{release}.img", release, root, RELEASES[release])
            if release in releases and not os.path.exists(f"{bundles}/{release}.ferry"):
                self.repo("add", "rootfs", "rootfs", image, "--version", release, "--security", "1", "--level", "3",
                          "--compatible", COMPATIBLE)
                self.repo("release", release, "--component", "rootfs")
                self.repo("sign")
                self.repo("bundle", release, f"{bundles}/{release}.ferry")
        size = sum(f.stat().st_size for f in os.scandir(bundles)) // disk.MIB + 64
        disk.folder_disk(f"{self.work}/bundles.img", bundles, size)
        self.disk = f"{self.work}/disk.img"
        disk.make(self.disk, f"{self.work}/slot-1.0.0.img", ROOT / "conf/boot/edgeferry.grub")
        self.machine = Machine(self.disk, f"{self.work}/bundles.img")

    # ---- what the gateway says ----
    def cli(self, *args, check=True):
        return self.machine.run("edgeferry " + " ".join(args), check=check)

    def status(self):
        return json.loads(self.cli("--json=short", "status"))

    def running(self):
        line = self.machine.run("cat /proc/cmdline")
        return re.search(r"edgeferry\.slot=([AB])", line)[1], "edgeferry.trial=1" in line

    def release_running(self):
        return self.machine.run("cat /etc/lab-release").strip()

    def deployments(self):
        return json.loads(self.cli("--json=short", "--max=0", "deployments"))

    def ready(self):
        def up():
            try:
                return self.machine.run("systemctl is-active edgeferry.service", check=False).strip() == "active"
            except Gone:
                return False
        self.machine.wait_up()
        self.machine.wait("edgeferry.service", up)

    def fresh(self):
        """Release 1.0.0 in both slots, nothing known."""
        self.machine.off()
        disk.make(self.disk, f"{self.work}/slot-1.0.0.img", ROOT / "conf/boot/edgeferry.grub")
        self.machine.on()
        self.ready()

    def begin(self, release):
        self.machine.run("mkdir -p /run/bundles; mountpoint -q /run/bundles || mount -o ro LABEL=bundles /run/bundles")
        self.cli("install", "--no-wait", f"/run/bundles/{release}.ferry")

    def install(self, release):
        """Through all restarts: the deployment when it is over."""
        self.begin(release)
        return self.over(release)

    def over(self, release):
        def ended():
            try:
                for d in self.deployments():
                    if d["release"] == release and d["ended"]:
                        return d
            except (Gone, AssertionError, ValueError):
                pass    # restarting
            return None
        return self.machine.wait(f"release {release}", ended, 1800)


def first_start(lab):
    lab.machine.on()
    lab.ready()
    equal(lab.running(), ("A", False), "slot")
    equal(lab.machine.run("systemctl is-system-running --wait", check=False).strip(), "running", "system")
    print("# " + lab.machine.run("systemctl show -p MemoryCurrent,TasksCurrent edgeferry.service").replace("\n", " "))


def there_and_back(lab):
    for release, slot in (("2.0.0", "B"), ("3.0.0", "A")):
        d = lab.install(release)
        equal((d["state"], d["reason"]), ("confirmed", "ok"), f"deployment of {release}")
        equal(lab.running(), (slot, True), "slot, on trial")
        equal(lab.release_running(), release, "what runs")
        before = lab.machine.boot_id()
        lab.machine.run("systemd-run --quiet --on-active=1 systemctl reboot")
        lab.machine.wait("the restart", lambda: lab.machine.boot_id() not in (None, before))
        lab.ready()
        equal(lab.running(), (slot, False), "slot after another restart")


def falls_back(release, reason):
    def scene(lab):
        before, good = lab.running()[0], lab.release_running()
        d = lab.install(release)
        equal((d["state"], d["reason"]), ("reverted", reason), "deployment")
        lab.ready()
        equal(lab.running(), (before, False), "slot")
        equal(lab.release_running(), good, "what runs")
    return scene


def power_cuts(lab):
    """At any moment of an update, restarts included: it starts, and ends in the old release or the new one."""
    cuts, span = int(os.environ.get("CUTS", "20")), float(os.environ.get("SPAN", "120"))
    outcomes = []
    for _ in range(cuts):
        lab.fresh()
        lab.begin("2.0.0")
        at = lab.rng.uniform(0, span)
        time.sleep(at)
        lab.machine.off()
        lab.machine.on()
        lab.ready()
        d = lab.over("2.0.0") if lab.deployments() else {"state": "none", "reason": "not begun"}
        lab.ready()
        wanted = "2.0.0" if d["state"] == "confirmed" else "1.0.0"
        equal(lab.release_running(), wanted, f"what runs, {at:.1f} s after the begin: {d['state']}, {d['reason']}")
        equal(lab.status()["state"], "idle", "state")
        outcomes.append(d["state"])
    print(f"# {cuts} cuts: {outcomes.count('confirmed')} ended in the new release, the others in the old one")


# name, what happens, which releases it takes
SCENES = [
    ("starts from slot A", first_start, []),
    ("A -> B -> A, each confirmed and lasting", there_and_back, ["2.0.0", "3.0.0"]),
    ("F-02 the kernel panics in the new slot", falls_back("4.0.0", "trial-not-booted"), ["4.0.0"]),
    ("F-24 a check fails in the new slot", falls_back("5.0.0", "check-failed"), ["5.0.0"]),
    ("F-02 no kernel in the new slot", falls_back("6.0.0", "trial-not-booted"), ["6.0.0"]),
    ("no core in the new slot", falls_back("7.0.0", "trial-not-booted"), ["7.0.0"]),
    ("I-1 I-2 power cuts", power_cuts, ["2.0.0"]),
]


def main():
    tap = Tap()
    lab = Lab(*sys.argv[1:])
    wanted = os.environ.get("SCENES", "")
    scenes = [s for n, s in enumerate(SCENES, 1) if not wanted or str(n) in wanted.split(",")]
    lab.prepare({r for _, _, releases in scenes for r in releases})
    try:
        for name, scene, _ in scenes:
            if not tap.case(name, scene, lab):
                tap.note(lab.machine.serial()[-6000:])
                break
    finally:
        lab.machine.close()
    return tap.end()


sys.exit(main())
