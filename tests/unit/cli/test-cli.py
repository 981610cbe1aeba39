#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program edgeferry against a fake service on a private bus: test-cli.py EDGEFERRY FAKE-SERVICE (TAP)."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

CLI, FAKE = sys.argv[1:3]
BUS_CONF = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow own="*"/>
<allow receive_sender="*"/></policy></busconfig>"""


class Stage:
    """A bus and, when asked, the service on it."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="ef-cli-")
        conf = os.path.join(self.dir.name, "bus.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(BUS_CONF.format(self.dir.name))
        self.address = f"unix:path={self.dir.name}/bus"
        self.bus = subprocess.Popen(
            ["dbus-daemon", "--config-file=" + conf, "--nofork", "--print-address"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.bus.stdout.readline()
        self.service = None

    def env(self, **more):
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "TERM")}
        return env | {"DBUS_SYSTEM_BUS_ADDRESS": self.address, "LC_ALL": "C.UTF-8", "TZ": "UTC"} | more

    def start(self):
        self.service = subprocess.Popen([FAKE], env=self.env(), stdout=subprocess.PIPE, text=True)
        assert self.service.stdout.readline() == "ready\n"

    def stop(self):
        if self.service:
            self.service.terminate()
            self.service.wait()
            self.service.stdout.close()
            self.service = None

    def end(self):
        self.stop()
        self.bus.terminate()
        self.bus.wait()
        self.bus.stdout.close()
        self.dir.cleanup()

    def run(self, *args, **env):
        return subprocess.run([CLI, *args], env=self.env(**env), text=True, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)

    def terminal(self, *args, columns=100, rows=30, **env):
        """On a terminal: the exit code and everything written to it."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        child = subprocess.Popen([CLI, *args], env=self.env(**({"TERM": "xterm"} | env)), stdin=slave,
                                 stdout=slave, stderr=slave)
        os.close(slave)
        out = b""
        while True:
            try:
                more = os.read(master, 65536)
            except OSError:
                break
            if not more:
                break
            out += more
        os.close(master)
        return child.wait(60), out.decode()


def expect(r, code, *texts, stream="stdout"):
    assert r.returncode == code, f"exit code {r.returncode}, not {code}: {r.stdout}{r.stderr}"
    for t in texts:
        assert t in getattr(r, stream), f"{t!r} is missing in: {getattr(r, stream)}"


def screen(text, columns, wraps=False):
    """What stands on the terminal at the end: the sequences that the program uses, obeyed."""
    lines, row, col = [""], 0, 0
    for m in re.finditer(r"\x1b\[(\d*)([A-Za-z])|([^\x1b])", text):
        n, code, c = m.groups()
        if code == "A":
            row -= int(n or 1)
            assert row >= 0, "moved above the first line"
        elif code == "J":
            lines[row] = lines[row][:col]
            del lines[row + 1:]
        elif code == "m":
            pass
        elif code:
            raise AssertionError(f"unknown sequence {m.group(0)!r}")
        elif c == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif c == "\r":
            col = 0
        else:
            if wraps and col == columns:
                row, col = row + 1, 0
                if row == len(lines):
                    lines.append("")
            lines[row] = lines[row][:col].ljust(col) + c + lines[row][col + 1:]
            col += 1
            assert col <= columns, f"wider than the terminal: {lines[row]!r}"
    return lines


def test_help(s):
    r = s.run("--help")
    expect(r, 0, "Verbs:", "rollback", "Exit codes:")
    for verb in re.findall(r"^  ([a-z]+) ", r.stdout.split("Options:")[0], re.M):
        expect(s.run(verb, "--help"), 0, f"edgeferry {verb} [OPTIONS]")
    expect(s.run("--version"), 0, "edgeferry ")


def test_usage(s):
    for args in ([], ["fly"], ["status", "x"], ["status", "--max=3"], ["history", "--max=x"], ["--wat"],
                 ["status", "--json=xml"], ["install", "1", "2"], ["confirm", "--json"]):
        expect(s.run(*args), 64)


def test_no_daemon(s):
    s.stop()
    for args in (["status"], ["install", "2.0.0"], ["monitor", "--once"], ["history"]):
        expect(s.run(*args), 7, "edgeferryd does not answer", "what to do: ", stream="stderr")
    for address in ("unix:path=/nonexistent", "nonsense"):
        expect(s.run("status", "--address=" + address), 7, "cannot be reached", stream="stderr")
    s.start()


def test_address(s):
    expect(s.run("--address=" + s.address, "status", DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent"), 0)


def test_status(s):
    r = s.run("status")
    expect(r, 0, "Product  demo on gateway gw-1", "Release  1.0.0", "idle", "the server did not prove who it is",
           "CAFile=", "connected", "root 1, until 2030-01-01 00:00:00", "running, primary", "001122334455",
           "Rollout  statement 7, until 2026-11-24 08:00:00", "the share of a release shrank",
           "meter", "mps2-an385", "badge: the node does not answer: no?[31m", "look at cable")
    assert "\x1b" not in r.stdout


def test_json(s):
    for verb in ("status", "list", "nodes", "deployments", "history"):
        r = s.run(verb, "--json=short")
        expect(r, 0)
        assert r.stdout.count("\n") == 1
        one = json.loads(r.stdout)
        r = s.run(verb, "--json=pretty")
        assert json.loads(r.stdout) == one and (not one or r.stdout.count("\n") > 1)
        assert s.run(verb, "--json").stdout.count("\n") == 1
    assert json.loads(s.run("status", "--json").stdout)["nodes"][1]["running"] == "2.0.0"
    code, out = s.terminal("nodes", "--json")
    assert code == 0 and out.count("\n") > 10 and "\x1b" not in out


def test_tables(s):
    expect(s.run("list"), 0, "2.0.0", "mends the valve", "rootfs 2.0.0", "made for other hardware", "held",
           "not this gateway's turn yet: 25.0 % of the gateways may take it")
    r = s.run("nodes")
    expect(r, 0, "NODE", "/dev/ttyACM0")
    assert "BOOT" not in r.stdout  # no node says: no column
    assert "SAVED" in r.stdout and "1.23 MB" in r.stdout
    r = s.run("history", "-n", "3")
    expect(r, 0, "2026-11-21 08:00:00", "trial > reverted", "not confirmed before the deadline: meter")
    assert r.stdout.count("\n") == 4
    assert s.run("history").stdout.count("\n") == 101


def test_fit_and_colour(s):
    for columns in (40, 60, 80, 132):
        code, out = s.terminal("list", columns=columns)
        assert code == 0 and "\x1b[" in out
        screen(out, columns)  # nothing is wider
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, out = s.terminal("status", **env)
        assert code == 0 and "\x1b" not in out, env
    out = s.terminal("history", "-n1", columns=70, LC_ALL="C")[1]
    assert out.isascii() and ".." in out


def test_dry_run(s):
    r = s.run("install", "--dry-run")
    expect(r, 0, "Release 2.0.0 would be fetched, and wait", "meter on m1", "skip", "node m1 runs it",
           "Order: meter, then rootfs", "meter needs rootfs 1.0.0 or newer, which is in the release",
           "the new ones with the old ones, both ways", "4096 bytes needed, 9000 free", "Waits (node): ", "29 %")
    r = s.run("install", "--dry-run", "4.0.0")
    expect(r, 5, "Release 2.0.0 would be refused: ", "releases.json", "interlocks let it go now")
    r = s.run("install", "--dry-run", "--json", "2.0.0")
    expect(r, 0)
    assert json.loads(r.stdout)["outcome"] == "wait"
    expect(s.run("install", "--dry-run", FAKE), 2, "nothing to do")
    assert json.loads(s.run("deployments", "--json").stdout) == []
    expect(s.run("install", "--dry-run", "--no-wait"), 64, "begins nothing", stream="stderr")
    expect(s.run("rollback", "--dry-run"), 64)


def test_check(s):
    s.stop()
    s.start()
    why = ("Release 3.0.0 is held back: not this gateway's turn yet: 25.0 % of the gateways may take it, this one is "
           "at 45.0 %; wait, or take it now with 'edgeferry install VERSION'.")
    expect(s.run("check"), 0, why, "Release 2.0.0 can be installed", "edgeferry install")
    r = s.run("check")
    expect(r, 2, why)
    assert "Nothing newer" not in r.stdout
    expect(s.run("check"), 2, "Nothing newer")
    r = s.run("check", "--json")
    expect(r, 2)
    assert json.loads(r.stdout) == {"version": None, "held": []}
    s.stop()
    s.start()
    r = s.run("check", "--json")
    expect(r, 0)
    found = json.loads(r.stdout)
    assert found["version"] == "2.0.0"
    assert [(x["version"], x["reason"], x["rollout"]) for x in found["held"]] == [
        ("3.0.0", "later", {"share": 250, "place": 450})]


def test_install(s):
    r = s.run("install", "2.0.0")
    expect(r, 0, "release 2.0.0: offered", "release 2.0.0: fetching", "rootfs on B: fetching 0 %",
           "of 40.0 MB", "rootfs on B: writing 0 %", "release 2.0.0: trial", "release 2.0.0: confirmed",
           "release 2.0.0 is confirmed (took 42 s)")
    assert "\x1b" not in r.stdout
    lines = r.stdout.splitlines()
    assert len(lines) == len(set(lines)), r.stdout
    expect(s.run("install"), 0, "release 2.0.0 is confirmed")
    r = s.run("install", "2.0.0", "--json")
    expect(r, 0)
    assert json.loads(r.stdout)["state"] == "confirmed"


def test_install_on_a_terminal(s):
    for columns, rows in ((100, 30), (40, 30), (30, 4)):
        code, out = s.terminal("install", "2.0.0", columns=columns, rows=rows)
        assert code == 0
        last = screen(out, columns, wraps=True)
        assert any("release 2.0.0 is confirmed" in "".join(last[i:i + 2]) for i in range(len(last))), last
        block = [l for l in last if l.startswith("deployment ")]
        assert len(block) == 1, last  # drawn over itself, not below itself
    code, out = s.terminal("install", "2.0.0", columns=100)
    assert "━" in out and " 25 %" in out and "10.0 MB of 40.0 MB" in out and "MB/s" in out and "left" in out
    code, out = s.terminal("install", "2.0.0", LC_ALL="C")
    assert "#" in out and out.isascii()


def test_outcomes(s):
    r = s.run("install", "3.0.0")
    expect(r, 1, "release 3.0.0 did not stay", "a check failed: 10-network: exit code 1",
           "what to do: look at the check named", stream="stderr")
    expect(r, 1, "meter: pending: the node went back to its old firmware by itself")
    expect(s.run("install", "4.0.0"), 5, "was refused; nothing was touched: not signed by enough trusted keys: "
           "releases.json: 1 of 2 keys", stream="stderr")
    expect(s.run("install", "4.1.0"), 2, "already installed", stream="stderr")
    expect(s.run("install", "4.2.0"), 1, "the server cannot be reached: repo.example: no route", stream="stderr")
    for version, code, text in (("5.0.0", 3, "nothing of that name: release 5.0.0"), ("5.0.1", 6, "permission denied"),
                                ("5.0.2", 5, "below the floor: rootfs 1 < 2"), ("5.0.3", 2, "already installed"),
                                ("5.0.4", 1, "another operation is running")):
        r = s.run("install", version)
        expect(r, code, "edgeferry: ", text, stream="stderr")
        assert r.stdout == "" and "(" not in r.stderr  # the hint stands on its own line
    expect(s.run("install", "5.0.2"), 5, "what to do: install a release at or above the floor", stream="stderr")


def test_bundle(s):
    path = os.path.join(s.dir.name, "x.ferry")
    with open(path, "w", encoding="utf-8") as f:
        f.write("8.1.0")
    expect(s.run("install", path), 0, "release 8.1.0 is confirmed")
    expect(s.run("install", path + "x"), 3, "No such file", stream="stderr")
    expect(s.run("install", s.dir.name), 64, "not a file", stream="stderr")


def test_no_wait(s):
    r = s.run("install", "7.0.0", "--no-wait")
    expect(r, 0, "has begun")
    number = re.search(r"Deployment (\d+) ", r.stdout).group(1)
    expect(s.run("status"), 0, f"deployment {number}")
    expect(s.run("deployments", number), 0, "Release  7.0.0", "rootfs on B")
    assert json.loads(s.run("deployments", number, "--json").stdout)["release"] == "7.0.0"
    expect(s.run("deployments", "999"), 3, "no deployment 999", stream="stderr")
    expect(s.run("cancel"), 0, "called off")
    time.sleep(0.3)
    expect(s.run("cancel"), 3, "no deployment", stream="stderr")


def test_cancel_seen_by_the_one_who_waits(s):
    child = subprocess.Popen([CLI, "install", "7.0.0"], env=s.env(), text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    time.sleep(0.5)
    expect(s.run("cancel"), 0)
    out, err = child.communicate(timeout=20)
    assert child.returncode == 1 and "was cancelled" in err, (out, err)


def test_interrupted(s):
    child = subprocess.Popen([CLI, "install", "7.0.0"], env=s.env(), text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)
    assert child.returncode == 130 and "the deployment goes on" in err, (out, err)
    expect(s.run("cancel"), 0)
    time.sleep(0.3)


def test_daemon_restarts(s):
    expect(s.run("install", "6.0.0"), 0, "the daemon went away", "the daemon is back", "6.0.0 is confirmed")


def test_bus_ends(s):
    other = Stage()
    other.start()
    child = subprocess.Popen([CLI, "install", "7.0.0"], env=other.env(), text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    time.sleep(0.5)
    other.end()
    out, err = child.communicate(timeout=20)
    assert child.returncode == 7 and "connection to the bus ended" in err, (out, err)


def test_simple_verbs(s):
    expect(s.run("confirm"), 0, "being kept")
    expect(s.run("reject"), 0, "edgeferry monitor")
    expect(s.run("rollback"), 0, "release 1.0.0 is confirmed")


def test_transfer(s):
    """--full and --patch are the flags of the call."""
    expect(s.run("flash"), 0, "release 2.0.0 is confirmed")
    expect(s.run("flash", "--full"), 0, "release 2.0.1 is confirmed")
    expect(s.run("flash", "--patch"), 1, "release 2.0.2 is confirmed")  # but on one that failed
    expect(s.run("install", "2.0.0", "--full"), 0, "release 2.0.1 is confirmed")
    expect(s.run("install", "2.0.0", "--patch"), 0, "release 2.0.2 is confirmed")
    expect(s.run("flash", "--full", "--patch"), 64, "--full or --patch", stream="stderr")
    expect(s.run("install", "--dry-run", "--full"), 64, "sends nothing", stream="stderr")
    expect(s.run("flash", "meter"), 64)
    expect(s.run("rollback", "--full"), 64)


def test_log(s):
    """What journalctl is asked for; one that says so stands in its place."""
    with tempfile.TemporaryDirectory(prefix="ef-log-") as d:
        expect(s.run("log", PATH=d), 1, "journalctl cannot be run", stream="stderr")
        with open(f"{d}/journalctl", "w", encoding="utf-8") as f:
            f.write('#!/bin/sh\necho "$@"\n')
        os.chmod(f"{d}/journalctl", 0o755)
        path = f"{d}:{os.environ['PATH']}"
        units = "--unit=edgeferry.service --unit=edgeferry-net@*.service"
        for args, wanted in (((), "--lines=100"), (("-n", "0", "-f"), "--follow"),
                             (("--json=short", "--max=3"), "--lines=3 --output=json")):
            r = s.run("log", *args, PATH=path)
            assert r.returncode == 0 and r.stdout == f"{units} {wanted}\n", r.stdout
        expect(s.run("log", "--once"), 64)


def test_when(s):
    expect(s.run("status"), 0, "Waiting  outside of Window=22:00-05:00", "until 2026-11-28 22:00:00")
    expect(s.run("pause"), 0, "edgeferry resume")
    expect(s.run("resume"), 0, "by itself again")
    expect(s.run("activate"), 0, "as soon as it is staged")
    expect(s.run("postpone", "2d"), 0, "before 2027-01-17 08:00:00")
    expect(s.run("postpone", "8d"), 5, "PostponeMax=", stream="stderr")
    for wrong in ([], ["soon"], ["0"], ["-1h"], ["1h", "2h"]):
        expect(s.run("postpone", *wrong), 64)


def test_discover(s):
    out = s.run("nodes", "discover")
    expect(out, 0, "lamp", "nodes.d/lamp-7.conf", "# vendor 11, class 22", "Link=uart", "/dev/ttyS2", "in use")
    assert "\x1b[31m" not in out.stdout
    expect(s.run("nodes", "discover", "/dev/none"), 2, "Nobody answers")
    expect(s.run("nodes", "discover", "--json=short"), 0, '"address":7')
    expect(s.run("nodes", "discover", "/dev/a", "/dev/b"), 64)


def test_node_keys(s):
    expect(s.run("nodes", "provision", "meter"), 0, "Node meter has its key")
    expect(s.run("nodes", "rotate-key", "meter"), 0, "Node meter has another key")
    expect(s.run("nodes", "provision", "nobody"), 3, "node nobody", stream="stderr")
    expect(s.run("nodes", "provision"), 64, "which node?", stream="stderr")
    expect(s.run("nodes", "paint", "meter"), 64, "discover, provision or rotate-key", stream="stderr")


def test_monitor_before_anything(s):
    """A daemon that has installed nothing yet: it says that it waits, and sees the first one to its end."""
    s.stop()
    s.start()
    child = subprocess.Popen(["timeout", "20", CLI, "monitor", "--once"], env=s.env(), text=True, stdout=subprocess.PIPE)
    assert "waiting" in child.stdout.readline()
    expect(s.run("install", "2.0.0", "--no-wait"), 0)
    out = child.communicate(timeout=20)[0]
    assert child.returncode == 0 and "2.0.0 is confirmed" in out, out


def test_monitor_once(s):
    child = subprocess.Popen([CLI, "monitor", "--once"], env=s.env(), text=True, stdout=subprocess.PIPE)
    assert "waiting" in child.stdout.readline()
    expect(s.run("install", "--no-wait"), 0)
    out = child.communicate(timeout=20)[0]
    assert child.returncode == 0 and "rootfs on B: fetching" in out and "is confirmed" in out, out


def test_monitor(s):
    child = subprocess.Popen([CLI, "monitor"], env=s.env(), text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    child.stdout.readline()
    expect(s.run("install", "3.0.0"), 1)
    expect(s.run("install", "2.0.0"), 0)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    out = child.communicate(timeout=20)[0]
    assert child.returncode == 0, child.returncode
    assert "3.0.0 did not stay" in out and "2.0.0 is confirmed" in out, out
    assert "node meter: 1.0.0 > 2.0.0" in out, out


def test_monitor_json(s):
    child = subprocess.Popen([CLI, "monitor", "--once", "--json=short"], env=s.env(), text=True,
                             stdout=subprocess.PIPE)
    time.sleep(0.3)
    expect(s.run("install", "2.0.0", "--no-wait"), 0)
    out = child.communicate(timeout=20)[0]
    lines = [json.loads(l) for l in out.splitlines()]
    assert child.returncode == 0
    assert {"deployment", "progress"} <= {l["type"] for l in lines}, out
    states = [l["state"] for l in lines if l["type"] == "deployment"]
    assert states[-1] == "confirmed" and len(states) == len(set(states)), states


def test_full_output(s):
    with open("/dev/full", "w", encoding="utf-8") as full:
        r = subprocess.run([CLI, "status"], env=s.env(), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert r.returncode == 1 and "writing the output failed" in r.stderr


def run_all(stage, tests):
    failed = 0
    stage.start()
    print(f"1..{len(tests)}")
    for i, (name, test) in enumerate(tests, 1):
        try:
            test(stage)
            print(f"ok {i} - {name}", flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {i} - {name}")
            print("# " + f"{type(e).__name__}: {e}".replace("\n", "\n# "), flush=True)
    return failed


def main():
    stage = Stage()
    try:
        return 1 if run_all(stage, [(n[5:], f) for n, f in globals().items() if n.startswith("test_")]) else 0
    finally:
        stage.end()


if __name__ == "__main__":
    sys.exit(main())
