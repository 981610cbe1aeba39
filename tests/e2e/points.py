# SPDX-License-Identifier: Apache-2.0
"""
Something is done to a program at one of its system calls, in a small deployment (lab/small.py), at one place after the
other, on several machines at a time. What is done, and what must come of it, is the test's.
"""
import argparse
import collections
import concurrent.futures
import os
import queue
import random
import shutil
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lab"))
from small import Small  # noqa: E402
from oracle import NEW, OLD, Oracle  # noqa: E402
from tap import Tap, equal, holds  # noqa: E402

PROGRAMS = ("edgeferryd", "edgeferry-net", "edgeferry-worker")
ENDS_WITHIN = 120   # seconds
SHOWN = 5           # failures of which everything is said
STILL = 1.5         # seconds without any progress of this very process, of the 3 of a node's watchdog
TELL = 250          # places after which a line says how far it is


class Pulse(threading.Thread):
    """Notices when this computer stood still: the nodes' watchdogs bite after 3 s, and rightly so."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stood_still = 0.0      # monotonic, the last time
        self.start()

    def run(self):
        last = time.monotonic()
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            if now - last > STILL:
                self.stood_still = now
            last = now


class Machines:
    """All at OLD; NEW is what they install by themselves when they are switched on. oracles: {machine: Oracle}."""

    def __init__(self, farm, count):
        self.farm, self.idle, self.oracles, self.pulse = farm, queue.Queue(), {}, Pulse()
        for i in range(count):
            m = farm.machine(f"gw-{i}").on()
            equal(m.outcome(OLD, 60)["state"], "confirmed", f"release {OLD}")
            m.keep()
            self.oracles[m] = Oracle(m)
            self.idle.put(m)
        farm.release(NEW, os.urandom(3000))
        farm.publish()

    def use(self, function):
        """function(machine, oracle) on one that is as it was at first."""
        m = self.idle.get()
        try:
            m.reset()
            return function(m, self.oracles[m])
        finally:
            m.off()
            self.idle.put(m)

    def each(self, things, function, tap):
        """function(machine, oracle, thing) -> how it ended, for all; {how: times}. What went wrong is told and counted."""
        ends, lock = collections.Counter(), threading.Lock()

        def one(thing):
            def safe(m, o):
                try:
                    return function(m, o, thing), None
                except Exception:   # noqa: BLE001: whatever it is, the next one is tried
                    return "wrong", f"{m.doing} ({m.hit()[1]}):\n{traceback.format_exc()}{m.journal()}"
            began = time.monotonic()
            how, error = self.use(safe)
            if error and self.pulse.stood_still > began:
                tap.note(f"once more, since this computer stood still: {error.splitlines()[0]}")
                how, error = self.use(safe)
            with lock:
                ends[how] += 1
                if error:
                    tap.note(error if ends["wrong"] <= SHOWN else error.splitlines()[0])
                if sum(ends.values()) % TELL == 0:
                    tap.note(f"{sum(ends.values())} of {len(things)}")
        with concurrent.futures.ThreadPoolExecutor(len(self.oracles)) as pool:
            list(pool.map(one, things))
        return ends


def drawn(count, things, rng):
    """One of each stretch of equal length; all when there is no count."""
    if not count:
        return things
    return [things[rng.randrange(len(things) * i // count, max(len(things) * (i + 1) // count, 1))] for i in range(count)]


def walk(machines, program, count_calls, act, o, tap):
    """act(machine, oracle, program, place) at the wanted places; count_calls(machine, program) makes it count."""
    def undisturbed(m, oracle):
        count_calls(m, program)
        m.on()
        equal(oracle.end(NEW, ENDS_WITHIN), "confirmed", "the undisturbed deployment")
        return m.hit()[0]
    total = machines.use(undisturbed)
    wanted = drawn(o.sample, range(o.first, min(o.last or total, total) + 1), random.Random(f"{o.seed} {program}"))
    calls, lock = collections.Counter(), threading.Lock()

    def one(m, oracle, n):
        how = act(m, oracle, program, n)
        # no two runs make the same number of calls: of a sample, what lies behind the end of this one is tried earlier
        while o.sample and not m.hit()[1] and n > o.first:
            n = max(o.first, n * 9 // 10)
            m.reset()
            how = act(m, oracle, program, n)
        with lock:
            calls[m.hit()[1]] += 1
        return how
    ends = machines.each(wanted, one, tap)
    reached = sum(calls.values()) - calls[None]
    tap.note(f"{program}: {total} calls in the undisturbed run, tried {len(wanted)}, hit {reached}; "
             + ", ".join(f"{n} {how}" for how, n in ends.most_common()))
    tap.note("before " + ", ".join(f"{call} {n}" for call, n in calls.most_common() if call))
    equal(ends["wrong"], 0, "places after which something did not hold")
    holds(reached * 10 >= len(wanted) * (10 if o.sample else 8), f"hit at {reached} of {len(wanted)} places")


def options(what):
    p = argparse.ArgumentParser(description=what)
    p.add_argument("--sample", type=int, help="so many of each program's, drawn")
    p.add_argument("--from", dest="first", type=int, default=1)
    p.add_argument("--to", dest="last", type=int)
    p.add_argument("--program", choices=PROGRAMS)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    p.add_argument("--machines", type=int, default=3)
    return p


def play(o, function):
    """function(machines, tap) on a stage of its own; the exit code."""
    build = os.environ.get("EDGEFERRY_BUILD") or os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
    tap = Tap()
    for tool in ("nginx", "mosquitto", "dbus-daemon", "openssl"):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            tap.skip_all(f"{tool} is not installed")
    tap.note(f"--seed {o.seed}")
    with Small(build) as farm:
        function(Machines(farm, o.machines), tap)
    return tap.end()
