#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One image to many nodes at once: edgeferry-node on ptys, in a session each, 256 KiB each.

    fleet.py --node build/…/edgeferry-node --stage build/…/fleet-stage [--nodes 1,16,64,256]

Time until the last has it, the gateway's processor time for each MiB, and its memory for each node,
beside those of one node. The ptys do not pace: what is measured is the work, the nodes' on the same
machine included, and that it grows with the number of nodes and not faster.
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

LIMIT = 64 << 10    # bytes of memory a node


def fleet(options, work, count):
    ports, nodes = [], []
    for i in range(count):
        name = f"{work}/{count}-{i}"
        nodes.append(subprocess.Popen([options.node, "--flash", name + ".flash", "--pty", name, "--slot-size",
                                       str(512 << 10), "--key", f"{work}/edge.pub.pem", "--image",
                                       f"{work}/old.img", "--psk", f"{work}/node.key"]))
        ports.append(name)
    try:
        for p in ports:
            while not os.path.exists(p):
                time.sleep(0.01)
        done = subprocess.run([options.stage, f"{work}/new.img", "1000000", f"{work}/node.key", *ports],
                              stdout=subprocess.PIPE, text=True, check=True, timeout=1200)
        return json.loads(done.stdout)
    finally:
        for n in nodes:
            n.kill()
            n.wait()
        for p in ports:
            os.unlink(p + ".flash")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--node", required=True)
    p.add_argument("--stage", required=True)
    p.add_argument("--nodes", default="1,16,64,256")
    options = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgeferry-fleet-") as work:
        image.new_key(f"{work}/edge.pem")
        for name, version, payload in (("old", "1.0.0", b"old" * 1000), ("new", "2.0.0", os.urandom(256 << 10))):
            with open(f"{work}/{name}.img", "wb") as f:
                f.write(image.make(payload, f"{work}/edge.pem", version))
        with open(f"{work}/node.key", "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32).hex())
        print(f"{'nodes':>6} {'seconds':>8} {'a node':>8} {'cpu s/MiB':>10} {'of one node':>11} {'KiB a node':>11}  limit")
        one = None
        for count in map(int, options.nodes.split(",")):
            r = fleet(options, work, count)
            cost = r["cpu"] / r["mib"]
            one = one or (count, cost, r["memory"])
            # what the first ones need once for all is not counted again
            kib = (r["memory"] - one[2]) / max(count - one[0], 1) / 1024
            print(f"{count:>6} {r['seconds']:>8.2f} {r['seconds'] / count:>8.3f} {cost:>10.3f} {cost / one[1]:>10.2f}x "
                  f"{kib:>11.1f}  {'' if count == one[0] else '64 KiB: holds' if kib * 1024 < LIMIT else '64 KiB: MISSED'}",
                  flush=True)


if __name__ == "__main__":
    main()
