# SPDX-License-Identifier: Apache-2.0
"""
What the end-to-end tests share: a stage that is looked at from all sides. What is asserted comes from
processes (/proc), files (slots, flash of the nodes, boot state) and the program `edgeferry`.
"""
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lab"))
from pki import Authority  # noqa: E402,F401
from servers import Servers  # noqa: E402,F401
from stage import NODES, PRODUCT, Stage  # noqa: E402
from tap import Tap, equal, holds  # noqa: E402

# A time-out of the test runner takes the whole stage down too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

OVER = ("confirmed", "reverted", "refused", "failed", "cancelled")
# Which states follow which (docs/DESIGN.md, state table), for the order of events.
FOLLOWS = {
    "": ("offered",),
    "offered": ("fetching", "refused", "failed", "cancelled"),
    "fetching": ("staged", "failed", "cancelled"),
    "staged": ("activating", "failed", "cancelled"),
    "activating": ("trial", "reverting"),
    "trial": ("confirming", "reverting"),
    "confirming": ("confirmed", "reverting"),
    "reverting": ("reverted",),
}
TOOLS = ("qemu-system-arm", "nginx", "mosquitto", "mosquitto_pub", "mosquitto_sub", "dbus-daemon", "debugfs", "mke2fs",
         "openssl", "mmdebstrap")


def missing(build, edge):
    """Why these tests cannot run here, or None."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for tool in TOOLS:
        if not shutil.which(tool, path=path):
            return f"{tool} is not installed"
    for node in NODES.values():
        if not os.path.exists(f"{edge}/edge-fw/cross/app-{node}.bin"):
            return "the edge firmware is not built (no cross compiler)"
    if not os.path.exists(f"{build}/src/cli/edgeferry"):
        return "the programs are not built"
    return None


class Scene(Stage):
    """A stage with eyes."""

    def __init__(self, name, **options):
        build = os.environ.get("EDGEFERRY_BUILD") or os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
        edge = os.environ.get("EDGEFERRY_EDGE_BUILD") or build
        why = missing(build, edge)
        if why:
            Tap().skip_all(why)
        super().__init__(build, f"{build}/e2e/{name}", cache=os.environ.get("EDGEFERRY_LAB_CACHE"), edge=edge,
                         debug=True, **options)

    # ---- making releases ----
    def give(self, version, *, nodes=(), image=None, **firmware):
        """Makes and publishes a release."""
        for node in nodes:
            self.add_firmware(node, version, **firmware)
        if image:
            self.add_rootfs(version, image)
        self.make_release(version, [*nodes, *(["rootfs"] if image else [])])
        self.publish()

    def install(self, release, seconds=120, **give):
        """Gives it, wakes the gateway, waits for the end."""
        self.give(release, **give)
        self.wake()
        return self.outcome(release, seconds)

    # ---- what is on record ----
    def history(self):
        return json.loads(self.cli("history", "--json=short", "--max=0").stdout)

    def deployments(self):
        return json.loads(self.cli("deployments", "--json=short", "--max=0").stdout)

    def wait_broker(self):
        self.wait(lambda: (self.status() or {}).get("broker") == "connected", 20, "the broker")

    def database(self, query):
        """What is stored. The daemon keeps its database locked, so a copy is read; only while nothing is going on."""
        copy = shutil.copy(f"{self.dir}/machine/data/state.db", f"{self.dir}/state-copy.db")
        db = sqlite3.connect(f"file:{copy}?mode=ro&immutable=1", uri=True)
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    def check_history(self):
        """I-8 exactly one outcome for each deployment, and events in an order that the state table allows."""
        events = self.history()
        equal([e["id"] for e in events], sorted({e["id"] for e in events}), "event numbers")
        for d in self.deployments():
            states, last = [], ""
            for e in events:
                if e["deployment"] != d["id"] or e["component"] or e["event"] not in ("deployment", "refused"):
                    continue
                equal(e["from"], last, f"deployment {d['id']}, event {e['id']} goes on from")
                holds(e["to"] in FOLLOWS.get(last, ()), f"deployment {d['id']}: {last} -> {e['to']}")
                last = e["to"]
                states.append(last)
            outcomes = [s for s in states if s in OVER]
            if d["ended"]:
                equal(outcomes, [d["state"]], f"I-8: outcomes on record of deployment {d['id']}")
            else:
                equal(outcomes, [], f"outcomes on record of deployment {d['id']}, which is under way")

    def components_of(self, deployment):
        """{name: [states]} as events tell."""
        found = {}
        for e in self.history():
            if e["deployment"] == deployment and e["event"] == "component":
                found.setdefault(e["component"], []).append(e["to"])
        return found

    # ---- what is there ----
    def boot_state(self):
        with open(f"{self.dir}/machine/boot/state.json") as f:
            return json.load(f)

    def flash_digests(self):
        found = {}
        for node, board in self.boards.items():
            board.save()
            with open(board.flash, "rb") as f:
                found[node] = hashlib.file_digest(f, "sha256").hexdigest()
        return found

    def touched(self):
        """What a refusal must leave as it was. The time stamp of a slot changes with any write to it."""
        return {"slots": [os.stat(s).st_mtime_ns for s in self.slots], "boot": self.boot_state(),
                "flash": self.flash_digests(), "versions": self.versions()}

    def everything_at(self, version, seconds=40):
        """Nodes and gateway say so; nothing is on trial. Nodes may be asked only every now and then."""
        want = {**{n: version for n in NODES}, "gateway": version} if isinstance(version, str) else version

        def there():
            s = self.status()
            return s and s["state"] == "idle" and self.versions() == want
        try:
            self.wait(there, seconds, "versions")
        except TimeoutError:
            equal(self.versions(), want, "what runs")
            raise
        for n in self.status()["nodes"]:
            equal(n["trial"], False, f"{n['name']} is on trial")
            holds(want[n["name"]] in n["info"], f"{n['name']} says of itself: {n['info']}")

    def invariants(self, state="idle"):
        """I-1, I-2, I-4, I-6, I-8 as far as they can be seen from outside, while nothing is under way."""
        s, boot = self.status(), self.boot_state()
        equal(s["state"], state, "state")
        primary = boot["primary"]
        equal(boot["trial"], "none", "I-2: a trial is still to come")
        equal(boot["mark"][primary], "good", "I-1: mark of the primary slot")
        equal(self.gateway.running, primary, "I-2: running slot")
        slot = next(x for x in s["slots"] if x["slot"] == primary)
        equal((slot["running"], slot["primary"], slot["trial"]), (True, True, False), "the running slot as D-Bus has it")
        if slot["image"]:
            equal(self.slot_digest(primary, os.path.getsize(self.first)), slot["image"], "I-1: bytes of the running slot")
        self.check_floors()
        self.check_history()
        equal(self.gateway.pids("edgeferry-worker"), [], "I-6: workers left")
        for folder, _, files in os.walk(f"{self.dir}/machine/data"):
            for f in files:
                holds(not f.endswith((".new", ".tmp", "~")) and not f.startswith("."), f"I-6: left over: {folder}/{f}")
        equal([d for d in self.deployments() if not d["ended"]], [], "deployments under way")

    def check_floors(self):
        """I-4: what is stored never falls."""
        now = dict(self.database("SELECT key, value FROM meta WHERE key = 'sequence'"))
        now = {k: int(v) for k, v in now.items()}
        now.update({f"floor {k}": v for k, v in self.database("SELECT compatible, floor FROM floors")})
        for key, value in getattr(self, "floors", {}).items():
            holds(now.get(key, -1) >= value, f"I-4: {key} fell from {value} to {now.get(key)}")
        self.floors = now

    # ---- doing ----
    def restart_daemon(self):
        """Orderly; init starts it again, with the configuration as it is now."""
        old = self.gateway.pids("edgeferryd")
        self.gateway.process.terminate()
        self.wait(lambda: self.gateway.pids("edgeferryd") not in ([], old) and self.status(), 20, "edgeferryd")

    def on_failure(self, tap):
        """The end of the journal, so that a failure can be understood from the log alone."""
        tap.note("end of the journal:")
        tap.note("\n".join(self.journal().splitlines()[-60:]))
        for line in self.sanitizer_reports():
            tap.note(line)

    def sanitizer_reports(self):
        wanted = ("AddressSanitizer", "runtime error:", "LeakSanitizer", "SUMMARY: ")
        return [line for line in self.journal().splitlines() if any(w in line for w in wanted)]


def play(name, scenes, prepare=None, **options):
    """Runs [(title, function of the scene)] one after the other on one stage; returns the exit code."""
    tap = Tap()
    scene = Scene(name, **options)
    scene.set_up()
    if prepare:
        prepare(scene)
    scene.start()
    try:
        for title, function in scenes:
            if not tap.case(title, function, scene):
                scene.on_failure(tap)
    finally:
        scene.stop()
    tap.case("no sanitizer has anything to say", lambda: equal(scene.sanitizer_reports(), [], "what sanitizers said"))
    if not tap.failed:
        shutil.rmtree(scene.dir, ignore_errors=True)
    return tap.end()


class Watch(threading.Thread):
    """Calls look(scene) again and again in the background; keeps the first thing that went wrong."""

    def __init__(self, scene, look, every=0.02):
        super().__init__(daemon=True)
        self.scene, self.look, self.every = scene, look, every
        self.over = threading.Event()
        self.wrong, self.looks = None, 0

    def run(self):
        while not self.over.is_set():
            try:
                self.look(self.scene)
                self.looks += 1
            except (FileNotFoundError, ProcessLookupError):
                pass    # it ended while it was looked at
            except Exception as e:  # noqa: BLE001
                self.wrong = self.wrong or e
            time.sleep(self.every)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.join()
        if self.wrong and not kind:
            raise self.wrong
