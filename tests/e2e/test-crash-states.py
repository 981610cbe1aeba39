#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
K-02: one small deployment (lab/small.py) is recorded, write by write, with its flushes: state database, trust, objects,
boot variables, slot. Before each flush, each restart and at the end every disk that a power cut may leave (lab/crash.py)
is put into a machine, with the node's flash as it was then, and both are started: it must end by itself, with the
invariants (oracle.py) and exactly one outcome (F-01, F-02, I-1 to I-8).

  test-crash-states.py [--sample N] [--from N --to N] [--seed N] [--machines N]

What is torn is drawn, and with --sample which states are tried; the seed is printed. No two recordings are the same, so
--from and --to are stretches of a deployment rather than the same states again.
"""
import hashlib
import os
import random
import sys

import points
import crash     # in lab, as points knows
from oracle import GATEWAY_CUT, NEW, NODE_CUT
from tap import equal, holds

DISK = ("data", "boot", "slot-a", "slot-b", "boot-a", "boot-b")
WHEN = {"B": "before a flush", "P": "before a restart", "E": "at the end"}


def record(m, oracle):
    """(folder, log) of an undisturbed deployment."""
    log = f"{m.farm.dir}/log"
    m.record(log)
    m.on()
    equal(oracle.end(NEW, points.ENDS_WITHIN), "confirmed", "the undisturbed deployment")
    m.reset()
    return m.dir, log


def states(folder, log, rng):
    """[(title, {path below the folder: bytes}, the node's flash)], each once."""
    disk, known = crash.Disk(folder, DISK), {}
    for n, (kind, flash) in enumerate(crash.replay(disk, log)):
        for choice in disk.choices(rng):
            state = {os.path.relpath(p, folder): data for p, data in disk.state(*choice).items()}
            digest = hashlib.sha256(flash)
            for path in sorted(state):
                digest.update(f"{path} {hashlib.sha256(state[path]).hexdigest()}\n".encode())
            title = f"moment {n}, {WHEN[kind]}, {len(disk.pending)} changes not flushed: {choice}"
            known.setdefault(digest.digest(), (title, state, flash))
    return list(known.values())


def restart(m, oracle, state):
    m.doing, files, flash = state
    m.put(DISK, files, flash)
    m.on()
    return oracle.end(NEW, points.ENDS_WITHIN, reverts=GATEWAY_CUT + NODE_CUT)


def walk(machines, o, tap):
    rng = random.Random(o.seed)
    # the disk as it was before stays with the machine: nobody else uses it meanwhile
    found = machines.use(lambda m, oracle: states(*record(m, oracle), rng))
    holds(len(found) > 300, f"{len(found)} states: too few")
    wanted = points.drawn(o.sample, found, rng)[o.first - 1:o.last]
    ends = machines.each(wanted, restart, tap)
    tap.note(f"{len(found)} states that differ, tried {len(wanted)}; "
             + ", ".join(f"{n} {how}" for how, n in ends.most_common()))
    equal(ends["wrong"], 0, "states after which something did not hold")


def main():
    o = points.options("start from each state that a power cut may leave").parse_args()

    def play(machines, tap):
        tap.case("K-02 " + ("a sample of the" if o.sample else "all") + " crash states of a deployment", walk, machines, o, tap)
    return points.play(o, play)


if __name__ == "__main__":
    sys.exit(main())
