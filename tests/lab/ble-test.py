#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Nodes over BLE with BlueZ itself: bluetoothd and virtual controllers in an emulated machine (lab/ble/guest.py), nodes that are
edgeferry-node behind an ATT server. Root's, and long, since the kernel is emulated. TAP.

  ble-test.py BUILD WORK        WORK: a folder for images, kept between runs
"""
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "ble")]
from checks import Checks  # noqa: E402
from farm import Farm  # noqa: E402
from guest import AT, Guest  # noqa: E402

BUILD, WORK = (os.path.abspath(a) for a in sys.argv[1:])
METER, LAMP, BEAD = "C0:11:22:33:44:55", "C0:11:22:33:44:66", "C0:11:22:33:44:88"
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
    guest.run("systemctl start bluetooth")
    guest.powered()
    said = guest.drive(METER, "identify")
    check("and back", said[0].startswith("ok host"), said)


def away(guest):
    guest.stop("air-meter")
    began = time.monotonic()
    said = guest.drive(METER, "identify")
    check("not in the air: unreachable (F-17)", said[0].startswith("node-unreachable"), said)
    check("within a minute", time.monotonic() - began < 60, time.monotonic() - began)
    guest.air("meter", METER, 247, "/tmp/meter.sock")
    said = guest.drive(METER, "identify")
    check("in the air again: found", said[0].startswith("ok host"), said)
    guest.stop("air-meter")
    guest.air("meter", METER, 247, "/tmp/meter.sock", after_s=8)
    said = guest.drive(METER, "identify")
    check("in the air again while it is connected to: found", said[0].startswith("ok host"), said)


CONFIGURATION = """mkdir -p /etc/edgeferry/nodes.d /tmp/ef/libexec; cp {at}/root.json /etc/edgeferry/
cp {at}/io.github.edgeferry1.conf /usr/share/dbus-1/system.d/; busctl call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig
printf '[Gateway]\nProduct=demo\nCompatible=edgeferry.github.io,sim-gateway\nId=guest\nStateDirectory=/tmp/ef/state\n' \
  > /etc/edgeferry/edgeferry.conf
printf 'RuntimeDirectory=/tmp/ef/run\n[Update]\nAutomatic=no\n' >> /etc/edgeferry/edgeferry.conf
printf '[Node]\nCompatible=edgeferry.github.io,host\nLink=ble\nDevice={device}\nKey=/tmp/node.key\n' \
  > /etc/edgeferry/nodes.d/meter.conf; mkdir -p /tmp/ef/state /tmp/ef/run"""


def deployment(guest):
    """By edgeferryd: found, updated, confirmed."""
    guest.node("meter", METER, 247, image="1.0.0.img", public="edge.repo.pem")
    guest.run(CONFIGURATION.format(at=AT, device=METER))
    guest.background("edgeferryd", f"{AT}/edgeferryd --config=/etc/edgeferry")
    said = guest.run(f"i=0; until {AT}/edgeferry nodes --json=short 2>&1 | grep '\"present\":true'; do i=$((i + 1)); "
                     f"[ $i -lt 120 ] || exit 0; sleep 1; done", timeout=300)
    check("edgeferryd finds the node", '"running":"1.0.0"' in said, said or guest.run("cat /tmp/edgeferryd.log"))
    said = guest.run(f"{AT}/edgeferry install {AT}/2.0.0.ferry 2>&1; echo code $?", timeout=600)
    check("a release is installed and confirmed", said.rstrip().endswith("code 0"), said)
    said = guest.run(f"{AT}/edgeferry nodes --json=short")
    check("and runs", '"running":"2.0.0"' in said, said)
    guest.run("kill $(cat /tmp/edgeferryd.pid); sleep 2", check=False)


def release(work):
    """What a publisher makes: files for the guest."""
    with Farm(BUILD) as f:
        f.release("2.0.0", os.urandom(30000))
        shutil.copy(f.bundle("2.0.0"), work)
        shutil.copy(f"{f.dir}/1.0.0.img", work)
        shutil.copy(f.edge, f"{work}/edge.repo.pem")
        with open(f"{work}/root.json", "w") as out:
            out.write(f.root)
    return [f"{work}/{n}" for n in ("2.0.0.ferry", "1.0.0.img", "edge.repo.pem", "root.json")] + [
        f"{BUILD}/src/daemon/edgeferryd", f"{BUILD}/src/cli/edgeferry",
        os.path.join(HERE, "..", "..", "systemd", "io.github.edgeferry1.conf")]


os.makedirs(WORK, exist_ok=True)
guest = Guest(WORK, BUILD, {"v2": (os.urandom(30000), "2.0.0", 2), "big": (os.urandom(900000), "3.0.0", 3)}, release(WORK))
try:
    guest.on()
    print(f"# {guest.run('bluetoothd --version || /usr/libexec/bluetooth/bluetoothd --version').strip()}", flush=True)
    guest.node("meter", METER, 247)
    whole_way(guest, METER, "by address")
    guest.node("lamp", LAMP, 100)
    said = guest.drive("name:lamp", "identify", f"stage {AT}/v2.img")
    check("by name, MTU 100", len(said) == 2 and said[0].startswith("ok") and said[1] == "ok", said)
    guest.stop("air-lamp")
    guest.node("bead", BEAD, 23)  # the least there is: values of 20 bytes
    said = guest.drive(BEAD, "identify", f"stage {AT}/v2.img")
    check("MTU 23", len(said) == 2 and said[0].startswith("ok") and said[1] == "ok", said)
    guest.stop("air-bead")
    for scene in (cut, restarts, away, deployment):
        print(f"# {scene.__name__}", flush=True)
        scene(guest)
except (AssertionError, OSError):
    if guest.machine.process:
        print(guest.run("tail -n 20 /tmp/*.log; journalctl -u bluetooth --no-pager | tail -n 30", check=False), file=sys.stderr)
    raise
finally:
    guest.close()
sys.exit(check.end())
