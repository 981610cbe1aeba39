#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What edgeferryd says to the journal while a release is installed: fields, the catalog's entries and no secret (S-31,
S-35). A socket of this test stands where journald's is, in a mount namespace. TAP.

    test-journal.py BUILD
"""

import glob
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402

BUILD = sys.argv[1]
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3)
PASSWORD = "correct-horse-battery"
check = Checks()


def read(path):
    with open(f"{SOURCE}/{path}", encoding="utf-8") as f:
        return f.read()


def catalog():
    """The ids of the code and of the catalog are the same, and journalctl takes the catalog."""
    rows = re.findall(r'\{(?:NULL|"[a-z-]+"), (?:NULL|"[a-z-]+"), "([0-9a-f]+)", LOG_', read("src/daemon/journal.c"))
    entries = re.findall(r"^-- (\w+)$", read("systemd/edgeferry.catalog"), re.M)
    check("every id is 32 hex digits, and once", len(set(rows)) == len(rows) > 10 and all(len(i) == 32 for i in rows), rows)
    check("each has an entry in the catalog, and no entry is another's", sorted(rows) == sorted(entries),
          set(rows) ^ set(entries))
    used = set(re.findall(r"@(\w+)@", read("systemd/edgeferry.catalog")))
    given = {f"EDGEFERRY_{k}" for k in re.findall(r'put\(ret, &n, "(\w+)"', read("src/daemon/journal.c"))}
    check("fields that the catalog names are given", used and used <= given, used - given)
    words = set(re.findall(r'\.word = "([a-z-]+)"|"(refused)"|: "(deployment)"', "".join(
        read(os.path.relpath(f, SOURCE)) for f in glob.glob(f"{SOURCE}/src/update/*.c"))))
    words = {w for t in words for w in t if w}
    kinds = set(re.findall(r'^\t\{"([a-z-]+)"', read("src/daemon/journal.c"), re.M))
    check("every event that is recorded has its kind", words == kinds, words ^ kinds)
    with tempfile.TemporaryDirectory(prefix="ef-catalog-") as d:
        for sub in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
            os.makedirs(f"{d}/{sub}")
        with open(f"{d}/usr/lib/systemd/catalog/edgeferry.catalog", "w", encoding="utf-8") as f:
            f.write(read("systemd/edgeferry.catalog"))
        done = subprocess.run(["journalctl", f"--root={d}", "--update-catalog"], capture_output=True, text=True)
        listed = subprocess.run(["journalctl", f"--root={d}", "--list-catalog"], capture_output=True, text=True).stdout
    check("journalctl takes it", done.returncode == 0 and len(listed.splitlines()) == len(rows), done.stderr + listed)


def parse(datagram):
    """A datagram of journald's native protocol."""
    entry = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        key, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", datagram[:8])
            value, datagram = datagram[8:8 + size], datagram[9 + size:]
        entry[key.decode()] = value.decode()
    return entry


class Journal:
    def __init__(self):
        os.makedirs("/run/systemd", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/systemd"], check=True)
        os.mkdir("/run/systemd/journal")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/run/systemd/journal/socket")
        self.socket.setblocking(False)
        self.entries = []

    def read(self):
        try:
            while True:
                self.entries.append(parse(self.socket.recv(1 << 16)))
        except BlockingIOError:
            return self.entries

    def of(self, **fields):
        return [e for e in self.read() if all(e.get(k) == v for k, v in fields.items())]


def a_deployment(journal, g):
    end = wait(lambda: journal.of(EDGEFERRY_EVENT="deployment", EDGEFERRY_TO="confirmed"), 60, "the end")[0]
    check("the outcome has its release and its own id", end["EDGEFERRY_RELEASE"] == "2.0.0" and
          end["EDGEFERRY_DEPLOYMENT"] == "1" and end["MESSAGE_ID"].startswith("e868a202"), end)
    check("it can be read, and is a notice", end["MESSAGE"] == "deployment 1: confirming -> confirmed" and
          end["PRIORITY"] == "5" and end["SYSLOG_IDENTIFIER"] == "edgeferryd", end)
    parts = journal.of(EDGEFERRY_EVENT="component", EDGEFERRY_PLACE="first")
    check("components name their node", len(parts) > 3 and parts[0]["EDGEFERRY_COMPONENT"], parts)
    history = [(e["event"], e["to"]) for e in g.json("history")]
    said = [(e["EDGEFERRY_EVENT"], e.get("EDGEFERRY_TO", "")) for e in journal.read() if "EDGEFERRY_EVENT" in e]
    check("the journal has what is on record, in its order", said == history, f"{said}\n{history}")


def a_mistake(journal, g):
    os.makedirs(f"{g.dir}/etc/conf.d")
    with open(f"{g.dir}/etc/conf.d/x.conf", "w", encoding="utf-8") as f:
        f.write("[Update]\nAutomatic=\u202e\u009b2J\n")
    g.cli("reload", check=False)
    (entry,) = journal.of(EDGEFERRY_EVENT="reload")
    check("a mistake is an error with file and line", entry["PRIORITY"] == "3" and "x.conf:2" in entry["EDGEFERRY_DETAIL"], entry)
    os.unlink(f"{g.dir}/etc/conf.d/x.conf")


def nothing_that_should_not_be_there(journal, g, key):
    text = "\n".join(f"{k}={v}" for e in journal.read() for k, v in e.items())
    everything = {"the journal": text, "standard error": g.said(), "the history": g.cli("history", "--json").stdout,
                  "the status": g.cli("status", "--json").stdout}
    for where, said in everything.items():
        found = [s for s in (key, key.upper(), PASSWORD, "BEGIN PRIVATE KEY") if s in said]
        check(f"S-31 no key or password in {where}", not found, found)
    check("S-35 nothing that a terminal obeys", not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text),
          repr(text))
    ids = {e["MESSAGE_ID"] for e in journal.read() if "MESSAGE_ID" in e}
    check("only ids of the catalog", ids and all(f"-- {i}\n" in read("systemd/edgeferry.catalog") for i in ids), ids)


def main():
    if "inside" not in sys.argv:
        catalog()
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            print(f"ok {check.count + 1} - the journal # SKIP needs a mount namespace")
            check.count += 1
            return check.end()
        return subprocess.run(["unshare", "-m", sys.executable, *sys.argv, "inside", str(check.count), str(check.failed)]).returncode
    check.count, check.failed = map(int, sys.argv[3:5])
    journal = Journal()
    with Farm(BUILD) as f:
        with open(f"{f.dir}/password", "w", opener=lambda p, flags: os.open(p, flags, 0o644), encoding="utf-8") as p:
            p.write(PASSWORD + "\n")
        g = f.gateway("gw-journal", f"[Mqtt]\nBroker=localhost:9\nUsername=gw\nPasswordFile={f.dir}/password\n"
                      "[Network]\nUser=nobody\n")
        g.configure("first", f.node("first", "socket", True), key=f.key, link="sim")
        st = os.stat(g.log) if os.path.exists(g.log) else os.stat(os.open(g.log, os.O_CREAT | os.O_WRONLY, 0o644))
        os.environ["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
        g.start()
        g.present(1)
        f.release("2.0.0", b"two" * 700)
        g.install("2.0.0", wait_for=False)
        a_deployment(journal, g)
        a_mistake(journal, g)
        with open(f.key, encoding="utf-8") as key:
            nothing_that_should_not_be_there(journal, g, key.read().strip())
    return check.end()


sys.exit(main())
