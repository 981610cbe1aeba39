#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images as patches, from the gateway's node operations to edgeferry-node, over a good and a bad line and in a
session, or to the cross-built boards in QEMU, where the application's agent takes them and then the bootloader's. TAP.

    patch-node.py [--rounds N] DRIVE REPO NODE
    patch-node.py [--rounds N] [--application] DRIVE REPO FOLDER BOARD…      FOLDER holds boot-BOARD.elf and app-BOARD.bin,
or boot-patch-BOARD.elf and app-patch-BOARD.bin of a board whose usual ones have no room for it.

--rounds: how many versions one after the other by each agent; the first is taken back and brought again, and boards
lose power as often in the middle. Without it there is one, and it stays. --application: by its agent only.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import factory  # noqa: E402
import image  # noqa: E402
import qemu_board  # noqa: E402
from checks import Checks  # noqa: E402
from drive import Drive  # noqa: E402

check = Checks()


class Images:
    """Versions of one program, each half the code of the one before somewhere else, and the patches between them."""

    def __init__(self, repo, work, board, code):
        self.repo, self.work, self.board, self.code = repo, work, board, code
        self.key = f"{work}/edge.pem"
        self.public = image.new_key(self.key)

    def make(self, n, noise=0):
        """Behind the program that runs: the same with something before it, and bytes that nothing predicts."""
        dice = random.Random(n)
        payload = self.code + dice.randbytes(4 * dice.randrange(1, 60)) + self.code + dice.randbytes(noise)
        path = f"{self.work}/v{n}.img"
        with open(path, "wb") as f:
            f.write(image.make(payload, self.key, f"{n}.0.0", 1, class_name=self.board))
        return path

    def patch(self, old, new):
        path = f"{self.work}/patch"
        said = subprocess.run([self.repo, "patch", old, new, "--out", path, "--json"], check=True, capture_output=True)
        return path, json.loads(said.stdout)


class Node:
    def __init__(self, program, images, first, secret, name):
        self.socket = f"{images.work}/{name}.sock"
        self.args = [program, "--flash", f"{images.work}/{name}.flash", "--socket", self.socket, "--key", images.public,
                     "--image", first, "--psk", secret]
        self.start()

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen(self.args)
        while not os.path.exists(self.socket):
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()


def new_secret(path):
    with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(os.urandom(32).hex() + "\n")
    return path


def staged(drive, images, old, new, what):
    patch, _ = images.patch(old, new)
    drive("identify")
    said = drive("patch", new, patch)
    sizes = os.path.getsize(patch), os.path.getsize(new)
    check(f"{what}: made of a patch of {sizes[0]} bytes in place of {sizes[1]}",
          said == f"ok done={sum(sizes)} of {sizes[0]} + {sizes[1]}", said)


def tried(drive, new, n, what):
    for words in (("activate", new, 60, 30), ("self-test", new, 20)):
        said = drive(*words)
        check(f"{what}: {words[0]}", said == "ok", said)
    said = drive("identify")
    check(f"{what}: runs version {n} on trial", f"{n}.0.0 trial=1" in said, said)


def way(drive, images, old, n, rounds, what):
    """To the next version, back, there again and on; the last file."""
    for i in range(rounds or 1):
        new, n = images.make(n + 1), n + 1
        name = f"{what}, {old[-6:-4]} to {new[-6:-4]}"
        staged(drive, images, old, new, name)
        tried(drive, new, n, name)
        if i == 0 and rounds:
            check(f"{name}: taken back", drive("revert", 30) == "ok")
            staged(drive, images, old, images.make(n + 1), f"{name}: another one")
            staged(drive, images, old, new, f"{name}: and again")
            tried(drive, new, n, name)
        said = drive("confirm", new)
        check(f"{name}: confirmed", said == "ok", said)
        old = new
    return old, n


def refusals(drive, images, old, n):
    new, other = images.make(n + 1), images.make(n + 2)
    patch, _ = images.patch(new, other)
    drive("identify")
    said = drive("patch", new, patch)
    check("made for another image: the patch's fault (E-04)", said.startswith("patch |"), said)
    patch, _ = images.patch(old, other)
    said = drive("patch", new, patch)
    check("makes another image: the patch's fault", said.startswith("patch |"), said)
    patch, _ = images.patch(old, new)
    with open(patch, "r+b") as f:
        f.seek(-20, os.SEEK_END)
        f.write(bytes(20))
    said = drive("patch", new, patch)
    check("garbage: the patch's fault", said.startswith("patch |"), said)
    big, m = images.make(n + 3, 120000), n + 3
    patch, _ = images.patch(old, big)
    said = drive("patch", big, patch)
    check("too long for the room: the patch's fault", said.startswith("patch |") and "room for" in said, said)
    said = drive("stage", big)
    check("and the whole image comes", said == "ok", said)
    tried(drive, big, m, "whole")
    check("taken back", drive("revert", 20) == "ok")


def cut(machine, images, secret, old, n, seconds, what):
    """The plug is pulled so many seconds after the first question, and the board comes back (F-18)."""
    tty, new = f"{images.work}/tty", images.make(n + 1, 8000)
    shim = subprocess.Popen([f"{LAB}/line_shim.py", f"pty:{tty}", f"unix:{machine.serial}"], stdout=subprocess.PIPE)
    shim.stdout.readline()
    drive = Drive([DRIVE], "uart", tty, "115200", secret, images.board)
    patch, _ = images.patch(old, new)
    drive("identify")
    drive.begin("patch", new, patch)
    time.sleep(seconds)
    machine.cut()
    machine.start()
    said = drive.end()
    check(f"{what}: plug pulled {seconds:.2f} s after the beginning", said.startswith("ok done=") or said == "ok", said)
    tried(drive, new, n + 1, what)
    said = drive("confirm", new)
    check(f"{what}: confirmed", said == "ok", said)
    drive.close()
    shim.terminate()
    shim.communicate()
    return new, n + 1


def bad_line(node, images, secret, old, n):
    """Frames are lost and spoiled, and the node dies in the middle of the patch (F-15, F-16)."""
    tty, new = f"{images.work}/tty", images.make(n + 1, 60000)
    shim = subprocess.Popen([f"{LAB}/line_shim.py", f"pty:{tty}", f"unix:{node.socket}", "--flip", "1e-5", "--drop", "1e-5",
                             "--duplicate", "1e-5", "--latency", "2", "--seed", "7"], stdout=subprocess.PIPE)
    shim.stdout.readline()
    drive = Drive([DRIVE], "uart", tty, "1000000", secret)
    patch, _ = images.patch(old, new)
    drive("identify")
    drive.begin("patch", new, patch)
    time.sleep(0.4)     # of about one second
    node.kill()
    node.start()
    said = drive.end()
    check("bad line at 1 Mbaud, seed 7, dies in the transfer and comes back (F-15, F-16)", said.startswith("ok done="), said)
    tried(drive, new, n + 1, "bad line")
    drive.close()
    shim.terminate()
    shim.communicate()


def host(program, repo, rounds):
    with tempfile.TemporaryDirectory(prefix="edgeferry-patch-") as work:
        images = Images(repo, work, "host", random.Random(1).randbytes(20000))
        secret = new_secret(f"{work}/node.key")
        first = images.make(1)
        node = Node(program, images, first, secret, "node")
        drive = Drive([DRIVE], "sim", node.socket, secret=secret)
        try:
            old, n = way(drive, images, first, 1, rounds or 1, "host")
            refusals(drive, images, old, n)
            drive.close()
            bad_line(node, images, secret, old, n + 3)
        finally:
            drive.close()
            node.kill()


def emulated(folder, repo, board, rounds, entries):
    name = f"patch-{board}" if os.path.exists(f"{folder}/boot-patch-{board}.elf") else board
    with open(f"{folder}/app-{name}.bin", "rb") as f:
        code = f.read()
    with tempfile.TemporaryDirectory(prefix="edgeferry-patch-") as work:
        images = Images(repo, work, board, code)
        old, n = images.make(1), 1
        secret = new_secret(f"{work}/node.key")
        with open(old, "rb") as f:
            flash = factory.flash(board, f.read(), [factory.image_key(images.public)], psk=factory.read_psk(secret))
        with open(f"{work}/flash", "wb") as f:
            f.write(flash)
        machine = qemu_board.Board(board, f"{folder}/boot-{name}.elf", f"{work}/flash", f"{work}/serial")
        machine.start()
        try:
            for entry in entries:
                drive = Drive([DRIVE], "sim", f"{work}/serial", secret=secret, board=board, **entry)
                old, n = way(drive, images, old, n, rounds, f"{board}, {'bootloader' if entry else 'application'}")
                drive.close()
            dice = random.Random(3)
            for i in range(rounds):     # 8,000 bytes take about a second
                old, n = cut(machine, images, secret, old, n, dice.uniform(0.2, 2.0), f"{board}, cut {i + 1}")
        finally:
            machine.cut()


parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=0)
parser.add_argument("--application", action="store_true")
parser.add_argument("words", nargs="+")
given = parser.parse_args()
DRIVE, REPO, PLACE, *BOARDS = given.words
for each in BOARDS:
    if not qemu_board.qemu(each):
        print(f"1..0 # SKIP no {qemu_board.EMULATORS[each]}")
        sys.exit(0)
    emulated(PLACE, REPO, each, given.rounds, [{}] if given.application else [{}, {"ENTRY": "smp"}])
if not BOARDS:
    host(PLACE, REPO, given.rounds)
sys.exit(check.end())
