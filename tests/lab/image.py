#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Signs a firmware image in MCUboot's format for tests, independently of edgeferry-repo.

    image.py --key edge.pem --version 1.2.3 --counter 1 --class mps2-an385 IN.bin OUT.img
    image.py --new-key edge.pem          makes edge.pem and edge.pub.pem
"""
import argparse
import ctypes
import ctypes.util
import hashlib
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import factory  # noqa: E402

HEADER_SIZE = 0x200


def new_key(path, ed25519=False):
    kind = ["ED25519"] if ed25519 else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "genpkey", "-algorithm", *kind, "-out", path], check=True, stderr=subprocess.DEVNULL)
    public = path.replace(".pem", ".pub.pem")
    subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-out", public], check=True)
    return public


def public_der(path):
    return subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True,
                          stdout=subprocess.PIPE).stdout


def sign_digest(path, digest, ed25519):
    with tempfile.NamedTemporaryFile() as f:
        f.write(digest)
        f.flush()
        return subprocess.run(["openssl", "pkeyutl", "-sign", *(["-rawin"] if ed25519 else []), "-inkey", path, "-in",
                               f.name], check=True, stdout=subprocess.PIPE).stdout


def tlv(kind, data):
    return struct.pack("<HH", kind, len(data)) + data


def area(magic, entries):
    return struct.pack("<HH", magic, 4 + len(entries)) + entries if entries else b""


def make(payload, key, version="1.0.0", counter=1, vendor="edgeferry.github.io", class_name="host",
         header_size=HEADER_SIZE):
    numbers, _, build = version.partition("+")
    major, minor, revision = map(int, numbers.split("."))
    entries = tlv(0x50, struct.pack("<I", counter))
    if vendor:
        v, c = factory.uuids(vendor, class_name)
        entries += tlv(0x74, v) + tlv(0x75, c)
    protected = area(0x6908, entries)
    header = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, header_size, len(protected), len(payload), 0,
                         major, minor, revision, int(build or 0), 0)
    signed = header.ljust(header_size, b"\0") + payload + protected
    digest = hashlib.sha256(signed).digest()
    public = public_der(key)
    ed25519 = len(public) == 44
    return signed + area(0x6907, tlv(0x10, digest) + tlv(0x01, hashlib.sha256(public).digest())
                         + tlv(0x24 if ed25519 else 0x22, sign_digest(key, digest, ed25519)))


def split(image):
    """(header 32 bytes, both TLV areas, digest) of an image without padding."""
    hdr, prot, size = struct.unpack_from("<HHI", image, 8)
    tlvs = image[hdr + size:]
    return image[:32], tlvs, hashlib.sha256(image[:hdr + size + prot]).digest()


class Sha256(ctypes.Structure):
    """SHA256_CTX of libcrypto."""
    _fields_ = [("h", ctypes.c_uint32 * 8), ("n", ctypes.c_uint32 * 2), ("data", ctypes.c_uint32 * 16),
                ("num", ctypes.c_uint), ("md_len", ctypes.c_uint)]


def middle(image):
    """SHA-256 in the middle: its state after the whole blocks of header and payload, and the bytes after them."""
    hdr, _, size = struct.unpack_from("<HHI", image, 8)
    front = image[:hdr + size]
    whole = len(front) // 64 * 64
    c, crypto = Sha256(), ctypes.CDLL(ctypes.util.find_library("crypto"))
    crypto.SHA256_Init(ctypes.byref(c))
    crypto.SHA256_Update(ctypes.byref(c), front, ctypes.c_size_t(whole))
    return struct.pack(">8I", *c.h) + front[whole:]


def key_set(number, threshold, keys, old=(), signers=()):
    """The document that brings a key set: keys and old are the PEM files of this set and the one before, in its order;
    the private ones among signers sign."""
    xy = {k: factory.image_key(k.replace(".pem", ".pub.pem"))[1][1:] for k in keys}
    keys = sorted(keys, key=xy.get)
    doc = b"EFK1" + struct.pack("<BBH", len(keys), threshold, number) + b"".join(xy[k] for k in keys)
    digest = hashlib.sha256(doc).digest()
    for names, flag in ((keys, 0), (old, 0x80)):
        for i, k in enumerate(names):
            if k in signers:
                doc += bytes([flag | i]) + raw_signature(sign_digest(k, digest, False))
    return doc


def raw_signature(der):
    """r and s, 32 bytes each, of a DER signature."""
    out, at = b"", 2
    for _ in range(2):
        size = der[at + 1]
        out += int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(32, "big")
        at += 2 + size
    return out


def main():
    p = argparse.ArgumentParser(description="sign a firmware image for tests")
    p.add_argument("--new-key", help="make a key pair instead")
    p.add_argument("--key")
    p.add_argument("--version", default="1.0.0")
    p.add_argument("--counter", type=int, default=1)
    p.add_argument("--vendor", default="edgeferry.github.io")
    p.add_argument("--class", dest="class_name", default="host")
    p.add_argument("files", nargs="*", metavar="IN OUT")
    a = p.parse_args()
    if a.new_key:
        new_key(a.new_key)
        return
    if not a.key or len(a.files) != 2:
        p.error("--key, IN and OUT are needed")
    with open(a.files[0], "rb") as f:
        data = make(f.read(), a.key, a.version, a.counter, a.vendor, a.class_name)
    with open(a.files[1], "wb") as f:
        f.write(data)


if __name__ == "__main__":
    main()
