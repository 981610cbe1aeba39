#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A half-duplex line with many ends, as RS-485 is: each hears all others, and who speaks at the same time as another
spoils what both say.

    bus_shim.py END END… [--baud N] [--flip P] [--drop P] [--echo] [--seed N] [--stats FILE]

An end is pty:PATH or unix:PATH, as for line_shim.py. --flip is the chance of each bit, --drop of each byte, drawn for
each end that hears it: one node misses what another gets. --echo: an end hears itself, too. Prints "ready"; SIGTERM
ends it and writes the figures to FILE. Nothing senses whether the line is free: that is up to whoever speaks.
"""

import argparse
import collections
import errno
import json
import os
import random
import select
import signal
import sys
import time

from line_shim import AHEAD, BITS, SLICE, End, Faults

BACKLOG = 65536     # bytes that wait for a slow reader before they are lost


class Piece:
    """Bytes on the line, from when to when, and whose."""

    def __init__(self, source, start, end, data):
        self.source, self.start, self.end, self.data, self.spoilt = source, start, end, data, False


class Drop:
    """One end: what it says, and what it has yet to be told."""

    def __init__(self, options, number, spec):
        self.end = End(spec)
        self.rng = random.Random(f"{options.seed} {number}")
        self.flips, self.drops = Faults(options.flip, self.rng), Faults(options.drop, self.rng)
        self.free_at = 0.0          # when all that was taken from it is said
        self.waiting = bytearray()

    def hear(self, piece):
        data = bytearray(piece.data if not piece.spoilt else self.rng.randbytes(len(piece.data)))
        for bit in self.flips.within(len(data) * 8):
            data[bit >> 3] ^= 1 << (bit & 7)
        for at in reversed(list(self.drops.within(len(data)))):
            del data[at]
        self.waiting += data

    def give(self):
        if not self.waiting:
            return
        if self.end.fd is None:
            self.waiting.clear()
            return
        try:
            del self.waiting[:os.write(self.end.fd, self.waiting)]
        except BlockingIOError:
            del self.waiting[:max(0, len(self.waiting) - BACKLOG)]
        except OSError:
            self.end.lost()
            self.waiting.clear()


class Bus:
    def __init__(self, options):
        self.options, self.rate = options, options.baud / BITS
        self.drops = [Drop(options, i, spec) for i, spec in enumerate(options.ends)]
        self.line = collections.deque()     # pieces, by when they begin
        self.carried = self.spoilt = 0
        self.stop = False
        self.looked = -1.0

    def take(self, d, now):
        room = int((AHEAD - max(d.free_at - now, 0.0)) * self.rate)
        if room < 1:
            return
        try:
            data = os.read(d.end.fd, room)
        except BlockingIOError:
            return
        except OSError as e:
            if e.errno != errno.EIO:
                d.end.lost()
            return
        if not data:
            d.end.lost()
            return
        start, step = max(d.free_at, now), max(1, int(SLICE * self.rate))
        for at in range(0, len(data), step):
            piece = data[at:at + step]
            self.put(Piece(d, start, start + len(piece) / self.rate, piece))
            start += len(piece) / self.rate
        d.free_at = start

    def put(self, piece):
        for other in self.line:
            if other.source is not piece.source and other.start < piece.end and piece.start < other.end:
                self.spoilt += not other.spoilt
                other.spoilt = piece.spoilt = True
        self.spoilt += piece.spoilt
        self.carried += len(piece.data)
        at = len(self.line)
        while at and self.line[at - 1].end > piece.end:
            at -= 1
        self.line.insert(at, piece)

    def deliver(self, now):
        while self.line and self.line[0].end <= now:
            piece = self.line.popleft()
            for d in self.drops:
                if d is not piece.source or self.options.echo:
                    d.hear(piece)
        for d in self.drops:
            d.give()

    def run(self):
        while not self.stop:
            now = time.monotonic()
            if now - self.looked > 0.2:
                self.looked = now
                for d in self.drops:
                    if d.end.kind == "unix" and d.end.fd is None:
                        d.end.connect()
            self.deliver(now)
            # who is far ahead of the line is not listened to: its driver's buffer fills
            open_to = {d.end.fd: d for d in self.drops if d.end.fd is not None and d.free_at - now < AHEAD / 2}
            poll = select.poll()
            for fd in open_to:
                poll.register(fd, select.POLLIN)
            for fd, _ in poll.poll(2 if self.line or len(open_to) < len(self.drops) else 50):
                self.take(open_to[fd], time.monotonic())

    def figures(self):
        return {"bytes": self.carried, "spoilt": self.spoilt}

    def close(self):
        for d in self.drops:
            d.end.close()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("ends", nargs="+")
    p.add_argument("--baud", type=int, default=115200)
    p.add_argument("--flip", type=float, default=0.0)
    p.add_argument("--drop", type=float, default=0.0)
    p.add_argument("--echo", action="store_true")
    p.add_argument("--seed", default="1")
    p.add_argument("--stats")
    options = p.parse_args()
    bus = Bus(options)
    signal.signal(signal.SIGTERM, lambda *_: setattr(bus, "stop", True))
    print("ready", flush=True)
    try:
        bus.run()
    finally:
        bus.close()
    if options.stats:
        with open(options.stats, "w") as f:
            json.dump(bus.figures(), f)


if __name__ == "__main__":
    sys.exit(main())
