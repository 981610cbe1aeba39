#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway's node operations against edgeferry-node, over a socket and over a bad line, in the clear and in a
session, or against the cross-built boards in QEMU. TAP.

    real-node.py DRIVE NODE
    real-node.py DRIVE FOLDER BOARD…      FOLDER holds boot-BOARD.elf and app*-BOARD.bin
"""

import json
import os
import signal
import socket
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

DRIVE, NODE, *BOARDS = sys.argv[1:]
check = Checks()


class Node:
    """secret: the file of its key; it then answers to sessions only."""

    def __init__(self, work, name, secret=None, line=None):
        self.socket = f"{work}/{name}.sock"
        self.args = [NODE, "--flash", f"{work}/{name}.flash", *(line or ["--socket", self.socket]),
                     "--key", f"{work}/edge.pub.pem", "--image", f"{work}/v1.img"]
        self.secret = secret
        if secret:
            self.args += ["--psk", secret]
        self.process = None

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen(self.args)
        while not os.path.exists(self.socket):
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()


def whole_way(drive, work, board="host"):
    v1, v2 = f"{work}/v1.img", f"{work}/v2.img"
    said = drive("identify")
    check(f"{board} runs version 1", said.startswith(f"ok {board} 1.0.0 trial=0"), said)
    for words in (("stage", v2), ("stage", v2), ("activate", v2, 60, 20), ("self-test", v2, 10)):
        said = drive(*words)
        check(" ".join([words[0], "v2"]), said == "ok", said)
    said = drive("identify")
    check("on trial", said.startswith(f"ok {board} 2.0.0 trial=1 test=1"), said)
    check("floor not yet raised (E-06)", "floor=1" in said or "floor=0" in said, said)
    check("taken back", drive("revert", 20) == "ok")
    said = drive("identify")
    check("version 1 again", said.startswith(f"ok {board} 1.0.0 trial=0"), said)
    check("activate again", drive("activate", v2, 60, 20) == "ok")
    check("self-test", drive("self-test", v2, 10) == "ok")
    check("confirm", drive("confirm", v2) == "ok")
    check("confirm twice", drive("confirm", v2) == "ok")
    said = drive("identify")
    check("floor raised on confirmation (E-06)", "2.0.0 trial=0" in said and "floor=2" in said, said)
    said = drive("stage", v1)
    check("below the floor (S-12)", said.startswith("floor"), said)


def refusals(drive, work):
    for name, reason in (("foreign", "not-compatible"), ("stranger", "image-key"), ("broken", "image-signature"),
                         ("spoiled", "image-digest")):
        said = drive("stage", f"{work}/{name}.img")
        check(f"{name}: {reason}", said.startswith(reason), said)
    said = drive("activate", f"{work}/spoiled.img", 60, 5)
    check("what was refused cannot be tried", said.startswith("not-found"), said)


def trials(drive, work):
    never, fail = f"{work}/never.img", f"{work}/fail.img"
    check("stage", drive("stage", never) == "ok")
    check("activate with a deadline of 2 s (E-05)", drive("activate", never, 2, 20) == "ok")
    said = drive("self-test", never, 15)
    check("goes back by itself", said.startswith("not-confirmed"), said)
    check("stage", drive("stage", fail) == "ok")
    check("activate", drive("activate", fail, 60, 20) == "ok")
    said = drive("self-test", fail, 10)
    check("self-test fails", said.startswith("self-test"), said)
    said = drive("confirm", fail)
    check("and cannot be confirmed", said.startswith("self-test"), said)
    check("taken back", drive("revert", 20) == "ok")


def killed(node, drive, work):
    check("identify", drive("identify").startswith("ok"))
    node.kill()
    said = drive("stage", f"{work}/big.img")
    check("process dead: unreachable (F-17)", said.startswith("node-unreachable"), said)
    node.start()
    check("back: identify", drive("identify").startswith("ok"))
    tty = f"{work}/tty"
    shim = start_shim(node, tty)
    drive.close()  # one client at a time
    line = Drive([DRIVE], "uart", tty, "1000000", node.secret)
    line.begin("stage", f"{work}/big.img")
    time.sleep(0.7)  # of two seconds
    node.kill()
    node.start()
    said = line.end()
    check("dies in the middle of the transfer and comes back (F-15)", said == "ok", said)
    line.close()
    stop(shim)


def raised(work, secret, most, baud, seconds):
    """A tty at each end of the line, which carries at most so much: what rate the upload goes at, and that it goes."""
    ends = f"{work}/gateway", f"{work}/node"
    shim = subprocess.Popen([f"{LAB}/line_shim.py", f"pty:{ends[0]}", f"pty:{ends[1]}", "--stats", "--most", str(most)],
                            stdout=subprocess.PIPE)
    shim.stdout.readline()
    node = Node(work, f"raised{most}", secret, ["--tty", f"{ends[1]},{baud.split(chr(45))[0]}"])
    node.process = subprocess.Popen(node.args)
    drive = Drive([DRIVE], "uart", ends[0], baud, secret)
    what = f"{baud} on a line of {most} baud{' in a session' if secret else ''}"
    try:
        said = drive("identify")
        check(f"{what}: identify at the first rate", said.startswith("ok host 1.0.0"), said)
        began = time.monotonic()
        said = drive("stage", f"{work}/big.img")
        took = time.monotonic() - began
        check(f"{what}: stage", said == "ok", said)
        check(f"{what}: within {seconds} s (F-16)", took < seconds, f"{took:.1f} s")
        said = drive("identify")
        check(f"{what}: at the first rate again", said.startswith("ok host 1.0.0"), said)
        for words in (("activate", f"{work}/big.img", 60, 20), ("self-test", f"{work}/big.img", 10)):
            said = drive(*words)
            check(f"{what}: {words[0]}", said == "ok", said)
    finally:
        drive.close()
        node.kill()
        stop(shim)


def renamed(work, secret):
    """The port goes and comes back as another device; its lasting name points there then (F-17)."""
    nodes, name = [Node(work, "renamed", secret, ["--pty", f"{work}/tty{i}"]) for i in (0, 1)], f"{work}/by-id"
    os.symlink(f"{work}/tty0", name)
    nodes[0].process = subprocess.Popen(nodes[0].args)
    while not os.path.exists(name):
        time.sleep(0.01)
    drive = Drive([DRIVE], "uart", name, "1000000", secret)
    try:
        said = drive("identify")
        check("by its lasting name", said.startswith("ok host 1.0.0"), said)
        nodes[0].kill()
        os.unlink(name)
        said = drive("identify")
        check("port gone: unreachable, with what to do (F-17)",
              said.startswith("node-unreachable") and ("by-id" in said or "hung up" in said), said)
        said = drive("identify")
        check("and still", said.startswith("node-unreachable") and f"{name}: not there" in said, said)
        nodes[1].process = subprocess.Popen(nodes[1].args)
        os.symlink(f"{work}/tty1", name)
        while not os.path.exists(name):
            time.sleep(0.01)
        said = drive("identify")
        check("back as another device: found by its lasting name (F-17)", said.startswith("ok host 1.0.0"), said)
        said = Drive([DRIVE], "uart", f"{work}/tty1", "1000000", secret)("identify")
        check("held: names who holds it (F-21)", said.startswith("busy") and
              f"in use by node-drive (process {drive.process.pid})" in said, said)
    finally:
        drive.close()
        for node in nodes:
            if node.process:
                node.kill()


def networked(work, secret):
    """A node on UDP, in a session: the whole way, and dead and alive again (F-17)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    node = Node(work, "udp", secret, ["--udp", str(port)])
    node.process = subprocess.Popen(node.args)
    drive = Drive([DRIVE], "udp", f"127.0.0.1:{port}", secret=secret)
    try:
        whole_way(drive, work)
        node.kill()
        said = drive("identify")
        check("nobody listens: unreachable (F-17)", said.startswith("node-unreachable"), said)
        node.process = subprocess.Popen(node.args)
        said = drive("identify")
        check("found again (F-17)", said.startswith("ok host 2.0.0"), said)
    finally:
        drive.close()
        node.kill()


def new_secret(path):
    with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(os.urandom(32).hex() + "\n")
    return path


def strangers(node, drive, work):
    """A node with a key, and those who have another or none."""
    drive.close()
    for what, secret, board, reason in (
            ("in the clear", None, "host", "node-key"), ("another key", new_secret(f"{work}/other.key"), "host", "node-key"),
            ("no key there", f"{work}/none.key", "host", "config"), ("another board", node.secret, "lamp", "node-mismatch")):
        stranger = Drive([DRIVE], "sim", node.socket, secret=secret, board=board)
        for words in (("identify",), ("stage", f"{work}/v2.img")):
            said = stranger(*words)
            check(f"{what}: {words[0]}: {reason}", said.startswith(reason), said)
        stranger.close()
    friend = Drive([DRIVE], "sim", node.socket, secret=node.secret)
    said = friend("identify")
    check("and its own gateway", said.startswith("ok host 1.0.0"), said)
    friend.close()


def start_shim(node, tty, *options):
    shim = subprocess.Popen([f"{LAB}/line_shim.py", f"pty:{tty}", f"unix:{node.socket}", *options],
                            stdout=subprocess.PIPE)
    shim.stdout.readline()
    return shim


def stop(process):
    process.terminate()
    process.communicate()


def bad_line(node, work):
    tty = f"{work}/tty"
    shim = start_shim(node, tty, "--flip", "1e-5", "--drop", "1e-5", "--duplicate", "1e-5", "--latency", "2",
                      "--seed", "7")
    drive = Drive([DRIVE], "uart", tty, "1000000", node.secret)
    for words in (("identify",), ("stage", f"{work}/v2.img"), ("activate", f"{work}/v2.img", 60, 30),
                  ("self-test", f"{work}/v2.img", 20), ("confirm", f"{work}/v2.img")):
        said = drive(*words)
        check(f"bad line at 1 Mbaud, seed 7: {words[0]} (F-16)", said.startswith("ok"), said)
    drive.begin("stage", f"{work}/big.img")
    time.sleep(0.3)
    shim.send_signal(signal.SIGUSR1)
    time.sleep(1.5)
    shim.send_signal(signal.SIGUSR2)
    said = drive.end()
    check("cable out and in again in the transfer (F-17)", said == "ok", said)
    drive.close()
    stop(shim)


def lost_last(work, secret):
    """F-16: the last frame of an upload, or its answer, is lost on the line, and costs no time-out of 10 s."""
    last, took = {}, {}
    for way in (None, "forth", "back"):
        node = Node(work, f"lost-{way}", secret)
        node.start()
        lose = [f"--lose-{way}", str(last[way])] if way else []
        shim = start_shim(node, f"{work}/tty", "--stats", *lose)
        drive = Drive([DRIVE], "uart", f"{work}/tty", "1000000", secret)
        began = time.monotonic()
        said = drive("stage", f"{work}/v2.img")
        took[way] = time.monotonic() - began
        check(f"last frame lost {way or 'nowhere'}: stage", said == "ok", said)
        drive.close()
        shim.terminate()
        frames = json.loads(shim.communicate()[0])
        node.kill()
        # identify and image state come behind it
        last.update((w, frames[w]["frames"] - 3) for w in ("forth", "back") if not way)
    for way in ("forth", "back"):
        check(f"last frame lost {way}: a few round trips later (F-16)", took[way] < took[None] + 1.5,
              f"{took[way]:.2f} s, {took[None]:.2f} without")


def qemu(board, work):
    key = f"{work}/edge.pem"
    public = image.new_key(key)
    with open(f"{NODE}/app-{board}.bin", "rb") as f:
        payload = f.read()
    for name, version, counter in (("v1", "1.0.0", 1), ("v2", "2.0.0", 2)):
        with open(f"{work}/{name}.img", "wb") as f:
            f.write(image.make(payload, key, version, counter, class_name=board))
    with open(f"{work}/v1.img", "rb") as f:
        # in the clear where the board has no place for a key
        secret = new_secret(f"{work}/node.key") if "secrets" in factory.MAPS[board] else None
        flash = factory.flash(board, f.read(), [factory.image_key(public)], psk=secret and factory.read_psk(secret))
    with open(f"{work}/flash", "wb") as f:
        f.write(flash)
    machine = qemu_board.Board(board, f"{NODE}/boot-{board}.elf", f"{work}/flash", f"{work}/serial")
    machine.start()
    drive = Drive([DRIVE], "sim", f"{work}/serial", secret=secret, board=board)
    try:
        whole_way(drive, work, board)
    finally:
        drive.close()
        machine.cut()


def make_images(work):
    key, other = f"{work}/edge.pem", f"{work}/other.pem"
    image.new_key(key)
    image.new_key(other)
    payload = os.urandom(50000)
    images = {
        "v1": image.make(b"one" * 999, key, "1.0.0", 1),
        "v2": image.make(payload, key, "2.0.0", 2),
        "big": image.make(os.urandom(200000), key, "4.0.0", 9),
        "foreign": image.make(payload, key, "3.0.0", 9, class_name="lamp"),
        "stranger": image.make(payload, other, "3.0.0", 9),
        "never": image.make(b"behaviour=never-ready\n" + payload, key, "3.0.0", 9),
        "fail": image.make(b"behaviour=fail-test\n" + payload, key, "3.0.1", 9),
    }
    good = image.make(payload, key, "3.0.0", 9)
    images["broken"] = good[:-20] + bytes([good[-20] ^ 1]) + good[-19:]
    images["spoiled"] = good[:30000] + bytes([good[30000] ^ 1]) + good[30001:]
    for name, data in images.items():
        with open(f"{work}/{name}.img", "wb") as f:
            f.write(data)


def boards():
    for board in BOARDS:
        if not qemu_board.qemu(board):
            print(f"1..0 # SKIP no {qemu_board.EMULATORS[board]}")
            return
        with tempfile.TemporaryDirectory(prefix="edgeferry-node-") as work:
            qemu(board, work)


def host():
    with tempfile.TemporaryDirectory(prefix="edgeferry-node-") as work:
        make_images(work)
        secret = new_secret(f"{work}/node.key")
        for scene, key in ((whole_way, None), (refusals, None), (trials, None), (killed, None), (bad_line, None),
                           (whole_way, secret), (killed, secret), (bad_line, secret), (strangers, secret)):
            node = Node(work, scene.__name__ + ("-session" if key else ""), key)
            node.start()
            drive = Drive([DRIVE], "sim", node.socket, secret=key)
            print(f"# {scene.__name__}{' in a session' if key else ''}")
            try:
                if scene is bad_line:
                    drive.close()
                    scene(node, work)
                elif scene in (killed, strangers):
                    scene(node, drive, work)
                else:
                    scene(drive, work)
            finally:
                drive.close()
                node.kill()
        print("# rates")
        # 200 kB: 18 s at 115200, 9 s at 230400, 2 s at 1 Mbaud; a rate that does not carry costs about 4 s
        raised(work, None, 1000000, "115200-1000000", 6)
        raised(work, secret, 600000, "230400-1000000", 11)
        renamed(work, secret)
        lost_last(work, secret)
        print("# on UDP in a session")
        networked(work, secret)


boards() if BOARDS else host()
sys.exit(check.end() if check.count else 0)
