#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of SPI's clock is payload: node_stage to edgeferry-node through the link, libgpiod and the emulated spidev of
tests/lab/bus.c, which takes the time of the clock for every exchange. Of two images, so that what does not grow with the size
(identify, preflight) is not in it. In the clear and in a session.

    spi.py BUILD
"""
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
import image  # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
SIZES = 64 << 10, 448 << 10
LEAST = 0.90   # of the clock, wanted


def stage(work, clock, size, secret):
    name = f"{work}/{clock}-{size}-{bool(secret)}"
    board = f"{work}/board"
    node = subprocess.Popen([f"{BUILD}/edge-fw/port/host/edgeferry-node", "--flash", f"{name}.flash", "--spi", board, "--slot-size",
                             str(512 << 10), "--key", f"{work}/edge.pub.pem", "--image", f"{work}/old.img",
                             *(["--psk", secret] if secret else [])])
    while not os.path.exists(board):
        time.sleep(0.01)
    drive = subprocess.Popen([f"{BUILD}/tests/unit/links/bus-run", f"{BUILD}/tests/unit/links/libbus.so", work,
                              f"{BUILD}/tests/unit/dfu/node-drive", "spi", "/dev/spidev0.0", str(clock),
                              *([secret, "edgeferry.github.io,host"] if secret else [])],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "READY": "board:0"})
    try:
        for words in ("identify", f"stage {work}/{size}.img"):
            began = time.monotonic()
            print(words, file=drive.stdin, flush=True)
            said = drive.stdout.readline()
            if not said.startswith("ok"):
                sys.exit(f"spi.py: {words}: {said}")
        return time.monotonic() - began
    finally:
        drive.stdin.close()
        drive.wait()
        node.terminate()
        node.wait()
        if os.path.exists(board):
            os.unlink(board)


def main():
    with tempfile.TemporaryDirectory(prefix="edgeferry-spi-") as work:
        key = f"{work}/edge.pem"
        image.new_key(key)
        for name, version, payload in (("old", "1.0.0", b"old" * 1000), *((str(s), "2.0.0", os.urandom(s)) for s in SIZES)):
            with open(f"{work}/{name}.img", "wb") as f:
                f.write(image.make(payload, key, version))
        with open(f"{work}/gpiochip0", "w") as f:
            f.write("board\nREADY\nRESET\nBOOT\n")
        secret = f"{work}/node.key"
        with open(secret, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32).hex() + "\n")
        for clock in (1000000, 4000000):
            for what, k in (("in the clear", None), ("in a session", secret)):
                took = [stage(work, clock, s, k) for s in SIZES]
                rate = (SIZES[1] - SIZES[0]) * 8 / (took[1] - took[0])
                print(f"SPI at {clock / 1e6:g} MHz, {what}: payload {rate / 8000:.0f} kB/s, {rate / clock:.1%} of the clock; "
                      f"at least {LEAST:.0%}: {'holds' if rate / clock >= LEAST else 'MISSED'}")


main()
