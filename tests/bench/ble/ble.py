#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of what BLE carries is payload: node_stage of 400 KB in a session, with BlueZ and virtual controllers in an
emulated machine (tests/lab/ble), against the bare stream of the same values through AcquireWrite, in turns.

    ble.py BUILD WORK [--json]      WORK: a folder for the machine's images, kept between runs; needs root to make them
"""
import argparse
import json
import os
import sys

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path[:0] = [LAB, os.path.join(LAB, "ble")]
from guest import AT, Guest  # noqa: E402

SIZE = 400000
ROUNDS = 3
LEAST = 0.9
SINK, METER = "C0:11:22:33:44:77", "C0:11:22:33:44:55"


def rate(guest, *arguments):
    said = json.loads(guest.run(f"{AT}/ble-stage {' '.join(arguments)}", timeout=300))
    return said["bytes"] / said["seconds"]


def measure(guest, mtu):
    """Bytes a second, raw and staged: the medians, and both by the same programs in the same run."""
    raw, staged = [], []
    for round in range(ROUNDS):
        guest.air("sink", SINK, mtu, "sink")
        raw.append(rate(guest, SINK, str(SIZE)))
        guest.stop("air-sink")
        guest.node("meter", METER, mtu)
        staged.append(rate(guest, METER, f"{AT}/new.img", "/tmp/node.key"))
        guest.stop("air-meter")
    return {"mtu": mtu, "raw": sorted(raw)[ROUNDS // 2], "staged": sorted(staged)[ROUNDS // 2]}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("work")
    p.add_argument("--json", action="store_true")
    options = p.parse_args()
    guest = Guest(os.path.abspath(options.work), os.path.abspath(options.build), {"new": (os.urandom(SIZE), "2.0.0", 2)})
    try:
        guest.on()
        rows = [measure(guest, mtu) for mtu in (247, 517)]
    finally:
        guest.close()
    for row in rows:
        row["share"] = row["staged"] / row["raw"]
    if options.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"MTU {row['mtu']}: bare stream {row['raw'] / 1000:.1f} kB/s, payload in a session "
                  f"{row['staged'] / 1000:.1f} kB/s: {100 * row['share']:.1f} %, at least {100 * LEAST:.0f} % wanted")
    return 0 if all(row["share"] >= LEAST for row in rows) else 1


sys.exit(main())
