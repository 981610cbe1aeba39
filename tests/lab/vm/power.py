# SPDX-License-Identifier: Apache-2.0
"""
A disk with a volatile write cache, whose power went. What it was given was put down by QEMU's blklogwrites, in the format
of Linux's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst): what came before the last flush is on the
disk, of what came after it anything may be, in whole, in part or not.
"""
import os
import shutil
import struct
import subprocess

SECTOR = 512
MAGIC = 0x6A736677736872
FLUSH, DISCARD = 1, 4


class Incomplete(Exception):
    """The emulator ended while it put a write down before others that count: nothing can be said."""


def _writes(log):
    """(flags, first byte on disk, bytes, place in the log) in the order of their ends."""
    size = os.fstat(log.fileno()).st_size
    magic, _, known, sector = struct.unpack("<QQQI", log.read(28))
    if magic != MAGIC or sector != SECTOR:
        raise Incomplete("no log of writes")
    at, found = SECTOR, 0
    while at + SECTOR <= size:
        log.seek(at)
        first, count, flags, _ = struct.unpack("<QQQQ", log.read(32))
        at += SECTOR
        length = 0 if flags & DISCARD else count * SECTOR
        if not (count or flags) or at + length > size:
            break
        yield flags, first * SECTOR, length, at
        at += length
        found += 1
    if found < known:
        raise Incomplete(f"{found} of {known} writes are whole")


def cut(before, log_path, out, rng):
    """out: the disk as the cut left it, from the disk as it was before. Returns (writes kept for sure, lost, torn)."""
    subprocess.run(["cp", "--sparse=always", before, out], check=True)
    kept = lost = torn = 0
    with open(log_path, "rb") as log, open(out, "r+b") as disk:
        def write(at, length, place):
            log.seek(place)
            disk.seek(at)
            shutil.copyfileobj(_Part(log, length), disk, 1 << 20)

        waiting = []
        for flags, at, length, place in list(_writes(log)):
            if flags & FLUSH:
                for one in waiting:
                    write(*one)
                kept += len(waiting)
                waiting.clear()
            if length:
                waiting.append((at, length, place))
        for at, length, place in waiting:
            fate = rng.choice(("kept", "lost", "torn"))
            sectors = {"kept": length // SECTOR, "lost": 0, "torn": rng.randrange(length // SECTOR)}[fate]
            write(at, sectors * SECTOR, place)
            lost += sectors == 0
            torn += 0 < sectors < length // SECTOR
    return kept, lost, torn


class _Part:
    """The next length bytes of a file."""

    def __init__(self, file, length):
        self.file, self.left = file, length

    def read(self, size):
        data = self.file.read(min(size, self.left))
        self.left -= len(data)
        return data
