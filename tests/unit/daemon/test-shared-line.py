#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several nodes on one line, as the real edgeferryd updates them: edgeferry-node behind tests/lab/bus_shim.py, where
everybody hears everybody and two that speak at once spoil each other. TAP.

    test-shared-line.py BUILD
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402

BUILD = sys.argv[1]
BAUD = 460800
check = Checks()


def in_turns(f):
    """Three nodes in sessions and one that is not there, on a line with errors."""
    nodes = {f"n{i}": i for i in (1, 2, 247)}
    (line,) = f.shared(nodes, session=True, baud=BAUD, flip=2e-6)
    g = f.gateway()
    for name, address in nodes.items():
        g.configure(name, line, address, f.key, baud=BAUD)
    g.configure("dead", line, 99, f.key, "Optional=yes\n", baud=BAUD)
    g.start()
    g.present(3)
    check("all that are there are found", g.running() == {**{n: "1.0.0" for n in nodes}, "dead": None}, g.running())
    d, took = g.install("2.0.0")
    check(f"and updated ({took:.1f} s)", d["state"] == "confirmed" and set(g.running().values()) == {"2.0.0", None},
          f"{d['state']} {d['detail']} {g.running()}")
    # one is unplugged: the others go on
    f.kill("n2")
    wait(lambda: not g.nodes()["n2"]["present"], 60, "n2 to be missed")
    nodes = g.nodes()
    check("one is gone, the others are not", nodes["n1"]["present"] and nodes["n247"]["present"] and
          nodes["n2"]["reason"] == "node-unreachable", nodes)
    g.stop()
    figures = f.line_figures()
    check("nobody spoke while another did", figures["spoilt"] == 0 and figures["bytes"] > 0, figures)


def main():
    with Farm(BUILD) as f:
        f.release("2.0.0", os.urandom(30000))
        in_turns(f)
    return check.end()


sys.exit(main())
