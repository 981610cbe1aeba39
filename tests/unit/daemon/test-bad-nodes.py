#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F-32: sixteen nodes are updated by the real edgeferryd, alone, and while others are slow, lying, babbling or dead. The
good ones take about as long, and the daemon's memory stays. TAP.

    test-bad-nodes.py BUILD
"""

import os
import subprocess
import sys
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402

GOOD = [f"g{i}" for i in range(16)]
BAD = ("dead", "babbling", "lying", "dying", "endless")
SIZE = 100000
check = Checks()


def staged(g, release, names, seconds=120):
    """Seconds until everybody was asked who they are, and from then until all of these hold the image."""
    start = time.monotonic()
    g.cli("install", "--no-wait", g.farm.bundle(release))
    wait(lambda: (g.deployment(release) or {}).get("state", "offered") != "offered", seconds, f"the plan of {release}")
    planned = time.monotonic()

    def done():
        d = g.deployment(release)
        states = {c.get("node"): c["state"] for c in d["components"]} if d else {}
        return all(states.get(n) not in (None, "pending", "fetching", "staging") for n in names) and states
    states = wait(done, seconds, f"{release} on {len(names)} nodes")
    return planned - start, time.monotonic() - planned, states


def main():
    with Farm(sys.argv[1]) as f:
        for version in ("2.0.0", "3.0.0"):
            f.release(version, os.urandom(SIZE))
        g = f.gateway()
        for n in GOOD:
            g.configure(n, f.node(n))
        g.start()
        g.present(len(GOOD))
        _, alone, _ = staged(g, "2.0.0", GOOD)
        wait(lambda: (g.deployment("2.0.0") or {}).get("ended"), 120, "2.0.0")
        check("alone", set(g.running().values()) == {"2.0.0"}, g.running())
        g.stop()
        bad = f.spawn(sys.executable, f"{LAB}/bad_node.py", *(f"{kind}:{f.dir}/{kind}.line" for kind in BAD),
                      stdout=subprocess.PIPE)
        bad.stdout.readline()
        for kind in BAD:
            g.configure(kind, f"{f.dir}/{kind}.line", more="Optional=yes\n")
        f.spawn(sys.executable, f"{LAB}/line_shim.py", f"pty:{f.dir}/slow.line", f"unix:{f.node('slow-node', 'socket')}",
                "--latency", "400", stdout=subprocess.DEVNULL)
        wait(lambda: os.path.exists(f"{f.dir}/slow.line"), 20, "the slow line")
        g.configure("slow", f"{f.dir}/slow.line", more="Optional=yes\n")
        g.start()
        g.present(len(GOOD) + 3)
        wait(lambda: all(g.nodes()[n]["detail"] != "not asked yet" for n in ("dead", "endless")), 30, "the dead to be missed")
        before = g.memory()
        plan, took, states = staged(g, "3.0.0", GOOD)
        # who is there is waited for as long as one question may take, and one that was under way
        check(f"the plan waits for two answers at most ({plan:.1f} s)", plan < 12, plan)
        check(f"the good ones are as quick beside bad ones ({alone:.1f} s and {took:.1f} s)", took < 2 * alone + 3,
              f"{alone:.1f} s, {took:.1f} s")
        check("all of them hold the image", all(states[n] == "staged" for n in GOOD), states)
        grown = g.memory() - before
        check(f"memory stays ({grown >> 10} KiB)", grown < (len(GOOD) + 6) * (64 << 10), grown)
        slept = g.memory()
        time.sleep(3)
        check("and does not grow with what they say", g.memory() - slept < 512 << 10, g.memory() - slept)
        nodes = g.nodes()
        check("who is bad is shown with a reason", nodes["dead"]["reason"] == "node-unreachable" and
              nodes["endless"]["reason"] == "node-unreachable",
              {k: nodes[k]["reason"] for k in BAD})
        g.stop()
    return check.end()


sys.exit(main())
