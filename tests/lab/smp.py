#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small SMP client for tests of nodes, written from docs/SPEC-dfu.md and nothing else.

    smp.py SOCKET-OR-TTY identify | info | state | install IMAGE [DEADLINE] | confirm | reset
"""
import hashlib
import os
import select
import socket
import stat
import struct
import sys
import time
import tty

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import image as images  # noqa: E402

READ, WRITE = 0, 2


def crc16(data):
    crc = 0
    for b in data:
        crc ^= b << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def cobs_encode(data):
    out, block = bytearray(), bytearray()
    for b in data:
        if b:
            block.append(b)
            if len(block) == 254:
                out += b"\xff" + block
                block = bytearray()
        else:
            out.append(len(block) + 1)
            out += block
            block = bytearray()
    out.append(len(block) + 1)
    return bytes(out + block)


def cobs_decode(data):
    out, i = bytearray(), 0
    while i < len(data):
        n = data[i]
        out += data[i + 1:i + n]
        i += n
        if n < 255 and i < len(data):
            out.append(0)
    return bytes(out)


def cbor(v):
    def head(major, n):
        for limit, extra, form in ((24, None, ""), (1 << 8, 24, ">B"), (1 << 16, 25, ">H"), (1 << 32, 26, ">I")):
            if n < limit:
                return bytes([major << 5 | n]) if extra is None else bytes([major << 5 | extra]) + struct.pack(form, n)
        return bytes([major << 5 | 27]) + struct.pack(">Q", n)
    if v is True or v is False:
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(cbor, v))
    return head(5, len(v)) + b"".join(cbor(k) + cbor(x) for k, x in v.items())


def uncbor(b, i=0):
    major, low = b[i] >> 5, b[i] & 31
    i += 1
    if low < 24 or low == 31:
        n = low
    else:
        size = 1 << low - 24
        n = int.from_bytes(b[i:i + size], "big")
        i += size
    if major == 0:
        return n, i
    if major == 1:
        return -1 - n, i
    if major in (2, 3):
        return (b[i:i + n] if major == 2 else b[i:i + n].decode()), i + n
    if major in (4, 5):
        items, count = [], (None if low == 31 else n * (major - 3))
        while b[i] != 0xFF if count is None else len(items) < count:
            v, i = uncbor(b, i)
            items.append(v)
        i += count is None
        return (items if major == 4 else dict(zip(items[::2], items[1::2]))), i
    return {20: False, 21: True, 22: None}[n], i


class Refused(Exception):
    """reason: the number in group 239; rc: of the SMP level."""

    def __init__(self, answer):
        super().__init__(str(answer))
        self.reason = answer.get("err", {}).get("rc", 0)
        self.rc = answer.get("rc", 0)


class Tty:
    """A serial port with the few methods of a socket that Smp uses."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)

    def fileno(self):
        return self.fd

    def sendall(self, data):
        while data:
            data = data[os.write(self.fd, data):]

    def recv(self, size):
        return os.read(self.fd, size)

    def close(self):
        os.close(self.fd)


def open_line(path, timeout):
    """A unix stream socket, waited for, or a tty."""
    end = time.monotonic() + timeout
    while True:
        if os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode):
            return Tty(path)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
            return sock
        except OSError:
            sock.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class Smp:
    """path: a unix stream socket or a tty."""

    def __init__(self, path, timeout=20.0):
        self.sock = open_line(path, timeout)
        self.buf, self.seq, self.stash = b"", 0, {}
        self.sock.sendall(b"\0")

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_message(self, message):
        self.sock.sendall(cobs_encode(message + struct.pack(">H", crc16(message))) + b"\0")

    def send(self, op, group, command, body):
        self.seq = (self.seq + 1) & 0xFF
        data = cbor(body)
        self.send_message(struct.pack(">BBHHBB", op | 8, 0, len(data), group, self.seq, command) + data)
        return self.seq

    def receive(self, timeout):
        """(seq, body) of the next good frame, or None."""
        end = time.monotonic() + timeout
        while True:
            frame, found, rest = self.buf.partition(b"\0")
            if found:
                self.buf = rest
                m = cobs_decode(frame)
                if len(m) >= 10 and crc16(m) == 0:
                    return m[6], uncbor(m[8:-2])[0]
                continue
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the line is gone")
            self.buf += data

    def wait(self, seq, timeout):
        end = time.monotonic() + timeout
        while seq not in self.stash:
            r = self.receive(max(0.0, end - time.monotonic()))
            if r is None:
                return None
            self.stash[r[0]] = r[1]
        return self.stash.pop(seq)

    def raw(self, op, group, command, body=None, timeout=3.0, tries=5):
        for _ in range(tries):
            answer = self.wait(self.send(op, group, command, body or {}), timeout)
            if answer is not None:
                return answer
        raise TimeoutError(f"no answer to {group}.{command}")

    def call(self, op, group, command, body=None, **options):
        answer = self.raw(op, group, command, body, **options)
        if answer.get("rc") or answer.get("err"):
            raise Refused(answer)
        return answer

    # the commands by name
    def identify(self, **o):
        return self.call(READ, 239, 0, {"nonce": b"12345678"}, **o)

    def info(self):
        return self.call(READ, 0, 7)["output"]

    def state(self):
        return {i["slot"]: i for i in self.call(READ, 1, 0)["images"]}

    def preflight(self, image, size=None):
        hdr, tlvs, _ = images.split(image)
        return self.call(WRITE, 239, 1, {"hdr": hdr, "tlv": tlvs, "size": size or len(image),
                                         "mid": images.middle(image)}, timeout=15)

    def upload(self, image, chunk=None, window=None, stop_at=None):
        """Windowed. Returns the number of chunks sent."""
        me = self.identify()
        chunk = chunk or me["buf"] - 8 - 80
        window = window or me["win"]
        sha, sent, off, out = hashlib.sha256(image).digest(), 0, 0, []
        answer = self.call(WRITE, 1, 1, {"off": 0, "len": len(image), "sha": sha, "data": image[:chunk]})
        off = next_off = answer["off"]
        while off < len(image):
            if stop_at is not None and off >= stop_at:
                return sent
            while next_off < len(image) and len(out) < window:
                data = image[next_off:next_off + chunk]
                out.append(self.send(WRITE, 1, 1, {"off": next_off, "data": data}))
                next_off += len(data)
                sent += 1
            answer = self.wait(out[0], 15)
            if answer is None:      # lost: from where the node is
                out.clear()
                next_off = off
                continue
            out.pop(0)
            if answer.get("rc") or answer.get("err"):
                raise Refused(answer)
            off = answer["off"]
        if not answer.get("match"):
            raise Refused(answer)
        return sent

    def test(self, digest, deadline=None):
        body = {"hash": digest, "confirm": False}
        if deadline:
            body["deadline"] = deadline
        return self.call(WRITE, 1, 0, body)

    def confirm(self, digest=None):
        return self.call(WRITE, 1, 0, {"confirm": True, **({"hash": digest} if digest else {})}, timeout=15)

    def keys(self, document=None):
        """Brings a key set; the number of the one in force."""
        return self.call(WRITE, 239, 4, {"doc": document} if document else {}, timeout=60)["set"]

    def reset(self, boot_mode=0):
        return self.call(WRITE, 0, 5, {"boot_mode": boot_mode} if boot_mode else {})

    def until(self, check, timeout=60):
        """Asks identify until check(answer) holds."""
        end = time.monotonic() + timeout
        last = None
        while time.monotonic() < end:
            try:
                last = self.identify(timeout=0.5, tries=1)
                if check(last):
                    return last
            except TimeoutError:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"node did not come that far; last: {last}")


def main():
    path, verb, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    with Smp(path) as s:
        if verb == "install":
            with open(rest[0], "rb") as f:
                image = f.read()
            s.preflight(image)
            s.upload(image)
            s.test(images.split(image)[2], int(rest[1]) if len(rest) > 1 else None)
            s.reset()
        else:
            print({"identify": s.identify, "info": s.info, "state": s.state, "confirm": s.confirm,
                   "reset": s.reset}[verb]())


if __name__ == "__main__":
    main()
