#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of a serial line is payload: node_stage of 256 KiB to edgeferry-node through the line shim.

    uart.py --node build/…/edgeferry-node --stage build/…/uart-stage [--json] [--only SUBSTRING]

The share of the line rate (ten bits a byte) that is payload, in a session, with the node's buffers
and with buffers of 512 bytes, on a clean line and with bit errors, of which the node repairs one a
frame; beside it what framing leaves at best, and a stock client's way: one request at a time in
console lines. The limits are printed with what was measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import image  # noqa: E402
import smp_plain  # noqa: E402


# name, baud, buffer, flip, session; share that it must reach, or points that it may lose to the clean line
ROWS = (("115200, session", 115200, 0, 0.0, True, 0.95), ("115200, session, 512", 115200, 512, 0.0, True, None),
        ("115200, session, 512, 1e-5", 115200, 512, 1e-5, True, None),
        ("115200, session, 1e-5", 115200, 0, 1e-5, True, None),
        ("115200, clear", 115200, 0, 0.0, False, None), ("115200, console, stop and wait", 115200, 0, 0.0, None, None),
        ("1000000, session", 1000000, 0, 0.0, True, None), ("1000000, session, 512", 1000000, 512, 0.0, True, 0.93),
        ("1000000, session, 512, 1e-5", 1000000, 512, 1e-5, True, None),
        ("1000000, session, 1e-5", 1000000, 0, 1e-5, True, None),
        ("1000000, console, stop and wait", 1000000, 0, 0.0, None, None))
POINTS = 0.05   # that bit errors of 1e-5 may cost
SEEDS = 4       # of bit errors; their mean is what counts
TRIES = 3       # at a high rate, of which the quickest counts: what else the machine does only adds


def stock_client(work, tty_path, baud):
    """A stock client's upload: console lines, one request at a time."""
    with open(os.path.join(work, "new.img"), "rb") as f:
        data = f.read()
    with smp_plain.Plain(tty_path, "console") as client:
        subprocess.run(["stty", "-F", tty_path, str(baud)], check=True)
        start = time.monotonic()
        client.upload(data)
        seconds = time.monotonic() - start
    return {"bytes": len(data), "transfer_bytes": len(data), "transfer_s": seconds, "stage_s": seconds,
            "buf": client.largest, "window": 1, "ceiling": 3 / 4, "payload_sent": len(data)}


def measure(options, work, row, seed, attempt):
    """One run on a fresh node. Returns uart-stage's figures."""
    title, baud, buffer, flip, session, _ = row
    name = os.path.join(work, title.replace(" ", "").replace(",", "-") + f"-{seed}-{attempt}")
    key = [os.path.join(work, "node.key")] if session else []
    node = subprocess.Popen([options.node, "--flash", name + ".flash", "--socket", name + ".sock",
                             "--slot-size", str(512 << 10), "--key", os.path.join(work, "edge.pub.pem"),
                             "--image", os.path.join(work, "old.img"), *(["--psk", *key] if key else ["--plain"])])
    shim = subprocess.Popen([os.path.join(LAB, "line_shim.py"), "pty:" + name + ".tty",
                             "unix:" + name + ".sock", "--latency", str(options.latency), "--stats",
                             "--flip", str(flip), "--seed", str(seed)],
                            stdout=subprocess.PIPE, text=True)
    try:
        shim.stdout.readline()
        if session is None:
            figures = stock_client(work, name + ".tty", baud)
        else:
            out = subprocess.run([options.stage, name + ".tty", str(baud), "0", str(buffer),
                                  os.path.join(work, "new.img"), *key], check=True, stdout=subprocess.PIPE,
                                 text=True, timeout=300).stdout
            figures = json.loads(out)
    finally:
        shim.terminate()
        tail = shim.communicate()[0]
        node.terminate()
        node.wait()
    figures["line"] = json.loads(tail)["forth"]
    rate = baud / 10
    figures.update(name=title, baud=baud, latency_ms=options.latency,
                   transfer_share=figures["transfer_bytes"] / figures["transfer_s"] / rate,
                   stage_share=figures["bytes"] / figures["stage_s"] / rate)
    return figures


def quickest(options, work, row, seed):
    tries = TRIES if row[1] > 115200 else 1
    return max((measure(options, work, row, seed, n) for n in range(tries)), key=lambda r: r["transfer_share"])


def mean(runs):
    for key in ("transfer_share", "stage_share", "payload_sent"):
        runs[0][key] = sum(r[key] for r in runs) / len(runs)
    return runs[0]


def best_at(flip, most):
    """Without repair: the share of the best length of frame up to most, if a bad frame costs just itself; with a session."""
    def share(n):
        frame = n + 8 + 3 + 21                      # SMP, offset, session
        frame += (frame + 253) // 254 + 1           # COBS
        return (1 - flip) ** (8 * frame) * n / frame
    return max(share(n) for n in range(64, most - 11 + 1))


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
    p.add_argument("--only", default="", metavar="SUBSTRING", help="rows whose name has it")
    p.add_argument("--latency", type=float, default=1.0, metavar="MS",
                   help="of the cable, each way (1: a USB adapter)")
    p.add_argument("--json", action="store_true")
    options = p.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="edgeferry-uart-") as work:
        make_images(work)
        with open(os.path.join(work, "node.key"), "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32).hex())
        for row in ROWS:
            if options.only in row[0]:
                rows.append(mean([quickest(options, work, row, seed) for seed in range(1, SEEDS + 1 if row[3] else 2)]))
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'':<32} {'buffer':>6} {'window':>6} {'payload B/s':>11} {'of line':>8} {'ceiling':>8} {'whole stage':>11} "
          f"{'again':>6}  limit (ceiling: what framing leaves; with errors, what the best length of frames carries without repair)")
    shares = {r["name"]: r["transfer_share"] for r in rows}
    for r in rows:
        share, least = r["transfer_share"], dict((w[0], w[5]) for w in ROWS)[r["name"]]
        clean = shares.get(r["name"].removesuffix(", 1e-5")) if "1e-5" in r["name"] else None
        limit = ""
        if "1e-5" in r["name"]:
            r["ceiling"] = best_at(1e-5, r["buf"])
        if least:
            limit = f"at least {least:.0%}: {'holds' if share >= least else 'MISSED'}"
        elif clean:
            limit = f"costs {(clean - share) * 100:.1f} points, at most {POINTS * 100:.0f}: " \
                    f"{'holds' if clean - share <= POINTS else 'MISSED'}; without repair the best costs " \
                    f"{(clean - r['ceiling']) * 100:.1f}"
        print(f"{r['name']:<32} {r['buf']:>6} {r['window']:>6} {share * r['baud'] / 10:>11.0f} {share:>8.1%} "
              f"{r['ceiling']:>8.1%} {r['stage_share']:>11.1%} {r['payload_sent'] - r['bytes']:>6.0f}  {limit}")


if __name__ == "__main__":
    main()
