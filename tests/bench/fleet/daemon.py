#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole of it at scale: the real edgeferryd deploys one release to many nodes at once, edgeferry-node on ptys, in a
session each, with an image of 256 KiB.

    daemon.py BUILD [--nodes 1,16,64,256] [--size 262144]

Time until all hold the image and until the release is confirmed, edgeferryd's processor time for each MiB until the first
and for each node from there to the second, and how much its memory was at its largest above that of one node, for each node.
The ptys do not pace: what is measured is the work, that of the nodes on the same machine included.
"""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from farm import Farm, wait  # noqa: E402

LIMIT = 64 << 10    # bytes of memory a node


def scale(build, count, size):
    with Farm(build) as f:
        f.release("2.0.0", os.urandom(size))
        g = f.gateway(conf="ObjectQuota=64M\n")
        for i in range(count):
            g.configure(f"n{i}", f.node(f"n{i}", None, True), key=f.key, baud=1000000)
        g.start()
        g.present(count, 300)
        time.sleep(1)
        before, peak, staged = g.cpu(), g.memory(), None
        g.cli("install", "--no-wait", f.bundle("2.0.0"))
        start = time.monotonic()
        while True:
            peak = max(peak, g.memory())
            d = g.deployment("2.0.0")
            if d and not staged and d["state"] not in ("offered", "fetching"):
                staged, cpu = time.monotonic() - start, g.cpu() - before
            if d and d["ended"]:
                break
            time.sleep(0.25)
        assert d["state"] == "confirmed", d["detail"]
        return {"staged": staged, "confirmed": time.monotonic() - start, "cpu": cpu, "memory": peak,
                "rest": g.cpu() - before - cpu, "mib": count * size / (1 << 20)}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("build")
    p.add_argument("--nodes", default="1,16,64,256")
    p.add_argument("--size", type=int, default=256 << 10)
    o = p.parse_args()
    print(f"{'nodes':>6} {'staged':>8} {'a node':>8} {'confirmed':>10} {'cpu s/MiB':>10} {'of one node':>11} "
          f"{'ms a node':>10} {'MiB in all':>10} "
          f"{'KiB a node':>11}  limit")
    one = None
    for count in map(int, o.nodes.split(",")):
        r = scale(o.build, count, o.size)
        cost = r["cpu"] / r["mib"]
        one = one or (count, cost, r["memory"])
        kib = (r["memory"] - one[2]) / max(count - one[0], 1) / 1024
        print(f"{count:>6} {r['staged']:>7.2f}s {r['staged'] / count:>7.3f}s {r['confirmed']:>9.1f}s {cost:>10.3f} "
              f"{cost / one[1]:>10.2f}x {r['rest'] * 1000 / count:>10.1f} {r['memory'] / (1 << 20):>10.1f} {kib:>11.1f}  "
              f"{'' if count == one[0] else '64 KiB: holds' if kib * 1024 < LIMIT else '64 KiB: MISSED'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
