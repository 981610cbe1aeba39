# SPDX-License-Identifier: Apache-2.0
"""
What must hold on a machine of lab/small.py after whatever was done to it: the invariants I-1 to I-8, as far
as they can be seen in slots, boot variables, node, processes and state database.
"""
import os
import time

from scene import FOLLOWS, OVER
from tap import equal, holds

OLD, NEW = "1.0.0", "2.0.0"
# What a loss of power may cost: the one trial of the new slot, or of the new image of a node.
GATEWAY_CUT = ("trial-not-booted",)
NODE_CUT = ("node-reverted", "node-lost")
SETTLES = 30        # seconds until everybody has said what he runs
STATE_MAX = 2 << 20   # bytes that a state directory may take more than an undisturbed one has


class Oracle:
    """Knows a machine from before."""

    def __init__(self, machine):
        self.m = machine
        self.floors = self._floors()
        self.size = self._size()

    def end(self, release, seconds, reverts=(), again=False):
        """Waits for the end of its deployment and of all that follows; how it ended. It runs, and is off afterwards.
        reverts: causes for which it may have gone back. again: is started once more (I-5)."""
        d = self.m.outcome(release, seconds)
        runs = release if d["state"] == "confirmed" else OLD
        holds((d["state"], d["reason"]) == ("confirmed", "ok") or
              (d["state"] == "reverted" and d["reason"] in reverts),
              f"it ended {d['state']}: {d['reason']}: {d['detail']}")
        self.rests(runs)
        if again:
            before = self.memory()
            self.m.on()
            self.rests(runs)
            equal(self.memory(), before, "I-5: what one more start left")
        return d["state"]

    # ---- while it runs ----
    def settled(self, release):
        """Gateway and node say that they run it, and that it is not on trial."""
        def there():
            s = self.m.status()
            if not s or s["state"] != "idle" or s["trial"]:
                return False
            node, slot = s["nodes"][0], next((x for x in s["slots"] if x.get("running")), None)
            return slot and node["present"] and not node["trial"] and (node["running"], slot["release"]) == (release, release)
        end = time.monotonic() + SETTLES
        while not there():
            holds(time.monotonic() < end, f"nobody says that {release} runs: {self.m.status()}")
            time.sleep(0.05)
        equal(self.m.power.pids("edgeferry-worker"), [], "I-6: workers left")

    def rests(self, release):
        """The release runs, and whatever there is to be seen of it holds; it is off afterwards."""
        self.settled(release)
        self.m.off()
        self.holds(release)

    # ---- while it is off ----
    def _floors(self):
        found = dict(self.m.database("SELECT 'floor ' || compatible, floor FROM floors"))
        found.update((k, int(v)) for k, v in self.m.database("SELECT key, value FROM meta WHERE key = 'sequence'"))
        return found

    def _size(self):
        return sum(os.lstat(f"{folder}/{f}").st_size for folder, _, files in os.walk(f"{self.m.dir}/data") for f in files)

    def holds(self, release):
        boot = self.m.boot_state()
        primary = boot["primary"]
        equal(self.m.slot_digests(primary), self.m.farm.images[release], f"I-1: bytes of the primary slot {primary}")
        equal(boot["mark"][primary], "good", "I-1: mark of the primary slot")
        equal((boot["trial"], self.m.running), ("none", primary), "I-2: slot to be tried, running slot")
        for key, value in self.floors.items():
            holds(self._floors().get(key, -1) >= value, f"I-4: {key} fell from {value}")
        for folder, _, files in os.walk(self.m.dir):
            for f in files:
                holds(not f.endswith((".new", ".tmp", "~")) and not f.startswith("."), f"I-6: left: {folder}/{f}")
        holds(self._size() <= self.size + STATE_MAX, f"I-7: the state directory has {self._size()} bytes, {self.size} before")
        self.outcomes()

    def outcomes(self):
        """I-8: of every deployment exactly one, and the events before it as the state table has them."""
        events = self.m.database("SELECT deployment, from_what, to_what FROM events WHERE component = '' AND"
                                 " word IN ('deployment', 'refused') AND deployment != 0 AND to_what != 'waiting' ORDER BY id")
        for number, state, ended in self.m.database("SELECT id, state, ended FROM deployments"):
            holds(ended, f"deployment {number} is {state} for ever")
            last = ""
            for _, before, after in (e for e in events if e[0] == number):
                equal(before, last, f"deployment {number} goes on from")
                holds(after in FOLLOWS.get(last, ()), f"deployment {number}: {last} -> {after}")
                last = after
            equal(last, state, f"I-8: outcome of deployment {number}")
            equal(len([e for e in events if e[0] == number and e[2] in OVER]), 1, f"I-8: outcomes of deployment {number}")

    def memory(self):
        """What a start must not change (I-5)."""
        return (self.m.boot_state(), [self.m.slot_digests(s) for s in "AB"], self._floors(),
                self.m.database("SELECT id, state, reason, detail, ended FROM deployments"),
                self.m.database("SELECT deployment, number, state, step FROM parts"),
                self.m.database("SELECT place, release, version FROM installed"))
