#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What ./demo shows. Every step is checked; a step that did not end as it must ends the demo with 1."""
import argparse
import hashlib
import os
import signal
import subprocess
import sys
import time

LAB = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, LAB)
from stage import NODES, PRODUCT, Failed, Stage  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(LAB))
BUILD = f"{ROOT}/build"
PID = f"{BUILD}/demo.pid"
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


class Wrong(Exception):
    """The demo did not go as it must."""


def title(text):
    print(("\n\033[1m== %s\033[0m" if COLOUR else "\n== %s") % text, flush=True)


def say(text):
    print(text, flush=True)


def must(condition, text):
    if not condition:
        raise Wrong(text)


class Demo:
    def __init__(self, stage):
        self.s = stage

    def show(self, *args, expect=(0,)):
        """Runs the CLI as a user would, on this terminal."""
        say("$ edgeferry " + " ".join(args))
        done = subprocess.run([self.s.program("edgeferry"), f"--address={self.s.bus}", *args])
        must(done.returncode in expect, f"'edgeferry {' '.join(args)}' ended with {done.returncode}")
        return done.returncode

    def publisher(self, *args):
        say("publisher$ edgeferry-repo " + " ".join(os.path.basename(a) if "/" in a else a for a in args))
        self.s.repo(*args)

    def wake_and_watch(self, release, seconds=150):
        """'edgeferry monitor' on this terminal from the broker's call to the end; gives the deployment."""
        say("$ edgeferry monitor --once")
        monitor = subprocess.Popen([self.s.program("edgeferry"), f"--address={self.s.bus}", "monitor", "--once"])
        time.sleep(0.3)
        self.s.wake()
        try:
            d = self.s.outcome(release, seconds)
            monitor.wait(10)
            return d
        finally:
            if monitor.poll() is None:
                monitor.send_signal(signal.SIGINT)
                monitor.wait(10)

    def settled(self, version):
        """Everything runs version; after a reboot the nodes need a moment to be asked."""
        try:
            return self.s.wait(lambda: set(self.s.versions().values()) == {version}, 20, "the fleet") and self.s.versions()
        except TimeoutError:
            raise Wrong(f"everything should be at {version}, but: {self.s.versions()}") from None

    def fleet(self, version):
        self.settled(version)
        self.show("nodes")
        self.show("status")

    # ---- the acts ----
    def factory(self):
        title("Release 1, installed from a bundle file, as in the factory or from a USB stick")
        bundle = self.s.bundle("1.0.0")
        self.show("install", bundle, expect=(0, 4))
        self.publisher("publish", self.s.www)
        self.show("check", expect=(2,))
        must(self.s.outcome("1.0.0")["state"] == "confirmed", "release 1.0.0 was not confirmed")
        self.fleet("1.0.0")

    def second(self):
        title("Release 2 is published; the broker wakes the gateway")
        image = self.s.rootfs("2.0.0", packages=("less",))
        self.s.add_rootfs("2.0.0", image)
        for node in NODES:
            self.s.add_firmware(node, "2.0.0")
        self.publisher("release", "2.0.0", "--component", ",".join([*NODES, "rootfs"]), "--notes", "adds less(1)")
        self.publisher("sign")
        self.publisher("publish", self.s.www)
        d = self.wake_and_watch("2.0.0")
        must(d["state"] == "confirmed", f"release 2.0.0 ended {d['state']}: {d['reason']} {d['detail']}")
        self.fleet("2.0.0")
        self.proof(d, image)

    def proof(self, d, image):
        for n in self.s.status()["nodes"]:
            say(f"{n['name']} says over its serial line: {n.get('info', '')}")
            must("2.0.0" in n.get("info", ""), f"{n['name']} does not say that it runs 2.0.0")
        slot = next(c["slot"] for c in d["components"] if c["name"] == "rootfs")
        size = os.path.getsize(image)
        with open(image, "rb") as f:
            want = hashlib.file_digest(f, "sha256").hexdigest()
        have = self.s.slot_digest(slot, size)
        say(f"slot {slot} holds {have}\nreleased image {want}")
        must(have == want, f"slot {slot} does not hold the released image")

    def unchanged(self):
        found = self.settled("2.0.0")
        say("still: " + ", ".join(f"{k} {v}" for k, v in sorted(found.items())))

    def wrong_key(self):
        title("Must not succeed, 1: a release signed by the wrong key")
        other = f"{self.s.dir}/attacker"
        os.makedirs(other)
        self.s.repo("init", PRODUCT, workspace=other)
        for node in NODES:
            self.s.add_firmware(node, "6.6.6", workspace=other)
        self.s.make_release("6.6.6", NODES, "--sequence", "666", workspace=other)
        self.show("install", self.s.bundle("6.6.6", workspace=other), expect=(1, 5))
        self.unchanged()

    def wrong_board(self):
        title("Must not succeed, 2: an image for the wrong board")
        # The lamp's firmware, released as if it were made for the meter's board.
        lamp = f"{self.s.dir}/lamp-as-meter.img"
        self.s.repo("image", "sign", "--key", "edge", "--version", "2.1.0", "--security", "1", "--compatible",
                    f"edgeferry.github.io,{NODES['lamp']}", self.s.firmware("lamp"), lamp)
        self.s.repo("add", "mcu", "meter", lamp, "--compatible", f"edgeferry.github.io,{NODES['meter']}",
                    "--hardware", "1-3")
        self.s.make_release("2.1.0", ["meter"], "--force")
        self.s.publish()
        self.s.wake()
        self.s.outcome("2.1.0")
        self.show("deployments")
        d = self.s.deployment("2.1.0")
        must((d["state"], d["reason"]) == ("refused", "not-compatible"), f"2.1.0: {d['state']} {d['reason']}")
        self.unchanged()

    def never_confirms(self):
        title("Must not succeed, 3: firmware that never confirms itself")
        self.s.add_firmware("meter", "2.2.0")
        self.s.add_firmware("lamp", "2.2.0", behaviour="never-ready", self_test=40, confirm=12)
        self.s.make_release("2.2.0", NODES)
        self.s.publish()
        d = self.wake_and_watch("2.2.0")
        must(d["state"] == "reverted", f"2.2.0 ended {d['state']}: {d['reason']} {d['detail']}")
        say(f"the deployment says why: {d['reason']}: {d['detail']}")
        self.unchanged()

    def failing_check(self):
        title("Must not succeed, 4: a root filesystem whose check fails")
        self.s.add_rootfs("2.3.0", self.s.rootfs("2.3.0", packages=("less",), failing_check=True))
        self.s.make_release("2.3.0", ["rootfs"])
        self.s.publish()
        d = self.wake_and_watch("2.3.0")
        must((d["state"], d["reason"]) == ("reverted", "check-failed"), f"2.3.0: {d['state']} {d['reason']} {d['detail']}")
        say(f"the deployment says why: {d['reason']}: {d['detail']}")
        self.unchanged()

    def all(self):
        started = time.monotonic()
        self.factory()
        self.second()
        self.wrong_key()
        self.wrong_board()
        self.never_confirms()
        self.failing_check()
        title("What happened")
        self.show("history")
        say(f"\nEverything went as it must, in {time.monotonic() - started:.0f} s.")


def keep(stage, report):
    say(f"""
The stage is up. Reach it with the CLI:
  export DBUS_SYSTEM_BUS_ADDRESS={stage.bus}
  {stage.program('edgeferry')} status
Publisher's workspace: {stage.workspace}, web server's folder: {stage.www}
Journal of the gateway: {stage.dir}/machine/journal
./demo --stop ends it.""")
    with open(PID, "w") as f:
        f.write(f"{os.getpid()}\n")
    os.write(report, b"\0")
    try:
        while True:
            time.sleep(3600)
    except (SystemExit, KeyboardInterrupt):
        pass


def play(options, report):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.makedirs(f"{BUILD}/lab", exist_ok=True)
    say("setting the stage: two root filesystem images, keys, web server, broker, bus, two boards in QEMU")
    try:
        with Stage(BUILD, f"{BUILD}/demo") as s:
            Demo(s).all()
            if options.keep:
                keep(s, report)
        return 0
    except (Wrong, Failed, TimeoutError) as e:
        say(f"\nDEMO FAILED: {e}\nThe gateway's journal is {BUILD}/demo/machine/journal")
        return 1
    finally:
        if options.keep and os.path.exists(PID):
            os.unlink(PID)


def stop():
    try:
        with open(PID) as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        say("no stage is up")
        return 2
    while os.path.exists(PID):
        time.sleep(0.1)
    return 0


def main():
    p = argparse.ArgumentParser(description="the demo; ./demo does set-up and build before")
    p.add_argument("--keep", action="store_true", help="leave the stage up")
    p.add_argument("--stop", action="store_true", help="end the stage that --keep left up")
    o = p.parse_args()
    if o.stop:
        return stop()
    if os.path.exists(PID):
        say("a stage is up already: ./demo --stop ends it")
        return 1
    if not o.keep:
        return play(o, -1)
    # The stage lives in a process of its own, which goes on when this one ends.
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        os.setsid()
        code = play(o, w)
        os._exit(code)
    os.close(w)
    return finish(r, pid)


def finish(r, pid):
    """0 when the stage is up; else the exit code of the process that tried."""
    if os.read(r, 1):
        return 0
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
