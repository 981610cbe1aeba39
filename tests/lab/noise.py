#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The session of docs/SPEC-session.md a second time, from the Noise specification (revision 34) alone, so that it and
the C code are not wrong in the same way; and held to a known answer of others.

    noise.py                print the test vectors
    noise.py --check FILE   compare them with FILE, and this program with a known answer. TAP
"""
import binascii
import hashlib
import hmac
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NAME = b"Noise_NNpsk0_25519_ChaChaPoly_SHA256"
HELLO, HELLO_ANSWER, HANDSHAKE, HANDSHAKE_ANSWER, REQUEST, RESPONSE = range(0xE0, 0xE6)
CHECKED = 0xEA
VERSION = 1
HAS_KEY, REQUIRED, REPAIRS = 1, 2, 8
REKEY = 1 << 16


def sha256(data):
    return hashlib.sha256(data).digest()


def hmac256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(chaining_key, material, outputs):
    """Section 4.3."""
    temp, last, out = hmac256(chaining_key, material), b"", []
    for i in range(outputs):
        last = hmac256(temp, last + bytes([i + 1]))
        out.append(last)
    return out


def nonce(n):
    return bytes(4) + struct.pack("<Q", n)


def public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(secret, other):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(other))


class Symmetric:
    """Section 5.2, with the cipher state of the handshake in it."""

    def __init__(self, prologue):
        self.h = sha256(NAME)       # 36 bytes are more than a hash's
        self.ck, self.k, self.n = self.h, None, 0
        self.mix_hash(prologue)

    def mix_hash(self, data):
        self.h = sha256(self.h + data)

    def mix_key(self, material):
        self.ck, self.k = hkdf(self.ck, material, 2)
        self.n = 0

    def mix_key_and_hash(self, material):
        self.ck, temp, self.k = hkdf(self.ck, material, 3)
        self.mix_hash(temp)
        self.n = 0

    def encrypt_and_hash(self, payload):
        out = ChaCha20Poly1305(self.k).encrypt(nonce(self.n), payload, self.h)
        self.n += 1
        self.mix_hash(out)
        return out

    def decrypt_and_hash(self, data):
        out = ChaCha20Poly1305(self.k).decrypt(nonce(self.n), data, self.h)
        self.n += 1
        self.mix_hash(data)
        return out

    def e(self, key):
        """Token e in a pattern with a PSK, section 9.2."""
        self.mix_hash(key)
        self.mix_key(key)


class Initiator:
    def __init__(self, psk, prologue, secret):
        self.s, self.psk, self.secret = Symmetric(prologue), psk, secret

    def write(self, payload=b""):
        self.s.mix_key_and_hash(self.psk)
        self.s.e(public(self.secret))
        return public(self.secret) + self.s.encrypt_and_hash(payload)

    def read(self, message):
        self.s.e(message[:32])
        self.s.mix_key(dh(self.secret, message[:32]))
        return self.s.decrypt_and_hash(message[32:])

    def split(self):
        return hkdf(self.s.ck, b"", 2)


class Responder(Initiator):
    def read(self, message):
        self.s.mix_key_and_hash(self.psk)
        self.s.e(message[:32])
        self.other = message[:32]
        return self.s.decrypt_and_hash(message[32:])

    def write(self, payload=b""):
        self.s.e(public(self.secret))
        self.s.mix_key(dh(self.secret, self.other))
        return public(self.secret) + self.s.encrypt_and_hash(payload)


def rekey(key):
    """Section 4.2, REKEY."""
    return ChaCha20Poly1305(key).encrypt(nonce(2**64 - 1), bytes(32), b"")[:32]


# ---- what SPEC-session.md makes of it ----

def prologue(board, device, counter):
    return b"edge-link" + bytes([VERSION]) + board + device + struct.pack("<I", counter)


def hello(token):
    return bytes([HELLO, VERSION]) + token


def hello_answer(flags, board, device, counter, token=bytes(8)):
    return bytes([HELLO_ANSWER, VERSION, flags]) + board + device + struct.pack("<I", counter) + token


def frame(kind, first_key, seq, message):
    key = first_key
    for _ in range(seq // REKEY):
        key = rekey(key)
    head = struct.pack("<BI", kind, seq)
    return head + ChaCha20Poly1305(key).encrypt(nonce(seq), message, head)


def with_crc(frame):
    return frame + struct.pack(">H", binascii.crc_hqx(frame, 0))


def checked(request):
    """What of a request is sent on a serial line that spoils bits: another type, and a CRC behind it."""
    return with_crc(bytes([CHECKED]) + request[1:])


def cobs(data):
    """As a line carries it, without frames of 254 bytes and more."""
    assert len(data) < 254
    return b"".join(bytes([len(run) + 1]) + run for run in data.split(b"\0")) + b"\0"


def flipped(data, bit):
    return data[:bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1:]


def repairs(data):
    """The bits each of which, turned back alone, makes the CRC right."""
    return [bit for bit in range(8 * len(data)) if binascii.crc_hqx(flipped(data, bit), 0) == 0]


def one_bit_is_found():
    data = checked(frame(REQUEST, bytes(32), 3, bytes(range(40))))
    pairs = [flipped(flipped(data, a), b) for a in range(8 * len(data)) for b in range(a)]
    return all(repairs(flipped(data, bit)) == [bit] for bit in range(8 * len(data))) and \
        not any(repairs(two) for two in pairs[::97])


def ephemeral(seed, counter, random=b""):
    return hkdf(seed, struct.pack("<I", counter) + random, 1)[0]


def report_tag(psk, report):
    return hkdf(hkdf(psk, b"version report", 1)[0], report, 1)[0]


def vectors():
    psk, seed, random = sha256(b"psk"), sha256(b"seed"), sha256(b"random")
    board, device, counter = bytes.fromhex("22222222"), b"\xd1" * 16, 0x01020304
    token = bytes(range(8))
    request = bytes.fromhex("0a00000a00000100bf6164656665727279ff")
    response = bytes.fromhex("0b00000a00000100bf6172656665727279ff")
    gateway_secret, node_secret = sha256(b"gateway"), ephemeral(seed, counter)
    start = prologue(board, device, counter)
    gateway, node = Initiator(psk, start, gateway_secret), Responder(psk, start, node_secret)
    first = gateway.write()
    assert node.read(first) == b""
    second = node.write()
    assert gateway.read(second) == b""
    assert gateway.split() == node.split() and gateway.s.h == node.s.h
    down, up = gateway.split()
    out = {
        "psk": psk, "seed": seed, "random": random, "board": board, "device": device,
        "counter": struct.pack("<I", counter), "token": token, "prologue": start, "gateway-secret": gateway_secret,
        "node-secret": node_secret, "node-secret-random": ephemeral(seed, counter, random), "hello": hello(token),
        "hello-answer": hello_answer(HAS_KEY | REQUIRED, board, device, counter, token),
        "no-session": hello_answer(HAS_KEY | REQUIRED, board, device, counter),
        "handshake": bytes([HANDSHAKE]) + first, "handshake-answer": bytes([HANDSHAKE_ANSWER]) + second,
        "key-to-node": down, "key-from-node": up, "request": request, "response": response,
    }
    for seq in (0, 1, 7, REKEY - 1, REKEY, 2 * REKEY):
        out[f"request-{seq}"] = frame(REQUEST, down, seq, request)
        out[f"response-{seq}"] = frame(RESPONSE, up, seq, response)
    out["checked-0"] = cobs(checked(out["request-0"]))
    out["checked-0-flipped"] = cobs(flipped(checked(out["request-0"]), 100))
    shared = bytes.fromhex("f0051234") + out["request-0"]
    out["shared-0-flipped"] = cobs(flipped(with_crc(shared), 100))
    # the report of SPEC-dfu's vector
    report = bytes.fromhex("bf617601656e6f6e636550000102030405060708090a0b0c0d0e0f62696450d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
                           "64626f6f7465312e322e3365666c6f6f720365747269616cf4646b6579739fffff")
    out["report"], out["report-tag"] = report, report_tag(psk, report)
    return out


# The answer for this protocol in the vectors of cacophony, which Noise implementations share.
KNOWN_PSK = b"This is my Austrian perspective!"
KNOWN_PROLOGUE = b"John Galt"
KNOWN_GATEWAY = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"
KNOWN_NODE = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"
KNOWN = (
    (b"Ludwig von Mises", "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
                          "79b962b8aff8485742ac32f905ba45369e2465fb59e138a93d67a0d1266b6a54"),
    (b"Murray Rothbard", "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
                         "d6062704d5a9c422a8e834423f8c1feada7e8d0d910a1a2cd030fb584221e3"),
    (b"F. A. Hayek", "e632c3763d7669067383433197a3baddf146e9e70ad4b4e9e59e0f"),
    (b"Carl Menger", "64c6bee32ea91c8474bb4c21d7a700109ad45af77b29764ba5eb1e"),
)


def known_answer():
    gateway = Initiator(KNOWN_PSK, KNOWN_PROLOGUE, bytes.fromhex(KNOWN_GATEWAY))
    node = Responder(KNOWN_PSK, KNOWN_PROLOGUE, bytes.fromhex(KNOWN_NODE))
    said = [gateway.write(KNOWN[0][0])]
    if node.read(said[0]) != KNOWN[0][0]:
        return False
    said.append(node.write(KNOWN[1][0]))
    if gateway.read(said[1]) != KNOWN[1][0]:
        return False
    down, up = node.split()
    said.append(ChaCha20Poly1305(down).encrypt(nonce(0), KNOWN[2][0], b""))
    said.append(ChaCha20Poly1305(up).encrypt(nonce(0), KNOWN[3][0], b""))
    return [m.hex() for m in said] == [k[1] for k in KNOWN]


def text():
    lines = ["# tests/lab/noise.py: docs/SPEC-session.md, \"Test vectors\""]
    return "\n".join(lines + [f"{name} {data.hex()}" for name, data in vectors().items()]) + "\n"


def main():
    if sys.argv[1:2] != ["--check"]:
        sys.stdout.write(text())
        return
    with open(sys.argv[2]) as f:
        same = f.read() == text()
    wrong_key = False
    try:
        start = prologue(bytes(4), bytes(16), 1)
        Responder(bytes(32), start, sha256(b"x")).read(Initiator(b"\1" * 32, start, sha256(b"y")).write())
    except InvalidTag:
        wrong_key = True
    print("1..4")
    for number, (what, good) in enumerate((("known answer of others", known_answer()),
                                           ("another key's handshake is refused", wrong_key),
                                           ("a CRC finds one wrong bit, and none for two", one_bit_is_found()),
                                           ("the vectors are these", same)), 1):
        print("ok" if good else "not ok", number, "-", what)


if __name__ == "__main__":
    main()
