#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the flash of a node as it leaves the factory: an image in slot 0 and the factory page
(docs/SPEC-dfu.md, "Factory page"). No key is generated here; public keys come from PEM files.

    factory.py --board mps2-an385 --image app.img --key edge.pub.pem --flash FILE [--id HEX] [--hwrev N] [--psk FILE]
"""
import argparse
import hashlib
import os
import struct
import subprocess
import sys
import uuid
import zlib

MAGIC = b"EFFP"
VERSION = 1
KEYS_MAX = 4
PLAIN_CLIENTS = 1       # flag: stock SMP clients may update the node
ADDRESS_SHIFT = 8       # of the flags: address on a shared line, 8 bits, 0 none

# board: address of the flash, page, slot size, offsets of slot 0, recovery image, state, factory page and secrets, size
# of the flash file
MPS2 = dict(page=4096, slot=384 << 10, slot0=0, recovery=0xC1000, state=0xE6000, factory=0xE8000, secrets=0xEC000,
            size=16 << 20)
MAPS = {
    "nrf51-microbit": dict(base=0, page=1024, slot=96 << 10, slot0=0x8000, recovery=0x38400, state=0x3F000,
                           factory=0x3F800, secrets=0x3D800, size=256 << 10),
    "mps2-an385": dict(MPS2, base=0x21000000),
    "mps2-an505": dict(MPS2, base=0x80000000),
    "riscv-virt": dict(base=0x22000000, page=256 << 10, slot=512 << 10, slot0=0, recovery=0x140000, state=0x1C0000,
                       factory=0x240000, secrets=0x280000, size=32 << 20),
}


def host_map(slot):
    """edgeferry-node: the two slots, slot 1 larger by a unit, then journal, state, factory, secrets, keys."""
    journal = 2 * slot + (16 << 10)
    return dict(page=4096, slot=slot, slot0=0, state=journal + 4096, factory=journal + 3 * 4096,
                secrets=journal + 4 * 4096, size=journal + 8 * 4096)


def uuids(vendor, class_name):
    v = uuid.uuid5(uuid.NAMESPACE_DNS, vendor)
    return v.bytes, uuid.uuid5(v, class_name).bytes


def image_key(pem):
    """(SHA-256 of the DER SubjectPublicKeyInfo, the 65 bytes of struct ef_image_key) of a public key."""
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", pem, "-outform", "DER"], check=True,
                         stdout=subprocess.PIPE).stdout
    if len(der) == 91 and der[26] == 4:
        return hashlib.sha256(der).digest(), der[26:]
    if len(der) == 44:
        return hashlib.sha256(der).digest(), b"\xed" + der[12:] + bytes(32)
    raise ValueError(f"{pem}: not a public key of Ed25519, nor of P-256 with an uncompressed point")


def factory_page(device_id, hwrev, floor, vendor, class_id, keys, flags=0):
    if len(keys) > KEYS_MAX:
        raise ValueError(f"at most {KEYS_MAX} keys")
    body = struct.pack("<16s16s16sIII", device_id, vendor, class_id, hwrev, floor, len(keys))
    for digest, point in keys:
        body += digest + point
    body += b"\0" * (97 * (KEYS_MAX - len(keys))) + struct.pack("<I", flags)
    head = MAGIC + struct.pack("<HH", VERSION, 8 + len(body) + 4)
    return head + body + struct.pack("<I", zlib.crc32(head + body))


def secrets_record(psk, seed, required=True):
    """docs/SPEC-session.md, "Keys in the node"."""
    body = b"EFK1" + struct.pack("<III", 1, 1, int(required)) + psk + seed + bytes(12)
    return body + struct.pack("<I", zlib.crc32(body)) + bytes(16)   # and it was written to its end


def read_psk(path):
    with open(path, encoding="ascii") as f:
        psk = bytes.fromhex(f.read())
    if len(psk) != 32:
        raise ValueError(f"{path}: not 64 hexadecimal digits")
    return psk


def flash(board, image, keys, *, device_id=bytes(16), hwrev=1, floor=0, vendor="edgeferry.github.io",
          class_name=None, slot=256 << 10, psk=None, flags=0):
    """The flash file's whole contents. image: the signed image's bytes, or None; psk: 32 bytes, or None."""
    m = MAPS.get(board) or host_map(slot)
    data = bytearray(b"\xff" * m["size"])
    if image:
        if len(image) > m["slot"]:
            raise ValueError("image larger than the slot")
        data[m["slot0"]:m["slot0"] + len(image)] = image
    v, c = uuids(vendor, class_name or board) if vendor else (bytes(16), bytes(16))
    page = factory_page(device_id, hwrev, floor, v, c, keys, flags)
    data[m["factory"]:m["factory"] + len(page)] = page
    if psk:
        record = secrets_record(psk, os.urandom(32))
        data[m["secrets"]:m["secrets"] + len(record)] = record
    return bytes(data)


def main():
    p = argparse.ArgumentParser(description="make the flash file of a node as it leaves the factory")
    p.add_argument("--board", required=True, help=f"{', '.join(MAPS)}, or any other name: edgeferry-node")
    p.add_argument("--image", help="signed image for slot 0")
    p.add_argument("--key", action="append", default=[], help="PEM public key that signs images; up to 4")
    p.add_argument("--flash", required=True, help="file to write")
    p.add_argument("--id", default="", help="device id, up to 32 hex digits")
    p.add_argument("--hwrev", type=int, default=1)
    p.add_argument("--floor", type=int, default=0, help="lowest security counter")
    p.add_argument("--vendor", default="edgeferry.github.io")
    p.add_argument("--class", dest="class_name", help="default: the board's name")
    p.add_argument("--slot-size", type=lambda s: int(s, 0), default=256 << 10, help="edgeferry-node only")
    p.add_argument("--psk", help="the node's secret key, 64 hexadecimal digits: it then answers to sessions only")
    p.add_argument("--plain", action="store_true", help="stock SMP clients may update it")
    p.add_argument("--address", type=int, default=0, help="its address, 1 to 247, on a line that it shares with others")
    a = p.parse_args()
    image = None
    if a.image:
        with open(a.image, "rb") as f:
            image = f.read()
    data = flash(a.board, image, [image_key(k) for k in a.key],
                 device_id=bytes.fromhex(a.id.zfill(32)), hwrev=a.hwrev, floor=a.floor, vendor=a.vendor,
                 class_name=a.class_name, slot=a.slot_size, psk=a.psk and read_psk(a.psk),
                 flags=(PLAIN_CLIENTS if a.plain else 0) | a.address << ADDRESS_SHIFT)
    with open(a.flash, "wb") as f:
        f.write(data)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, subprocess.CalledProcessError) as e:
        sys.exit(f"factory.py: {e}")
