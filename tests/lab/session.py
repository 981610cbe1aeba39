# SPDX-License-Identifier: Apache-2.0
"""The gateway's half of a session over a line to a node, for tests of nodes: noise.py on smp.py's lines."""
import os
import struct

import noise
import smp


def send_raw(line, frame):
    """frame: with its checksum, if it is of a kind that has one."""
    line.sendall(b"\0" + smp.cobs_encode(frame) + b"\0")


def send(line, frame):
    send_raw(line, frame + struct.pack(">H", smp.crc16(frame)))


def receive(line, first):
    """The content of the next frame that begins with this byte."""
    data = b""
    while True:
        frame, found, data = data.partition(b"\0")
        if not found:
            data = frame + line.recv(4096)
            continue
        m = smp.cobs_decode(frame)
        if m[:1] == first == bytes([noise.RESPONSE]):
            return m
        if m[:1] == first and smp.crc16(m) == 0:
            return m[:-2]


def begin(line, psk):
    """Asks who is there; what is to make the handshake with it, and the flags of its answer."""
    send(line, noise.hello(b"\1" * 8))
    hello = receive(line, bytes([noise.HELLO_ANSWER]))
    return noise.Initiator(psk, b"edge-link" + hello[1:2] + hello[3:27], os.urandom(32)), hello[2]


def meet(line, psk):
    """The keys of requests and responses in a new session, and the flags of the node."""
    gateway, flags = begin(line, psk)
    send(line, bytes([noise.HANDSHAKE]) + gateway.write())
    gateway.read(receive(line, bytes([noise.HANDSHAKE_ANSWER]))[1:])
    return *gateway.split(), flags
