#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F-02: the lab's disk whose power goes (tests/lab/vm/power.py) loses what was not flushed, and nothing else."""
import os
import pathlib
import random
import struct
import sys
import tempfile
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lab/vm"))
import power  # noqa: E402

SECTOR, FLUSH, DISCARD = 512, 1, 4


def log(path, entries, known=None):
    """entries: (first sector, letter, sectors), "flush" or ("discard", first, sectors)"""
    data, count = b"", len(entries) if known is None else known
    for entry in entries:
        if entry == "flush":
            head, content = (0, 0, FLUSH, 0), b""
        elif entry[0] == "discard":
            head, content = (entry[1], entry[2], DISCARD, 0), b""
        else:
            head, content = (entry[0], entry[2], 0, entry[2] * SECTOR), entry[1] * (entry[2] * SECTOR)
        data += struct.pack("<QQQQ", *head).ljust(SECTOR, b"\0") + content
    path.write_bytes(struct.pack("<QQQI", power.MAGIC, 1, count, SECTOR).ljust(SECTOR, b"\0") + data)


def outcomes(folder, entries, tries=40):
    """All disks of four sectors that cuts leave."""
    before, out = folder / "before", folder / "out"
    before.write_bytes(b"-" * 4 * SECTOR)
    log(folder / "log", entries)
    found = set()
    for seed in range(tries):
        counts = power.cut(str(before), str(folder / "log"), str(out), random.Random(seed))
        disk = out.read_bytes()
        assert all(disk[at:at + SECTOR] == disk[at:at + 1] * SECTOR for at in range(0, len(disk), SECTOR)), "a sector torn"
        found.add(disk[::SECTOR].decode())
    return found, counts


def flushed_stays(folder):
    assert outcomes(folder, [(0, b"a", 2), (1, b"b", 1), "flush"]) == ({"ab--"}, (2, 0, 0))


def unflushed_may_go(folder):
    found, _ = outcomes(folder, [(0, b"a", 1), "flush", (1, b"b", 3)])
    assert found == {"a---", "ab--", "abb-", "abbb"}, found


def each_by_itself(folder):
    found, _ = outcomes(folder, [(0, b"a", 1), (3, b"b", 1)])
    assert found == {"----", "a---", "---b", "a--b"}, found


def discard_does_nothing(folder):
    assert outcomes(folder, [(0, b"a", 4), ("discard", 0, 4), "flush"])[0] == {"aaaa"}


def half_an_entry(folder):
    """What the emulator had not put down to its end was not over for the guest; a flush that was says so."""
    before = folder / "before"
    before.write_bytes(b"-" * 4 * SECTOR)
    log(folder / "log", [(0, b"a", 1), "flush", (1, b"b", 3)], known=2)
    os.truncate(folder / "log", os.path.getsize(folder / "log") - 1)
    assert power.cut(str(before), str(folder / "log"), str(folder / "out"), random.Random(1)) == (1, 0, 0)
    log(folder / "log", [(0, b"a", 1)], known=2)
    try:
        power.cut(str(before), str(folder / "log"), str(folder / "out"), random.Random(1))
    except power.Incomplete:
        return
    raise AssertionError("a log that lacks writes was taken")


CASES = [flushed_stays, unflushed_may_go, each_by_itself, discard_does_nothing, half_an_entry]


def main():
    print(f"1..{len(CASES)}")
    failed = False
    for number, case in enumerate(CASES, 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                case(pathlib.Path(folder))
                print(f"ok {number} - {case.__name__}")
            except Exception:   # noqa: BLE001
                failed = True
                print(f"not ok {number} - {case.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "))
    return failed


sys.exit(main())
