#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The simulated gateway machine: firmware, boot loader and init around one edgeferryd.

It stands in for what docs/DESIGN.md, "Simulated boot", names: chooses the slot (a trial once, else the
primary), writes down what was started, reads release and checks out of the file system in that slot's
image (debugfs, no mount), starts the daemon, starts it again when it crashed, and reboots when the
daemon asked for it. The decision table is tests/unit/slots/firmware-table.txt.

  with Gateway(root, libexec, slots=(a, b), bus=address) as g: …   or as a command: gateway.py --help
"""
import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time


def choose(state):
    """(new state, running, as a trial): what the firmware does at power-on. Pure."""
    tried = state["trial"]
    after = {**state, "trial": "none"}
    if tried != "none" and state["mark"][tried] == "good":
        return after, tried, True
    return after, state["primary"], False


def die_with_us():
    """In the child: nothing is left running when the machine's process is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def replace(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".new", path)


class Gateway:
    """root: folder of the machine. libexec: folder with edgeferryd, edgeferry-net, edgeferry-worker."""

    restart_after = 0.3     # seconds; systemd's RestartSec in small

    def __init__(self, root, libexec, slots, bus, config, debug=False):
        self.root = os.path.abspath(root)
        self.libexec, self.slots, self.bus, self.config = libexec, dict(zip("AB", slots)), bus, config
        self.debug = debug
        self.boot, self.tree = f"{self.root}/boot", f"{self.root}/tree"
        self.process = self.thread = None
        self.running = None         # slot, None while off
        self.boots = []             # (slot, on trial), one a power-on
        self.broken_boots = 0       # so many of the next trials do not get as far as the daemon
        self.lock = threading.Lock()
        self.off = threading.Event()
        self.cut_asked = threading.Event()

    # ---- life ----
    def install(self, primary="A"):
        """A machine as it leaves the factory."""
        for d in (self.boot, f"{self.root}/data", f"{self.root}/run"):
            os.makedirs(d, exist_ok=True)
        replace(f"{self.boot}/state.json", json.dumps({"schema": 1, "primary": primary, "trial": "none",
                                                       "mark": {"A": "good", "B": "good"}}) + "\n")

    def start(self):
        self.off.clear()
        self.thread = threading.Thread(target=self._live, name="gateway", daemon=True)
        self.thread.start()
        return self

    def stop(self):
        """Orderly power-off."""
        self.off.set()
        with self.lock:
            if self.process and self.process.poll() is None:
                self.process.terminate()
        if self.thread:
            self.thread.join(20)
            with self.lock:
                self._kill_all()    # whatever did not end by itself
            self.thread.join()
        self.thread = None

    def power_cut(self):
        """The plug is pulled and put back: everything dies at once, then firmware starts."""
        self.cut_asked.set()
        with self.lock:
            self._kill_all()

    def reboot(self):
        """Somebody reboots the machine by hand."""
        replace(f"{self.boot}/reboot-requested", "")
        with self.lock:
            if self.process:
                self.process.terminate()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- firmware, boot loader ----
    def _power_on(self):
        with open(f"{self.boot}/state.json") as f:
            state = json.load(f)
        new, slot, trial = choose(state)
        if new != state:
            replace(f"{self.boot}/state.json", json.dumps(new) + "\n")
        if os.path.exists(f"{self.boot}/reboot-requested"):
            os.unlink(f"{self.boot}/reboot-requested")
        replace(f"{self.boot}/running.json", json.dumps({"schema": 1, "running": slot, "trial": trial}) + "\n")
        self.boots.append((slot, trial))
        self.running = slot
        return slot, trial

    def _read_slot(self, slot):
        """What init would find: the checks and the release of the file system in the slot. False: nothing."""
        shutil.rmtree(self.tree, ignore_errors=True)
        os.makedirs(self.tree + "/usr/lib")
        os.makedirs(self.tree + "/var/lib/dpkg")
        debugfs = shutil.which("debugfs", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        for what, where in (("/usr/lib/edgeferry", "/usr/lib"), ("/usr/lib/os-release", "/usr/lib"),
                            ("/var/lib/dpkg/status", "/var/lib/dpkg")):
            subprocess.run([debugfs, "-R", f'rdump {what} {self.tree}{where}', self.slots[slot]],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return os.path.exists(self.tree + "/usr/lib/os-release")    # debugfs exits with 0 whatever it met

    # ---- init ----
    def command(self):
        return [f"{self.libexec}/edgeferryd", f"--config={self.config}", f"--bus={self.bus}",
                *(["--debug"] if self.debug else [])]

    def goes_off(self):
        """Asked when the daemon has ended: whether the machine starts anew, not the daemon alone."""
        return os.path.exists(f"{self.boot}/reboot-requested") or self.cut_asked.is_set()

    def _live(self):
        while not self.off.is_set():
            slot, trial = self._power_on()
            self.cut_asked.clear()
            if trial and self.broken_boots:
                self.broken_boots -= 1      # kernel panic: the firmware starts anew
                continue
            if not self._read_slot(slot):
                self._log(f"slot {slot} holds no root file system: panic")
                self.off.wait(self.restart_after)
                continue
            self._run_daemon()
            self.running = None

    def _run_daemon(self):
        while not self.off.is_set() and not self.cut_asked.is_set():
            env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "EDGEFERRY_LIBEXEC": self.libexec}
            for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
                if name in os.environ:
                    env[name] = os.environ[name]
            with open(f"{self.root}/journal", "ab") as journal, self.lock:
                if self.off.is_set() or self.cut_asked.is_set():
                    break
                self.process = subprocess.Popen(
                    self.command(), stdin=subprocess.DEVNULL, stdout=journal, stderr=journal, env=env,
                    start_new_session=True, preexec_fn=die_with_us)
            self.process.wait()
            with self.lock:
                self._kill_all()    # what a crash left behind, as systemd's KillMode=control-group does
            if self.goes_off():
                break
            self.off.wait(self.restart_after)
        with self.lock:
            self.process = None

    def _kill_all(self):
        """Everything that the daemon started is in its group."""
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _log(self, text):
        with open(f"{self.root}/journal", "a") as journal:
            journal.write(f"gateway: {text}\n")

    # ---- for tests ----
    def pids(self, name):
        """Of the daemon ("edgeferryd") or of its children, by program name."""
        found = []
        session = self.process.pid if self.process else -1
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    program = os.path.basename(f.read().split(b"\0")[0].decode())
            except OSError:
                continue
            if int(fields[3]) == session and program == name and fields[0] != "Z":
                found.append(int(pid))
        return found

    def kill(self, name):
        """kill -9 of one of the three; True when it was running."""
        pids = self.pids(name)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return bool(pids)


def main():
    p = argparse.ArgumentParser(description="run a simulated gateway until a signal comes")
    p.add_argument("--root", required=True, help="folder of the machine")
    p.add_argument("--libexec", required=True, help="folder with the programs")
    p.add_argument("--slot-a", required=True)
    p.add_argument("--slot-b", required=True)
    p.add_argument("--bus", required=True, help="D-Bus address")
    p.add_argument("--config", required=True, help="configuration folder")
    p.add_argument("--debug", action="store_true")
    a = p.parse_args()
    g = Gateway(a.root, a.libexec, (a.slot_a, a.slot_b), a.bus, a.config, a.debug)
    if not os.path.exists(f"{g.boot}/state.json"):
        g.install()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with g:
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
