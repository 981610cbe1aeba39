# SPDX-License-Identifier: Apache-2.0
"""A publisher and an emulated gateway that is updated from the publisher's bundles, by real restarts."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import disk
from machine import Gone, Machine
from pki import Authority
from servers import Servers
from tap import Tap, equal, holds

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = os.environ["EDGEFERRY_BUILD"]
COMPATIBLE = "edgeferry.github.io,lab-gateway"
FACTORY = "1.0.0"
ENDS = r"deployment \d+: \w+ -> (confirmed|reverted|refused|failed|cancelled)\b"


class Lab:
    """work: a folder for images, kept between runs. releases: version -> what is different in it, change(tree), or None.
    deb: edgeferry's package; without, it is built. loader: a boot loader of disk.py; machine: what it runs in."""

    def __init__(self, work, releases, deb=None, loader=disk.Grub, machine=Machine):
        self.work = os.path.abspath(work)
        os.makedirs(self.work, exist_ok=True)
        self.releases = releases
        self.deb = os.path.abspath(deb) if deb else None
        self.disk = f"{self.work}/disk.img"
        self.server = Servers(f"{self.work}/server", f"{self.work}/www", mqtt=False)
        self.loader = loader
        self.machine = machine(self.disk, f"{self.work}/bundles.img")

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

    def drop_outdated(self):
        """What an earlier run left goes when anything that it was made from is newer."""
        folders = ["tests/lab", "tests/e2e"] + ([] if self.deb else ["src", "systemd", "conf", "debian"])
        sources = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix != ".pyc"]
        newest = max(p.stat().st_mtime for p in [*sources, pathlib.Path(self.deb or ROOT / "meson.build")])
        made = pathlib.Path(self.work)
        userland = made / "userland.tar"
        if userland.exists() and userland.stat().st_mtime < newest:
            for path in (userland, made / "root.json", *made.glob("slot-*.img*"), *made.glob("bundles/*")):
                path.unlink(missing_ok=True)

    def slot(self, release):
        return f"{self.work}/slot-{release}.img"

    def make_userland(self, out):
        disk.call(ROOT / "tests/lab/vm/userland.sh", self.package(), out)

    finish = None   # as disk.slot_image has it

    def add_options(self, image):
        """More of edgeferry-repo add."""
        return []

    def prepare(self, wanted):
        """Images of the releases wanted and of the factory's, bundles of those."""
        self.drop_outdated()
        userland, bundles = f"{self.work}/userland.tar", f"{self.work}/bundles"
        if not os.path.exists(userland):
            self.make_userland(userland + ".new")
            os.rename(userland + ".new", userland)
        root = f"{self.work}/root.json"
        if not os.path.exists(root):
            shutil.rmtree(f"{self.work}/publisher", ignore_errors=True)
            self.repo("init", "demo")
            self.repo("export-root", root)
        os.makedirs(bundles, exist_ok=True)
        for release in [r for r in self.releases if r in {FACTORY, *wanted}]:
            image = disk.slot_image(userland, self.slot(release), release, root, self.releases[release], self.finish,
                                    self.loader.image_mib)
            if release in wanted and not os.path.exists(f"{bundles}/{release}.ferry"):
                self.repo("add", "rootfs", "rootfs", image, "--version", release, "--security", "1", "--level", "3",
                          "--compatible", COMPATIBLE, *self.add_options(image))
                self.repo("release", release, "--component", "rootfs")
                self.repo("sign")
                self.repo("bundle", release, f"{bundles}/{release}.ferry")
        self.serve()
        size = sum(f.stat().st_size for f in os.scandir(bundles)) // disk.MIB + 64
        disk.folder_disk(f"{self.work}/bundles.img", bundles, size)

    def serve(self):
        """What is published, over HTTPS; how it is reached goes to the bundles."""
        authority = Authority(f"{self.work}/server/ca")
        self.server.authority = authority
        self.server.certificate = authority.issue("lab", ("IP:10.0.2.2",))
        shutil.rmtree(self.server.publish, ignore_errors=True)
        self.repo("publish", self.server.publish)
        self.server.start()
        shutil.copy(authority.file, f"{self.work}/bundles/server.pem")
        disk.rootfs.write(f"{self.work}/bundles/server.conf",
                          f"[Source]\nURL=https://10.0.2.2:{self.server.port}\nCAFile=/run/bundles/server.pem\n"
                          "[Update]\nAutomatic=no\n")

    def close(self):
        self.machine.close()
        self.server.stop()

    # ---- what the gateway says ----
    def cli(self, *args, check=True):
        return self.machine.run("edgeferry " + " ".join(args), check=check)

    def status(self):
        return json.loads(self.cli("--json=short", "status"))

    def running(self):
        """The slot, and whether this start of it was a trial, as the kernel's command line says."""
        line = self.machine.run("cat /proc/cmdline")
        return re.search(r"root=PARTLABEL=system_([ab])", line)[1].upper(), bool(re.search(r"(trial|tryboot)=1", line))

    def release_running(self):
        return self.machine.run("cat /etc/lab-release").strip()

    def deployments(self):
        return json.loads(self.cli("--json=short", "--max=0", "deployments"))

    @staticmethod
    def unless_away(question):
        """The answer, or None: the gateway is restarting."""
        try:
            return question()
        except (Gone, AssertionError, ValueError):
            return None

    def ready(self):
        def up():
            try:
                return self.machine.run("systemctl is-active edgeferry.service", check=False).strip() == "active"
            except Gone:
                return False
        self.machine.wait_up()
        self.machine.wait("edgeferry.service", up)

    # ---- what is done with it ----
    def fresh(self, release=FACTORY):
        """A gateway from the factory with this release in both slots, up and running."""
        self.machine.off()
        disk.make(self.disk, self.slot(release), self.loader)
        self.machine.on()
        self.ready()

    def begin(self, release, source=None):
        """source: of edgeferry install; without, the release's bundle."""
        self.cli("install", "--no-wait", source or f"/run/bundles/{release}.ferry")

    def over(self, release):
        """Through all restarts: the deployment of the release, when it is over."""
        def ended():
            known = self.unless_away(self.deployments) or ()
            return next((d for d in known if d["release"] == release and d["ended"]), None)
        return self.machine.wait(f"release {release}", ended, 1800)

    def install(self, release, source=None):
        here = len(self.machine.serial())
        self.begin(release, source)
        self.says(ENDS, here)
        return self.over(release)

    def says(self, mark, here):
        """Waits for it on the console behind its first here characters. To ask would cost the guest much more."""
        self.machine.wait(mark, lambda: re.search(mark, self.machine.serial()[here:]), 1800)

    def restart(self):
        before = self.machine.boot_id()
        self.machine.run("systemd-run --quiet --on-active=1 systemctl reboot")
        self.machine.wait("the restart", lambda: self.machine.boot_id() not in (None, before))
        self.ready()

    # ---- what is seen again and again ----
    def falls_back(self, release, reason, detail="", source=None):
        """The release is tried, and what ran before runs again, by itself. detail: part of what the deployment says; without,
        the slot that it ended in."""
        before, good = self.running()[0], self.release_running()
        d = self.install(release, source)
        print(f"# {d['reason']}: {d['detail']}", flush=True)
        equal((d["state"], d["reason"]), ("reverted", reason), "deployment")
        holds((detail or f"slot {before} runs") in d["detail"], f"not what was expected: {d['detail']}")
        self.ready()
        equal(self.running(), (before, False), "slot")
        equal(self.release_running(), good, "what runs")


def scenes(lab, table):
    """table: (name, what happens, the releases it takes). SCENES=1,2 picks some. The exit status."""
    tap = Tap()
    wanted = os.environ.get("SCENES", "")
    picked = [s for n, s in enumerate(table, 1) if not wanted or str(n) in wanted.split(",")]
    try:
        lab.prepare({r for _, _, releases in picked for r in releases})
        for name, scene, _ in picked:
            if not tap.case(name, scene, lab):
                tap.note(lab.machine.serial()[-6000:])
                break
    finally:
        lab.close()
    return tap.end()
