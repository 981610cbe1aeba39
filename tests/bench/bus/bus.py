#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One image to many nodes on one shared line by broadcast, against one node after the other.

    bus.py BUILD [--nodes 32] [--baud 230400] [--size 262144] [--flip 0,1e-6,1e-5]

The real edgeferryd, edgeferry-node behind tests/lab/bus_shim.py, each in a session. Counted is from the plan until the last
node holds the image and has checked it. One after the other is what the same line takes for one node, times the nodes: alone
a node is sent its image in its own upload. The limit is the time that the image itself takes on the line.
"""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from farm import Farm, wait  # noqa: E402


def staged(build, count, baud, size, flip):
    with Farm(build) as f:
        f.release("2.0.0", os.urandom(size))
        nodes = {f"n{i}": i for i in range(1, count + 1)}
        (line,) = f.shared(nodes, session=True, baud=baud, flip=flip)
        g = f.gateway()
        for name, address in nodes.items():
            g.configure(name, line, address, f.key, baud=baud)
        g.start()
        g.present(count, 300)
        g.cli("install", "--no-wait", f.bundle("2.0.0"))
        wait(lambda: (g.deployment("2.0.0") or {}).get("state", "offered") != "offered", 300, "the plan")
        start = time.monotonic()

        def over():
            d = g.deployment("2.0.0")
            return d["state"] not in ("offered", "fetching") and d
        d = wait(over, 3600, "the image on all nodes")
        took = time.monotonic() - start
        assert d["state"] in ("staged", "activating", "trial"), d
        g.stop(kill=True)
        return took, f.line_figures()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("build")
    p.add_argument("--nodes", type=int, default=32)
    p.add_argument("--baud", type=int, default=230400)
    p.add_argument("--size", type=int, default=256 << 10)
    p.add_argument("--flip", default="0,1e-6,1e-5")
    o = p.parse_args()
    limit = o.size * 10 / o.baud
    print(f"{o.nodes} nodes, {o.size >> 10} KiB, {o.baud} baud: the image alone takes {limit:.1f} s")
    print(f"{'bit errors':>10} {'one node':>9} {'x ' + str(o.nodes):>9} {'broadcast':>10} {'ratio':>7} {'of limit':>9}")
    for flip in map(float, o.flip.split(",")):
        one, _ = staged(o.build, 1, o.baud, o.size, flip)
        all_, figures = staged(o.build, o.nodes, o.baud, o.size, flip)
        print(f"{flip:>10g} {one:>8.1f}s {one * o.nodes:>8.0f}s {all_:>9.1f}s {one * o.nodes / all_:>6.1f}x {all_ / limit:>8.2f}x"
              f"   spoilt by collisions: {figures['spoilt']}", flush=True)


if __name__ == "__main__":
    main()
