#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who is on the wires without a file: asked by the real edgeferryd, on a shared line that a deployment is using, on a
serial port, of a stock server, and in the air. TAP.

    test-discover.py BUILD
"""

import ctypes
import json
import os
import subprocess
import sys
import threading

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
from checks import Checks  # noqa: E402
from farm import COMPATIBLE, Farm, wait  # noqa: E402

BUILD = sys.argv[1]
METER = "C0:11:22:33:44:55"
check = Checks()


def discover(g, *args):
    """Exit code and document."""
    done = g.cli("nodes", "discover", *args, "--json=short", check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def file_of(g, found, key=None):
    """The file that it suggests, with a key that there is."""
    text = "".join(f"Key={key}\n" if line.startswith("Key=") else line + "\n" for line in found["file"].splitlines())
    with open(f"{g.dir}/etc/nodes.d/{found['name']}.conf", "w") as f:
        f.write(text)


def shared_line(f):
    """Two of three on a line have no file; they get the one that is suggested."""
    (line,) = f.shared({"a": 1, "b": 20, "c": 247}, session=True, baud=460800)
    g = f.gateway("gw-line")
    g.configure("a", line, 1, f.key, baud=460800)
    g.start()
    g.present(1)
    for _ in range(3):      # an answer that comes late, on a busy machine, is none
        code, said = discover(g)
        found = {n["address"]: n for n in said["found"]}
        if len(found) == 2:
            break
    check("both are found, by their addresses", code == 0 and set(found) == {20, 247}, said)
    check("with what they are", all(n["compatible"] == COMPATIBLE and n["board"] == "host" and n["hardware"] == 1 and
                                    n["session"] and n["bootloader"] is False for n in found.values()), said)
    check("none was skipped", said["skipped"] == [] and said["wires"] == 1, said)
    for n in found.values():
        file_of(g, n, f.key)
    g.stop()
    g.start()
    g.present(3)
    check("and are nodes by the files that were suggested", set(g.running().values()) == {"1.0.0"}, g.running())
    g.install("2.0.0", wait_for=False)
    wait(lambda: (lambda d: d and [c for c in d["components"] if c["phase"] == "uploading"])(g.deployment("2.0.0")), 30,
         "the upload")
    code, said = discover(g)
    check("a line at work is left alone, and that is said", code == 2 and [s["reason"] for s in said["skipped"]] == ["busy"] and
          "deployment" in said["skipped"][0]["detail"], said)
    d = wait(lambda: (lambda d: d["ended"] and d)(g.deployment("2.0.0")), 120, "its end")
    check("whose deployment goes on", d["state"] == "confirmed", f"{d['state']} {d['detail']}")
    g.stop()


def opened_once(g):
    """A port that is opened resets many a board."""
    ours, theirs = os.openpty()
    path, libc = os.ttyname(theirs), ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(watch, path.encode(), 0x20)     # IN_OPEN
    code, said = discover(g, path)
    opens = len(os.read(watch, 4096)) // 16
    heard = os.read(ours, 4096)
    check("nobody at a serial port: says so", code == 2 and said["skipped"][0]["reason"] == "node-unreachable", said)
    check("which was asked in three framings", all(w in heard for w in (b"\0\x02\x08", b"\x06\x09", b"\x08\0\0\x19")), heard)
    check("and opened once", opens == 1, opens)
    for fd in (ours, theirs, watch):
        os.close(fd)


def alone(f):
    """A serial port, a stock server's socket, the air; and what cannot be asked."""
    port = f.node("port", session=True)
    stock = f"{f.dir}/stock.sock"
    f.spawn(sys.executable, f"{LAB}/stock_node.py", "mcuboot", "console", stock, f"{f.dir}/1.0.0.img")
    g = f.gateway("gw-alone")
    g.configure("has-a-file", f"{f.dir}/nobody.line", 0, f.key)
    g.start()
    code, said = discover(g)
    check("no line is shared: says so", code == 3 and "name a device" in said, said)
    code, said = discover(g, port)
    check("a node at a serial port", code == 0 and said["found"][0]["board"] == "host" and said["found"][0]["session"] and
          f"Device={port}\nBaudRate=115200\n" in said["found"][0]["file"], said)
    text = g.cli("nodes", "discover", port).stdout
    check("as a table with its file", "in a session" in text and "[Node]" in text and "/etc/edgeferry/nodes.d/host-" in text, text)
    code, said = discover(g, f"sim:{stock}")
    n = said["found"][0] if code == 0 else {}
    check("a stock server, in its own framing", n.get("framing") == "console" and n["running"] == "1.0.0" and
          "Framing=console\nSecurity=none\n" in n["file"], said)
    for device, code_wanted, word in ((f"{f.dir}/nobody.line", 2, "node has-a-file has it"), (f"{f.dir}/nothing", 2, "not there"),
                                      ("udp:192.0.2.1", 64, "cannot be asked"), ("uart:tty", 64, "not the path"),
                                      (f"{port},7", 64, "rate")):
        code, said = discover(g, device)
        check(f"{device.rsplit('/', 1)[-1]}: {word}", code == code_wanted and word in str(said), f"{code} {said}")
    opened_once(g)
    air(f, g)
    g.stop()


def tell(bluez, *words):
    print(*words, file=bluez.stdin, flush=True)
    return bluez.stdout.readline()


def air(f, g):
    f.node("meter", "ble", True)
    bluez = subprocess.Popen([f"{LAB}/ble/fake_bluez.py", f"unix:path={g.dir}/bus", f"{METER}={f.dir}/meter.line=meter"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        bluez.stdout.readline()
        code, said = discover(g, "ble:")
        n = said["found"][0] if code == 0 else {}
        check("in the air", n.get("device") == METER and n["compatible"] == COMPATIBLE and n["name"].startswith("host-") and
              f"Link=ble\nDevice={METER}\n" in n["file"], said)
        for command, back, word in ((("plug", "out"), ("plug", "in"), "adapter is gone"),
                                    (("power", "off"), ("power", "on"), "turned off")):
            threading.Timer(1.5, tell, (bluez, *command)).start()
            code, said = discover(g, "ble:")
            check(f"while it looks the {word}", code == 2 and word in said["skipped"][0]["detail"], said)
            tell(bluez, *back)
        code, said = discover(g, "ble:")
        check("and back: in the air", code == 0 and said["found"][0]["device"] == METER, said)
    finally:
        bluez.kill()
        bluez.communicate()


def main():
    with Farm(BUILD) as f:
        f.release("2.0.0", os.urandom(60000))
        f.bundle("2.0.0")
        other = threading.Thread(target=alone, args=(f,))
        other.start()
        shared_line(f)
        other.join()
    return check.end()


sys.exit(main())
