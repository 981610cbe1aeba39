#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that misbehave, each on a pty of its own, until SIGTERM.

    bad_node.py KIND:PATH…

    dead      never says anything
    babbling  sends without end, noise and frames that nobody asked for, 100 kB/s
    lying     identifies itself as a host node, takes every preflight, and says something else of the upload each time
    dying     the same, and falls silent in the midst of the upload
    endless   answers everything with a map that does not end and with frames longer than any buffer
Prints "ready".
"""

import os
import pty
import random
import select
import signal
import sys
import time
import tty

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import factory  # noqa: E402
import smp  # noqa: E402

UNSUPPORTED = 8


def frame(message):
    return smp.cobs_encode(message + smp.crc16(message).to_bytes(2, "big")) + b"\0"


class Node:
    def __init__(self, kind, path):
        self.kind, self.path = kind, path
        self.fd, self.keep = pty.openpty()
        tty.setraw(self.keep)
        os.set_blocking(self.fd, False)
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(os.ttyname(self.keep), path)
        self.rng, self.heard, self.uploads = random.Random(path), b"", 0

    def say(self, data):
        try:
            os.write(self.fd, data)
        except BlockingIOError:
            pass

    def babble(self):
        self.say(self.rng.randbytes(1500))
        self.say(frame(bytes.fromhex("0900000000ef0000") + self.rng.randbytes(300)))
        self.say(b"\0" * 100)

    def hear(self):
        try:
            self.heard += os.read(self.fd, 65536)
        except BlockingIOError:
            return
        *frames, self.heard = self.heard.split(b"\0")
        for f in frames:
            message = smp.cobs_decode(f)[:-2]
            if len(message) >= 8:
                self.answer(message)

    def answer(self, request):
        if self.kind == "dead":
            return
        group, number = int.from_bytes(request[4:6], "big"), request[7]
        body = self.body(group, number, request[8:])
        if body is not None:
            head = bytes([request[0] + 1, 0]) + len(body).to_bytes(2, "big") + request[4:8]
            self.say(frame(head + body))

    def body(self, group, number, request):
        if self.kind == "endless":
            return b"\xbf" + b"\x61a\x00" * 3000
        if (group, number) == (239, 0):
            vendor, class_id = factory.uuids("edgeferry.github.io", "host")
            return smp.cbor({"v": 1, "board": "host", "vid": vendor, "cid": class_id, "id": bytes(16), "boot": "1.0.0",
                             "hwrev": 1, "mode": 1, "buf": 1024, "win": 4, "slot": 512 << 10, "floor": 0, "test": 1,
                             "revert": 0, "attempts": 1, "cause": 1, "bat": 100, "ext": True, "trial": False, "plain": False,
                             "ahead": 8192, "nonce": smp.uncbor(request)[0].get("nonce", b"")})
        if (group, number) == (1, 0):
            return smp.cbor({"images": [{"slot": 0, "version": "0.9.0", "hash": b"\x11" * 32, "bootable": True,
                                         "pending": False, "confirmed": True, "active": True, "permanent": False}]})
        if (group, number) in ((1, 1), (239, 6)):
            self.uploads += 1
            if self.kind == "dying" and self.uploads > 5:
                return None
            return smp.cbor({"off": self.rng.choice((0, 16, 512, 1 << 20, self.rng.randrange(1 << 16)))
                             if self.kind == "lying" else 512})
        if (group, number) == (239, 1):
            return smp.cbor({})
        return smp.cbor({"rc": UNSUPPORTED})


def main():
    nodes = [Node(*arg.split(":", 1)) for arg in sys.argv[1:]]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready", flush=True)
    by_fd = {n.fd: n for n in nodes}
    babble_at = 0.0
    while True:
        for fd in select.select(list(by_fd), [], [], 0.02)[0]:
            by_fd[fd].hear()
        if time.monotonic() >= babble_at:
            babble_at = time.monotonic() + 0.02
            for n in nodes:
                if n.kind == "babbling":
                    n.babble()


if __name__ == "__main__":
    main()
