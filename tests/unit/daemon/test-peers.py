#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""S-30, F-31: an unprivileged user who calls everything with everything, on a bus that lets it, while a transfer goes on.
Nothing is done for it, others are answered, the transfer comes to its end. TAP.

    test-peers.py BUILD [SEED [SECONDS]]
"""

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 4
XML = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "io.github.edgeferry1.xml")
ROOT, NOBODY, BAUD = "/io/github/edgeferry1", 65534, 230400
check = Checks()


def calls():
    paths = {"Manager": ROOT, "Deployment": f"{ROOT}/deployment/_1", "Node": f"{ROOT}/node/first", "Slot": f"{ROOT}/slot/A"}
    found = []
    for interface in ElementTree.parse(XML).getroot().iter("interface"):
        name = interface.get("name")
        for m in interface.iter("method"):
            signature = "".join(a.get("type") for a in m.iter("arg") if a.get("direction") == "in")
            for path in {paths[name.rsplit(".", 1)[1]], f"{ROOT}/deployment/_99999999999999999999"}:
                found.append(f"{path}:{name}:{m.get('name')}:{signature}")
    for path in (*paths.values(), "/", f"{ROOT}/node/_"):
        found += [f"{path}:org.freedesktop.DBus.Introspectable:Introspect:", f"{path}:org.freedesktop.DBus.Properties:GetAll:s",
                  f"{path}:org.freedesktop.DBus.Properties:Get:ss", f"{path}:org.freedesktop.DBus.Properties:Set:ss",
                  f"{path}:org.freedesktop.DBus.ObjectManager:GetManagedObjects:", f"{path}:io.github.edgeferry1.Manager:NoSuch:s"]
    return found


def said(g):
    """What somebody could have changed."""
    status = g.json("status")
    return (status["when"]["paused"], status["when"]["postponed"], status["when"]["automatic"], status["id"],
            [(d["id"], d["origin"]) for d in g.json("deployments")],
            sorted({e["event"] for e in g.json("history")} - {"component", "deployment", "check"}))


def descriptors(g):
    return len(os.listdir(f"/proc/{g.process.pid}/fd"))


def room():
    """Bytes; a sanitizer keeps what was freed."""
    with open(f"{BUILD}/src/daemon/edgeferryd", "rb") as f:
        return 512 << 20 if b"__asan_init" in f.read() else 16 << 20


def main():
    if os.geteuid():
        print("1..0 # SKIP needs root to become somebody else")
        return 0
    print(f"# seed {SEED}")
    with Farm(BUILD) as f:
        (line,) = f.shared({"first": 1}, session=True, baud=BAUD)
        g = f.gateway()
        g.configure("first", line, 1, f.key, baud=BAUD)
        g.start()
        g.present(1)
        f.release("2.0.0", os.urandom(40000))
        g.install("2.0.0", wait_for=False)
        wait(lambda: g.deployment("2.0.0") and any(c["done"] for c in g.deployment("2.0.0")["components"]), 60, "the upload")
        before, memory, fds = said(g), g.memory(), descriptors(g)
        # where nobody may start them, wherever the tree lies
        hostile, client = (shutil.copy(f"{BUILD}/{p}", g.dir) for p in ("tests/unit/daemon/hostile-client", "src/cli/edgeferry"))
        foe = subprocess.Popen([hostile, f"unix:path={g.dir}/bus", str(SEED), str(SECONDS), *calls()],
                               stdout=subprocess.PIPE, text=True, user=NOBODY)
        slowest = 0
        while foe.poll() is None:
            start = time.monotonic()
            g.cli("status")
            slowest = max(slowest, time.monotonic() - start)
            time.sleep(0.1)
        answers = dict(line.rsplit(" ", 1) for line in foe.stdout.read().splitlines())
        print("#", answers)
        check("it has tried a lot", foe.returncode == 0 and sum(map(int, answers.values())) > 1000, answers)
        errors = {a.rsplit(".", 1)[-1] for a in answers}
        check("what acts is denied, and too much is too much", {"Denied", "Busy", "answered"} <= errors, answers)
        check("root is answered all the same", slowest < 5, f"{slowest:.1f} s")
        d = wait(lambda: (lambda d: d["ended"] and d)(g.deployment("2.0.0")), 60, "the end")
        check("the transfer came to its end", d["state"] == "confirmed", f"{d['state']} {d['detail']}")
        check("nothing has been done for it", said(g) == before, f"{before}\n{said(g)}")
        check("memory does not grow by it", g.memory() - memory < room(), f"{memory} {g.memory()}")
        wait(lambda: descriptors(g) <= fds, 10, "descriptors to be closed")
        check("it lives, and says nothing of it", g.process.poll() is None and len(g.said()) < 10000, g.said()[-2000:])
        time.sleep(1)
        done = subprocess.run([client, f"--address=unix:path={g.dir}/bus", "status"], user=NOBODY,
                              capture_output=True, text=True)
        check("and it may look again when it has calmed down", done.returncode == 0, done.stderr)
    return check.end()


sys.exit(main())
