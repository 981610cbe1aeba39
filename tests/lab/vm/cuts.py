# SPDX-License-Identifier: Apache-2.0
"""Power cuts in an update of the lab's gateway: the emulator is killed, and its disk is what power.py leaves of it."""
import collections
import re
import time

import disk
import power
from lab import FACTORY

RELEASE = "2.0.0"
# What the serial line says at the end of each phase of an update, and how many cuts there are in it.
PHASES = {"staging": ("fetching -> staged", 6), "switch": ("reboot: Restarting system", 5),
          "trial": ("activating -> trial", 4), "checks": ("trial -> confirming", 3),
          "confirmation": ("confirming -> confirmed", 6)}
NEAR_S = 0.5    # the boot loader is told at the very beginning of its phase: half of the cuts come this soon


class Cuts:
    """Each round goes on from a moment shortly before its phase, so that what leads there is emulated once: a gateway
    from the factory whose slot B is empty; the same near the end of staging; restarting; and shortly before the core
    comes up in the new slot."""

    def __init__(self, lab, rng):
        self.lab, self.rng, self.machine = lab, rng, lab.machine
        self.writes = f"{lab.work}/writes"
        self.took = {}

    # ---- moments ----
    def kept(self, phase, kind="img"):
        return f"{self.lab.work}/{'checks' if phase == 'confirmation' else phase}.{kind}"

    def keep(self, phase, freeze=True):
        """What is now is where rounds of this phase begin. The power is off then."""
        if freeze:
            self.machine.freeze(self.kept(phase, "mem"))
        disk.call("cp", "--sparse=always", self.lab.disk, self.kept(phase))

    def go_on(self, phase, writes=None):
        self.machine.off()
        disk.call("cp", "--sparse=always", self.kept(phase), self.lab.disk)
        self.from_here = len(self.machine.serial())
        self.machine.on(None if phase == "trial" else self.kept(phase, "mem"), writes)

    def said(self, mark):
        return re.search(mark, self.machine.serial()[self.from_here:])

    def passes(self, phase, step_s=0.02):
        """Waits for the end of a phase: seconds."""
        began = time.monotonic()
        while not self.said(PHASES[phase][0]):
            if time.monotonic() - began > 600:
                raise AssertionError(f"{phase}: no end of it\n{self.machine.serial()[-3000:]}")
            time.sleep(step_s)
        return time.monotonic() - began

    def prepare(self):
        """One update, without a cut, which is stopped where rounds begin."""
        self.machine.off()
        disk.make(self.lab.disk, self.lab.slot(FACTORY), other="/dev/null")
        self.machine.on()
        self.lab.ready()
        self.machine.run("sync")
        self.keep("staging")
        self.go_on("staging")
        self.lab.begin(RELEASE)
        self.took["staging"] = self.passes("staging")
        self.took["switch"] = self.passes("switch")
        while not self.machine.ended():
            time.sleep(0.1)
        self.keep("trial", freeze=False)
        self.go_on("trial")
        began = time.monotonic()
        self.machine.wait("the core", lambda: self.said("Starting edgeferry.service"), step_s=0.02)
        self.took["trial"] = time.monotonic() - began
        self.keep("checks")
        self.go_on("checks")
        self.took["trial"] += self.passes("trial", 0.002)
        for phase in ("checks", "confirmation"):
            self.took[phase] = self.passes(phase, 0.002)
        self.machine.off()
        self.go_on("staging")
        self.lab.begin(RELEASE)
        time.sleep(0.7 * self.took["staging"])
        self.keep("switch")
        print("# not cut: " + ", ".join(f"{phase} {s:.1f} s" for phase, s in self.took.items()), flush=True)

    # ---- rounds ----
    def cut(self, phase):
        """Power off in that phase: how many writes are kept, lost and torn."""
        self.go_on(phase, self.writes)
        if phase == "staging":
            self.lab.begin(RELEASE)
        elif phase == "switch":
            self.passes("staging", 0.002)
        elif phase == "checks":
            self.passes("trial", 0.002)
        elif phase == "confirmation":
            self.passes("checks", 0.002)
        took = self.took[phase]
        time.sleep(self.rng.uniform(0, self.rng.choice((took, NEAR_S)) if phase == "switch" else took))
        self.machine.off()
        return power.cut(self.kept(phase), self.writes, self.lab.disk, self.rng)

    def fell_in(self, phase):
        """By what the serial line shows. A round does not go on after the restart."""
        if phase in ("staging", "switch") and self.said(PHASES["switch"][0]):
            return "the restart"
        names = list(PHASES)
        return next((name for name in names[names.index(phase):] if not self.said(PHASES[name][0])), "what came after")

    def outcome(self, cancel):
        """The deployment when it is over, or None when the cut came before it was on record. cancel: do not go on."""
        self.machine.on()
        self.lab.ready()
        # It goes on by itself meanwhile: to the next restart, and to where nothing is cancelled.
        known, = self.machine.wait("the record", lambda: self.lab.unless_away(lambda: [self.lab.deployments()]))
        if known and cancel and not known[0]["ended"]:
            self.lab.unless_away(lambda: self.lab.cli("cancel", check=False))
        found = self.lab.over(RELEASE) if known else None
        self.lab.ready()
        return found

    def run(self):
        """One (state, deployment or None) after each cut; the gateway runs then."""
        self.prepare()
        fell = collections.Counter()
        turns = sorted((n, phase) for phase, (_, count) in PHASES.items() for n in range(count))
        for n, phase in turns:
            began = time.monotonic()
            try:
                writes = self.cut(phase)
            except power.Incomplete as e:
                print(f"# {phase}: {e}; not counted", flush=True)
                continue
            where = self.fell_in(phase)
            fell[where] += 1
            found = self.outcome(cancel=phase == "staging" and n % 3 > 0)
            state = found["state"] if found else "not begun"
            print(f"# cut {fell.total()}, in {where}: {writes[0]} writes kept, {writes[1]} lost, {writes[2]} torn; "
                  f"{state}{', ' + found['reason'] if found else ''}; {time.monotonic() - began:.0f} s", flush=True)
            yield state, found
        print(f"# {fell.total()} cuts: " + ", ".join(f"{n} in {name}" for name, n in fell.items()), flush=True)
