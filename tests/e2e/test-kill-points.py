#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
K-01: edgeferryd, edgeferry-net and edgeferry-worker, each killed before every system call that it makes in a small
full deployment: slot, node in a session, TLS server, broker (lab/small.py). Every other time the program alone is
killed, and init starts it again; else the power goes with it, and the machine starts from what its boot loader has.
Then everything must end by itself, with the invariants (oracle.py) and exactly one outcome (F-01, F-02, F-25, I-8).

  test-kill-points.py [--sample N | --from N --to N] [--program NAME] [--seed N] [--machines N]

--sample: so many places of each program, drawn, with a seed that is printed. Without it all of them, or those from … to.
"""
import argparse
import collections
import concurrent.futures
import os
import queue
import random
import sys
import threading
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lab"))
from small import Small  # noqa: E402
from oracle import GATEWAY_CUT, NEW, OLD, Oracle  # noqa: E402
from tap import Tap, equal, holds  # noqa: E402

PROGRAMS = ("edgeferryd", "edgeferry-net", "edgeferry-worker")
ENDS_WITHIN = 120   # seconds
AGAIN = 0.2         # of the times the machine is started once more, and must do nothing (I-5)
SHOWN = 5           # failures of which everything is said
TELL = 250          # places after which a line says how far it is


class Points:
    def __init__(self, farm, machines, seed):
        self.farm, self.seed = farm, seed
        self.idle = queue.Queue()
        self.oracles = {}
        for i in range(machines):
            m = farm.machine(f"gw-{i}").on()
            equal(m.outcome(OLD, 60)["state"], "confirmed", f"release {OLD}")
            m.keep()
            self.oracles[m] = Oracle(m)
            self.idle.put(m)
        farm.release(NEW, os.urandom(3000))
        farm.publish()

    def calls(self, program):
        """How many there are to be killed at: of an undisturbed run."""
        m = self.idle.get()
        try:
            m.reset()
            m.kill_at(program, 0)
            m.on()
            equal(self.oracles[m].end(NEW, ENDS_WITHIN), "confirmed", "the undisturbed deployment")
            return m.hit()[0]
        finally:
            self.idle.put(m)

    def point(self, program, n):
        """(the call or None when there were fewer, how it ended, what went wrong or None)."""
        power, rng = (n + self.seed) % 2 == 1, random.Random(f"{self.seed} {program} {n}")
        m, how = self.idle.get(), "nothing"
        try:
            m.reset()
            m.kill_at(program, n, power)
            m.on()
            how = self.oracles[m].end(NEW, ENDS_WITHIN, reverts=GATEWAY_CUT if power else (), again=rng.random() < AGAIN)
            return m.hit()[1], how, None
        except Exception:   # noqa: BLE001: whatever it is, the next place is tried
            name = "power cut" if power else "kill"
            return m.hit()[1], how, (f"{name} of {program} before call {n} ({m.hit()[1]}):\n{traceback.format_exc()}"
                                        f"{m.journal()}")
        finally:
            m.off()
            self.idle.put(m)


def places(total, o, rng):
    if o.sample:    # one of each stretch of equal length
        return [rng.randrange(total * i // o.sample, total * (i + 1) // o.sample) + 1 for i in range(o.sample)]
    return range(o.first, min(o.last or total, total) + 1)


def walk(points, program, o, tap):
    total = points.calls(program)
    wanted = places(total, o, random.Random(f"{o.seed} {program}"))
    calls, ends, wrong = collections.Counter(), collections.Counter(), []
    lock = threading.Lock()

    def one(n):
        call, how, error = points.point(program, n)
        with lock:
            calls[call] += 1
            ends[how] += 1
            if sum(calls.values()) % TELL == 0:
                tap.note(f"{program}: {sum(calls.values())} of {len(wanted)}")
            if error:
                wrong.append(error)
                tap.note(error if len(wrong) <= SHOWN else error.splitlines()[0])
    with concurrent.futures.ThreadPoolExecutor(o.machines) as pool:
        list(pool.map(one, wanted))
    reached = sum(calls.values()) - calls[None]
    tap.note(f"{program}: {total} calls in the undisturbed run, tried {len(wanted)}, killed {reached}; "
             + ", ".join(f"{n} {how}" for how, n in ends.most_common()))
    tap.note("killed before " + ", ".join(f"{call} {n}" for call, n in calls.most_common() if call))
    equal(len(wrong), 0, "places after which something did not hold")
    # no two runs make the same number of calls; nearly all places are met
    holds(reached * 10 >= len(wanted) * 8, f"killed at {reached} of {len(wanted)} places")


def options():
    p = argparse.ArgumentParser(description="kill each program at each system call")
    p.add_argument("--sample", type=int)
    p.add_argument("--from", dest="first", type=int, default=1)
    p.add_argument("--to", dest="last", type=int)
    p.add_argument("--program", choices=PROGRAMS)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    p.add_argument("--machines", type=int, default=3)
    return p.parse_args()


def main():
    o = options()
    build = os.environ.get("EDGEFERRY_BUILD") or os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
    tap = Tap()
    tap.note(f"--seed {o.seed}")
    with Small(build) as farm:
        points = Points(farm, o.machines, o.seed)
        for program in [o.program] if o.program else PROGRAMS:
            tap.case(f"K-01 {program} killed at " + ("a sample of its calls" if o.sample else "each of its calls"),
                     walk, points, program, o, tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
