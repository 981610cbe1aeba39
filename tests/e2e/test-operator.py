#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Who operates a gateway: what the manual pages promise of the program `edgeferry`, and what a tired person
does wrong. Proves F-14, F-21, F-22, F-27, F-28, S-14, S-30, S-34 on a whole gateway.
"""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time

from scene import NODES, equal, holds, play

VERBS = {"status": "GetStatus", "list": "ListReleases", "nodes": "ListNodes", "deployments": "ListDeployments",
         "history": "GetHistory"}
ACTING = (["check"], ["install"], ["install", "--dry-run"], ["install", "1.0.0"], ["confirm"], ["reject"], ["rollback"],
          ["cancel"], ["flash"], ["flash", "--full"], ["activate"], ["pause"], ["resume"], ["postpone", "1h"])
ALL_VERBS = (*VERBS, "check", "install", "flash", "confirm", "reject", "rollback", "cancel", "activate", "pause",
             "resume", "postpone", "monitor")


# ---- helpers ----
def expect(s, code, text, *args, **options):
    """Runs the CLI; its exit code, and what it says."""
    done = s.cli(*args, check=False, **options)
    said = done.stdout + done.stderr
    equal(done.returncode, code, f"exit code of {' '.join(args)[:80]} ({said.strip()})")
    holds(text in said, f"{' '.join(args)[:80]} says {text!r}: {said.strip()}")
    return said


def release(s, version, image=None, **firmware):
    s.give(version, nodes=NODES, image=image, **firmware)


def state(s, word):
    s.wait(lambda: (s.status() or {}).get("state") == word, 40, f"state {word}")


def hold(s):
    return f"{s.dir}/hold"


@contextlib.contextmanager
def trial(s, version):
    """A trial that lasts until the block ends."""
    with open(hold(s), "w"):
        pass
    try:
        s.cli("install", "--no-wait", version)
        state(s, "trial")
        yield
    finally:
        os.unlink(hold(s))


@contextlib.contextmanager
def frozen(s, program):
    """A child of the daemon stands still."""
    pids = s.gateway.pids(program)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield pids
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def node_file(s, node, device=None, **more):
    path = f"{s.config}/nodes.d/{node}.conf"
    with open(path, "w") as f:
        f.write(f"[Node]\nCompatible=edgeferry.github.io,{NODES[node]}\nDevice={s.dir}/tty-{device or node}\nSecurity=none\n"
                + "".join(f"{k}={v}\n" for k, v in more.items()))


def daemon(s, config=None, seconds=20):
    """Runs one by hand that is expected to end; (exit code, what it says)."""
    p = subprocess.Popen([s.program("edgeferryd"), f"--config={config or s.config}", f"--bus={s.bus}"], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         env={**os.environ, "EDGEFERRY_LIBEXEC": f"{s.dir}/libexec"})
    try:
        return p.wait(seconds), p.stdout.read()
    except subprocess.TimeoutExpired:
        p.terminate()
        p.wait()
        raise AssertionError(f"edgeferryd runs: {p.stdout.read()}") from None


def on_terminal(s, *args, columns=100, **environment):
    """(exit code, output) of the CLI on a terminal of its own."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    p = subprocess.Popen([s.program("edgeferry"), f"--address={s.bus}", *args], stdin=side, stdout=side, stderr=side,
                         env={**env, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment})
    os.close(side)
    out, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([main], [], [], 0.2)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:     # the other side is closed
                break
            out += data
    os.close(main)
    return p.wait(5), out.decode()


# ---- cases ----
def documented(s):
    """The keys of each document, from the comments of the interface's XML."""
    with open(os.path.join(os.path.dirname(__file__), "../../docs/io.github.edgeferry1.xml")) as f:
        xml = f.read()

    def keys(comment):
        return set(re.findall(r'"(\w+)"(?=[:,}\]|])', re.sub(r":(\"\w+\"\|?)+", "", comment)))

    def before(name):
        comments = re.findall(r"<!--((?:(?!-->).)*)-->\s*<method name=\"" + name + '"', xml, re.S)
        return [keys(c) for c in comments]
    return {"status": before("GetStatus")[0], "list": before("ListReleases")[0], "event": before("GetHistory")[0],
            "deployment": before("Describe")[0], "node": before("Describe")[1], "slot": before("Describe")[2]}


def reading(s):
    """Every document is JSON with the keys that the interface's description names, for everybody."""
    for verb in ALL_VERBS:
        said = expect(s, 0, "Options:", verb, "--help")
        holds(f"edgeferry {verb}" in said, f"help of {verb}: {said}")
    expect(s, 0, "Exit codes:", "--help")
    want = documented(s)
    status = s.json("status")
    equal(set(status) - want["status"], set(), "keys of status that are not described")
    for slot in status["slots"]:
        equal(set(slot) - want["slot"], set(), "keys of a slot that are not described")
    for node in s.json("nodes"):
        equal(set(node) - want["node"], set(), "keys of a node that are not described")
    for event in s.json("history"):
        equal(set(event) - want["event"] - {"place"}, set(), "keys of an event that are not described")
    s.cli("check")
    for r in s.json("list"):
        equal(set(r) - want["list"] - {"detail"}, set(), "keys of a release that are not described")
    pretty = s.cli("status", "--json=pretty").stdout
    holds("\n  " in pretty and json.loads(pretty)["product"] == "demo", "--json=pretty is indented")
    equal(s.cli("status", "--json").stdout.count("\n"), 1, "lines of --json that goes to a file")


def usage(s):
    """Exit 64 and a hint; nothing is asked of the daemon."""
    n = len(s.deployments())
    expect(s, 64, "there is no verb", "stats")
    expect(s, 64, "a verb is missing")
    expect(s, 64, "too many arguments", "status", "now")
    expect(s, 64, "does not take", "nodes", "--once")
    expect(s, 64, "pretty or short", "status", "--json=xml")
    expect(s, 64, "takes a number", "history", "-n", "many")
    expect(s, 64, "is empty", "install", "")
    expect(s, 64, "is not a file", "install", s.dir)
    expect(s, 64, "is not a file", "install", "/dev/null")
    fifo = f"{s.dir}/fifo.ferry"
    os.mkfifo(fifo)
    expect(s, 64, "is not a file", "install", fifo, timeout=10)
    expect(s, 3, "No such file", "install", f"{s.dir}/none.ferry")
    expect(s, 64, "too long", "install", "x" * 5000)
    expect(s, 3, "no deployment 99", "deployments", "99")
    equal(len(s.deployments()), n, "deployments")


def wrong_names(s):
    """Not a bundle, no such release: refused, nothing touched."""
    before = s.touched()
    for name, content in (("empty.ferry", b""), ("text.ferry", b"hello\n" * 1000), ("zero.ferry", bytes(1 << 20))):
        with open(f"{s.dir}/{name}", "wb") as f:
            f.write(content)
        expect(s, 5, "not well formed", "install", f"{s.dir}/{name}")
    for version in ("9.9.9", "1.0", "1.2.3.4"):
        expect(s, 3, "is not offered", "install", version)
    expect(s, 64, "version", "install", "0" * 300)
    for verb in ("confirm", "reject", "cancel"):
        expect(s, 3, "no deployment is under way", verb)
    expect(s, 3, "no release before", "rollback")
    equal(s.touched(), before, "what is there")
    s.invariants()


def unprivileged(s):
    """S-30: nobody may read, and act on nothing."""
    become = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", s.program("edgeferry"), f"--address={s.bus}"]
    for verb in VERBS:
        equal(s.run(*become, verb, check=False).returncode, 0, f"exit code of {verb} as nobody")
    for args in (*ACTING, ["install", f"{s.dir}/text.ferry"]):
        done = s.run(*become, *args, check=False)
        equal(done.returncode, 6, f"exit code of {' '.join(args)} as nobody")
        holds("permission denied" in done.stderr, done.stderr)
    secret = f"{s.dir}/secret.ferry"
    os.close(os.open(secret, os.O_CREAT, 0o600))
    equal(s.run(*become, "install", secret, check=False).returncode, 6, "exit code for a file that nobody may read")
    equal(s.status()["state"], "idle", "state")


def busy_and_cancelled(s):
    """One at a time; called off before activation, whatever stands still: no trace, and the next one works."""
    versions, boot = s.versions(), s.boot_state()["primary"]
    for word, program, text in (("offered", "edgeferry-net", "is offered"), ("fetching", "edgeferry-net", "is fetching")):
        if word == "offered":
            with frozen(s, program):
                s.cli("install", "--no-wait", "1.0.0")
                refuse_more(s, word, text)
                expect(s, 0, "called off", "cancel")
        else:
            s.cli("install", "--no-wait", "2.0.0")
            state(s, word)
            refuse_more(s, word, text)
            expect(s, 0, "2.0.0", "check")     # looking goes on
            expect(s, 0, "called off", "cancel")
        equal(s.deployments()[0]["state"], "cancelled", "deployment")
        expect(s, 3, "no deployment is under way", "cancel")
        equal((s.versions(), s.boot_state()["primary"], s.boot_state()["trial"]), (versions, boot, "none"), "what is there")
        for n in s.status()["nodes"]:
            equal(n["trial"], False, f"{n['name']} on trial")
        s.wait(lambda: not s.gateway.pids("edgeferry-worker"), 5, "the end of the worker")
        s.invariants()


def refuse_more(s, word, text):
    state(s, word)
    for args in (["install", "2.0.0"], ["install", f"{s.dir}/text.ferry"], ["rollback"], ["confirm"], ["reject"]):
        expect(s, 1, text, *args)


def understood(out):
    plain = re.sub(r"\x1b\[[0-9;]*[mAJK]|[\r\n]", "", out)
    holds(plain.isprintable(), f"nothing but text, colours and moves of the cursor: {plain!r}")


def terminal(s):
    """Release 1 with a root filesystem on a terminal; tables are as wide as it. Asked about first, which does nothing."""
    before = s.versions(), s.boot_state(), s.deployments()
    expect(s, 0, "Release 1.0.0 would be installed now", "install", "--dry-run", "1.0.0")
    asked = json.loads(s.cli("install", "--dry-run", "--json", "1.0.0").stdout)
    equal([g["open"] for g in asked["gates"]], [True] * len(asked["gates"]), "gates")
    equal((s.versions(), s.boot_state(), s.deployments()), before, "what is there after asking")
    code, out = on_terminal(s, "install", "1.0.0")
    equal(code, 0, "exit code")
    holds("release 1.0.0 is confirmed" in out, f"an outcome: {out[-300:]!r}")
    understood(out)
    code, out = on_terminal(s, "status", NO_COLOR="1")
    holds(code == 0 and "\x1b" not in out, "NO_COLOR: no colours")
    code, out = on_terminal(s, "nodes", columns=80)
    holds(max(len(line) for line in re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()) <= 80, f"not wider than the terminal: {out}")
    expect(s, 2, "already installed", "install", "1.0.0")
    s.everything_at("1.0.0")
    s.invariants()


def monitor(s):
    """A watcher without a terminal gets lines; --json one document a line; the exit code is the deployment's."""
    watch = [subprocess.Popen([s.program("edgeferry"), f"--address={s.bus}", "monitor", "--once", *more], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for more in ([], ["--json"])]
    time.sleep(0.3)
    done = s.cli("install", "2.0.0", "--json=short")
    d = json.loads(done.stdout)
    equal((d["release"], d["state"]), ("2.0.0", "confirmed"), "document of install --json")
    lines, documents = (w.communicate(timeout=20)[0] for w in watch)
    equal([w.returncode for w in watch], [0, 0], "exit codes of monitor --once")
    holds("\x1b" not in lines and "release 2.0.0 is confirmed" in lines, lines)
    kinds = [json.loads(line)["type"] for line in documents.splitlines()]
    holds({"deployment", "progress"} <= set(kinds) <= {"deployment", "progress", "event"}, f"types {set(kinds)}")
    equal([r["version"] for r in s.json("list") if r["state"] == "installed"], ["2.0.0"], "what the list says is installed")
    s.everything_at({**dict.fromkeys(NODES, "2.0.0"), "gateway": "1.0.0"})


def by_hand(s):
    """A trial: cancelling is refused with the way out; rejected and confirmed by hand."""
    release(s, "2.1.0")
    with trial(s, "2.1.0"):
        said = expect(s, 5, "can only be rejected", "cancel")
        holds("confirm or reject" in said, f"the way out: {said}")
        expect(s, 5, "2.1.0", "install", "2.0.0")
        expect(s, 5, "2.1.0", "rollback")
        expect(s, 0, "on trial", "status")
        expect(s, 0, "Going back", "reject")
        equal(s.outcome("2.1.0")["reason"], "rejected", "reason")
    s.everything_at({**dict.fromkeys(NODES, "2.0.0"), "gateway": "1.0.0"})
    expect(s, 2, "Nothing newer", "check")      # what was rejected is not offered by itself
    with trial(s, "2.1.0"):                     # but goes in when asked for
        expect(s, 0, "is being kept", "confirm")
        equal(s.outcome("2.1.0")["state"], "confirmed", "state")
    s.everything_at({**dict.fromkeys(NODES, "2.1.0"), "gateway": "1.0.0"})
    s.invariants()


def rollback(s):
    """To the release before, and not below a floor."""
    expect(s, 0, "release 2.0.0 is confirmed", "rollback")
    s.everything_at({**dict.fromkeys(NODES, "2.0.0"), "gateway": "1.0.0"})
    expect(s, 2, "Nothing newer", "check")      # or the release left would come back by itself
    release(s, "3.0.0", security=2)
    s.cli("install", "3.0.0")
    before = s.touched()
    said = expect(s, 5, "below the floor", "rollback")
    holds("security version 1, the floor is 2" in said, said)
    equal(s.touched(), before, "what is there")
    s.invariants()


def wiring(s):
    """F-22: swapped lines are seen before anything is installed; nothing is erased."""
    release(s, "3.1.0", security=2)
    flash = s.flash_digests()
    node_file(s, "lamp", "meter")
    node_file(s, "meter", "lamp")
    s.restart_daemon()
    s.wait(lambda: all(n["reason"] == "node-mismatch" for n in s.status()["nodes"]), 10, "the mismatch in status")
    expect(s, 0, "not what the configuration says", "nodes")
    expect(s, 5, "not what the configuration says", "install", "3.1.0")
    equal(s.flash_digests(), flash, "flash")
    for node in NODES:
        node_file(s, node)
    s.restart_daemon()
    expect(s, 0, "3.1.0", "check")              # wiring was put right: offered again


def absent(s):
    """An optional node that is away is left out, said so, and brought up to date by itself when it is back."""
    node_file(s, "lamp", Optional="yes")
    s.restart_daemon()
    s.everything_at({**dict.fromkeys(NODES, "3.0.0"), "gateway": "1.0.0"})
    s.boards["lamp"].cut()
    said = expect(s, 0, "release 3.1.0 is confirmed", "install", "3.1.0")
    holds("lamp: skipped: the node does not answer" in said, said)
    expect(s, 0, "absent", "nodes")
    s.boards["lamp"].start()
    s.wait(lambda: all(n["present"] for n in s.status()["nodes"]), 40, "the lamp")
    s.wait(lambda: s.deployments()[0]["origin"] == "catch-up" and s.deployments()[0]["state"] == "confirmed", 60,
           "a deployment that nobody asked for")
    s.everything_at({**dict.fromkeys(NODES, "3.1.0"), "gateway": "1.0.0"})
    node_file(s, "lamp")


def several(s):
    """One component, two nodes; a terminal gets bars."""
    NODES["lamp-two"] = NODES["lamp"]
    try:
        s._factory("lamp-two")
        s.start_board("lamp-two")
        node_file(s, "lamp-two")
        s.restart_daemon()
        for node in ("meter", "lamp"):
            s.add_firmware(node, "3.2.0", security=2)
        s.make_release("3.2.0", ["meter", "lamp"])
        s.publish()
        code, out = on_terminal(s, "install", "3.2.0")
        holds(code == 0 and "━" in out and "lamp on lamp-two" in out, f"bars: {out[:600]!r}")
        understood(out)
        s.everything_at({**dict.fromkeys(NODES, "3.2.0"), "gateway": "1.0.0"})
        equal(len(s.deployment("3.2.0")["components"]), 3, "parts of the deployment")
    finally:
        s.boards.pop("lamp-two").stop()
        os.unlink(f"{s.config}/nodes.d/lamp-two.conf")
        del NODES["lamp-two"]
        s.restart_daemon()


def ended_and_started(s):
    """SIGTERM ends the daemon within 5 s in every phase, and it goes on. F-14, S-34: no broker meanwhile; no report is
    lost over the restarts."""
    s.servers.stop("mosquitto")
    release(s, "4.0.0", image=s.rootfs("2.0.0", packages=("less",)), security=2)
    with open(hold(s), "w"):
        pass
    try:
        s.cli("install", "--no-wait", "4.0.0")
        for word in ("offered", "fetching", "activating", "trial"):
            with contextlib.suppress(TimeoutError):
                s.wait(lambda w=word: (s.status() or {}).get("state") == w, 20 if word == "trial" else 3, word)
            began, old = time.monotonic(), s.gateway.pids("edgeferryd")
            for pid in old:
                os.kill(pid, signal.SIGTERM)
            s.wait(lambda o=old: not set(s.gateway.pids("edgeferryd")) & set(o), 5, f"the end in {word}")
            holds(time.monotonic() - began < 5, f"{word}: ended after {time.monotonic() - began:.1f} s")
            s.wait(s.status, 20, "edgeferryd")
        state(s, "trial")
    finally:
        os.unlink(hold(s))
    d = s.outcome("4.0.0")
    equal(d["state"], "confirmed", "state")
    s.everything_at("4.0.0")
    waiting = [json.loads(r[0]) for r in s.database("SELECT json FROM outbox ORDER BY id")]
    states = [r["state"] for r in waiting if r.get("deployment") == d["id"]]
    equal(states, ["offered", "fetching", "staged", "activating", "trial", "confirming", "confirmed"], "reports that wait")
    with servers_back(s) as reports:
        seen = []
        while "confirmed" not in seen:
            report = json.loads(reports.next(90)[1])
            if report.get("deployment") == d["id"]:
                seen.append(report["state"])
    equal(sorted(set(seen)), sorted(states), "reports that arrived")
    s.invariants()


@contextlib.contextmanager
def servers_back(s):
    """A subscriber that is there before the first report."""
    with contextlib.ExitStack() as stack:
        with frozen(s, "edgeferry-net"):
            s.servers.start_mqtt()
            reports = stack.enter_context(s.servers.subscribe("edgeferry/#"))
        yield reports


def another_daemon(s):
    """F-21: on the same state, and with a state of its own; the first one is not disturbed."""
    pids = s.gateway.pids("edgeferryd")
    code, said = daemon(s)
    holds(code == 1 and "another edgeferryd has" in said, said)
    other = f"{s.dir}/other-etc"
    shutil.copytree(s.config, other)
    with open(f"{other}/edgeferry.conf", "a") as f:
        f.write(f"[Gateway]\nStateDirectory={s.dir}/other-state\n")
    code, said = daemon(s, other)
    holds(code == 1 and "another edgeferryd is on the bus" in said, said)
    equal(s.gateway.pids("edgeferryd"), pids, "the first daemon")
    s.everything_at("4.0.0")


def configuration(s):
    """F-27: file and line, and the status after which systemd does not try again."""
    def wrong(text, where, name="edgeferry.conf", mode="a"):
        folder = f"{s.dir}/wrong-etc"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(s.config, folder)
        with open(f"{folder}/{name}", mode) as f:
            f.write(text)
        with open(f"{folder}/{name}") as f:
            last = len(f.read().splitlines())
        code, said = daemon(s, folder)
        holds(code == 78 and where.format(f"{folder}/{name}:{last}") in said, f"{text!r}: {said}")
    wrong("[Update]\nConfirmSecs=1\n", "{}: unknown key ConfirmSecs=")
    wrong("[Updates]\n", "{}: unknown section [Updates]")
    wrong("[Update]\nConfirmSec=soon\n", "{}: ConfirmSec=soon: expected a time span")
    wrong("[Source]\nURL=http://host/\n", "{}: URL=http://host/: expected https://")
    wrong("what\n", "{}: neither [Section] nor Key=value")
    wrong("[Node]\nDevice=/dev/ttyS9\n", "/spare.conf: [Node] Compatible= is missing", "nodes.d/spare.conf", "w")
    wrong("[Node]\nBaud=1\n", "{}: unknown key Baud=", "nodes.d/spare.conf", "w")


def state_directory(s):
    """S-14, F-28: lost, damaged or newer state stops updating, with the cause; nothing is made up in its place."""
    data, kept = f"{s.dir}/machine/data", f"{s.dir}/data-kept"
    s.gateway.stop()
    expect(s, 7, "does not answer", "status")
    expect(s, 7, "does not answer", "install", "1.0.0")
    expect(s, 7, "does not answer", "monitor")
    equal(s.run(s.program("edgeferry"), f"--address=unix:path={s.dir}/nobus", "status", check=False).returncode, 7,
          "exit code without a bus")
    shutil.copytree(data, kept)

    def gone(*names):
        return lambda: [os.unlink(f"{data}/{n}") for n in names]

    def cut(name, size):
        return lambda: os.truncate(f"{data}/{name}", size)

    def write(name, content):
        def act():
            with open(f"{data}/{name}", "r+b") as f:
                f.write(content)
        return act

    def newer():
        with contextlib.closing(sqlite3.connect(f"{data}/state.db")) as db:
            db.execute("PRAGMA user_version = 99")
            db.commit()
    trust = ("root.json", "timestamp.json", "snapshot.json", "targets.json")
    harms = [gone("state.db"), gone("state.db", "state.db-journal", "state.mark", "state.reserve"), cut("state.db", 0),
             cut("state.db", 8192), write("state.db", b"x" * 100), newer, lambda: shutil.rmtree(f"{data}/trust"),
             *(gone(f"trust/{n}") for n in trust), *(write(f"trust/{n}", b"x") for n in trust), *(cut(f"trust/{n}", 0) for n in trust)]
    for i, harm in enumerate(harms):
        shutil.rmtree(data)
        shutil.copytree(kept, data)
        harm()
        there = os.path.exists(f"{data}/state.db")
        code, said = daemon(s)
        holds(code == 1 and "state-unreadable" in said, f"harm {i}: exit {code}: {said}")
        equal(os.path.exists(f"{data}/state.db"), there, f"harm {i}: state.db is there")
    shutil.rmtree(data)
    shutil.copytree(kept, data)
    s.gateway.start()
    s.everything_at("4.0.0")
    s.invariants()


@contextlib.contextmanager
def daemon_behind(s, mount):
    """A daemon by hand, with something else mounted at its state directory."""
    p = subprocess.Popen(["unshare", "-m", "sh", "-c", mount + ' && exec "$@"', "sh", s.program("edgeferryd"),
                          f"--config={s.config}", f"--bus={s.bus}"], text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env={**os.environ, "EDGEFERRY_LIBEXEC": f"{s.dir}/libexec"})
    try:
        yield p
    finally:
        if p.poll() is None:
            p.terminate()
        p.wait(5)
        p.stdout.close()


def state_without_room(s):
    """F-04: read-only, it shows what there is and installs nothing until that is over. F-03: without room to begin with, it says so."""
    if s.run("unshare", "-m", "true", check=False).returncode:
        return      # no privilege to mount anything
    data, versions = f"{s.dir}/machine/data", s.versions()
    s.gateway.stop()
    try:
        with daemon_behind(s, f"mount --bind {data} {data} && mount -o remount,bind,ro {data}") as p:
            s.wait(s.status, 20, "edgeferryd")
            expect(s, 1, "readonly", "install", "1.0.0")
            expect(s, 1, "readonly", "pause")
            equal(s.status()["state"], "idle", "state")
            s.run("nsenter", "-m", "-t", str(p.pid), "mount", "-o", "remount,bind,rw", data)
            expect(s, 0, "", "pause")       # it is taken up again without a start
            expect(s, 0, "", "resume")
        with daemon_behind(s, f"mount -t tmpfs -o size=8k tmpfs {data}") as p:
            said = p.communicate(timeout=20)[0]
            holds(p.returncode == 1 and "not enough room" in said, f"exit {p.returncode}: {said}")
    finally:
        s.gateway.start()
    s.everything_at(versions)
    s.invariants()


def no_root(s):
    """A gateway that was never given a root of trust says so, refuses every release, and takes one later."""
    data, kept = f"{s.dir}/machine/data", f"{s.dir}/data-kept"
    bundle = s.bundle("4.0.0")
    s.gateway.stop()
    shutil.rmtree(data)
    os.makedirs(data)
    os.rename(f"{s.config}/root.json", f"{s.dir}/root.json")
    s.gateway.start()
    s.wait(s.status, 20, "edgeferryd")
    expect(s, 0, "no trusted root", "status")
    equal(s.json("status")["trust"], None, "trust")
    expect(s, 5, "root.json", "check")
    expect(s, 5, "root.json", "install", bundle)
    os.rename(f"{s.dir}/root.json", f"{s.config}/root.json")
    expect(s, 0, "4.0.0", "check")              # taken without a restart
    equal(s.json("status")["trust"]["root"], 1, "trusted root")
    s.gateway.stop()
    shutil.rmtree(data)
    shutil.copytree(kept, data)
    s.gateway.start()
    s.everything_at("4.0.0")


SCENES = [
    ("documents and help are as described", reading),
    ("wrong usage: 64", usage),
    ("S-37 no such release, no such bundle", wrong_names),
    ("S-30 nobody reads and may not act: 6", unprivileged),
    ("F-21 a second installation is told of the first; cancelled without a trace", busy_and_cancelled),
    ("on a terminal", terminal),
    ("monitor and --json", monitor),
    ("confirm, reject and cancel on trial", by_hand),
    ("I-4 rollback, and the floor that forbids it", rollback),
    ("F-22 swapped lines", wiring),
    ("F-17 an optional node is away and comes back", absent),
    ("two nodes of one component, with bars on a terminal", several),
    ("F-14 F-25 S-34 SIGTERM in every phase, broker away; every report arrives", ended_and_started),
    ("F-21 a second daemon", another_daemon),
    ("F-27 wrong configuration", configuration),
    ("S-14 F-28 state that is gone or damaged; no daemon: 7", state_directory),
    ("F-03 F-04 a state directory without room or read-only", state_without_room),
    ("no root of trust", no_root),
]


def prepare(s):
    """Nothing by itself; a check of the site that lasts as long as a file is there."""
    s.automatic = "no"
    os.makedirs(f"{s.dir}/checks.d")
    with open(f"{s.dir}/checks.d/10-hold", "w") as f:
        f.write(f"#!/bin/sh\nwhile [ -e {hold(s)} ]; do sleep 0.1; done\n")
    os.chmod(f"{s.dir}/checks.d/10-hold", 0o755)
    s.settings[("Update", "ChecksDirectory")] = f"{s.dir}/checks.d"
    s.publish()
    for node in NODES:
        s.add_firmware(node, "2.0.0")
    s.make_release("2.0.0", NODES)
    s.publish()


if __name__ == "__main__":
    sys.exit(play("operator", SCENES, prepare))
