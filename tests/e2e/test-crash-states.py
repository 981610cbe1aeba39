#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
K-02: one small deployment (lab/small.py) is recorded, write by write, with its flushes: state database, trust, objects,
boot variables, slot. Before each flush, each restart and at the end every disk that a power cut may leave (lab/crash.py)
is put into a machine, with the node's flash as it was then, and both are started: it must end by itself, with the invariants (oracle.py)
and exactly one outcome (F-01, F-02, I-1 to I-8).

  test-crash-states.py [--sample N] [--seed N] [--machines N]

--sample: so many of the states, drawn. What is torn is drawn as well; the seed is printed.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import os
import queue
import random
import sys
import threading
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lab"))
import crash  # noqa: E402
from small import Small  # noqa: E402
from oracle import GATEWAY_CUT, NEW, NODE_CUT, OLD, Oracle  # noqa: E402
from tap import Tap, equal, holds  # noqa: E402

DISK = ("data", "boot", "slot-a", "slot-b")
WHEN = {"B": "before a flush", "P": "before a restart", "E": "at the end"}
SHOWN = 5
TELL = 250


class States:
    def __init__(self, farm, machines):
        self.farm, self.idle, self.oracles = farm, queue.Queue(), {}
        for i in range(machines):
            m = farm.machine(f"gw-{i}").on()
            equal(m.outcome(OLD, 60)["state"], "confirmed", f"release {OLD}")
            m.keep()
            self.oracles[m] = Oracle(m)
            self.idle.put(m)
        farm.release(NEW, os.urandom(3000))
        farm.publish()

    def record(self):
        """The log of an undisturbed deployment."""
        m = self.recorded = self.idle.queue[0]
        m.reset()
        m.record(f"{self.farm.dir}/log")
        m.on()
        equal(m.outcome(NEW, 60)["state"], "confirmed", "the undisturbed deployment")
        self.oracles[m].settled(NEW)
        m.off()
        self.oracles[m].holds(NEW)
        m.reset()
        return f"{self.farm.dir}/log"

    def all(self, log, rng):
        """[(title, {path below the folder: bytes}, the node's flash)], each once."""
        disk, known = crash.Disk(self.recorded.dir, DISK), {}
        for n, (kind, flash) in enumerate(crash.replay(disk, log)):
            for choice in disk.choices(rng):
                state = {os.path.relpath(p, self.recorded.dir): data for p, data in disk.state(*choice).items()}
                digest = hashlib.sha256(flash + b"".join(p.encode() + b"\0" + hashlib.sha256(state[p]).digest()
                                                         for p in sorted(state))).digest()
                title = f"moment {n}, {WHEN[kind]}, {len(disk.pending)} changes not flushed: {choice}"
                known.setdefault(digest, (title, state, flash))
        return list(known.values())

    def restart(self, title, state, flash):
        """(how it ended, what went wrong or None)."""
        m = self.idle.get()
        try:
            m.reset()
            m.put(DISK, state, flash)
            m.on()
            return self.oracles[m].end(NEW, 120, reverts=GATEWAY_CUT + NODE_CUT), None
        except Exception:   # noqa: BLE001: whatever it is, the next state is tried
            return "wrong", f"{title}:\n{traceback.format_exc()}{m.journal()}"
        finally:
            m.off()
            self.idle.put(m)


def walk(states, o, tap):
    rng = random.Random(o.seed)
    log = states.record()
    wanted = states.all(log, rng)
    tap.note(f"{len(wanted)} states that differ")
    holds(len(wanted) > 300, "too few")
    if o.sample:
        wanted = [rng.choice(wanted[len(wanted) * i // o.sample:len(wanted) * (i + 1) // o.sample]) for i in range(o.sample)]
    ends, wrong, lock = collections.Counter(), [], threading.Lock()

    def one(state):
        how, error = states.restart(*state)
        with lock:
            ends[how] += 1
            if error:
                wrong.append(error)
                tap.note(error if len(wrong) <= SHOWN else error.splitlines()[0])
            if sum(ends.values()) % TELL == 0:
                tap.note(f"{sum(ends.values())} of {len(wanted)}")
    with concurrent.futures.ThreadPoolExecutor(o.machines) as pool:
        list(pool.map(one, wanted))
    tap.note(f"tried {len(wanted)}; " + ", ".join(f"{n} {how}" for how, n in ends.most_common()))
    equal(len(wrong), 0, "states after which something did not hold")


def options():
    p = argparse.ArgumentParser(description="start from each state that a power cut may leave")
    p.add_argument("--sample", type=int)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    p.add_argument("--machines", type=int, default=3)
    return p.parse_args()


def main():
    o = options()
    build = os.environ.get("EDGEFERRY_BUILD") or os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
    tap = Tap()
    tap.note(f"--seed {o.seed}")
    with Small(build) as farm:
        tap.case("K-02 " + ("a sample of the" if o.sample else "all") + " crash states of a deployment", walk,
                 States(farm, o.machines), o, tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
