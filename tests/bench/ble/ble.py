#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of what BLE carries is payload: node_stage in a session, against the bare stream of the same values through
AcquireWrite, in turns.

    ble.py --node NODE --stage BLE-STAGE [--json]
    ble.py --guest BUILD WORK [--no-radio] [--json]

The first over tests/lab/ble/fake_bluez.py: sockets with connection events, and as many packets in each as a radio has
time for. The second with BlueZ itself and virtual controllers in an emulated machine, long and root's; WORK keeps its
images. Of these the gateway's has the same connection events (tests/lab/ble/radio.c), by a clock that goes with the emulated
processor's instructions; without them, --no-radio, data goes as fast as that processor, so the figure is about it.
"""
import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path[:0] = [LAB, os.path.join(LAB, "ble"), os.path.join(LAB, "vm")]
import bench  # noqa: E402
import image  # noqa: E402

LEAST = 0.9
EVENT_MS, PACKETS = 15, 4   # a connection event, and the link layer packets that go in it each way
SINK, METER = "C0:11:22:33:44:77", "C0:11:22:33:44:55"


class Sink(threading.Thread):
    """In place of a node: counts bytes, and answers a value of one byte with how many came before it."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(1)
        self.start()

    def run(self):
        while True:
            peer, count = self.listener.accept()[0], 0
            while value := peer.recv(512):
                if len(value) == 1:
                    peer.send(struct.pack("<I", count))
                count += len(value)
            peer.close()


class Fake:
    size, rounds = 120000, 5

    def __init__(self, options, work):
        self.stage, self.work = options.stage, work
        image.new_key(f"{work}/edge.pem")
        for name, version, payload in (("v1", "1.0.0", b"one" * 999), ("new", "2.0.0", os.urandom(self.size))):
            with open(f"{work}/{name}.img", "wb") as f:
                f.write(image.make(payload, f"{work}/edge.pem", version))
        self.bench = bench.Bench(work, options.node, {METER: "meter", SINK: "sink"})
        Sink(f"{work}/sink.sock")

    def begin(self, mtu):
        self.bench.start_bluez(mtu)
        for device in (METER, SINK):
            self.bench.tell("set", device, "paced", EVENT_MS, PACKETS)

    def end(self):
        self.bench.stop_bluez()

    def run(self, *arguments):
        return subprocess.run([self.stage, *arguments], check=True, stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "BUS": self.bench.address}, timeout=120).stdout

    def raw(self, mtu):
        return self.run(SINK, str(self.size))

    def staged(self, mtu):
        self.bench.new_node("meter", mtu)
        return self.run(METER, f"{self.work}/new.img", self.bench.secret)

    def close(self):
        self.bench.close()


class Real:
    size, rounds = 200000, 3

    def __init__(self, build, work, radio):
        from guest import AT, Guest
        self.at, self.guest = AT, Guest(work, build, {"new": (os.urandom(self.size), "2.0.0", 2)}, radio=radio)

    def begin(self, mtu):
        if not self.guest.machine.process:
            self.guest.on()

    def end(self):
        pass

    def run(self, *arguments):
        return self.guest.run(f"{self.at}/ble-stage {' '.join(arguments)}", timeout=1800)

    def raw(self, mtu):
        self.guest.air("sink", SINK, mtu, "sink")
        try:
            return self.run(SINK, str(self.size))
        finally:
            self.guest.stop("air-sink")

    def staged(self, mtu):
        self.guest.node("meter", METER, mtu)
        try:
            return self.run(METER, f"{self.at}/new.img", "/tmp/node.key")
        finally:
            self.guest.stop("air-meter")

    def close(self):
        self.guest.close()


def rate(said):
    said = json.loads(said)
    return said["bytes"] / said["seconds"]


def measure(air, mtu):
    """Bytes a second, raw and staged: the best of several rounds, since a busy machine only takes away."""
    rates = {"raw": [], "staged": []}
    air.begin(mtu)
    for _ in range(air.rounds):
        for what, list_ in rates.items():
            list_.append(rate(getattr(air, what)(mtu)))
            print(f"# MTU {mtu}, {what}: {list_[-1] / 1000:.1f} kB/s", file=sys.stderr, flush=True)
    air.end()
    row = {"mtu": mtu, **{what: max(list_) for what, list_ in rates.items()}}
    return {**row, "share": row["staged"] / row["raw"]}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--node")
    p.add_argument("--stage")
    p.add_argument("--guest", nargs=2, metavar=("BUILD", "WORK"))
    p.add_argument("--no-radio", action="store_true")
    p.add_argument("--json", action="store_true")
    options = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgeferry-ble-") as work:
        if options.guest:
            air = Real(*map(os.path.abspath, options.guest), None if options.no_radio else (EVENT_MS, PACKETS))
        else:
            air = Fake(options, work)
        try:
            rows = [measure(air, mtu) for mtu in (247, 517)]
        finally:
            air.close()
    if options.json:
        print(json.dumps(rows))
    for row in rows if not options.json else ():
        print(f"MTU {row['mtu']}: bare stream {row['raw'] / 1000:.1f} kB/s, payload in a session "
              f"{row['staged'] / 1000:.1f} kB/s: {row['share']:.1%}, at least {LEAST:.0%}: {'holds' if row['share'] >= LEAST else 'MISSED'}")


if __name__ == "__main__":
    main()
