#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stock SMP clients as a node sees them, made from what is written about them (docs/SPEC-dfu.md, section 1).

newtmgr: console lines, SMP version 1. smpclient: version 2, console or raw, messages as large as params allow.

    smp_plain.py SOCKET-OR-TTY newtmgr|console|raw list | info | upload IMAGE | test HASH | confirm | reset
"""
import base64
import hashlib
import select
import struct
import sys
import time

import smp

LINE = 124      # base64 characters of one line


class Plain:
    def __init__(self, path, kind, timeout=20.0):
        self.sock = smp.open_line(path, timeout)
        self.kind, self.version, self.seq, self.buf = kind, 0 if kind == "newtmgr" else 1, 66, b""
        self.largest = 512      # of newtmgr's; the others ask
        if kind == "newtmgr":
            self.call(smp.WRITE, 0, 1, {"echo": 0})
        else:
            self.largest = self.call(smp.READ, 0, 6)["buf_size"] - (4 if kind == "console" else 0)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, message):
        if self.kind == "raw":
            self.sock.sendall(message)
            return
        text = base64.b64encode(struct.pack(">H", len(message) + 2) + message + struct.pack(">H", smp.crc16(message)))
        for i in range(0, len(text), LINE):
            self.sock.sendall((b"\4\24" if i else b"\6\11") + text[i:i + LINE] + b"\n")

    def take(self):
        """A whole message out of what has come, or None."""
        if self.kind == "raw":
            if len(self.buf) < 8:
                return None
            size = 8 + struct.unpack(">H", self.buf[2:4])[0]
            message, rest = self.buf[:size], self.buf[size:]
            if len(message) < size:
                return None
            self.buf = rest
            return message
        lines, plain = self.buf.split(b"\n"), b""
        for i, line in enumerate(lines[:-1]):
            if line[:2] not in (b"\6\11", b"\4\24"):
                continue
            plain = base64.b64decode(line[2:], validate=True) if line[:2] == b"\6\11" else \
                plain + base64.b64decode(line[2:], validate=True)
            if len(plain) >= 2 and len(plain) == 2 + struct.unpack(">H", plain[:2])[0]:
                self.buf = b"\n".join(lines[i + 1:])
                return plain[2:-2] if smp.crc16(plain[2:]) == 0 else None
        return None

    def receive(self, timeout):
        end = time.monotonic() + timeout
        while True:
            m = self.take()
            if m:
                return m
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the line is gone")
            self.buf += data

    def raw(self, op, group, command, body=None, timeout=3.0, tries=5):
        """tries: stock clients ask once; the retries stand for the person before them."""
        data = smp.cbor(body or {})
        for _ in range(tries):
            self.seq = (self.seq + 1) & 0xFF
            self.send(struct.pack(">BBHHBB", op | self.version << 3, 0, len(data), group, self.seq, command) + data)
            m = self.receive(timeout)
            if m and m[6] == self.seq:
                if m[0] != (op + 1 | self.version << 3) or m[4:6] != struct.pack(">H", group) or m[7] != command:
                    raise ValueError(f"an answer to something else: {m.hex()}")
                return smp.uncbor(m[8:])[0]
        raise TimeoutError(f"no answer to {group}.{command}")

    def call(self, op, group, command, body=None, **options):
        answer = self.raw(op, group, command, body, **options)
        if answer.get("rc") or answer.get("err"):
            raise smp.Refused(answer)
        return answer

    def list(self):
        return {i["slot"]: i for i in self.call(smp.READ, 1, 0, timeout=15)["images"]}

    def info(self):
        return self.call(smp.READ, 0, 7)["output"]

    def upload(self, image, upgrade=False):
        off, answer = 0, {}
        while off < len(image):
            first = {} if off else {"len": len(image), "sha": hashlib.sha256(image).digest()}
            if not off and self.kind != "newtmgr":
                first.update(image=0, upgrade=upgrade)
            around = 8 + len(smp.cbor({"off": off, **first, "data": b""})) + 2
            data = image[off:off + self.largest - around]
            body = {"data": data, "off": off, **first} if self.kind == "newtmgr" else \
                {"off": off, **first, "data": data}
            answer = self.call(smp.WRITE, 1, 1, body, timeout=15)
            if answer["off"] <= off:
                raise ValueError(f"wants {answer['off']} after {off}")
            off = answer["off"]
        if not answer.get("match"):
            raise smp.Refused(answer)

    def test(self, digest):
        return self.call(smp.WRITE, 1, 0, {"hash": digest, "confirm": False}, timeout=15)

    def confirm(self):
        return self.call(smp.WRITE, 1, 0, {"confirm": True}, timeout=15)

    def reset(self):
        return self.call(smp.WRITE, 0, 5)


def main():
    path, kind, verb, rest = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    with Plain(path, kind) as p:
        if verb == "upload":
            with open(rest[0], "rb") as f:
                p.upload(f.read())
        elif verb == "test":
            print(p.test(bytes.fromhex(rest[0])))
        else:
            print({"list": p.list, "info": p.info, "confirm": p.confirm, "reset": p.reset}[verb]())


if __name__ == "__main__":
    main()
