#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Power cuts of gateway and nodes in the middle of deployments, with images of real size and emulated boards. After
each one the deployment ends as it must, exactly once, nothing is half done, and the next release installs (F-01, F-02,
F-15, F-23, F-30).

  test-kill.py [--long] [--rounds N] [--seed N] [--only TEXT]

The moments are drawn; the seed is printed. --long: many more of them, and kill -9 of each program (F-25), which
test-kill-points.py has at every system call of a small deployment.
"""
import argparse
import random
import sys
import time

import scene
from scene import NODES, Scene, Tap, equal, holds

NODE = "lamp"
SETTLE = "1.5"      # seconds that a trial lasts at least, so that one can be interrupted
# Moments of a deployment: what its record says then, and how long the moment may be waited for afterwards.
MOMENTS = {
    "begun": (lambda d: True, 0),
    "offered": (lambda d: d["state"] == "offered", 0.3),
    "writing": (lambda d: part(d, "rootfs")["state"] == "staging", 1.5),
    "uploading": (lambda d: part(d, NODE)["state"] == "staging", 1.5),
    "activating": (lambda d: d["state"] == "activating", 1.2),
    "trial": (lambda d: d["state"] == "trial", 1.4),
    "any": (lambda d: True, 6.0),
}
# What a power cut may make of a deployment besides confirming it, and why.
WENT_BACK = {("reverted", "trial-not-booted")}
NODE_WENT_BACK = {("reverted", "node-reverted"), ("reverted", "node-lost")}


def part(d, name):
    return next((c for c in d["components"] if c["name"] == name), {"state": ""})


class Kills:
    def __init__(self, s, tap, rng):
        self.s, self.tap, self.rng = s, tap, rng
        self.version, self.running, self.images = 1, None, []
        self.installed = self.staged = None     # images that the slots hold

    # ---- releases that change something each time ----
    def next_release(self):
        self.version += 1
        return f"{self.version}.0.0"

    def next_image(self):
        """One that neither slot holds, as far as is known: so there is always something to fetch and to write."""
        self.staged = next(i for i in self.images if i not in (self.installed, self.staged))
        return self.staged

    def begin(self, release):
        self.running = self.s.versions()
        self.s.give(release, nodes=[NODE], image=self.next_image())
        self.s.wake()

    def moment(self, release, name):
        reached, most = MOMENTS[name]

        def there():
            d = self.s.deployment(release)
            if d and d["ended"]:
                raise AssertionError(f"{release} was over before it was {name}: {d['state']} {d['reason']} {d['detail']}")
            return d and reached(d)
        end = time.monotonic() + 60
        while not there():
            holds(time.monotonic() < end, f"{release} never was {name}")
            time.sleep(0.02)
        wait = self.rng.uniform(0, most)
        self.tap.note(f"{wait:.3f} s after {name}")
        time.sleep(wait)

    # ---- one case ----
    def case(self, moment, act, others=()):
        """others: outcomes that are right besides confirmed. act: what is done to the machine; False: nothing was hit."""
        release = self.next_release()
        self.begin(release)
        self.moment(release, moment)
        if act() is False:
            self.tap.note("too late: it was gone already")
            holds(moment == "any", "nothing was there to be killed")
        d = self.s.outcome(release, 180)
        self.tap.note(f"{release}: {d['state']} {d['reason']} {d['detail']}")
        holds((d["state"], d["reason"]) in {("confirmed", "ok"), *others}, f"{release} ended {d['state']}: {d['reason']}: {d['detail']}")
        self.after(release, d)
        return d

    def after(self, release, d):
        if d["state"] == "confirmed":
            self.installed = self.staged
            want = {**self.running, NODE: release, "gateway": release}
            for c in d["components"]:
                equal(c["state"], "confirmed", f"state of {c['name']}")
        else:
            want = self.running
        self.s.everything_at(want)
        self.s.invariants()

    # ---- what is done to the machine ----
    def kill(self, program):
        """As soon as there is one: not while the gateway restarts."""
        return lambda: self.s.wait(lambda: self.s.gateway.kill(program), 20, program)

    def kill_worker(self):
        """It lives for a second: as soon as it is there, and then a little later."""
        self.s.wait(lambda: self.s.gateway.pids("edgeferry-worker"), 20, "edgeferry-worker")
        time.sleep(self.rng.uniform(0, 0.2))
        return self.s.gateway.kill("edgeferry-worker")

    def power_cut(self):
        self.s.gateway.power_cut()

    def node_cut(self):
        board = self.s.boards[NODE]
        board.cut()
        time.sleep(0.3)
        board.start()

    def broken_boot(self):
        """F-23, F-30: the new slot never comes up; the node, which is up, is brought back."""
        self.s.gateway.broken_boots = 1
        release = self.next_release()
        boots = len(self.s.gateway.boots)
        self.begin(release)
        d = self.s.outcome(release, 120)
        equal((d["state"], d["reason"]), ("reverted", "trial-not-booted"), "deployment")
        equal(self.s.components_of(d["id"])[NODE][-2:], ["trial", "reverted"], f"{NODE} was up and came back")
        slot = self.s.gateway.running
        equal(self.s.gateway.boots[boots:], [("B" if slot == "A" else "A", True), (slot, False)], "restarts")
        self.after(release, d)

    def twice(self):
        """Power goes twice in a row: while writing, and again as soon as the core is back."""
        release = self.next_release()
        self.begin(release)
        self.moment(release, "writing")
        self.power_cut()
        self.s.wait(lambda: self.s.gateway.pids("edgeferryd"), 20, "edgeferryd")
        time.sleep(self.rng.uniform(0, 1))
        self.power_cut()
        d = self.s.outcome(release, 120)
        equal((d["state"], d["reason"]), ("confirmed", "ok"), "deployment")
        self.after(release, d)

    def last(self):
        """After all this an undisturbed release goes through at once."""
        release = self.next_release()
        self.begin(release)
        d = self.s.outcome(release, 60)
        equal((d["state"], d["reason"]), ("confirmed", "ok"), "deployment")
        self.after(release, d)


def plan(k, rounds, long):
    """[(title, function)]."""
    cases = []
    drawn = ["any"] * 10 if long else []

    def add(title, moments, act, **more):
        for moment in moments:
            cases.append((f"{title}: {moment}", lambda moment=moment: k.case(moment, act, **more)))

    if long:
        add("F-25 kill -9 edgeferryd", ["writing", "uploading", "activating", "trial", *drawn], k.kill("edgeferryd"))
        # Fetching goes on from the first look at the release until the slot is written.
        add("F-25 kill -9 edgeferry-net", ["offered", "writing", "uploading", *drawn], k.kill("edgeferry-net"))
        add("F-25 kill -9 edgeferry-worker", ["begun", "begun", *drawn], k.kill_worker)
        add("F-01 F-02 power cut of the gateway", ["uploading", "activating", "trial", *drawn], k.power_cut, others=WENT_BACK)
    add("F-01 F-02 power cut of the gateway", ["writing"], k.power_cut, others=WENT_BACK)
    cases.append(("F-01 two power cuts in a row", k.twice))
    cases.append(("F-23 F-30 the new slot does not come up", k.broken_boot))
    add("F-15 F-18 power cut of a node", ["uploading", "activating", *drawn], k.node_cut, others=NODE_WENT_BACK)
    return cases * rounds + [("the next release goes through undisturbed", k.last)]


class SlowServers(scene.Servers):
    """So slow that fetching lasts long enough to be interrupted."""

    def _nginx(self, port):
        text, command = super()._nginx(port)
        return text.replace("keepalive_timeout 30;", "keepalive_timeout 30; limit_rate 15m;"), command


class KillScene(Scene):
    make_servers = SlowServers


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--long", action="store_true", help="ten more moments a program")
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("--only", default="", help="cases whose title has this text")
    return p.parse_args()


def main():
    o = options()
    seed = o.seed if o.seed is not None else random.SystemRandom().randrange(1 << 32)
    tap = Tap()
    tap.note(f"--seed {seed}")
    s = KillScene("kill")
    s.set_up()
    settle(s)
    s.publish()
    s.start()
    k = Kills(s, tap, random.Random(seed))
    try:
        first = s.outcome("1.0.0")
        equal(first["state"], "confirmed", "release 1.0.0")
        k.installed = s.first
        k.images = [s.rootfs("2.0.0", packages=("less",)), s.rootfs("2.4.0"), s.first]
        for title, function in plan(k, o.rounds, o.long):
            if o.only in title and not tap.case(title, function):
                s.on_failure(tap)
    finally:
        s.stop()
    tap.case("no sanitizer has anything to say", lambda: equal(s.sanitizer_reports(), [], "what sanitizers said"))
    if not tap.failed:
        scene.shutil.rmtree(s.dir, ignore_errors=True)
    return tap.end()


def settle(s):
    """The site's own check takes a while."""
    folder = f"{s.dir}/checks.d"
    scene.os.makedirs(folder)
    with open(f"{folder}/10-settle", "w") as f:
        f.write(f"#!/bin/sh\nexec sleep {SETTLE}\n")
    scene.os.chmod(f"{folder}/10-settle", 0o755)
    s.settings[("Update", "ChecksDirectory")] = folder


if __name__ == "__main__":
    sys.exit(main())
