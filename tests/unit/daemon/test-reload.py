#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The configuration is read anew while edgeferryd runs (F-27): what is under way goes on, a mistake changes nothing and
is on record, what has to wait says so. TAP.

    test-reload.py BUILD
"""

import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402

BUILD = sys.argv[1]
BAUD = 230400
SIZE = 40000        # bytes: some 2 s of the line
check = Checks()


def add(g, name, text):
    os.makedirs(f"{g.dir}/etc/conf.d", exist_ok=True)
    with open(f"{g.dir}/etc/conf.d/{name}.conf", "w") as f:
        f.write(text)


def reloads(g):
    return [(e["to"], e["reason"], e["detail"]) for e in g.json("history") if e["event"] == "reload"]


def uploading(g, release):
    d = g.deployment(release)
    return d and next((c for c in d["components"] if c["phase"] == "uploading" and 0 < c["done"] < c["total"]), None)


def while_nothing_goes_on(f, g, lines):
    done = g.cli("reload")
    check("nothing has changed", "The configuration is taken." in done.stdout and reloads(g) == [("taken", "ok", "")],
          done.stdout)
    g.configure("second", lines["second"], key=f.key, link="sim")
    g.cli("reload")
    check("a node that is new is there, the other one still", list(g.nodes()) == ["first", "second"] and
          g.nodes()["first"]["present"], g.nodes())
    g.present(2)
    os.unlink(f"{g.dir}/etc/nodes.d/second.conf")
    g.process.send_signal(signal.SIGHUP)
    wait(lambda: list(g.nodes()) == ["first"], 10, "the node to be gone by SIGHUP")
    g.configure("first", lines["first"], 1, f.key, "MinimumBattery=33\n", baud=BAUD)
    g.cli("reload")
    check("how a node is treated is another thing than how it is reached", g.nodes()["first"]["present"])


def a_mistake(f, g, lines):
    before = g.json("status")
    add(g, "wrong", "[Update]\nAutomatic=all\nConfirmSec=soon\n")
    done = g.cli("reload", check=False)
    check("a mistake is named with file and line", done.returncode == 1 and "conf.d/wrong.conf:3: ConfirmSec=soon" in done.stderr,
          done.stderr)
    check("it is on record", reloads(g)[-1][:2] == ("kept", "config") and "wrong.conf:3" in reloads(g)[-1][2], reloads(g))
    check("the last good one stays", g.json("status")["when"] == before["when"] and g.process.poll() is None)
    os.unlink(f"{g.dir}/etc/conf.d/wrong.conf")
    g.configure("first", lines["first"], 1, "/nowhere/at/all.key", baud=BAUD)
    g.cli("reload")
    check("a key that is not there is that node's trouble", "first" in g.nodes())
    g.configure("first", lines["first"], 1, f.key, baud=BAUD)
    add(g, "good", "[Update]\nAutomatic=security\n")
    g.cli("reload")
    check("the next good one is taken", g.json("status")["when"]["automatic"] == "security")


def what_counts_at_the_start_only(g):
    add(g, "later", "[Gateway]\nId=gw-other\n[Source]\nPollSec=2h\n")
    done = g.cli("reload")
    check("it says so", "[Gateway] Id=" in done.stdout and "restart" in done.stdout, done.stdout)
    check("and goes on with what was", g.json("status")["id"] == "gw-1")
    check("as a document", g.json("reload") == {"at_start": [{"section": "Gateway", "key": "Id"}], "nodes_wait": False})
    os.unlink(f"{g.dir}/etc/conf.d/later.conf")


def in_the_midst_of_a_transfer(f, g, lines):
    f.release("2.0.0", os.urandom(SIZE))
    g.install("2.0.0", wait_for=False)
    at = wait(lambda: uploading(g, "2.0.0"), 60, "the upload")
    g.configure("second", lines["second"], key=f.key, link="sim")
    add(g, "good", "[Update]\nAutomatic=all\n")
    done = g.cli("reload")
    check("nodes wait", "Changes of nodes are taken when" in done.stdout and list(g.nodes()) == ["first"], done.stdout)
    check("the rest does not", g.json("status")["when"]["automatic"] == "all")
    seen = [at["done"]]
    while component := uploading(g, "2.0.0"):
        seen.append(component["done"])
    check("the upload goes on from where it was", len(seen) > 3 and seen == sorted(seen), seen)
    d = wait(lambda: (lambda d: d["ended"] and d)(g.deployment("2.0.0")), 60, "the end")
    check("and comes to its end", d["state"] == "confirmed" and g.running()["first"] == "2.0.0", f"{d['state']} {d['detail']}")
    wait(lambda: list(g.nodes()) == ["first", "second"], 15, "the node to be taken afterwards")
    check("both times are on record", [r[0] for r in reloads(g)[-2:]] == ["taken", "taken"] and
          reloads(g)[-2][2] == "nodes later" and reloads(g)[-1][2] == "", reloads(g))


def a_source_that_comes_and_goes(g):
    """edgeferry-net is another one then, without an end of the daemon."""
    done = g.cli("check", check=False)
    check("there is no source", done.returncode != 0 and "no source" in done.stderr, done.stderr)
    asked = []
    for kind, text in (("broker", "[Mqtt]\nBroker=localhost:{}\n"), ("other broker", "[Mqtt]\nBroker=localhost:{}\n"),
                       ("server", "[Source]\nURL=https://localhost:{}/\n")):
        with socket.create_server(("127.0.0.1", 0)) as s:
            s.settimeout(15)
            add(g, "source", text.format(s.getsockname()[1]) + "[Network]\nUser=nobody\n")
            g.cli("reload")
            s.accept()[0].close()
        asked.append((kind, children(g)))
    check("each new one is asked at once, by another edgeferry-net", len({p for _, p in asked for p in p}) == 3, asked)
    check("there is one edgeferry-net", len(children(g)) == 1, children(g))


def children(g):
    """Process numbers, once there is one."""
    end = time.monotonic() + 5
    while True:
        with open(f"/proc/{g.process.pid}/task/{g.process.pid}/children") as f:
            found = f.read().split()
        if len(found) <= 1 or time.monotonic() > end:
            return found
        time.sleep(0.05)


def notified(f):
    """RELOADING=1 before, READY=1 after, also when nothing is taken; the mistake is in STATUS=."""
    g = f.gateway("gw-notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(f"{f.dir}/notify")
        s.settimeout(10)
        os.environ["NOTIFY_SOCKET"] = f"{f.dir}/notify"
        g.start()
        del os.environ["NOTIFY_SOCKET"]

        def until_ready():
            said = ""
            while "READY=1" not in said:
                said += s.recv(4096).decode() + "\n"
            return said
        until_ready()
        said = []
        for text in ("[Update]\nAutomatic=all\n", "[Update]\nAutomatic=perhaps\n"):
            add(g, "one", text)
            g.process.send_signal(signal.SIGHUP)
            said.append(until_ready())
        for text in said:
            check("told before and after", "RELOADING=1" in text and "MONOTONIC_USEC=" in text and
                  text.index("RELOADING=1") < text.index("READY=1"), text)
        check("why it was kept is the status", "one.conf:2" in said[1] and "STATUS=Configuration kept" in said[1], said[1])
    g.stop()


def main():
    with Farm(BUILD) as f:
        (line,) = f.shared({"first": 1}, session=True, baud=BAUD)
        lines = {"first": line, "second": f.node("second", "socket", True)}
        g = f.gateway()
        g.configure("first", line, 1, f.key, baud=BAUD)
        g.start()
        g.present(1)
        while_nothing_goes_on(f, g, lines)
        a_mistake(f, g, lines)
        what_counts_at_the_start_only(g)
        in_the_midst_of_a_transfer(f, g, lines)
        a_source_that_comes_and_goes(g)
        notified(f)
    return check.end()


sys.exit(main())
