#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bootloader and application of one board, end to end over the serial line: cross-built in QEMU, or
edgeferry-node.

    edge-test.py --board B --images FOLDER [--cuts N] [--long] [--seed S] [NAME…]
    edge-test.py --board host --node PROGRAM [--cuts N] [--long] [--seed S] [NAME…]

FOLDER holds boot-B.elf and app*-B.bin. --cuts: rounds of the tests that pull the plug, at moments that follow from
the seed; --long: with the longest swap there is. Cases run side by side, since most of their time is waiting. TAP on standard output; skipped without QEMU.
"""
import argparse
import concurrent.futures
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import edge_stack  # noqa: E402
import elf  # noqa: E402
import factory  # noqa: E402
import image  # noqa: E402
import qemu_board  # noqa: E402
import smp  # noqa: E402

# enum ef_reason
BAD_SIGNATURE, METADATA_ROLLBACK, REQUIREMENT = 21, 25, 64
NOT_COMPATIBLE, FLOOR, IMAGE_UNSIGNED, IMAGE_KEY, IMAGE_SIGNATURE, IMAGE_DIGEST = 60, 63, 81, 82, 83, 84
TRIAL_RUNNING, SELF_TEST, CRASH_LOOP, NOT_CONFIRMED = 68, 89, 92, 106
CAUSE_REQUEST, CAUSE_WATCHDOG = 2, 3
PASSED = 1
SMP_NOT_SUPPORTED = 8
PERIOD = 0.1     # of the application's task, seconds


NO_ED25519 = ["nrf51-microbit"]
NO_INFO = ["nrf51-microbit"]    # in bootloader and recovery image: their agent is the small one
SIDE_BY_SIDE = 2
PAINT = b"\xac\x57\xfe\x5a"

# enum phase
PHASE_SWAPPING, PHASE_REVERTING = 3, 5


class HostBoard:
    """edgeferry-node in the place of a board."""

    def __init__(self, program, flash, serial):
        self.command = [program, "--flash", flash, "--socket", serial]
        self.process = None

    def start(self, cut=None):
        self.process = subprocess.Popen(self.command + (["--cut", str(cut)] if cut else []))
        if cut:
            expect(self.process.wait(20) == 3, "no power cut")

    def save(self):
        pass        # the file is mapped

    def cut(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class Node:
    """A fresh node with version 1.0.0 in slot 0; tools to work on it."""

    def __init__(self, t, keys=None):
        self.t = t
        self.dir = tempfile.mkdtemp(dir=t.dir)
        self.flash, self.serial = f"{self.dir}/flash", f"{self.dir}/serial"
        with open(self.flash, "wb") as f:
            f.write(factory.flash(t.board, t.image("1.0.0"), keys or t.keys, device_id=bytes(range(16)), hwrev=3))
        self.board = HostBoard(t.node, self.flash, self.serial) if t.board == "host" else \
            qemu_board.Board(t.board, t.loader, self.flash, self.serial)

    def __enter__(self):
        self.power_on()
        return self

    def __exit__(self, *_):
        self.power_off()
        shutil.rmtree(self.dir)

    def power_on(self, wait=True):
        self.board.start()
        self.smp = smp.Smp(self.serial)
        return self.smp.until(lambda i: True) if wait else None

    def power_off(self):
        if self.board.process:
            self.smp.close()
            self.board.cut()

    def slots(self):
        self.board.save()
        with open(self.flash, "rb") as f:
            return f.read(1 << 20)

    def phase(self):
        """Of the newest boot state record in the flash file."""
        m, newest = self.t.map, (0, 0)
        with open(self.flash, "rb") as f:
            for page in range(2):
                f.seek(m["state"] + page * m["page"])
                data = f.read(m["page"])
                for i in range(0, len(data) - 111, 112):
                    r = data[i:i + 96]
                    if r[:4] == b"EFS1" and zlib.crc32(r[:92]) == struct.unpack("<I", r[92:])[0]:
                        newest = max(newest, (struct.unpack("<I", r[4:8])[0], r[8]))
        return newest[1]

    def running(self):
        return next(i for i in self.smp.state().values() if i["active"])

    def install(self, img, deadline=None):
        self.smp.preflight(img)
        self.smp.upload(img)
        self.smp.test(image.split(img)[2], deadline)

    def on_trial(self, img, deadline=None):
        self.install(img, deadline)
        self.smp.reset()
        self.smp.until(lambda i: i["mode"] == 1 and i["trial"] and i["test"] == PASSED)

    def end_trial(self):
        if self.smp.identify()["trial"]:
            self.smp.reset()
            self.smp.until(lambda i: i["mode"] == 1 and not i["trial"])


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def expect_reason(reason, f, *args):
    try:
        f(*args)
    except smp.Refused as e:
        expect(e.reason == reason, f"reason {e.reason}, not {reason}")
        return
    raise AssertionError(f"accepted, not refused with {reason}")


class Tests:
    def __init__(self, a, folder):
        self.board, self.dir, self.cuts, self.long, self.seed = a.board, folder, a.cuts, a.long, a.seed
        self.images, self.loader, self.node = a.images, f"{a.images}/boot-{a.board}.elf", a.node
        self.map = factory.MAPS.get(a.board) or factory.host_map(256 << 10)
        self.key, self.ed25519, self.other = (f"{folder}/{name}.pem" for name in ("key", "ed25519", "other"))
        self.public, self.public_ed25519 = image.new_key(self.key), image.new_key(self.ed25519, ed25519=True)
        self.notes = threading.local()
        self.keys = [factory.image_key(p) for p in (self.public, self.public_ed25519)]
        image.new_key(self.other)

    def run(self, name):
        """(passed, lines of TAP) of a case."""
        case, start, lines = getattr(self, name), time.monotonic(), []
        self.notes.lines = lines
        try:
            try:
                case()
            except qemu_board.Stuck as e:
                self.note(f"{e}; once more")
                case()
            good = True
        except Exception:
            good = False
            lines += traceback.format_exc().splitlines()
        text = "".join(f"# {line}\n" for line in lines)
        return good, f"{text}\0 - {name}: {case.__doc__} ({time.monotonic() - start:.1f} s)\n"

    def note(self, text):
        """A line beside the result of the case under way."""
        self.notes.lines.append(text)

    @staticmethod
    def tick(n):
        return int(n.smp.info().rpartition(" ")[2])

    def image(self, version, variant="app", counter=1, size=0, **o):
        """size: the payload is filled up to it."""
        if self.board == "host":
            payload = b"behaviour=%s\n" % variant[4:].encode() + bytes(range(256)) * 64
        else:
            with open(f"{self.images}/{variant}-{self.board}.bin", "rb") as f:
                payload = f.read()
        payload += random.Random(version).randbytes(max(0, size - len(payload)))
        o = {"key": self.key, "class_name": self.board, **o}
        return image.make(payload, version=version, counter=counter, **o)

    def host_makes_its_flash(self):
        """edgeferry-node makes the same flash as the factory tool, and serves on a pty"""
        folder = tempfile.mkdtemp(dir=self.dir)
        flash, pty, img = f"{folder}/flash", f"{folder}/pty", f"{folder}/image"
        data = self.image("1.0.0", class_name="lamp", vendor="acme.example")
        with open(img, "wb") as f:
            f.write(data)
        # power is lost at the first flash operation, the record of the first boot: what was made is there
        done = subprocess.run([self.node, "--flash", flash, "--pty", pty, "--board", "lamp", "--class",
                               "acme.example,lamp", "--hwrev", "7", "--id", "abc", "--floor", "1", "--key",
                               self.public, "--key", self.public_ed25519, "--image", img, "--slot-size", "0x10000", "--cut", "1"])
        expect(done.returncode == 3, "no power cut")
        want = factory.flash("lamp", data, self.keys, device_id=bytes(14) + b"\x0a\xbc",
                             hwrev=7, floor=1, vendor="acme.example", slot=0x10000)
        state = factory.host_map(0x10000)["state"]
        with open(flash, "rb") as f:
            made = f.read()
        expect(len(made) == len(want), f"{len(made)} bytes, not {len(want)}")
        expect(made[:state] == want[:state] and made[state + 8192:] == want[state + 8192:], "another flash")
        node = subprocess.Popen([self.node, "--flash", flash, "--pty", pty, "--slot-size", "0x10000"])
        try:
            end = time.monotonic() + 10
            while not os.path.exists(pty) and time.monotonic() < end:
                time.sleep(0.01)
            with smp.Smp(pty) as s:
                expect(s.identify()["hwrev"] == 7, "not the node")
        finally:
            node.terminate()
            node.wait()
        expect(not os.path.lexists(pty), "the link stays behind")

    def test_identify(self):
        """says who it is; the application runs on while it is asked"""
        with Node(self) as n:
            i = n.smp.identify()
            expect(i["board"] == self.board and i["id"] == bytes(range(16)) and i["hwrev"] == 3, str(i))
            expect((i["vid"], i["cid"]) == factory.uuids("edgeferry.github.io", self.board), "class")
            expect(i["mode"] == 1 and not i["trial"] and i["nonce"] == b"12345678", str(i))
            expect(n.running()["version"] == "1.0.0", "version")
            expect(n.smp.info().startswith(f"app 1.0.0 on {self.board} ("), n.smp.info())
            first = n.smp.info()
            time.sleep(0.5)
            expect(n.smp.info() != first, "the periodic task stands still")

    def test_preflight_refusals(self):
        """E-01 F-22 S-23: refused before anything is erased"""
        good = self.image("2.0.0")
        hdr, tlvs, _ = image.split(good)
        bad = {
            IMAGE_KEY: self.image("2.0.0", key=self.other),
            NOT_COMPATIBLE: self.image("2.0.0", class_name="lamp-v1"),
            FLOOR: self.image("2.0.0", counter=0),
            IMAGE_SIGNATURE: good[:-8] + bytes([good[-8] ^ 1]) + good[-7:],
        }
        with Node(self) as n:
            before = n.slots()
            for reason, img in bad.items():
                expect_reason(reason, n.smp.preflight, img)
                expect_reason(IMAGE_UNSIGNED, n.smp.upload, img)
            expect_reason(IMAGE_UNSIGNED, n.smp.upload, good)
            n.smp.preflight(good)
            expect_reason(IMAGE_DIGEST, n.smp.upload, good[:20] + b"\7" + good[21:])
            expect(n.slots() == before, "flash changed")
            expect(n.running()["version"] == "1.0.0", "version")

    def test_install(self):
        """upload, trial, confirm; floor rises on confirm only (S-13)"""
        new = self.image("2.0.0", counter=5)
        digest = image.split(new)[2]
        with Node(self) as n:
            before, started = self.tick(n), time.monotonic()
            n.install(new)
            time.sleep(1)
            due, runs = (time.monotonic() - started) / PERIOD, self.tick(n) - before
            expect(runs > due / 2, f"the periodic task ran {runs} times of {due:.0f} during the upload")
            expect(n.running()["version"] == "1.0.0", "version")
            expect(n.smp.state()[1]["pending"], "not pending")
            n.smp.reset()
            i = n.smp.until(lambda i: i["mode"] == 1 and i["trial"] and i["test"] == PASSED)
            expect(i["floor"] == 1 and i["attempts"] == 1 and i["cause"] == CAUSE_REQUEST, str(i))
            s = n.smp.state()
            expect(s[0]["hash"] == digest and not s[0]["confirmed"] and s[1]["confirmed"], str(s))
            n.smp.preflight(new)
            expect_reason(TRIAL_RUNNING, n.smp.upload, new)
            n.smp.confirm(digest)
            n.smp.confirm(digest)
            i = n.smp.identify()
            expect(i["floor"] == 5 and not i["trial"] and i["revert"] == 0, str(i))
            expect_reason(FLOOR, n.smp.preflight, self.image("3.0.0", counter=4))
            n.smp.reset()
            n.smp.until(lambda i: i["mode"] == 1 and i["attempts"] >= 1)
            expect(n.running()["version"] == "2.0.0", "did not stay")
            n.power_off()
            n.power_on()
            expect(n.running()["version"] == "2.0.0" and n.smp.identify()["floor"] == 5, "lost with the power")
            expect(n.smp.info().startswith("app 2.0.0 on"), n.smp.info())

    def test_ed25519(self):
        """an image signed by the node's Ed25519 key, where the board has room for it"""
        new = self.image("2.0.0", key=self.ed25519)
        with Node(self) as n:
            if self.board in NO_ED25519:
                expect_reason(IMAGE_KEY, n.smp.preflight, new)
                return
            bad = new[:-1] + bytes([new[-1] ^ 1])
            expect_reason(IMAGE_SIGNATURE, n.smp.preflight, bad)
            n.on_trial(new)
            n.smp.confirm()

    def test_bad_upload(self):
        """an image that changes on the way is not bootable; the next good one is (E-03)"""
        new = self.image("2.0.0")
        torn = bytearray(new)
        torn[0x300] ^= 0x10
        with Node(self) as n:
            n.smp.preflight(new)
            expect_reason(IMAGE_DIGEST, n.smp.upload, bytes(torn))
            expect(1 not in n.smp.state(), "bootable")
            n.on_trial(new)

    def test_resume(self):
        """an upload that was broken off goes on where it was"""
        new = self.image("2.0.0")
        with Node(self) as n:
            n.smp.preflight(new)
            n.smp.upload(new, stop_at=8192)
            n.smp.close()
            n.smp = smp.Smp(n.serial)
            n.smp.identify()
            chunk = n.smp.identify()["buf"] - 88
            expect(n.smp.upload(new) <= (len(new) - 8192) // chunk + 2, "started anew")
            expect(n.smp.state()[1]["version"] == "2.0.0", "not there")
            # and also when the node lost power meanwhile, at most one page before where it was
            other = self.image("3.0.0")
            n.smp.preflight(other)
            n.smp.upload(other, stop_at=8192)
            n.power_off()
            n.power_on()
            n.smp.preflight(other)
            page = self.map["page"]
            expect(n.smp.upload(other) <= (len(other) - 8192 + page) // chunk + 2, "started anew")
            n.smp.test(image.split(other)[2])

    def never_confirmed(self, variant, test, deadline, revert, cause):
        new = self.image("2.0.0", variant)
        with Node(self) as n:
            n.install(new, deadline)
            n.smp.reset()
            if test is not None:
                n.smp.until(lambda i: i["mode"] == 1 and i["trial"] and i["test"] == test)
                expect_reason(SELF_TEST, n.smp.confirm)
            i = n.smp.until(lambda i: i["mode"] == 1 and not i["trial"] and i["revert"])
            expect(i["revert"] == revert and i["cause"] == cause and i["floor"] == 1, str(i))
            expect(n.running()["version"] == "1.0.0", "did not go back")

    def test_never_ready(self):
        """E-05: not confirmed before the deadline, the old image comes back"""
        self.never_confirmed("app-never-ready", 0, 8, NOT_CONFIRMED, CAUSE_REQUEST)

    def test_failed_self_test(self):
        """a self-test that fails is the reason of the revert"""
        self.never_confirmed("app-fail-test", 2, 8, SELF_TEST, CAUSE_REQUEST)

    def test_hang(self):
        """E-05 F-23: the watchdog ends a trial that hangs"""
        self.never_confirmed("app-hang", None, 60, NOT_CONFIRMED, CAUSE_WATCHDOG)

    def expect_outside_slots(self, n, begin, end):
        """Who answers is the bootloader or the recovery image, as its OS info says or where interrupts go."""
        if self.board not in NO_INFO:
            expect(n.smp.info().startswith(begin) and n.smp.info().endswith(end), n.smp.info())
            return
        expect(n.smp.raw(smp.READ, 0, 7)["rc"] == SMP_NOT_SUPPORTED, "the small agent has OS info")
        vectors, = struct.unpack("<I", n.board.memory(n.board.elf.value("ram_head"), 4))
        own = n.board.elf.find("image_vectors", elf.OBJECT)[0].value
        expect(vectors == (self.map["recovery"] + 0x200 if end else own), f"vectors at {vectors:#x}")

    def test_stay_in_bootloader(self):
        """reset into the bootloader: the agent answers there, nothing can be confirmed there"""
        with Node(self) as n:
            n.smp.reset(boot_mode=1)
            n.smp.until(lambda i: i["mode"] == 0)
            self.expect_outside_slots(n, "bootloader ", "")
            n.install(self.image("2.0.0"))
            n.smp.reset()
            n.smp.until(lambda i: i["mode"] == 1 and i["trial"])

    def test_recovery(self):
        """no image in either slot: the bootloader serves, and one upload brings the node back"""
        n = Node(self)
        with open(n.flash, "r+b") as f:
            f.seek(self.map["slot0"] + 0x400)
            f.write(b"\0\0\0\0")
        with n:
            expect(n.smp.identify()["mode"] == 0 and n.smp.state() == {}, "an image runs")
            n.on_trial(self.image("2.0.0"))
            n.smp.confirm()

    def put(self, n, at, data):
        with open(n.flash, "r+b") as f:
            f.seek(at)
            f.write(data)

    def test_crash_loop(self):
        """F-23: a confirmed image that fails at every start is left for the one that was confirmed before it"""
        with Node(self) as n:
            n.on_trial(self.image("2.0.0", "app-relapse"))
            n.smp.confirm()
            n.smp.reset()
            i = n.smp.until(lambda i: i["mode"] == 1 and i["revert"])
            expect(i["revert"] == CRASH_LOOP and not i["trial"], str(i))
            expect(n.running()["version"] == "1.0.0", "another image runs")
            n.smp.reset()
            n.smp.until(lambda i: i["mode"] == 1 and i["attempts"] > 1)
            expect(n.running()["version"] == "1.0.0", "did not stay")

    def test_key_sets(self):
        """E-07: the keys go from set 0 to set 2, the first one is revoked, nothing goes back"""
        a, b = self.key, self.other
        one = image.key_set(1, 1, [a, b], [a], [a])
        two = image.key_set(2, 1, [b], sorted([a, b], key=self.xy), [b])
        with Node(self, self.keys[:1]) as n:
            expect(n.smp.keys() == 0, "not the factory's set")
            expect_reason(BAD_SIGNATURE, n.smp.keys, image.key_set(1, 1, [a, b], [a], [b]))
            expect_reason(REQUIREMENT, n.smp.keys, two)
            expect(n.smp.keys(one) == 1, "not taken")
            expect_reason(METADATA_ROLLBACK, n.smp.keys, one)
            # not a set that what runs is not signed under
            expect_reason(IMAGE_KEY, n.smp.keys, two)
            n.on_trial(self.image("2.0.0", key=b))
            expect_reason(TRIAL_RUNNING, n.smp.keys, two)
            n.smp.confirm()
            n.power_off()
            n.power_on()
            expect(n.smp.keys(two) == 2, "not taken")
            expect_reason(IMAGE_KEY, n.smp.preflight, self.image("3.0.0"))
            n.power_off()
            n.power_on()
            expect(n.smp.keys() == 2 and n.running()["version"] == "2.0.0", "lost with the power")
            expect_reason(METADATA_ROLLBACK, n.smp.keys, one)
            n.on_trial(self.image("3.0.0", key=b))

    @staticmethod
    def xy(key):
        return factory.image_key(key.replace(".pem", ".pub.pem"))[1]

    def qemu_recovery_image(self):
        """no slot is good: the recovery image runs, and brings the node back"""
        n = Node(self)
        self.put(n, self.map["slot0"] + 0x400, b"\0\0\0\0")
        self.put(n, self.map["recovery"], self.image("9.0.0", "recovery"))
        with n:
            i = n.smp.identify()
            expect(i["mode"] == 0 and i["revert"] == IMAGE_DIGEST, str(i))
            self.expect_outside_slots(n, "bootloader ", ", recovery image")
            n.on_trial(self.image("2.0.0"))
            n.smp.confirm()

    def cut_in_swap(self, n, rng, phase, size):
        """Starts the node and pulls the plug at some flash operation of the swap of size bytes under way."""
        # the first are those of journal and state, before the swap itself; two cuts must fit in one swap
        operations = {"port_flash_erase": 2 * size // self.map["page"], "port_flash_program": 2 * size // 256}
        if self.board == "host":
            n.board.start(cut=rng.randrange(20, sum(operations.values()) // 3))
        else:
            where = rng.choice([f for f, n in operations.items() if n > 12])
            n.board.start(stop_at=where, times=rng.randrange(3, operations[where] // 3), steps=rng.randrange(300))
        n.board.cut()
        expect(n.phase() == phase, f"cut in phase {n.phase()}, not {phase}")

    def test_cuts(self):
        """F-18: the plug is pulled in mid-swap, again and again; old or new boots, and it ends"""
        rng = random.Random(self.seed)
        size = self.map["slot"] - 0x2000 if self.long else 48 << 10
        new = self.image("2.0.0", size=size)
        with Node(self) as n:
            n.install(new, 30)
            for _ in range(self.cuts):
                # forth: the trial is pending, the next start swaps
                n.power_off()
                for _ in range(2):
                    self.cut_in_swap(n, rng, PHASE_SWAPPING, size)
                n.power_on()
                expect(n.smp.identify()["trial"] and n.running()["version"] == "2.0.0", "not on trial")
                # and back: the trial is over, the next start reverts
                n.power_off()
                self.cut_in_swap(n, rng, PHASE_REVERTING, size)
                n.power_on()
                state = n.smp.state()
                expect([state[s]["version"] for s in (0, 1)] == ["1.0.0", "2.0.0"], str(state))
                expect(state[0]["confirmed"] and n.smp.identify()["revert"] == NOT_CONFIRMED, str(state))
                n.smp.test(image.split(new)[2], 30)
            n.smp.reset()
            n.smp.until(lambda i: i["mode"] == 1 and i["trial"] and i["test"] == PASSED)
            n.smp.confirm()
            self.note(f"{3 * self.cuts} power cuts in swaps of {size} bytes, seed {self.seed}")

    def test_cuts_anywhere(self):
        """F-18 I-2: the plug is pulled at any moment of an update; old or new boots, and the next update works"""
        rng, ends = random.Random(self.seed + 1), {}
        with Node(self) as n:
            span = self.one_update(n, 1, None)
            for i in range(2, 2 + self.cuts):
                n.end_trial()
                old, floor = n.running()["version"], n.smp.identify()["floor"]
                self.one_update(n, i, rng.uniform(0, 1.2 * span))
                n.power_on()
                me, state = n.smp.identify(), n.smp.state()
                new = f"2.0.{i}"
                expect(me["mode"] == 1 and n.running()["version"] in (old, new), f"{me} {state}")
                expect(me["floor"] in (floor, i), f"floor {me['floor']}")
                end = "old" if n.running()["version"] == old else "trial" if me["trial"] else "new"
                expect(end != "new" or me["floor"] == i, "confirmed without its floor")
                ends[end] = ends.get(end, 0) + 1
            self.note(f"{self.cuts} power cuts, seed {self.seed}; what ran after them: {ends}")
            n.end_trial()
            self.one_update(n, 2 + self.cuts, None)

    def one_update(self, n, i, cut):
        """The whole of it, or with the plug pulled after cut seconds. Returns the seconds that it took."""
        new = self.image(f"2.0.{i}", counter=i)
        done, start = threading.Event(), time.monotonic()

        def pull():
            done.wait(cut)
            n.board.cut()
        thread = threading.Thread(target=pull if cut is not None else lambda: None)
        thread.start()
        try:
            n.on_trial(new, 60)
            n.smp.confirm()
            done.set()
        except (OSError, TimeoutError):
            if cut is None:
                raise
        thread.join()
        if cut is not None:
            n.smp.close()
        return time.monotonic() - start

    def qemu_stack(self):
        """the stack that programs really use, painted before, stays below the bound that was computed"""
        signed = {"key": self.key if self.board in NO_ED25519 else self.ed25519}     # what takes more of it
        used = {}
        with Node(self) as n:
            n.power_off()
            n.board.debug()
            self.paint(n.board)
            n.board.gdb.run_to(n.board.elf.function("port_start_image"))
            used["bootloader, starting"] = self.deepest(n.board)
            self.paint(n.board)
            n.board.run_free()
            n.smp = smp.Smp(n.serial)
            n.smp.until(lambda i: True)
            new = self.image("2.0.0", **signed)
            n.smp.preflight(new)
            n.smp.upload(new)
            n.smp.state()
            n.board.attach()
            used["application, updating"] = self.deepest(n.board)
            n.board.run_free()
            n.smp.reset(boot_mode=1)
            n.smp.until(lambda i: i["mode"] == 0)
            n.board.attach()
            self.paint(n.board)
            n.board.run_free()
            n.install(self.image("2.0.1", **signed))
            n.board.attach()
            used["bootloader, serving"] = self.deepest(n.board)
            n.board.run_free()
        bound, _, _ = edge_stack.measure(self.loader)   # an application's is lower
        for what, size in used.items():
            self.note(f"{what}: {size} bytes of {bound}")
            expect(0 < size <= bound, f"{what}: more than the bound")
        expect(max(used.values()) > bound // 2, "the bound is far from what is used")

    @staticmethod
    def stack(board):
        top = board.elf.value("stack_top")
        return top - board.elf.value("STACK_SIZE"), top

    def paint(self, board):
        """All of the stack below what is on it."""
        bottom, top = self.stack(board)
        sp = board.gdb.sp()
        board.gdb.write(bottom, PAINT * (((sp if bottom < sp <= top else top) - bottom) // 4))

    def deepest(self, board):
        bottom, top = self.stack(board)
        data = board.memory(bottom, top - bottom)
        free = next(i for i in range(0, len(data), 4) if data[i:i + 4] != PAINT)
        expect(free > 0, "the whole stack is used, or more")
        return len(data) - free


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--board", required=True)
    p.add_argument("--images")
    p.add_argument("--node")
    p.add_argument("--cuts", type=int, default=5)
    p.add_argument("--long", action="store_true")
    p.add_argument("--seed", type=int, default=2)
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    if not (a.node if a.board == "host" else a.images):
        p.error("--images or --node is missing")
    if a.board != "host" and not qemu_board.qemu(a.board):
        print(f"1..0 # SKIP {qemu_board.EMULATORS[a.board]} is not installed")
        return
    kinds = ("test_", "host_" if a.board == "host" else "qemu_")
    names = a.names or [n for n in dir(Tests) if n.startswith(kinds)]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="edge.") as folder, \
            concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        tests = Tests(a, folder)
        print(f"1..{len(names)}", flush=True)
        for i, (good, text) in enumerate(pool.map(tests.run, names), 1):
            failed += not good
            print(text.replace("\0", f"{'ok' if good else 'not ok'} {i}"), end="", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
