#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway's node operations over SPI, and into the bootloader by SMP and by lines, against edgeferry-node with the
lines and the spidev of tests/lab/bus.c under the real libgpiod. TAP.

    bus-node.py DRIVE NODE BUS-RUN BUS.so
"""

import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
import image  # noqa: E402
from checks import Checks  # noqa: E402
from drive import Drive  # noqa: E402

DRIVE, NODE, RUN, BUS = sys.argv[1:]
LINES = {"READY": "board:0", "RESET": "!MCU_RESET", "BOOT": "board:2"}
check = Checks()


class Node:
    def __init__(self, work, name, *line, secret=None):
        self.args = [NODE, "--flash", f"{work}/{name}.flash", *line, "--key", f"{work}/edge.pub.pem", "--image", f"{work}/v1.img",
                     *(["--psk", secret] if secret else [])]
        self.work = work
        self.start()

    def start(self):
        board = f"{self.work}/board"
        if os.path.exists(board):
            os.unlink(board)
        self.said = open(f"{self.work}/said", "w+")
        self.process = subprocess.Popen([*self.args, "-v"], stderr=self.said)
        while not os.path.exists(board):
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def starts(self):
        """What started since the last time: b the bootloader, a the application."""
        with open(self.said.name) as f:
            lines = f.readlines()
        new, self.seen = lines[getattr(self, "seen", 0):], len(lines)
        return "".join("b" if "bootloader starts" in line else "a" for line in new if "starts" in line)


def spi(work, secret):
    where = f"SPI{' in a session' if secret else ''}"
    node = Node(work, f"spi{bool(secret)}", "--spi", f"{work}/board", secret=secret)
    drive = Drive([RUN, BUS, work, DRIVE], "spi", "/dev/spidev0.0", "8000000", secret, **LINES)
    big = f"{work}/big.img"
    try:
        said = drive("identify")
        check(f"{where}: identify", said.startswith("ok host 1.0.0"), said)
        for words in (("stage", big), ("activate", big, 60, 20), ("self-test", big, 10), ("confirm", big)):
            said = drive(*words)
            check(f"{where}: {words[0]}", said == "ok", said)
        second = Drive([RUN, BUS, work, DRIVE], "spi", "/dev/spidev0.0", "8000000", secret, **LINES)
        node.kill()
        said = drive("identify")
        check(f"{where}: node dead: unreachable (F-17)", said.startswith("node-unreachable"), said)
        second.close()
    finally:
        drive.close()
        node.kill()
    node.start()
    drive = Drive([RUN, BUS, work, DRIVE], "spi", "/dev/spidev0.0", "8000000", secret, **LINES)
    said = drive("identify")
    check(f"{where}: found again (F-17)", said.startswith("ok host 2.0.0"), said)
    drive.close()
    node.kill()


def spi_refusals(work):
    for what, device, lines, reason, text in (
            ("no ready line", "/dev/spidev0.0", {}, "config", "no ReadyLine="),
            ("ready line that is none", "/dev/spidev0.0", {"READY": "board:9"}, "config", "line board:9: there is none: gpioinfo"),
            ("no device", "/dev/spidev7.0", LINES, "config", "/dev/spidev7.0: not there: SPI is turned on"),
            ("no spidev", "/dev/null", LINES, "config", "/dev/null: not a spidev"),
            ("the gateway's own flash", "/dev/spidev10.0", LINES, "config", "that this gateway boots from")):
        drive = Drive([RUN, BUS, work, DRIVE], "spi", device, "8000000", **lines)
        said = drive("identify")
        check(f"SPI: {what}", said.startswith(reason) and text in said, said)
        drive.close()


def entry(work, how, secret):
    """The upload goes to the bootloader, the application runs again before and after the trial; refusals leave, too."""
    where = f"Entry={how}{' in a session' if secret else ''}"
    node = Node(work, f"{how}{bool(secret)}", "--socket", f"{work}/serial", "--pins", f"{work}/board", secret=secret)
    drive = Drive([RUN, BUS, work, DRIVE], "sim", f"{work}/serial", secret=secret, ENTRY=how, **LINES)
    v2, foreign = f"{work}/v2.img", f"{work}/foreign.img"
    try:
        drive("identify")
        node.starts()
        said = drive("stage", foreign)
        check(f"{where}: refused in the bootloader", said.startswith("not-compatible"), said)
        time.sleep(1)
        said = drive("identify")
        check(f"{where}: and the application runs again", said.startswith("ok host 1.0.0"), said)
        said = node.starts()
        check(f"{where}: stayed in the bootloader once, then started", said == "bba", said)
        said = drive("stage", v2)
        check(f"{where}: stage", said == "ok", said)
        said = node.starts()
        check(f"{where}: once more", said == "bba", said)
        said = drive("identify")
        check(f"{where}: the application runs until it is activated", said.startswith("ok host 1.0.0"), said)
        for words in (("activate", v2, 60, 20), ("self-test", v2, 10), ("confirm", v2)):
            said = drive(*words)
            check(f"{where}: {words[0]}", said == "ok", said)
    finally:
        drive.close()
        node.kill()


def hung(work):
    """An application that does not answer is reached through its bootloader by the lines, and only so."""
    hang = f"{work}/hang.img"
    line = ("--socket", f"{work}/serial", "--pins", f"{work}/board")
    node = Node(work, "hung", *line)
    # held in reset: nothing answers until the lines are used
    holder = Drive([RUN, BUS, work, DRIVE], "sim", f"{work}/serial", ENTRY="lines", **{**LINES, "RESET": "MCU_RESET"})
    said = holder("stage", hang)   # the wrong polarity leaves it in reset at the end
    check("wrong polarity of reset: unreachable, and says where to look",
          said.startswith("node-unreachable") and "are Entry= and its lines right?" in said, said)
    holder.close()
    plain = Drive([RUN, BUS, work, DRIVE], "sim", f"{work}/serial")
    said = plain("identify")
    check("without lines it stays unreachable", said.startswith("node-unreachable"), said)
    plain.close()
    drive = Drive([RUN, BUS, work, DRIVE], "sim", f"{work}/serial", ENTRY="lines", **LINES)
    said = drive("stage", f"{work}/v2.img")
    check("with them it is staged", said == "ok", said)
    said = drive("identify")
    check("and stays in its bootloader, where it answers", said.startswith("ok bootloader host"), said)
    said = drive("activate", f"{work}/v2.img", 60, 20)
    check("and activated", said == "ok", said)
    drive.close()
    node.kill()


def main():
    with tempfile.TemporaryDirectory(prefix="edgeferry-bus-") as work:
        key = f"{work}/edge.pem"
        image.new_key(key)
        for name, payload, version, counter, o in (
                ("v1", b"one" * 999, "1.0.0", 1, {}), ("v2", os.urandom(30000), "2.0.0", 2, {}),
                ("big", os.urandom(200000), "2.0.0", 2, {}), ("foreign", os.urandom(900), "2.0.0", 2, {"class_name": "lamp"}),
                ("hang", os.urandom(900), "1.5.0", 1, {})):
            with open(f"{work}/{name}.img", "wb") as f:
                f.write(image.make(payload, key, version, counter, **o))
        with open(f"{work}/gpiochip0", "w") as f:
            f.write("board\nMCU_READY\nMCU_RESET\nMCU_BOOT\n")
        secret = f"{work}/node.key"
        with open(secret, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32).hex() + "\n")
        if subprocess.run([RUN, BUS, work, "true"]).returncode == 77:
            print("1..0 # SKIP no mount namespaces here")
            return
        for scene in (lambda: spi(work, None), lambda: spi(work, secret), lambda: spi_refusals(work),
                      lambda: entry(work, "smp", None), lambda: entry(work, "smp", secret), lambda: entry(work, "lines", None),
                      lambda: entry(work, "lines", secret), lambda: hung(work)):
            scene()
    return check.end()


sys.exit(main())
