#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of a serial line is payload: node_stage of 256 KiB to edgeferry-node through the line shim.

    uart.py --node build/…/edgeferry-node --stage build/…/uart-stage [--baud 115200,1000000] [--json]

Two shares of the line rate (ten bits a byte): of the transfer itself, and of the whole operation
with identify, preflight and the node's check of the image. Beside them what framing leaves at best,
the same in a session, and with one request at a time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import image  # noqa: E402


def measure(options, work, baud, window, latency, session):
    """One run on a fresh node. Returns uart-stage's figures."""
    name = os.path.join(work, f"{baud}-{window}-{latency}-{session}")
    key = [os.path.join(work, "node.key")] if session else []
    node = subprocess.Popen([options.node, "--flash", name + ".flash", "--socket", name + ".sock",
                             "--slot-size", str(512 << 10), "--key", os.path.join(work, "edge.pub.pem"),
                             "--image", os.path.join(work, "old.img"), *(["--psk", *key] if key else [])])
    shim = subprocess.Popen([os.path.join(LAB, "line_shim.py"), "pty:" + name + ".tty",
                             "unix:" + name + ".sock", "--latency", str(latency), "--stats"],
                            stdout=subprocess.PIPE, text=True)
    try:
        shim.stdout.readline()
        out = subprocess.run([options.stage, name + ".tty", str(baud), str(window),
                              os.path.join(work, "new.img"), *key], check=True, stdout=subprocess.PIPE, text=True,
                             timeout=300).stdout
        figures = json.loads(out)
    finally:
        shim.terminate()
        tail = shim.communicate()[0]
        node.terminate()
        node.wait()
    figures["line"] = json.loads(tail)["forth"]
    rate = baud / 10
    figures.update(baud=baud, latency_ms=latency, session=session,
                   transfer_share=figures["transfer_bytes"] / figures["transfer_s"] / rate,
                   stage_share=figures["bytes"] / figures["stage_s"] / rate)
    return figures


def make_images(work):
    key = os.path.join(work, "edge.pem")
    image.new_key(key)
    for name, version, payload in (("old", "1.0.0", b"old" * 1000), ("new", "2.0.0", os.urandom(256 << 10))):
        with open(os.path.join(work, name + ".img"), "wb") as f:
            f.write(image.make(payload, key, version))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--node", required=True)
    p.add_argument("--stage", required=True)
    p.add_argument("--baud", default="115200,1000000")
    p.add_argument("--latency", type=float, default=1.0, metavar="MS",
                   help="of the cable, each way (1: a USB adapter)")
    p.add_argument("--json", action="store_true")
    options = p.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="edgeferry-uart-") as work:
        make_images(work)
        with open(os.path.join(work, "node.key"), "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32).hex())
        for baud in map(int, options.baud.split(",")):
            for window, session in ((0, False), (0, True), (1, False)):
                rows.append(measure(options, work, baud, window, options.latency, session))
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'baud':>8} {'session':>7} {'window':>6} {'buffer':>6} {'payload B/s':>11} {'of line':>8} {'ceiling':>8} "
          f"{'whole stage':>11} {'again':>6}")
    for r in rows:
        print(f"{r['baud']:>8} {'yes' if r['session'] else 'no':>7} {r['window']:>6} {r['buf']:>6} {r['transfer_share'] * r['baud'] / 10:>11.0f} "
              f"{r['transfer_share']:>8.1%} {r['ceiling']:>8.1%} {r['stage_share']:>11.1%} "
              f"{r['payload_sent'] - r['bytes']:>6}")


if __name__ == "__main__":
    main()
