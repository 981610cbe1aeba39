#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A serial cable between two ends, paced like the real one, with faults on request.

    line_shim.py A B [--baud N] [--flip P] [--drop P] [--duplicate P] [--latency MS]
                     [--cut-after BYTES] [--cut-for SECONDS] [--most BAUD]
                     [--lose-forth FRAME] [--lose-back FRAME] [--seed N] [--stats]

An end is  pty:PATH     a pseudo-terminal; PATH becomes a link to it
           unix:PATH    connects to a unix stream socket, again and again
           listen:PATH  accepts one connection at a time on a unix stream socket

The rate is --baud, or what the program at a pty has set (any rate: TCGETS2). Two ptys at
different rates turn every byte into another one, as on a real line. A byte takes ten bit times. Above
--most every byte is another one, too: a line that is too long, or a poor level shifter.
--flip is the chance of each bit, --drop and --duplicate of each byte. SIGUSR1 cuts the cable,
SIGUSR2 joins it again; --cut-after cuts it by itself after so many bytes from A to B, for
--cut-for seconds (0: for good). --lose-forth and --lose-back swallow one frame from A to B, or
back: the one behind so many delimiters (zero bytes), as --stats counts them. Faults come from a
generator that starts at --seed: the same traffic meets the same faults. Prints "ready"; with --stats, figures as JSON at the end.
"""

import argparse
import collections
import errno
import fcntl
import json
import math
import os
import pty
import random
import select
import signal
import socket
import struct
import sys
import time
import tty

TCGETS2 = 0x802C542A
BITS = 10            # start, eight data, stop
SLICE = 0.002        # seconds of line time that travel as one piece
AHEAD = 0.020        # line time taken from a sender in advance, so that a late wake-up leaves no gap
BACKLOG = 65536      # bytes that wait for a slow reader before they are lost


class End:
    """One end of the cable. fd is None while nobody is there."""

    def __init__(self, spec):
        self.kind, _, self.path = spec.partition(":")
        self.fd = self.keep = self.listener = self.socket = None
        if self.kind == "pty":
            self.fd, self.keep = pty.openpty()   # keep: no hang-up while no program has it open
            tty.setraw(self.keep)
            os.set_blocking(self.fd, False)
            self.link(os.ttyname(self.keep))
        elif self.kind == "listen":
            self.listener = socket.socket(socket.AF_UNIX)
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.listener.bind(self.path)
            self.listener.listen(1)
        elif self.kind != "unix":
            sys.exit(f"line_shim: {spec}: not pty:, unix: or listen:")

    def link(self, target):
        temporary = f"{self.path}.{os.getpid()}"
        os.symlink(target, temporary)
        os.replace(temporary, self.path)

    def baud(self):
        if self.kind != "pty":
            return 0
        termios2 = bytearray(44)
        fcntl.ioctl(self.keep, TCGETS2, termios2)
        return struct.unpack_from("=I", termios2, 40)[0]

    def attach(self, sock):
        self.socket, self.fd = sock, sock.fileno()
        os.set_blocking(self.fd, False)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
        else:
            self.attach(sock)

    def lost(self):
        if self.kind == "pty":
            return
        self.socket.close()
        self.fd = self.socket = None

    def close(self):
        if self.kind != "unix" and os.path.lexists(self.path):
            os.unlink(self.path)


class Faults:
    """Positions of rare events, drawn as distances: costs nothing while nothing happens."""

    def __init__(self, chance, rng):
        self.chance, self.rng = chance, rng
        self.next = self.distance()

    def distance(self):
        if self.chance <= 0:
            return math.inf
        if self.chance >= 1:
            return 0
        return int(math.log(1.0 - self.rng.random()) / math.log(1.0 - self.chance))

    def within(self, count):
        """Offsets below count at which it happens; the next call goes on from there."""
        while self.next < count:
            yield int(self.next)
            self.next += 1 + self.distance()
        self.next -= count


class Direction:
    """Bytes on their way from one end to the other."""

    def __init__(self, options, source, target, seed, lose):
        self.source, self.target = source, target
        self.rng = random.Random(seed)
        self.flips = Faults(options.flip, self.rng)
        self.drops = Faults(options.drop, self.rng)
        self.doubles = Faults(options.duplicate, self.rng)
        self.latency = options.latency / 1000
        self.free_at = 0.0                  # when the line has carried all that was taken
        self.pieces = collections.deque()   # (time of arrival, bytes)
        self.waiting = bytearray()          # arrived, and the reader has not taken it
        self.lose = lose                    # this frame; -1: none
        self.carried = self.faults = self.overrun = self.frames = 0
        self.first = self.last = None

    def room(self, now, rate):
        """Bytes that may be taken now without running further ahead than AHEAD."""
        ahead = max(self.free_at - now, 0.0)
        return int((AHEAD - ahead) * rate) if ahead < AHEAD else 0

    def without_frame(self, data):
        kept = bytearray()
        for byte in data:
            if self.frames != self.lose:
                kept.append(byte)
            self.frames += byte == 0
        return kept

    def spoil(self, data):
        if self.lose < 0:
            self.frames += data.count(0)
        else:
            data = self.without_frame(data)
        for bit in self.flips.within(len(data) * 8):
            data[bit >> 3] ^= 1 << (bit & 7)
            self.faults += 1
        for at in reversed(list(self.drops.within(len(data)))):
            del data[at]
            self.faults += 1
        for at in reversed(list(self.doubles.within(len(data)))):
            data[at:at] = data[at:at + 1]
            self.faults += 1
        return data

    def take(self, now, rate, garble, cut):
        room = max(self.room(now, rate), 1)
        try:
            data = os.read(self.source.fd, room)
        except BlockingIOError:
            return
        except OSError as e:
            if e.errno != errno.EIO:
                self.source.lost()
            return
        if not data:
            self.source.lost()
            return
        start = max(self.free_at, now)
        if self.first is None:
            self.first = start
        step = max(1, int(SLICE * rate))
        for at in range(0, len(data), step):
            piece = bytearray(data[at:at + step])
            start += len(piece) / rate
            self.carried += len(piece)
            if cut:
                continue
            if garble:
                piece = bytearray(self.rng.randbytes(len(piece)))
            self.pieces.append((start + self.latency, self.spoil(piece)))
        self.free_at = self.last = start

    def give(self, now):
        while self.pieces and self.pieces[0][0] <= now:
            self.waiting += self.pieces.popleft()[1]
        if not self.waiting:
            return
        if self.target.fd is None:
            self.waiting.clear()
            return
        try:
            del self.waiting[:os.write(self.target.fd, self.waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self.target.lost()
            self.waiting.clear()
        if len(self.waiting) > BACKLOG:
            self.overrun += len(self.waiting) - BACKLOG
            del self.waiting[BACKLOG:]

    def figures(self):
        busy = (self.last - self.first) if self.first is not None else 0
        return {"bytes": self.carried, "frames": self.frames, "faults": self.faults, "overrun": self.overrun,
                "seconds": round(busy, 4), "rate": round(self.carried / busy) if busy else 0}


class Shim:
    def __init__(self, options):
        self.options = options
        self.ends = [End(options.a), End(options.b)]
        self.ways = [Direction(options, self.ends[0], self.ends[1], f"{options.seed} forth", options.lose_forth),
                     Direction(options, self.ends[1], self.ends[0], f"{options.seed} back", options.lose_back)]
        self.cut = self.stop = self.garble = False
        self.rejoin_at = math.inf
        self.rate = 11520.0
        self.looked = -1.0

    def look(self, now):
        """What changes seldom: the rate that programs have set, ends that come and go."""
        self.looked = now
        self.look_at_rates()
        for end in self.ends:
            if end.kind == "unix" and end.fd is None:
                end.connect()
        after = self.options.cut_after
        if after and self.ways[0].carried >= after and not self.cut:
            self.options.cut_after = 0
            self.cut = True
            self.rejoin_at = now + self.options.cut_for if self.options.cut_for else math.inf
        if now >= self.rejoin_at:
            self.cut, self.rejoin_at = False, math.inf

    def look_at_rates(self):
        rates = [e.baud() for e in self.ends if e.kind == "pty"]
        self.rate = (self.options.baud or next((r for r in rates if r), 115200)) / BITS
        self.garble = not self.options.baud and len(set(rates)) > 1
        self.garble |= 0 < self.options.most < self.rate * BITS

    def wait(self, now):
        readers = {w.source.fd: w for w in self.ways
                   if w.source.fd is not None and w.room(now, self.rate) > 0}
        listeners = {e.listener.fileno(): e for e in self.ends if e.listener and e.fd is None}
        until = self.looked + 0.02
        for way in self.ways:
            if way.pieces:
                until = min(until, way.pieces[0][0])
            if way.source.fd is not None and way.source.fd not in readers:
                until = min(until, way.free_at - AHEAD / 2)
        writers = [w.target.fd for w in self.ways if w.waiting and w.target.fd is not None]
        ready, _, _ = select.select([*readers, *listeners], writers, [], max(until - now, 0.0002))
        for fd in ready:
            if fd in listeners:
                listeners[fd].attach(listeners[fd].listener.accept()[0])
        return [readers[fd] for fd in ready if fd in readers]

    def run(self):
        while not self.stop:
            now = time.monotonic()
            if now - self.looked >= 0.02:
                self.look(now)
            ready = self.wait(now)
            if ready:
                self.look_at_rates()
            now = time.monotonic()
            for way in ready:
                if way.source.fd is not None:
                    way.take(now, self.rate, self.garble, self.cut)
            for way in self.ways:
                way.give(now)


def probability(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("not between 0 and 1")
    return value


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("a", metavar="A")
    p.add_argument("b", metavar="B")
    p.add_argument("--baud", type=int, default=0, help="bits a second; default: as a pty is set")
    p.add_argument("--flip", type=probability, default=0.0, help="chance of each bit")
    p.add_argument("--drop", type=probability, default=0.0, help="chance of each byte")
    p.add_argument("--duplicate", type=probability, default=0.0, help="chance of each byte")
    p.add_argument("--latency", type=float, default=0.0, metavar="MS", help="each way")
    p.add_argument("--cut-after", type=int, default=0, metavar="BYTES", help="from A to B")
    p.add_argument("--cut-for", type=float, default=0.0, metavar="SECONDS")
    p.add_argument("--lose-forth", type=int, default=-1, metavar="FRAME")
    p.add_argument("--lose-back", type=int, default=-1, metavar="FRAME")
    p.add_argument("--most", type=int, default=0, metavar="BAUD", help="the line carries no more")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--stats", action="store_true", help="figures as JSON at the end")
    return p.parse_args()


def main():
    options = parse()
    shim = Shim(options)

    def end(*_):
        shim.stop = True

    def cut(*_):
        shim.cut, shim.rejoin_at = True, math.inf

    def join(*_):
        shim.cut = False

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGUSR1, cut)
    signal.signal(signal.SIGUSR2, join)
    print("ready", flush=True)
    try:
        shim.run()
    finally:
        for e in shim.ends:
            e.close()
        if options.stats:
            print(json.dumps({"forth": shim.ways[0].figures(), "back": shim.ways[1].figures(),
                              "seed": options.seed}), flush=True)


if __name__ == "__main__":
    main()
