#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SMP servers that are not ours, as they are written about and were measured: MCUboot's serial recovery and a
Zephyr application over MCUboot. On a unix socket, in console lines or raw.

    stock_node.py mcuboot|zephyr console|raw SOCKET IMAGE [--no-hash] [--no-params] [--slot-size N] [--buffer N]
                  [--lose P] [--seed N] [--verify SECONDS] [--lose-last] [--dump FILE]

What a gateway meets in them:
  both     lines above 128 bytes, messages above the buffer and bad checksums are dropped without a word; a raw
           message that is not complete after 3 s is; another offset than the wanted one is answered with that one
  mcuboot  maps of indefinite length, errors always {"rc": n}, the request's version bits come back, keys it does
           not know (sha, upgrade) are passed over; uploads go into slot 0, at once and unchecked, and start anew
           at offset 0; an image list of slot and version, hash if built so; everything else is rc 8
  zephyr   an upload goes on while the server runs and is forgotten by a reset; errors of a group as {"err": …} in
           version 2; trial by reset, taken back by the next one; a boot log and a prompt on the console
--verify: it looks at the whole image for so long before it answers the last of an upload, and what comes meanwhile
overruns its line. --lose-last: that answer is lost. SIGUSR1: power is lost and comes back. --dump: the slots, at
each change, for whoever looks.
"""

import argparse
import base64
import os
import random
import select
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import image as images  # noqa: E402
import smp  # noqa: E402

OK, NOMEM, INVALID, NOTSUP = 0, 2, 3, 8
IMG = 1
IMG_HASH_NOT_FOUND, IMG_TOO_LARGE, IMG_BAD_MAGIC, IMG_NO_FREE_SLOT = 8, 30, 23, 21


class Indefinite(dict):
    pass


def cbor(v):
    if isinstance(v, Indefinite):
        return b"\xbf" + b"".join(cbor(k) + cbor(x) for k, x in v.items()) + b"\xff"
    if isinstance(v, list):
        return b"\x9f" + b"".join(map(cbor, v)) + b"\xff"
    return smp.cbor(v)


def version_of(data):
    major, minor, revision, build = struct.unpack_from("<BBHI", data, 20)
    return f"{major}.{minor}.{revision}" + (f".{build}" if build else "")


def describe(data):
    """(version, hash) of an image that is whole, or None."""
    try:
        if data[:4] != bytes.fromhex("3db8f396"):
            return None
        return version_of(data), images.split(data)[2]
    except (struct.error, IndexError, KeyError, ValueError):
        return None


class Server:
    def __init__(self, options):
        self.o, self.rng = options, random.Random(options.seed)
        with open(options.image, "rb") as f:
            self.slots = [bytearray(f.read()), bytearray()]
        self.upload = None          # [offset, length, sha]
        self.version = 0

    def dump(self):
        if self.o.dump:
            for i, slot in enumerate(self.slots):
                with open(f"{self.o.dump}.{i}.new", "wb") as f:
                    f.write(slot)
                os.replace(f"{self.o.dump}.{i}.new", f"{self.o.dump}.{i}")

    def write(self, slot, off, data):
        del self.slots[slot][off:]
        self.slots[slot] += data


class Mcuboot(Server):
    """boot_serial.c as it is without an application behind it."""
    log = b""

    def reset(self):
        self.upload = None

    def handle(self, op, group, command, body):
        key = (op, group, command)
        if key == (smp.WRITE, 0, 5):
            return Indefinite(rc=0), True
        if key == (smp.READ, 0, 6) and not self.o.no_params:
            return Indefinite(buf_size=self.o.buffer, buf_count=1), False
        if key == (smp.WRITE, 0, 1):
            return Indefinite(rc=0), False
        if key == (smp.READ, 1, 0):
            return self.list(), False
        if key == (smp.WRITE, 1, 1):
            return self.take(body), False
        return Indefinite(rc=NOTSUP), False

    def list(self):
        found = []
        for i, slot in enumerate(self.slots):
            known = describe(slot)
            if known:
                entry = Indefinite(slot=i, version=known[0])
                if not self.o.no_hash:
                    entry["hash"] = known[1]
                found.append(entry)
        return Indefinite(images=found)

    def take(self, body):
        off, data = body.get("off"), body.get("data")
        if off is None or data is None:
            return Indefinite(rc=INVALID)
        if off == 0:
            if not body.get("len") or body["len"] > self.o.slot_size:
                self.upload = None
                return Indefinite(rc=INVALID)
            self.upload = [0, body["len"]]
            self.slots[0] = bytearray()
        if not self.upload:
            return Indefinite(rc=INVALID)
        if off == self.upload[0]:
            if off + len(data) > self.upload[1]:
                return Indefinite(rc=INVALID)
            self.write(0, off, data)
            self.upload[0] += len(data)
            self.dump()
        return Indefinite(rc=0, off=self.upload[0])


class Zephyr(Server):
    """The image, os and enum groups of an application that MCUboot swaps by test and confirm."""
    log = b"*** Booting MCUboot ***\r\n*** Booting Zephyr OS build v4.2.0 ***\r\nuart:~$ "

    def __init__(self, options):
        super().__init__(options)
        self.pending = self.permanent = False
        self.confirmed = True       # the image that runs

    def reset(self):
        self.upload = None
        if self.pending and describe(self.slots[1]):
            self.slots.reverse()
            self.confirmed = self.permanent
        elif not self.confirmed:
            self.slots.reverse()
            self.confirmed = True
        self.pending = self.permanent = False
        self.dump()

    def error(self, group, rc, v1=INVALID):
        return {"err": {"group": group, "rc": rc}} if self.version else {"rc": v1}

    def handle(self, op, group, command, body):
        key = (op, group, command)
        if key == (smp.WRITE, 0, 0):
            return {"r": body.get("d", "")}, False
        if key == (smp.WRITE, 0, 5):
            return {}, True
        if key == (smp.READ, 0, 6):
            return {"buf_size": self.o.buffer, "buf_count": 4}, False
        if key == (smp.READ, 0, 7):
            return {"output": "Zephyr"}, False
        if key == (smp.READ, 1, 0):
            return self.state(), False
        if key == (smp.WRITE, 1, 0):
            return self.set_state(body), False
        if key == (smp.WRITE, 1, 1):
            return self.take(body), False
        if key == (smp.WRITE, 1, 5):
            self.slots[1], self.pending = bytearray(), False
            return {}, False
        return {"rc": NOTSUP}, False

    def state(self):
        found = []
        for i, slot in enumerate(self.slots):
            known = describe(slot)
            if known:
                found.append({"slot": i, "version": known[0], "hash": known[1], "bootable": True,
                              "pending": i == 1 and self.pending, "confirmed": i == 0 and self.confirmed,
                              "active": i == 0, "permanent": i == 1 and self.permanent})
        return {"images": found, "splitStatus": 0}

    def set_state(self, body):
        digest, confirm = body.get("hash"), body.get("confirm", False)
        running, other = describe(self.slots[0]), describe(self.slots[1])
        if digest is None or (running and digest == running[1]):
            if not confirm:
                return self.error(IMG, 33)      # test of the active one
            self.confirmed = True
        elif other and digest == other[1]:
            self.pending, self.permanent = True, confirm
        else:
            return self.error(IMG, IMG_HASH_NOT_FOUND)
        return self.state()

    def take(self, body):
        off, data, sha = body.get("off"), body.get("data", b""), body.get("sha")
        if off is None:
            return self.error(IMG, 1)
        if off == 0:
            if len(data) < 32 or data[:4] != bytes.fromhex("3db8f396"):
                return self.error(IMG, IMG_BAD_MAGIC)
            if body["len"] > self.o.slot_size:
                return self.error(IMG, IMG_TOO_LARGE)
            if not self.confirmed or self.pending:
                return self.error(IMG, IMG_NO_FREE_SLOT)
            if self.upload and sha and self.upload[2] == sha:
                return {"off": self.upload[0]}
            self.upload = [0, body["len"], sha]
            self.slots[1] = bytearray()
        if not self.upload:
            return {"off": 0}
        if off == self.upload[0]:
            if off + len(data) > self.upload[1]:
                return self.error(IMG, 31)
            self.write(1, off, data)
            self.upload[0] += len(data)
            self.dump()
        answer = {"off": self.upload[0]}
        if self.upload[0] == self.upload[1]:
            answer["match"] = True
            self.upload = None
        return answer


class Line:
    """Takes a byte stream apart as the two servers do."""

    def __init__(self, kind, largest):
        self.kind, self.largest, self.buf, self.parts, self.want = kind, largest, b"", b"", 0
        self.since = 0.0

    def feed(self, data):
        self.buf += data
        return self.raw() if self.kind == "raw" else self.console()

    def idle(self):
        if self.kind == "raw" and self.buf and time.monotonic() - self.since > 3.0:
            self.buf = b""

    def raw(self):
        self.since, found = time.monotonic(), []
        while len(self.buf) >= 8:
            size = 8 + struct.unpack(">H", self.buf[2:4])[0]
            if size > self.largest:
                self.buf = b""
                break
            if len(self.buf) < size:
                break
            found.append(self.buf[:size])
            self.buf = self.buf[size:]
        return found

    def console(self):
        found = []
        while b"\n" in self.buf:
            line, self.buf = self.buf.split(b"\n", 1)
            if len(line) > 127 or line[:2] not in (b"\6\11", b"\4\24"):
                self.parts = b""
                continue
            try:
                plain = base64.b64decode(line[2:], validate=True)
            except ValueError:
                self.parts = b""
                continue
            self.parts = plain if line[:2] == b"\6\11" else self.parts + plain
            if len(self.parts) < 2:
                continue
            size = struct.unpack(">H", self.parts[:2])[0]
            if len(self.parts) - 2 < size and len(self.parts) <= self.largest:
                continue
            whole, self.parts = self.parts[2:], b""
            if len(whole) == size and len(whole) + 2 <= self.largest and smp.crc16(whole) == 0:
                found.append(whole[:-2])
        return found

    def frame(self, message):
        if self.kind == "raw":
            return message
        text = base64.b64encode(struct.pack(">H", len(message) + 2) + message + struct.pack(">H", smp.crc16(message)))
        return b"".join((b"\4\24" if i else b"\6\11") + text[i:i + 124] + b"\n" for i in range(0, len(text), 124))


def overrun(peer):
    """What came while nobody listened."""
    while select.select([peer], [], [], 0)[0] and peer.recv(4096):
        pass


def serve(options):
    server = {"mcuboot": Mcuboot, "zephyr": Zephyr}[options.kind](options)
    line = Line(options.framing, options.buffer)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(options.socket)
    listener.listen(1)
    peer, cut = None, []
    signal.signal(signal.SIGUSR1, lambda *_: cut.append(True))
    server.dump()
    while True:
        ready = select.select([listener] + ([peer] if peer else []), [], [], 0.05)[0]
        line.idle()
        if cut:
            cut.clear()
            server.reset()
            line = Line(options.framing, options.buffer)
        if listener in ready:
            peer = listener.accept()[0]
        if peer not in ready:
            continue
        data = peer.recv(4096)
        if not data:
            peer = None
            continue
        for message in line.feed(data):
            first, _, length, group, seq, command = struct.unpack(">BBHHBB", message[:8])
            if server.rng.random() < options.lose:
                continue
            server.version = first >> 3 & 3
            upload = server.upload or [0, 1]
            before = upload[0]
            try:
                body, reset = server.handle(first & 7, group, command, smp.uncbor(message[8:])[0])
            except (IndexError, KeyError, ValueError):
                body, reset = {"rc": INVALID}, False
            data = cbor(body)
            answer = struct.pack(">BBHHBB", first + 1, 0, len(data), group, seq, command) + data
            last = before < upload[0] == upload[1]
            if last and options.verify:
                time.sleep(options.verify)
                overrun(peer)
            if server.rng.random() >= options.lose and not (last and options.lose_last):
                peer.sendall(line.frame(answer))
            if reset:
                server.reset()
                time.sleep(0.2)
                if options.framing == "console":
                    peer.sendall(server.log)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("kind", choices=("mcuboot", "zephyr"))
    p.add_argument("framing", choices=("console", "raw"))
    p.add_argument("socket")
    p.add_argument("image")
    p.add_argument("--no-hash", action="store_true")
    p.add_argument("--no-params", action="store_true")
    p.add_argument("--slot-size", type=int, default=256 << 10)
    p.add_argument("--buffer", type=int, default=1024)
    p.add_argument("--lose", type=float, default=0.0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--verify", type=float, default=0.0, metavar="SECONDS")
    p.add_argument("--lose-last", action="store_true")
    p.add_argument("--dump")
    serve(p.parse_args())


if __name__ == "__main__":
    main()
