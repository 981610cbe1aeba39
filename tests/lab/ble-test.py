#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Nodes over BLE with BlueZ itself: bluetoothd and virtual controllers in an emulated machine (lab/ble/guest.py), nodes that are
edgeferry-node behind an ATT server. Root's, and long, since the kernel is emulated. TAP.

  ble-test.py BUILD WORK        WORK: a folder for images, kept between runs
"""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "ble")]
from checks import Checks  # noqa: E402
from guest import AT, Guest  # noqa: E402

BUILD, WORK = (os.path.abspath(a) for a in sys.argv[1:])
METER, LAMP = "C0:11:22:33:44:55", "C0:11:22:33:44:66"
check = Checks()


def whole_way(guest, device, what):
    v2 = f"{AT}/v2.img"
    said = guest.drive(device, "identify", f"stage {v2}", f"activate {v2} 60 40", f"self-test {v2} 20", f"confirm {v2}", "identify")
    for command, line in zip(("identify", "stage", "activate", "self-test", "confirm"), said):
        check(f"{what}: {command}", line.startswith("ok"), line)
    check(f"{what}: version 2 stays", len(said) == 6 and said[5].startswith("ok host 2.0.0 trial=0"), said)


def cut(guest):
    """The radio goes, twice within one transfer (F-17)."""
    guest.node("meter", METER, 247)
    guest.run("(for i in 1 2; do sleep 4; kill -USR1 $(cat /tmp/air-meter.pid); done) >/dev/null 2>&1 &")
    said = guest.drive(METER, f"stage {AT}/big.img", "identify")
    check("cut twice in a transfer: goes on", said[0] == "ok", said)
    log = guest.run("cat /tmp/air-meter.log")
    check("and it was", log.count("connected\n") - log.count("disconnected\n") >= 3, log)


def restarts(guest):
    """bluetoothd and the adapter go and come back; what drives the node is not told."""
    said = guest.drive(METER, "identify")
    check("there", said[0].startswith("ok host"), said)
    guest.run("bluetoothctl power off")
    said = guest.drive(METER, "identify")
    check("adapter off", said[0].startswith("node-unreachable") and "bluetoothctl power on" in said[0], said)
    guest.run("bluetoothctl power on; systemctl stop bluetooth")
    said = guest.drive(METER, "identify")
    check("bluetoothd stopped", said[0].startswith("node-unreachable") and "systemctl start bluetooth" in said[0], said)
    guest.run("systemctl start bluetooth; until bluetoothctl show 2>/dev/null | grep -q 'Powered: yes'; do sleep 0.5; done")
    said = guest.drive(METER, "identify")
    check("and back", said[0].startswith("ok host"), said)
    guest.run("(sleep 4; systemctl restart bluetooth) >/dev/null 2>&1 &")
    said = guest.drive(METER, f"stage {AT}/bigger.img", f"stage {AT}/bigger.img")
    check("started anew in a transfer: goes on, or the next try completes it",
          len(said) == 2 and (said[0] == "ok" or said[0].startswith("node-unreachable")) and said[1] == "ok", said)


def away(guest):
    guest.stop("air-meter")
    guest.run("bluetoothctl remove " + METER, check=False)
    began = time.monotonic()
    said = guest.drive(METER, "identify")
    check("not in the air: not seen (F-17)", said[0].startswith("node-unreachable") and "not seen" in said[0], said)
    check("within a minute", time.monotonic() - began < 60, time.monotonic() - began)
    guest.air("meter", METER, 247, "/tmp/meter.sock")
    said = guest.drive(METER, "identify")
    check("in the air again: found", said[0].startswith("ok host"), said)


os.makedirs(WORK, exist_ok=True)
guest = Guest(WORK, BUILD, {"v2": (os.urandom(30000), "2.0.0", 2), "big": (os.urandom(400000), "3.0.0", 3),
                            "bigger": (os.urandom(400000), "4.0.0", 4)})
try:
    guest.on()
    print(f"# {guest.run('bluetoothd --version || /usr/libexec/bluetooth/bluetoothd --version').strip()}", flush=True)
    guest.node("meter", METER, 247)
    whole_way(guest, METER, "by address")
    guest.node("lamp", LAMP, 100)
    whole_way(guest, "name:lamp", "by name, MTU 100")
    guest.stop("air-lamp")
    guest.node("lamp", LAMP, 23)
    said = guest.drive(LAMP, "identify", f"stage {AT}/v2.img")
    check("MTU 23", len(said) == 2 and said[0].startswith("ok") and said[1] == "ok", said)
    guest.stop("air-lamp")
    for scene in (cut, restarts, away):
        print(f"# {scene.__name__}", flush=True)
        scene(guest)
except (AssertionError, OSError):
    if guest.machine.process:
        print(guest.run("tail -n 20 /tmp/*.log; journalctl -u bluetooth --no-pager | tail -n 30", check=False), file=sys.stderr)
    raise
finally:
    guest.close()
sys.exit(check.end())
