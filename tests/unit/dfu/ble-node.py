#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The gateway's node operations over BLE: BlueZ is tests/lab/ble/fake_bluez.py on a bus of its own (K-11), the node is
edgeferry-node. TAP.

  ble-node.py DRIVE NODE
"""
import os
import sys
import tempfile
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path[:0] = [LAB, os.path.join(LAB, "ble")]
import bench  # noqa: E402
import image  # noqa: E402
from checks import Checks  # noqa: E402
from drive import Drive  # noqa: E402

DRIVE, NODE = sys.argv[1:]
METER, LAMP = "C0:11:22:33:44:55", "C0:11:22:33:44:66"
check = Checks()


class Scene(bench.Bench):
    def drive(self, device, secret=True, **environment):
        return Drive([DRIVE], "ble", device, secret=self.secret if secret else None, BUS=self.address, QUICK="1",
                     **environment)


def whole_way(scene, device, what):
    """Identify, preflight, upload, reset, self-test, confirmation, each asked of the node."""
    v2, drive = f"{scene.work}/v2.img", scene.drive(device)
    try:
        said = drive("identify")
        check(f"{what}: identify", said.startswith("ok host 1.0.0 trial=0"), said)
        for words in (("stage", v2), ("activate", v2, 60, 20), ("self-test", v2, 10), ("confirm", v2)):
            said = drive(*words)
            check(f"{what}: {words[0]}", said == "ok", said)
        said = drive("identify")
        check(f"{what}: version 2 stays", said.startswith("ok host 2.0.0 trial=0"), said)
        said = drive("stage", f"{scene.work}/spoiled.img")
        check(f"{what}: a spoiled image is refused", said.startswith("image-digest"), said)
    finally:
        drive.close()


def ways(scene):
    scene.new_node("meter")
    whole_way(scene, METER, "by address")
    scene.new_node("meter")
    whole_way(scene, "name:meter", "by name")
    scene.tell("set", METER, "calls")
    scene.new_node("meter")
    whole_way(scene, METER, "by calls, no descriptors")
    scene.tell("set", METER, "well")
    drive = scene.drive(METER, secret=False)
    said = drive("identify")
    check("in the clear: the node wants its session (E-13)", said.startswith("node-key"), said)
    drive.close()


def hostile(scene):
    """F-32, L-28: bounded in time, with a reason, and the next good try works."""
    drive = scene.drive(METER)
    for fault, reason, says, seconds in (
            ("bare", "node-protocol", "no SMP service", 5),
            ("taken", "busy", "in use by another program", 5),
            ("unresolved", "node-unreachable", "services do not become known", 5),
            ("mute", "node-unreachable", "does not answer when it is connected to", 5)):
        scene.tell("set", METER, fault)
        began = time.monotonic()
        said = drive("identify")
        took = time.monotonic() - began
        check(f"{fault}: {reason}", said.startswith(reason) and says in said, said)
        check(f"{fault}: within {seconds} s", took < seconds, f"{took:.1f} s")
    scene.tell("set", METER, "refuse", 2)
    said = drive("identify")
    check("refused twice, then taken", said.startswith("ok host"), said)
    drive.close()
    drive = scene.drive(METER)
    scene.tell("drop", METER)
    scene.tell("set", METER, "flood")
    said = drive("identify")
    check("overlong and torn values between the answers are dropped", said.startswith("ok host"), said)
    scene.tell("set", METER, "well")
    drive.close()


def cut(scene):
    """F-15, F-17: the connection goes at every stage of a transfer, and what was sent stays."""
    scene.new_node("meter")
    drive = scene.drive(METER)
    said = drive("identify")
    check("identify", said.startswith("ok host 1.0.0"), said)
    scene.tell("set", METER, "slow", 500)
    for what, command in (("cut", "drop"), ("its service vanishes and comes back", "vanish")):
        before = scene.opened(METER)
        drive.begin("stage", f"{scene.work}/{command}.img")
        for _ in range(2):
            time.sleep(0.7)
            scene.tell(command, METER)
        said = drive.end()
        check(f"{what}, twice in the transfer: goes on (F-15, F-17)", said == "ok", said)
        check("and it was in the transfer", scene.opened(METER) > before, f"{before}, {scene.opened(METER)}")
    scene.tell("set", METER, "lose", 5)
    said = drive("stage", f"{scene.work}/big.img")
    check("every fifth notification lost: one is asked again (K-11)", said == "ok", said)
    scene.tell("set", METER, "well")
    drive.close()


def away(scene):
    """What is missing is said, and it comes back by itself."""
    drive = scene.drive(METER)
    said = drive("identify")
    check("there", said.startswith("ok host"), said)
    scene.tell("set", METER, "away")
    scene.tell("drop", METER)
    said = drive("identify")
    check("gone, but BlueZ still knows it: unreachable (F-17)",
          said.startswith("node-unreachable") and "does not answer when it is connected to" in said, said)
    drive.begin("identify")
    time.sleep(0.5)
    scene.tell("set", METER, "well")
    said = drive.end()
    check("back while it is connected to: found (F-17)", said.startswith("ok host"), said)
    scene.tell("set", METER, "away")
    scene.tell("drop", METER)
    drive("identify")
    scene.tell("set", METER, "well")
    said = drive("identify")
    check("back after that was given up: found (F-17)", said.startswith("ok host"), said)
    scene.tell("power", "off")
    drive("identify")  # hears of it
    said = drive("identify")
    check("adapter off", said.startswith("node-unreachable") and "hci0 is off: bluetoothctl power on" in said, said)
    scene.tell("power", "on")
    said = drive("identify")
    check("adapter on again: back", said.startswith("ok host"), said)
    scene.stop_bluez()
    drive("identify")  # hears of it
    said = drive("identify")
    check("bluetoothd ended", said.startswith("node-unreachable") and "systemctl start bluetooth" in said, said)
    scene.start_bluez()
    said = drive("identify")
    check("started anew: back", said.startswith("ok host"), said)
    scene.tell("set", METER, "slow", 500)
    drive.begin("stage", f"{scene.work}/big.img")
    time.sleep(0.5)
    scene.stop_bluez()
    scene.start_bluez()
    said = drive.end()
    check("started anew within a transfer: goes on, or says why",
          said == "ok" or said.startswith("node-unreachable"), said)
    said = drive("stage", f"{scene.work}/big.img")
    check("and the next try completes it", said == "ok", said)
    drive.close()
    for adapter, says in (("hci7", "no Bluetooth adapter hci7"), ("00:00:00:00:00:00", "no Bluetooth adapter")):
        drive = scene.drive(METER, ADAPTER=adapter)
        said = drive("identify")
        check(f"no adapter {adapter}", said.startswith("node-unreachable") and says in said, said)
        drive.close()
    drive = scene.drive(METER, ADAPTER="dc:a6:32:01:02:03")
    said = drive("identify")
    check("the adapter by its address", said.startswith("ok host"), said)
    scene.stop_node("meter")
    scene.tell("forget", METER)
    scene.tell("set", METER, "away")
    said = drive("identify")
    check("node off: not seen (F-17)", said.startswith("node-unreachable") and "not seen" in said, said)
    scene.start_node("meter")
    scene.tell("set", METER, "well")
    said = drive("identify")
    check("on again: found (F-17)", said.startswith("ok host"), said)
    drive.close()


def small(scene):
    """The smallest MTU there is: 20 bytes a value."""
    scene.stop_bluez()
    scene.start_bluez(mtu=23)
    scene.new_node("meter", mtu=23)
    whole_way(scene, METER, "MTU 23")


def large(scene):
    """The largest one: what is sent fills packets of the link layer."""
    scene.stop_bluez()
    scene.start_bluez(mtu=517)
    scene.new_node("meter", mtu=517)
    whole_way(scene, METER, "MTU 517")
    said = scene.tell("longest", METER)
    check("values of 495 bytes, two packets", said == "495", said)


def images(work):
    key = f"{work}/edge.pem"
    image.new_key(key)
    payload = os.urandom(50000)
    good = image.make(payload, key, "3.0.0", 9)
    for name, data in {"v1": image.make(b"one" * 999, key, "1.0.0", 1), "v2": image.make(payload, key, "2.0.0", 2),
                       "big": image.make(os.urandom(200000), key, "4.0.0", 9), "drop": image.make(os.urandom(300000), key, "5.0.0", 9),
                       "vanish": image.make(os.urandom(300000), key, "6.0.0", 9),
                       "spoiled": good[:30000] + bytes([good[30000] ^ 1]) + good[30001:]}.items():
        with open(f"{work}/{name}.img", "wb") as f:
            f.write(data)


with tempfile.TemporaryDirectory(prefix="edgeferry-ble-") as folder:
    images(folder)
    scene = Scene(folder, NODE, {METER: "meter", LAMP: "lamp"})
    try:
        scene.start_bluez()
        for part in (ways, hostile, cut, away, small, large):
            print(f"# {part.__name__}", flush=True)
            part(scene)
    finally:
        scene.close()
sys.exit(check.end())
