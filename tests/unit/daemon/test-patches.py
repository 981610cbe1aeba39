#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes are brought from one release to the next by patches, in sessions, and by the full image whenever one is in the
way: nothing but the bytes on the wire differs. Real daemon, worker and nodes. TAP.

    test-patches.py BUILD
"""

import glob
import hashlib
import os
import random
import signal
import struct
import sys
import tarfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402

BUILD = sys.argv[1]
SIZE = 24 << 10
check = Checks()


def payload(version, size=SIZE):
    """Like firmware: what differs between versions is here and there, and a piece is put in."""
    draw = random.Random(size)
    b = bytearray(draw.randbytes(size))
    for at in range(0, size - 4, size // 12):
        b[at:at + 4] = struct.pack("<I", version * 0x01010101 + at)
    return bytes(b[:size // 2]) + f"piece of {version}".encode() * version + bytes(b[size // 2:])


def published(bundle):
    """Bytes of the one image in a bundle."""
    with tarfile.open(bundle) as tar:
        (name,) = [n for n in tar.getnames() if n.startswith("objects/")]
        return tar.extractfile(name).read()


class Related(Farm):
    """Of which the first release, too, is like the others."""

    def release(self, version, data):
        return super().release(version, payload(1) if version == "1.0.0" else data)


class Scene:
    def __init__(self, f):
        self.f, self.g = f, f.gateway("gw-patches")
        for name in ("n1", "n2"):
            self.g.configure(name, f.node(name, None, True), key=f.key)
        self.g.start()
        self.g.present(2)

    def release(self, version, size=SIZE):
        self.f.release(version, payload(int(version[0]), size))

    def image(self, version):
        return published(self.f.bundle(version))

    def stored(self, version):
        return f"{self.g.dir}/state/objects/{hashlib.sha256(self.image(version)).hexdigest()}"

    def patches(self):
        return glob.glob(f"{self.g.dir}/state/objects/*.patch")

    def events(self, deployment):
        return [e for e in self.g.json("history", "--max=0") if e["deployment"] == deployment["id"]]

    def install(self, version):
        d, _ = self.g.install(version, 120)
        return d, self.events(d)

    def ends_well(self, what, d, version):
        wait(lambda: set(self.g.running().values()) == {version}, 20, f"nodes with {version}")
        check(f"{what}: the nodes end on {version}", d["state"] == "confirmed" and
              all(c["state"] in ("confirmed", "skipped") for c in d["components"]), d)

    def by_patch(self, what, version, nodes=("n1", "n2")):
        d, events = self.install(version)
        self.ends_well(what, d, version)
        told = {e["place"] for e in events if e["event"] == "component" and "by a patch of" in e["detail"]}
        check(f"{what}: an event says that it was a patch", told == set(nodes), events)
        return d, events

    def by_image(self, what, version, why):
        d, events = self.install(version)
        self.ends_well(what, d, version)
        told = [e for e in events if e["event"] == "patch"]
        check(f"{what}: the full image, and an event says why", {e["place"] for e in told} == {"n1", "n2"} and
              all(e["reason"] == "patch" and why in e["detail"] for e in told) and
              not any("by a patch" in e["detail"] for e in events), events)


def first_and_next(s):
    d, _ = s.install("1.0.0")
    check("a release that the nodes run already is put on record", d["state"] == "confirmed", d)
    s.release("2.0.0")
    # they were given theirs by somebody who signed it once more: the same image, and another file
    s.by_image("another base than it seems", "2.0.0", "the node says so: requirement")
    s.release("3.0.0")
    _, events = s.by_patch("the next release", "3.0.0")
    check("nothing was in the way", not [e for e in events if e["event"] == "patch"], events)
    size, n1 = len(s.image("3.0.0")), s.g.nodes()["n1"]
    check("nodes shows what was saved", size * 0.75 < n1["saved"] < size and "SAVED" in s.g.cli("nodes").stdout, n1)
    check("one was made for both, and is kept", os.path.exists(key_of(s, "2.0.0", "3.0.0")) and len(s.patches()) == 2,
          s.patches())


def base_is_gone(s):
    s.release("4.0.0")
    os.unlink(s.stored("3.0.0"))
    s.by_image("the base is gone", "4.0.0", "is not here")


def key_of(s, old, new, models=7):
    """The name under which a patch is kept: all that it depends on (src/update/patches.c)."""
    key = b"".join(hashlib.sha256(s.image(v)).digest() for v in (old, new)) + struct.pack("<IB", models, 1)
    return f"{s.g.dir}/state/objects/{hashlib.sha256(key).hexdigest()}.patch"


def kept_one_is_wrong(s):
    """With the right digest and a right header, so that only the node finds out: as if the encoder were wrong."""
    s.release("5.0.0")
    for v in ("4.0.0", "5.0.0"):
        with open(f"{s.f.dir}/{v}", "wb") as f:
            f.write(s.image(v))
    s.f.repo("patch", f"{s.f.dir}/4.0.0", f"{s.f.dir}/5.0.0", "--out", f"{s.f.dir}/patch")
    with open(f"{s.f.dir}/patch", "rb") as f:
        patch = bytearray(f.read())
    check("a patch is short", len(patch) < SIZE / 10, len(patch))
    patch[len(patch) // 2] ^= 0x40
    with open(key_of(s, "4.0.0", "5.0.0"), "wb") as f:
        f.write(hashlib.sha256(patch).digest() + patch)
    s.by_image("the patch is wrong", "5.0.0", "the node says so")


def worker_is_killed(s):
    s.release("6.0.0", 150 << 10)
    s.by_image("a release of other bytes", "6.0.0", "would save too little")
    s.release("7.0.0", 150 << 10)
    s.g.install("7.0.0", wait_for=False)
    worker = wait(lambda: child(s.g.process.pid, "edgeferry-worke"), 60, "the worker")
    os.kill(worker, signal.SIGKILL)
    d = wait(lambda: (lambda d: d and d["ended"] and d)(s.g.deployment("7.0.0")), 120, "the end of 7.0.0")
    s.ends_well("the worker is killed", d, "7.0.0")
    told = [e for e in s.events(d) if e["event"] == "patch"]
    check("the worker is killed: an event says so", {e["place"] for e in told} == {"n1", "n2"} and
          all("ended by signal 9" in e["detail"] for e in told), told)


def child(parent, name):
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat, encoding="utf-8", errors="replace") as f:
                pid, _, rest = f.read().partition(" (")
        except OSError:
            continue
        if rest.startswith(name + ")") and int(rest.rsplit(")", 1)[1].split()[1]) == parent:
            return int(pid)
    return None


def main():
    with Related(BUILD) as f:
        s = Scene(f)
        for part in (first_and_next, base_is_gone, kept_one_is_wrong, worker_is_killed):
            start = time.monotonic()
            part(s)
            print(f"# {part.__name__}: {time.monotonic() - start:.1f} s", flush=True)
    return check.end()


sys.exit(main())
