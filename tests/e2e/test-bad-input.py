#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Bad input on the real path: every refusal has its own reason, an event in the history, and touches nothing; what was
good before is still good afterwards, and the next good release installs.
Proves S-02, S-05, S-06, S-09, S-12, S-21, S-23, S-37, E-01, F-03, F-07, F-10, F-11, F-12, F-22, F-34.

With root rights the state directory is a file system of its own, so that it can be full: in a mount name space of
this process, which ends with it.
"""
import contextlib
import glob
import os
import re
import shutil
import subprocess
import sys

import scene
from scene import NODES, Scene, Tap, equal, holds

SMALL = 12 << 20       # bytes of the state file system
HEX = set("0123456789abcdef")


class Bad:
    def __init__(self, s, tap):
        self.s, self.tap = s, tap
        self.version = 1

    def next(self):
        self.version += 1
        return f"{self.version}.0.0"

    # ---- what every refusal must be ----
    @contextlib.contextmanager
    def nothing_happens(self, *reasons, state="idle"):
        """In here something is refused for one of reasons; slots, boot state, flash and versions stay as they are."""
        before, last = self.s.touched(), self.s.history()[-1]["id"]
        yield
        self.recorded(last, reasons)
        self.s.wait(lambda: self.s.status()["state"] == state, 30, state)
        equal(self.s.touched(), before, "what is there")
        self.s.invariants(state)

    def recorded(self, last, reasons):
        new = [e for e in self.s.history() if e["id"] > last and e["reason"] != "ok"]
        holds(new, "the history says nothing")
        holds(new[-1]["reason"] in reasons, f"the history says {new[-1]['reason']}: {new[-1]['detail']}; wanted {reasons}")
        holds(new[-1]["detail"], "the history gives no detail")
        self.tap.note(f"{new[-1]['reason']}: {new[-1]['detail']}")

    def deploy(self, what, state, *reasons, seconds=60):
        """An install that ends without a trial."""
        before = {d["id"] for d in self.s.deployments()}
        self.s.cli("install", "--no-wait", what, check=False)
        new = [d for d in self.s.deployments() if d["id"] not in before]
        equal(len(new), 1, "deployments that began")
        number = new[0]["id"]
        over = lambda: next(d for d in self.s.deployments() if d["id"] == number and d["ended"])    # noqa: E731
        d = self.s.wait(lambda: any(d["id"] == number and d["ended"] for d in self.s.deployments()) and over(), seconds, "its end")
        holds(d["state"] == state and d["reason"] in reasons, f"it ended {d['state']}: {d['reason']}: {d['detail']}")
        return d

    def check(self, *reasons):
        """A look at the server that must fail."""
        done = self.s.cli("check", check=False)
        holds(done.returncode not in (0, 2), f"exit code {done.returncode} of check: {done.stdout}")
        server = self.s.status()["server"]
        holds(server["reason"] in reasons, f"{server['reason']}: {server['detail']}; wanted {reasons}")

    def good(self, version=None, **give):
        """A good release goes through."""
        version = version or self.next()
        if give or not self.known(version):
            self.s.give(version, **(give or {"nodes": ["lamp"]}))
            self.s.cli("check")
        done = self.s.cli("install", version, check=False)
        equal(done.returncode, 0, f"exit code of install {version}: {done.stdout}{done.stderr}")
        equal(self.s.deployment(version)["state"], "confirmed", f"state of {version}")
        self.s.cli("check", check=False)    # behind the look that every start begins with

    def known(self, version):
        return os.path.exists(f"{self.s.dir}/publisher/targets/releases/demo") and glob.glob(
            f"{self.s.workspace}/targets/releases/demo/*.{version}.json")

    # ---- files of the repository ----
    def newest(self, role):
        if role == "timestamp":
            return f"{self.s.www}/metadata/timestamp.json"
        files = glob.glob(f"{self.s.www}/metadata/*.{role}.json")
        return max(files, key=lambda f: int(os.path.basename(f).split(".")[0]))

    @contextlib.contextmanager
    def spoiled(self, path, how):
        keep = path + ".keep"
        shutil.copy(path, keep)
        with open(path, "rb") as f:
            data = how(f.read())
        with open(path + ".spoiled", "wb") as f:
            f.write(data)
        os.replace(path + ".spoiled", path)
        try:
            yield
        finally:
            os.replace(keep, path)

    def object_of(self, release, component, what="image"):
        import json
        path = self.known(release)[0]
        with open(path) as f:
            m = json.load(f)
        c = next(c for c in m["components"] if c["name"] == component)
        digest = c[what]["sha256"] if isinstance(c[what], dict) else c[what]
        return f"{self.s.www}/objects/{digest}"

    # ---- metadata ----
    def metadata(self, role):
        """Each kind of damage to the newest file of a role."""
        for name, how, reasons in (("a digit changed", digit, ("bad-signature", "bad-digest", "bad-format")),
                                   ("cut off", lambda b: b[:len(b) // 2], ("bad-format", "bad-size", "bad-digest")),
                                   ("something else", lambda b: b"<html>log in first</html>", ("bad-format", "bad-digest", "bad-size"))):
            self.s.repo("sign", "--refresh", "releases" if role == "snapshot" else role)
            self.s.publish()
            with self.nothing_happens(*reasons), self.spoiled(self.newest(role), how):
                self.tap.note(f"{os.path.basename(self.newest(role))}: {name}")
                self.check(*reasons)
            done = self.s.cli("check", check=False)
            holds(done.returncode in (0, 2), f"check fails when it is whole again: {done.stdout}{done.stderr}")

    def manifest(self):
        version = self.next()
        self.s.give(version, nodes=["lamp"])
        path = glob.glob(f"{self.s.www}/targets/releases/demo/*.{version}.json")[0]
        with self.nothing_happens("bad-digest", "bad-size"), self.spoiled(path, digit):
            self.s.cli("check", check=False)
            self.deploy(version, "refused", "bad-digest", "bad-size")
        self.good()

    def expired(self):
        """S-21: signed long ago for a short time."""
        self.s.repo("sign", "--refresh", "timestamp", "--now", "2020-01-01T00:00:00Z")
        self.s.publish()
        with self.nothing_happens("expired", state="stale"):
            self.check("expired")
        self.s.repo("sign", "--refresh", "timestamp")
        self.s.publish()
        self.good()

    def rollback(self):
        """F-34: the server plays back what it had a while ago."""
        old = f"{self.s.dir}/www-old"
        shutil.copytree(self.s.www, old)
        self.good()
        os.rename(self.s.www, self.s.www + ".new")
        os.rename(old, self.s.www)
        try:
            with self.nothing_happens("metadata-rollback"):
                self.check("metadata-rollback")
        finally:
            shutil.rmtree(self.s.www)
            os.rename(self.s.www + ".new", self.s.www)
        self.good()

    # ---- objects ----
    def object_missing(self):
        version = self.next()
        self.s.give(version, nodes=["lamp"])
        path = self.object_of(version, "lamp")
        os.rename(path, path + ".away")
        with self.nothing_happens("not-found", "net-http"):
            self.s.cli("check")
            self.deploy(version, "refused", "not-found", "net-http")
        os.rename(path + ".away", path)
        self.good(version)      # nothing is wrong with the release itself

    def object_flipped(self):
        version = self.next()
        self.s.give(version, nodes=["lamp"])
        with self.nothing_happens("bad-digest"), self.spoiled(self.object_of(version, "lamp"), flip):
            self.s.cli("check")
            self.deploy(version, "refused", "bad-digest")
        self.good()

    def pack_flipped(self):
        """The other slot is being written by then; the running one, the boot state's choice and all nodes stay."""
        version, s = self.next(), self.s
        s.give(version, nodes=["lamp"], image=s.rootfs("2.0.0", packages=("less",)))
        running = s.slots["AB".index(s.gateway.running)]
        before, last = s.touched(), s.history()[-1]["id"]
        kept = os.stat(running).st_mtime_ns
        path = self.object_of(version, "rootfs", "pack")
        with self.spoiled(path, flip_all):
            s.cli("check")
            self.deploy(version, "failed", "bad-digest", "bad-format")
        self.recorded(last, ("bad-digest", "bad-format"))
        equal(os.stat(running).st_mtime_ns, kept, "time stamp of the running slot")
        equal(s.versions(), before["versions"], "versions")
        equal(s.boot_state()["primary"], before["boot"]["primary"], "primary slot")
        equal(s.boot_state()["trial"], "none", "slot to try")
        s.invariants()
        self.good(image=s.rootfs("2.0.0", packages=("less",)), nodes=["lamp"])

    # ---- releases that are signed well and wrong here ----
    def unknown_component(self):
        version, s = self.next(), self.s
        s.repo("add", "mcu", "toaster", s.firmware("lamp"), "--version", version, "--security", "1", "--compatible",
               "edgeferry.github.io,toaster", "--self-test", "5", "--confirm", "20", "--hardware", "1-3")
        s.make_release(version, ["toaster"])
        s.publish()
        with self.nothing_happens("unknown-component"):
            s.cli("check", check=False)
            self.deploy(version, "refused", "unknown-component")
        self.good()

    def image_too_large(self):
        version, s = self.next(), self.s
        path = f"{s.dir}/large.bin"
        with open(s.firmware("lamp"), "rb") as f, open(path, "wb") as out:
            out.write(f.read().ljust(120 << 10, b"\x5a"))
        s.repo("add", "mcu", "lamp", path, "--version", version, "--security", "1", "--compatible",
               f"edgeferry.github.io,{NODES['lamp']}", "--self-test", "5", "--confirm", "20", "--hardware", "1-3")
        s.make_release(version, ["lamp"])
        s.publish()
        with self.nothing_happens("too-large"):
            s.cli("check", check=False)
            self.deploy(version, "refused", "too-large")
        self.good()

    def hardware(self):
        version, s = self.next(), self.s
        s.repo("add", "mcu", "lamp", s.firmware("lamp"), "--version", version, "--security", "1", "--compatible",
               f"edgeferry.github.io,{NODES['lamp']}", "--self-test", "5", "--confirm", "20", "--hardware", "7-9")
        s.make_release(version, ["lamp"])
        s.publish()
        with self.nothing_happens("hardware-range"):
            s.cli("check", check=False)
            self.deploy(version, "refused", "hardware-range")
        self.good()

    def rootfs_too_large(self):
        version, s = self.next(), self.s
        path = f"{s.dir}/large.img"
        subprocess.run(["cp", "--sparse=always", s.first, path], check=True)
        os.truncate(path, (256 << 20) + 4096)
        s.add_rootfs(version, path)
        s.make_release(version, ["rootfs"])
        s.publish()
        os.unlink(path)
        with self.nothing_happens("too-large"):
            s.cli("check", check=False)
            self.deploy(version, "refused", "too-large")
        self.good()

    # ---- bundles ----
    def bundles(self):
        version, s = self.next(), self.s
        s.give(version, nodes=["lamp"])
        path = s.bundle(version)
        bad = f"{s.dir}/bad.ferry"
        with open(path, "rb") as f:
            whole = f.read()
        for name, data, reasons in (("cut in a header", whole[:700], ("bad-format",)),
                                    ("cut in the last object", whole[:-9000], ("bad-format",)),
                                    ("last block missing", whole[:-512], ("bad-format",)),
                                    ("a byte behind it", whole + b"\0" * 512, ("bad-format",)),
                                    ("not a bundle", os.urandom(9000), ("bad-format",)),
                                    ("empty", b"", ("bad-format",))):
            with open(bad, "wb") as f:
                f.write(data)
            self.tap.note(name)
            with self.nothing_happens(*reasons):
                done = s.cli("install", bad, check=False)
                equal(done.returncode, 5, f"exit code: {done.stdout}{done.stderr}")
        with open(bad, "wb") as f:
            f.write(flip(whole, whole.index(b"objects/") + 512 + 3000))
        with self.nothing_happens("bad-digest"):
            self.deploy(bad, "refused", "bad-digest")
        self.stowaway(whole, bad)
        s.cli("install", self.s.bundle(version))

    def stowaway(self, whole, bad):
        """S-05: an object that nobody signed for is in it."""
        extra = b"not signed for"
        at = whole.rindex(b"objects/")      # a header like that of the last object
        header = bytearray(whole[at:at + 512])
        header[8:72] = b"e" * 64
        header[124:136] = b"%011o\0" % len(extra)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        with open(bad, "wb") as f:
            f.write(whole[:-1024] + header + extra.ljust(512, b"\0") + bytes(1024))
        with self.nothing_happens("not-signed-for"):
            self.deploy(bad, "refused", "not-signed-for")

    # ---- servers ----
    def server_down(self):
        version, s = self.next(), self.s
        s.give(version, nodes=["lamp"])
        s.cli("check")
        s.servers.stop("nginx")
        try:
            with self.nothing_happens("net-unreachable"):
                self.deploy(version, "failed", "net-unreachable")
        finally:
            s.servers.start_http()
        self.good(version)

    def foreign_authority(self):
        version, s = self.next(), self.s
        s.give(version, nodes=["lamp"])
        s.cli("check")
        ours = s.servers.certificate
        other = scene.Authority(f"{s.dir}/other-ca", "some other CA")
        s.servers.stop("nginx")
        s.servers.certificate = other.issue("localhost")
        s.servers.start_http()
        try:
            with self.nothing_happens("net-tls"):
                self.check("net-tls")
                self.deploy(version, "failed", "net-tls")
        finally:
            s.servers.stop("nginx")
            s.servers.certificate = ours
            s.servers.start_http()
        self.good(version)

    def disk_full(self):
        """F-03: no room for what must be kept of the release."""
        version, s = self.next(), self.s
        s.give(version, nodes=NODES, image=s.rootfs("2.4.0"))
        s.cli("check")
        filler = f"{s.dir}/machine/data/filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as f:
            while True:
                f.write(bytes(4096))
        try:
            with self.nothing_happens("no-space"):
                done = s.cli("install", version, check=False)
                holds(done.returncode not in (0, 2), f"exit code {done.returncode}")
                holds("not enough room" in done.stdout + done.stderr, f"the reason is named: {done.stdout}{done.stderr}")
        finally:
            os.unlink(filler)
        self.good(version)


def digit(data):
    """One digit of what is signed: of the first digest or key in it, or else of the year in which it expires."""
    text, run, start = bytearray(data), 0, max(0, data.find(b'"signed"'))
    for i in range(start, len(text)):
        run = run + 1 if chr(text[i]) in HEX else 0
        if run == 40:
            text[i] = ord("0") if text[i] != ord("0") else ord("1")
            return bytes(text)
    return data[:start] + re.sub(rb'("expires": *")20', rb'\g<1>21', data[start:])


def flip(data, at=None):
    at = len(data) // 2 if at is None else at
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]


def flip_all(data):
    """A byte in every 4 KiB: whichever chunk is fetched has one."""
    out = bytearray(data)
    for at in range(100, len(out), 4096):
        out[at] ^= 0x10
    return bytes(out)


def cases(bad, full):
    yield "S-37 bundles that are cut, spoiled or carry more than was signed for", bad.bundles
    for role in ("timestamp", "snapshot", "targets", "releases", "root"):
        yield f"S-02 S-06 damaged metadata: {role}", lambda role=role: bad.metadata(role)
    yield "S-06 damaged manifest", bad.manifest
    yield "S-21 expired timestamp", bad.expired
    yield "F-34 an older state of the repository", bad.rollback
    yield "an object that is missing", bad.object_missing
    yield "F-07 an object with one byte changed", bad.object_flipped
    yield "S-09 F-07 a pack with changed bytes", bad.pack_flipped
    yield "S-05 a component that nothing here takes", bad.unknown_component
    yield "S-23 a board of another hardware revision", bad.hardware
    yield "E-01 an image larger than the node's slot", bad.image_too_large
    yield "a root filesystem larger than the slot", bad.rootfs_too_large
    yield "F-12 the server is down", bad.server_down
    yield "F-11 a certificate of another authority", bad.foreign_authority
    if full:
        yield "F-03 the state file system is full", bad.disk_full


def own_file_system(s):
    """True when the state directory is a small file system of its own."""
    data = f"{s.dir}/machine/data"
    os.makedirs(data)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=755", "state", data], capture_output=True).returncode == 0


def main():
    if os.geteuid() == 0 and "EDGEFERRY_OWN_MOUNTS" not in os.environ and shutil.which("unshare"):
        os.environ["EDGEFERRY_OWN_MOUNTS"] = "1"
        probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
        if probe.returncode == 0:
            os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
        del os.environ["EDGEFERRY_OWN_MOUNTS"]
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    tap = Tap()
    s = Scene("bad-input")
    s.set_up()
    full = "EDGEFERRY_OWN_MOUNTS" in os.environ and own_file_system(s)
    s.publish()
    s.automatic = "no"
    s.start()
    bad = Bad(s, tap)
    try:
        bad.good("1.0.0")
        for title, function in cases(bad, full):
            if only in title and not tap.case(title, function):
                s.on_failure(tap)
        if not full:
            tap.skip("F-03 the state file system is full", "no rights to mount one")
    finally:
        s.stop()
    tap.case("no sanitizer has anything to say", lambda: equal(s.sanitizer_reports(), [], "what sanitizers said"))
    if not tap.failed:
        subprocess.run(["umount", f"{s.dir}/machine/data"], capture_output=True) if full else None
        shutil.rmtree(s.dir, ignore_errors=True)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
