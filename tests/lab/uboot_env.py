# SPDX-License-Identifier: Apache-2.0
"""A redundant environment as U-Boot reads it (env/common.c, env_check_redund), which libubootenv has no part in."""
import struct
import zlib

HEAD = struct.Struct("<IB")     # crc32 of what follows, and a number that goes round: the newer copy's is one higher


def copy(data):
    """(number, {variable: value}), or None: not whole."""
    crc, number = HEAD.unpack_from(data)
    body = data[HEAD.size:]
    if zlib.crc32(body) != crc:
        return None
    texts = body.split(b"\0\0", 1)[0].decode().split("\0")
    return number, dict(text.split("=", 1) for text in texts if text)


def active(first, second):
    """Which of two copies U-Boot takes, 0 or 1; None: neither, and it begins with what was built in."""
    a, b = copy(first), copy(second)
    if not a or not b:
        return 0 if a else 1 if b else None
    if {a[0], b[0]} == {0, 255}:
        return 0 if a[0] == 0 else 1
    return 0 if a[0] >= b[0] else 1


def slots(variables):
    """(the slot that it starts next, whether that is a trial), as conf/boot/edgeferry.uboot has it."""
    for slot in variables.get("BOOT_ORDER", "A B").split():
        if int(variables.get(f"BOOT_{slot}_LEFT", "3")) > 0:
            return slot, variables.get("edgeferry_trial") == slot
    return None, False
