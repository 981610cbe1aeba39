#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway's node operations against models of SMP servers that are not ours (tests/lab/stock_node.py). TAP.

    stock-node.py DRIVE
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import image  # noqa: E402
from checks import Checks  # noqa: E402

DRIVE = sys.argv[1]
check = Checks()


class Scene:
    def __init__(self, work, kind, framing, *options):
        self.name = f"{kind}, {framing}" + "".join(f" {o}" for o in options)
        self.work, path = work, f"{work}/{len(os.listdir(work))}"
        self.dump = path + ".slot"
        self.node = subprocess.Popen([os.path.join(LAB, "stock_node.py"), kind, framing, path + ".sock",
                                      f"{work}/v1.img", "--dump", self.dump, *options])
        while not os.path.exists(path + ".sock"):
            time.sleep(0.01)
        self.drive = subprocess.Popen([DRIVE, "sim", path + ".sock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True, env={**os.environ, "FRAMING": framing})

    def begin(self, *words):
        print(*words, file=self.drive.stdin, flush=True)

    def __call__(self, *words):
        self.begin(*words)
        return self.drive.stdout.readline().strip()

    def expect(self, said, *words):
        answer = self(*words)
        check(f"{self.name}: {words[0]}: {said}", answer.startswith(said), answer)

    def holds(self, slot, name):
        with open(f"{self.dump}.{slot}", "rb") as a, open(f"{self.work}/{name}.img", "rb") as b:
            check(f"{self.name}: {name} in slot {slot}", a.read() == b.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drive.stdin.close()
        self.drive.wait()
        self.node.kill()
        self.node.wait()


def application(work, framing, *options):
    v2 = f"{work}/v2.img"
    with Scene(work, "zephyr", framing, *options) as s:
        s.expect("ok  1.0.0", "identify")
        s.expect("ok", "stage", v2)
        s.holds(1, "v2")
        s.expect("ok", "activate", v2, 30, 20)
        s.expect("ok", "self-test", v2, 10)
        s.expect("ok", "revert", 20)
        s.holds(0, "v1")
        s.expect("ok", "stage", v2)
        s.expect("ok", "activate", v2, 30, 20)
        s.expect("ok", "confirm", v2)
        s.node.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
        s.expect("ok  2.0.0", "identify")
        s.expect("node-protocol", "stage", f"{work}/large.img")
        s.expect("ok", "stage", f"{work}/v1.img")     # a refusal spoils nothing


def recovery(work, framing, *options):
    v2 = f"{work}/v2.img"
    with Scene(work, "mcuboot", framing, *options) as s:
        s.expect("ok  1.0.0", "identify")
        s.expect("node-protocol", "stage", f"{work}/large.img")
        s.expect("ok", "stage", v2)
        s.holds(0, "v2")
        for words in (("activate", v2, 30, 20), ("self-test", v2, 10), ("confirm", v2)):
            s.expect("ok", *words)
        s.expect("not-found", "revert", 5)
        s.expect("ok", "stage", f"{work}/v1.img")
        s.holds(0, "v1")


def power(work, kind, framing):
    """F-15: the server forgets an upload when its power goes; the gateway begins anew."""
    with Scene(work, kind, framing) as s:
        s.begin("stage", f"{work}/v2.img")
        slot = f"{s.dump}.{1 if kind == 'zephyr' else 0}"
        end = time.monotonic() + 20
        while time.monotonic() < end and not 15000 < os.path.getsize(slot) < 40000:
            time.sleep(0.002)
        s.node.send_signal(signal.SIGUSR1)
        said = s.drive.stdout.readline().strip()
        check(f"{s.name}: stage over a loss of power", said == "ok", said)
        s.holds(1 if kind == "zephyr" else 0, "v2")


def at_work(work, kind, *options):
    """F-16: the last frame of an upload is asked for again, and a server that is at work on it loses that."""
    with Scene(work, kind, "console", *options) as s:
        began = time.monotonic()
        s.expect("ok", "stage", f"{work}/v2.img")
        took = time.monotonic() - began
        check(f"{s.name}: no time-out waited for", took < 6, f"{took:.1f} s")
        s.holds(1 if kind == "zephyr" else 0, "v2")


def main():
    with tempfile.TemporaryDirectory(prefix="edgeferry-stock-") as work:
        key = f"{work}/key.pem"
        image.new_key(key)
        for name, version, size in (("v1", "1.0.0", 20000), ("v2", "2.0.0", 60000), ("large", "3.0.0", 300000)):
            with open(f"{work}/{name}.img", "wb") as f:
                f.write(image.make(os.urandom(size), key, version))
        for framing in ("console", "raw"):
            application(work, framing)
            recovery(work, framing)
        application(work, "console", "--buffer", "384")
        recovery(work, "console", "--no-hash", "--no-params")
        recovery(work, "raw", "--lose", "0.03")
        application(work, "console", "--lose", "0.03", "--seed", "4")
        for kind in ("mcuboot", "zephyr"):
            power(work, kind, "console")
            at_work(work, kind, "--lose-last")
            at_work(work, kind, "--verify", "1.5")
            at_work(work, kind, "--verify", "1", "--lose-last")
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
