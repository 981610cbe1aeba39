#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Who has the adapter when it holds fewer connections than there are nodes: links/bluez.h against tests/lab/ble/fake_bluez.py
(K-11). A turn lasts two seconds here, and so does rest. TAP.

  ble-turns.py BLUEZ-DRIVE NODE
"""
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path[:0] = [LAB, os.path.join(LAB, "ble")]
import bench  # noqa: E402
import image  # noqa: E402
from checks import Checks  # noqa: E402

DRIVE, NODE = sys.argv[1:]
A, B, C, D = (f"C0:00:00:00:00:0{i}" for i in range(1, 5))
check = Checks()


class Drive:
    def __init__(self, scene, connections):
        self.process = subprocess.Popen([DRIVE, scene.address, str(connections)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line.strip()) for line in self.process.stdout], daemon=True).start()

    def __call__(self, *commands):
        for c in commands:
            print(c, file=self.process.stdin, flush=True)

    def next(self, seconds=5):
        """What happens next, "" when nothing does."""
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            return ""

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def order(scene):
    """Held by one, the adapter goes to the others in the order of asking, as soon as it is at rest."""
    drive = Drive(scene, 1)
    drive(f"open {A}")
    check("the first is up", drive.next() == f"up {A}")
    for device in (B, C, D):
        drive(f"open {device}")
        time.sleep(0.3)  # found by now
    drive(f"rest {A}")
    said = [drive.next(), drive.next()]
    check("at rest, it gives way at once", said[0].startswith(f"lost {A}") and "another node's turn" in said[0] and
          said[1] == f"up {B}", said)
    drive(f"close {B}")
    said = drive.next()
    check("closed, the next in order is up", said == f"up {C}", said)
    drive(f"open {A}")
    began = time.monotonic()
    said = [drive.next(), drive.next()]
    check("in use, it gives way when its turn is over; who waits longest is next", said[0].startswith(f"lost {C}") and
          "its turn is over" in said[0] and said[1] == f"up {D}", said)
    check("and not before", time.monotonic() - began > 0.8, f"{time.monotonic() - began:.1f} s")
    said = [drive.next(), drive.next()]
    check("so none starves", said[0].startswith(f"lost {D}") and said[1] == f"up {A}", said)
    check("nobody waits: its turn goes on", drive.next(3) == "")
    drive(f"rest {A}")
    said = drive.next(4)
    check("nobody waits: a connection at rest is kept for a while, then not", said.startswith(f"lost {A}") and
          "at rest" in said, said)
    drive.close()
    check("never more than one was connected", scene.most() == 1, scene.most())


def dead(scene):
    """F-32: those that do not answer keep nobody from the adapter for long."""
    scene.tell("set", A, "mute")
    scene.tell("set", B, "unresolved")
    drive = Drive(scene, 1)
    drive(f"open {A}", f"open {B}", f"open {C}")
    began, said = time.monotonic(), []
    while f"up {C}" not in said and time.monotonic() - began < 10:
        said.append(drive.next())
    took = time.monotonic() - began
    check("behind a mute and an unresolved one", f"up {C}" in said and took < 5, f"{took:.1f} s, {said}")
    scene.tell("set", D, "away")
    scene.tell("forget", D)
    drive(f"open {D}", f"rest {C}")
    check("one that is not there takes no turn", drive.next(1.5) == "")
    drive(f"busy {C}")
    said = drive.next()
    check("it is not seen", said.startswith(f"lost {D}") and "not seen" in said, said)
    drive.close()
    for device in (A, B, D):
        scene.tell("drop", device)
        scene.tell("set", device, "well")


def kept(scene):
    """A node that was cut in its turn comes back to it: it may be on trial."""
    drive = Drive(scene, 1)
    drive(f"open {A}")
    check("up", drive.next() == f"up {A}")
    drive(f"open {B}")
    time.sleep(0.4)
    scene.tell("drop", A)
    # the descriptors are the user's to look at; D-Bus tells as well
    said = drive.next()
    check("cut", said.startswith(f"lost {A}") and "disconnected" in said, said)
    drive(f"open {A}")
    said = drive.next()
    check("it has its turn back", said == f"up {A}", said)
    scene.tell("drop", A)
    said = [drive.next(), drive.next(4)]
    check("it does not come back: the next has it", said[0].startswith(f"lost {A}") and said[1] == f"up {B}", said)
    drive.close()


def several(scene):
    drive = Drive(scene, 3)
    drive(*(f"open {d}" for d in (A, B, C, D)))
    said = sorted(drive.next() for _ in range(3))
    check("three at once", all(s.startswith("up ") for s in said), said)
    drive(f"open {said[0].split()[1]}")
    check("open already", "open already" in drive.next())
    check("of four", scene.most() == 3, scene.most())
    drive("open name:b")
    drive.close()
    scene.stop_bluez()
    scene.devices = {A: "same", B: "same"}
    scene.start_bluez()
    for name in ("same",):
        scene.start_node(name)
    drive = Drive(scene, 3)
    drive("open name:same")
    said = drive.next()
    if said.startswith("up"):  # the one that was seen first
        drive("close name:same")
        time.sleep(0.5)
        drive("open name:same")
        said = drive.next()
    check("two of one name: the address is asked for", said.startswith("lost") and "give the address" in said, said)
    drive(f"open {A}")
    said = drive.next()
    check("and goes", said == f"up {A}", said)
    drive.close()


with tempfile.TemporaryDirectory(prefix="edgeferry-turns-") as folder:
    key = f"{folder}/edge.pem"
    image.new_key(key)
    with open(f"{folder}/v1.img", "wb") as f:
        f.write(image.make(b"one" * 999, key, "1.0.0", 1))
    scene = bench.Bench(folder, NODE, {A: "a", B: "b", C: "c", D: "d"})
    try:
        scene.start_bluez()
        for name in "abcd":
            scene.start_node(name)
        for part in (order, dead, kept, several):
            print(f"# {part.__name__}", flush=True)
            part(scene)
    finally:
        scene.close()
sys.exit(check.end())
