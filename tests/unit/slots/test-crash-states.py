#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""K-02, F-01, F-02, I-2: every back-end of boot loader variables from each state that a power cut may leave of them.

A call is recorded, write by write (lab/write-log.c). Before each flush every disk that POSIX allows is read back: the
state is the old or the new one, never another, and the call made once more ends in the new one. When the call has ended
the new one is certain. Usage: test-crash-states.py DRIVE WRITE-LOG; TAP."""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
import crash  # noqa: E402
import uboot_env  # noqa: E402

DRIVE, WRITE_LOG = map(os.path.abspath, sys.argv[1:3])
AUTOBOOT = "[all]\r\ntryboot_a_b=1\r\nboot_partition=2\r\n[tryboot]\r\nboot_partition=3\r\n"
ROOT = {"proc/cmdline": b"quiet edgeferry.slot=A ro\n",
        "proc/sys/kernel/random/boot_id": b"12345678-1234-1234-1234-123456789012\n",
        "sys/firmware/devicetree/base/chosen/bootloader/partition": b"\0\0\0\2",
        "sys/firmware/devicetree/base/chosen/bootloader/tryboot": b"\0\0\0\0"}


def grub(d):
    subprocess.run(["grub-editenv", d / "grubenv", "create"], check=True)


def uboot(d, places=(("env1", 0), ("env2", 0))):
    (d / "fw_env.config").write_text("".join(f"{d}/{name} {offset:#x} 0x1000\n" for name, offset in places))
    (d / "defaults").write_text("bootdelay=0\n")
    for name, offset in places:
        (d / name).write_bytes(b"\xff" * (offset + 4096))
    # so long that what is written is more than a sector, all of which moves when a variable before it changes
    board = " ".join(map(str, range(500)))
    subprocess.run(["fw_setenv", "-c", d / "fw_env.config", "-f", d / "defaults", "zboard", board], check=True,
                   capture_output=True)


def uboot_disk(d):
    uboot(d, (("disk", 0x1000), ("disk", 0x2000)))


def u_boot_agrees(d, now):
    """What U-Boot itself makes of the two copies is what edgeferry says."""
    places = [line.split() for line in (d / "fw_env.config").read_text().splitlines()]
    copies = [pathlib.Path(name).read_bytes()[int(at, 0):int(at, 0) + 4096] for name, at, _ in places]
    slot, trial = uboot_env.slots(uboot_env.copy(copies[uboot_env.active(*copies)])[1])
    said = dict(word.split("=") for word in now.split())
    assert (slot if trial else "none") == said["trial"] and (trial or slot == said["primary"]), f"U-Boot starts {slot}: {now}"


def tryboot(d):
    (d / "autoboot.txt").write_bytes(AUTOBOOT.encode())


def sim(d):
    (d / "state.json").write_text('{"schema": 1, "primary": "A", "trial": "none", "mark": {"A": "good", "B": "good"}}\n')
    (d / "running.json").write_text('{"schema": 1, "running": "A", "trial": false}\n')


class Place:
    """The folder that a back-end keeps its variables in, at one path all the time: U-Boot's has it in a file."""

    def __init__(self, top, make):
        self.kind = make.__name__.partition("_")[0]
        self.dir, self.root, self.log = top / "boot", top / "root", top / "log"
        self.dir.mkdir()
        for name, data in ROOT.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(data)
        make(self.dir)

    def do(self, *verb, within=()):
        # a program that is traced cannot look for leaks
        env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"} if within else None
        done = subprocess.run([*within, DRIVE, self.kind, self.dir, self.root, *verb], capture_output=True, text=True, env=env)
        assert done.returncode == 0, f"{' '.join(verb)}: {done.stderr}"
        return done.stdout

    def record(self, *verb):
        return self.do(*verb, within=[WRITE_LOG, self.log, self.root / "proc/cmdline"])

    def put(self, state):
        shutil.rmtree(self.dir)
        self.dir.mkdir()
        for path, data in state.items():
            pathlib.Path(path).write_bytes(data)


def crash_states(make, op, rng):
    with tempfile.TemporaryDirectory(prefix="ef-boot-") as top:
        place = Place(pathlib.Path(top), make)
        place.do("good", "A")
        if op[0] == "bad":
            place.do("try", "B")
        disk, old, seen = crash.Disk(top, ["boot"]), place.do("state"), {}
        new = place.record(*op)
        assert new != old
        for kind, _ in crash.replay(disk, place.log):
            for choice in disk.choices(rng, torn=40):
                state = disk.state(*choice)
                seen.setdefault((kind == "E", *sorted(state.items())), state)
        found = set()
        for (over, *_), state in seen.items():
            place.put(state)
            now = place.do("state")
            assert now == new or (now == old and not over), f"{'over, but' if over else 'between'}: {now}"
            if place.kind == "uboot":
                u_boot_agrees(place.dir, now)
            found.add(now)
            assert place.do(*op) == new
        assert found == {old, new} and len(seen) >= 3, f"{len(seen)} states, {found}"
        return len(seen)


def main():
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    failed, cases = 0, [(m, op) for m in (grub, uboot, uboot_disk, tryboot, sim) for op in (("try", "B"), ("good", "B"), ("bad", "B"))]
    print(f"# SEED={seed}\n1..{len(cases)}")
    for n, (make, op) in enumerate(cases, 1):
        try:
            ok, note = True, f"{crash_states(make, op, random.Random(seed))} states"
        except AssertionError as e:
            ok, failed, note = False, failed + 1, str(e)
        print(f"{'' if ok else 'not '}ok {n} - {make.__name__}: {' '.join(op)}\n# {note}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
