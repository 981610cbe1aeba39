#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
K-01: edgeferryd, edgeferry-net and edgeferry-worker, each killed before every system call that it makes in a small
full deployment: slot, node in a session, TLS server, broker (lab/small.py). Every other time the program alone is
killed, and init starts it again; else the power goes with it, and the machine starts from what its boot loader has.
Then everything must end by itself, with the invariants (oracle.py) and exactly one outcome (F-01, F-02, F-25, I-8).

  test-kill-points.py [--sample N | --from N --to N] [--program NAME] [--seed N] [--machines N]
"""
import random
import sys

import points
from oracle import GATEWAY_CUT, NEW

AGAIN = 0.2     # of the times the machine is started once more, and must do nothing (I-5)


def main():
    o = points.options("kill each program at each system call").parse_args()

    def kill(m, oracle, program, n):
        power = (n + o.seed) % 2 == 1
        again = random.Random(f"{o.seed} {program} {n}").random() < AGAIN
        m.doing = f"{'power cut' if power else 'kill'} of {program} before call {n}"
        m.kill_at(program, n, power)
        m.on()
        return oracle.end(NEW, points.ENDS_WITHIN, reverts=GATEWAY_CUT if power else (), again=again)

    def play(machines, tap):
        for program in [o.program] if o.program else points.PROGRAMS:
            tap.case(f"K-01 {program} killed at " + ("a sample of its calls" if o.sample else "each of its calls"),
                     points.walk, machines, program, lambda m, p: m.kill_at(p, 0), kill, o, tap)
    return points.play(o, play)


if __name__ == "__main__":
    sys.exit(main())
