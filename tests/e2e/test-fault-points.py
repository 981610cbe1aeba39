#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
F-26, F-03, F-04: one system call of edgeferryd, edgeferry-net or edgeferry-worker fails in a small full deployment
(lab/small.py), sockets, pipes, processes and memory as well as files, with one errno at a time. What comes of it is a
deployment that has ended with a reason, on a machine that keeps the invariants (oracle.py), and that installs the
release when it is asked to again, or by itself. (unit/update/test-faults.c does it inside the engine, for files, with each errno.)

  test-fault-points.py [--sample N | --from N --to N] [--program NAME] [--error NAME] [--seed N] [--machines N]

The errno of each call is drawn, unless --error names one for all.
"""
import errno
import random
import sys

import points
from oracle import NEW, OLD
from tap import holds

ERRORS = ("EIO", "ENOSPC", "EINTR", "EAGAIN", "EMFILE", "EROFS", "ENOMEM", "ECONNRESET", "EPIPE", "EACCES")


def fail(o, tap, m, oracle, program, n):
    name = o.error or random.Random(f"{o.seed} {program} {n}").choice(ERRORS)
    m.doing = f"{name} of call {n} of {program}"
    m.fail_at(program, n, getattr(errno, name))
    m.on()
    d = m.outcome(NEW, points.ENDS_WITHIN)
    if d["state"] == "confirmed":
        oracle.rests(NEW)
        return "confirmed"
    tap.note(f"{m.doing} ({m.hit()[1]}): {d['state']}: {d['reason']}: {d['detail']}")
    holds(d["state"] in ("failed", "refused", "reverted") and d["reason"] not in ("ok", "internal"), f"it ended {d['state']}: {d['reason']}")
    oracle.rests(OLD)
    m.on()
    oracle.settled(OLD)
    asked = m.cli("install", "--no-wait", NEW, check=False)
    holds(asked.returncode == 0 or "asked for by itself" in asked.stderr, asked.stderr)     # it may be quicker
    again = m.outcome(NEW, points.ENDS_WITHIN, after=d["id"])
    holds(again["state"] == "confirmed", f"{d['state']}: {d['reason']}, and then {again['state']}: {again['reason']}")
    oracle.rests(NEW)
    return f"{d['state']}: {d['reason']}"


def main():
    p = points.options("fail each system call of each program")
    p.add_argument("--error", choices=ERRORS)
    o = p.parse_args()

    def play(machines, tap):
        for program in [o.program] if o.program else points.PROGRAMS:
            tap.case(f"F-26 {program}: " + ("a sample of its calls" if o.sample else "each of its calls") + " fails",
                     points.walk, machines, program, lambda m, p: m.fail_at(p, 0, errno.EIO),
                     lambda m, oracle, p, n: fail(o, tap, m, oracle, p, n), o, tap)
    return points.play(o, play)


if __name__ == "__main__":
    sys.exit(main())
