#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""edgeferry-net against real nginx and real mosquitto: test-live.py PROGRAM LAB"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM, LAB = sys.argv[1:3]
sys.path.insert(0, LAB)
from core import ACK, CANCEL, FAST, FETCHED, OFFER, PING, PONG, READY, REPORT, STATE, Core, Fetched, tap  # noqa: E402
from servers import Servers, free_port  # noqa: E402

USER = "nobody" if os.geteuid() == 0 else None
ROOT = tempfile.mkdtemp(prefix="ef-net-")
os.chmod(ROOT, 0o755)
PUBLISH = os.path.join(ROOT, "publish")
BIG = random.Random(1).randbytes(24 << 20)
SMALL = b'{"signed": 1}'
servers = Servers(os.path.join(ROOT, "srv"), PUBLISH, "gateway", "se cret")


def setup():
    os.makedirs(PUBLISH + "/metadata")
    os.makedirs(PUBLISH + "/objects")
    for name, data in (("metadata/timestamp.json", SMALL), ("objects/big", BIG), ("objects/empty", b""),
                       ("objects/a b%c", b"odd")):
        with open(os.path.join(PUBLISH, name), "wb") as f:
            f.write(data)
    with open(ROOT + "/password", "w") as f:
        f.write("se cret\n")
    servers.start()


def core(mqtt=False, **more):
    settings = {"url": servers.url, "ca_file": servers.ca, "limits": FAST}
    if mqtt is True:
        mqtt = {"host": "localhost", "port": servers.broker_port, "ca_file": servers.ca,
                            "username": "gateway", "password_file": ROOT + "/password"}
    if mqtt:
        settings["mqtt"] = mqtt
    settings.update(more)
    c = Core(PROGRAM, USER, **settings)
    c.wait(READY)
    return c


def whole_files():
    with core() as c:
        for path, data in (("metadata/timestamp.json", SMALL), ("objects/empty", b""), ("objects/a b%c", b"odd"),
                           ("objects/big", BIG)):
            o, got = c.fetch(path)
            assert (o.reason, o.status) == ("ok", 200) and got == data, o
    rows = [r for r in servers.access_log() if r[4].startswith("/objects/")]
    assert all(r[1] == "HTTP/1.1" for r in rows), rows
    assert len({r[0] for r in rows}) == 1, "one connection for all"


def limits():
    with core() as c:
        o, got = c.fetch("metadata/timestamp.json", max_size=len(SMALL))
        assert o.reason == "ok"
        o, got = c.fetch("metadata/timestamp.json", max_size=len(SMALL) - 1)
        assert o.reason == "net-too-large" and got == b"", o
        o, _ = c.fetch("metadata/2.root.json")
        assert (o.reason, o.status) == ("not-found", 404), o


def nonsense_paths():
    with core() as c:
        for path in ("", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "a\nb", "a/", "..", "a\\b"):
            o, _ = c.fetch(path)
            assert o.reason == "usage", (path, o)
        o, _ = c.fetch("objects/big", max_size=10, ranges=[(0, 11)])
        assert o.reason == "usage", o
        o, _ = c.fetch("objects/big", ranges=[(1 << 62, 1 << 62)])
        assert o.reason == "usage", o


def byte_ranges():
    rng = random.Random(2)
    with core() as c:
        wanted = []
        at = 0
        for _ in range(200):  # near ones, far ones, neighbours
            at += rng.choice((0, 1, 5000, 100000))
            size = rng.randrange(1, 9000)
            wanted.append((at, size))
            at += size
        before = len(servers.access_log())
        o, got = c.fetch("objects/big", ranges=wanted)
        assert o.reason == "ok", o
        assert got == b"".join(BIG[a:a + n] for a, n in wanted)
        time.sleep(0.2)
        requests = len(servers.access_log()) - before
        assert requests == 2, requests  # nginx answers many at once
        backwards = [(9000, 10), (5, 3), (len(BIG) - 1, 1), (0, 1)]
        o, got = c.fetch("objects/big", ranges=backwards)
        assert o.reason == "ok" and got == b"".join(BIG[a:a + n] for a, n in backwards), o
        o, got = c.fetch("objects/big", ranges=[(len(BIG) - 5, 10)])
        assert o.reason == "bad-size" and got == BIG[-5:], o
        o, got = c.fetch("objects/big", ranges=[(len(BIG) + 5, 10)])
        assert o.reason == "bad-size", o
        return "200 ranges in %d requests" % requests


def slow_reader():
    """Ten fetches of which nobody reads eight: the others are served, net neither waits nor spins."""
    with core() as c:
        stuck = [c.start("objects/big") for _ in range(3)]
        time.sleep(0.5)
        cpu = c.cpu_seconds()
        o, got = c.fetch("metadata/timestamp.json")
        assert got == SMALL
        time.sleep(1)
        used = c.cpu_seconds() - cpu
        assert used < 0.1, "busy while paused: %.2f s" % used
        for ident, read in stuck:
            h = hashlib.sha256()
            while b := os.read(read, 1 << 20):
                h.update(b)
            os.close(read)
            assert h.digest() == hashlib.sha256(BIG).digest()
            assert Fetched(c.wait(FETCHED, ident)).reason == "ok"


def many_at_once():
    with core() as c:
        running = [c.start("metadata/timestamp.json") for _ in range(60)]
        for ident, read in running:
            data = b""
            while b := os.read(read, 65536):
                data += b
            os.close(read)
            assert data == SMALL
            assert Fetched(c.wait(FETCHED, ident)).reason == "ok"


def cancel():
    with core() as c:
        base = c.descriptors()
        for _ in range(20):
            ident, read = c.start("objects/big")
            os.read(read, 10)
            c.send(CANCEL, ident=ident)
            assert Fetched(c.wait(FETCHED, ident)).reason == "cancelled"
            os.close(read)
        for _ in range(20):
            ident, read = c.start("objects/big")
            os.close(read)
            assert Fetched(c.wait(FETCHED, ident)).reason == "cancelled"
        o, got = c.fetch("metadata/timestamp.json")
        assert got == SMALL
        assert c.descriptors() <= base + 16, "descriptors leak"


def into_file():
    with core() as c, tempfile.TemporaryFile() as f:
        ident, _ = c.start("objects/big", fd=f.fileno())
        assert Fetched(c.wait(FETCHED, ident)).reason == "ok"
        f.seek(0)
        assert f.read() == BIG


def server_away():
    """No server, no such name, no route: tried again, without spinning and without leaving anything open."""
    nowhere = {"within": ("unshare", "--net")} if USER else {}
    for url, options in (("https://localhost:%d" % free_port(), {}), ("https://no-such-host.invalid", {}),
                         ("https://192.0.2.1" if USER else "https://localhost:1", nowhere)):
        with core(url=url, **options) as c:
            for _ in range(3):
                o, _ = c.fetch("x", timeout=60)
                assert o.reason == "net-unreachable", o
            base = c.descriptors()
            for _ in range(10):
                c.fetch("x", timeout=60)
            assert c.descriptors() <= base and c.cpu_seconds() < 1, (c.descriptors(), base, c.cpu_seconds())
    with core(ca_file="/nonexistent") as c:
        o, _ = c.fetch("x")
        assert o.reason == "net-tls", o
    with core(ca_file="/etc/ssl/certs/ca-certificates.crt") as c:
        o, _ = c.fetch("x")
        assert o.reason == "net-tls", o
    no_url = Core(PROGRAM, USER)
    no_url.wait(READY)
    o, _ = no_url.fetch("x")
    assert o.reason == "config", o
    no_url.send(REPORT, b"{}", 7)
    assert no_url.wait(ACK, 7) != b""
    no_url.close()


def server_comes_back():
    """Restarts of the server in mid-transfer cost nothing but time; no byte comes twice (F-08)."""
    with core(limits={"backoff_ms": 100, "retries": 8}) as c:
        ident, read = c.start("objects/big")
        got = os.read(read, 1 << 16)
        for _ in range(3):
            servers.stop("nginx")
            time.sleep(0.2)
            servers.start_http()
            while len(got) % (7 << 20) < 6 << 20:
                got += os.read(read, 1 << 16)
            got += os.read(read, 1 << 20)
        while b := os.read(read, 1 << 20):
            got += b
        os.close(read)
        o = Fetched(c.wait(FETCHED, ident))
        assert o.reason == "ok" and o.status == 206 and got == BIG, o


def changed_under_us():
    name = PUBLISH + "/objects/changing"
    with open(name, "wb") as f:
        f.write(BIG)
    with core(limits={"backoff_ms": 100, "retries": 8}) as c:
        ident, read = c.start("objects/changing")
        os.read(read, 1 << 16)
        servers.stop("nginx")
        with open(name + ".new", "wb") as f:
            f.write(bytes(len(BIG)))
        # nginx makes its tag of seconds and size: within one second nothing but the digest tells
        os.utime(name + ".new", (1, 1))
        os.rename(name + ".new", name)
        servers.start_http()
        while os.read(read, 1 << 20):
            pass
        os.close(read)
        o = Fetched(c.wait(FETCHED, ident))
        assert o.reason == "net-http" and "changed" in o.detail, o


def broker_wakes():
    with core(mqtt=True) as c:
        assert c.wait(STATE) == b"\1\0\0\0"
        servers.wake("edgeferry/demo/offer")
        assert c.wait(OFFER) == b""
        servers.wake("edgeferry/gateway/gw1/offer", '{"version": "2.0.0"}')
        assert c.wait(OFFER) == b"2.0.0"
        for topic, payload in (("edgeferry/demo/offer", "{"), ("edgeferry/demo/offer", "[]"),
                               ("edgeferry/other/offer", ""), ("edgeferry/gateway/gw2/offer", ""),
                               ("edgeferry/demo/offer", "x" * 2000)):
            servers.wake(topic, payload)
        try:
            assert not c.wait(OFFER, timeout=0.5)
        except TimeoutError:
            pass
        begin = time.monotonic()
        servers.flood("edgeferry/demo/offer", "{}", 100)   # is a few
        c.wait(OFFER)
        try:
            c.wait(None, timeout=0.5)   # no such message: all that come are kept
        except TimeoutError:
            pass
        most = (time.monotonic() - begin) * 1000 / FAST["offer_apart_ms"]
        assert sum(1 for m in c.early if m[0] == OFFER) <= most


def reports():
    with core(mqtt=True) as c, servers.subscribe("edgeferry/gateway/+/report") as sub:
        c.wait(STATE)
        for i in range(1, 41):
            c.send(REPORT, json.dumps({"event": i}).encode(), i)
        for i in range(1, 41):
            assert c.wait(ACK, i) == b""
        seen = [json.loads(sub.next()[1])["event"] for _ in range(40)]
        assert seen == list(range(1, 41)), seen
        c.send(REPORT, b"{", 99)
        assert c.wait(ACK, 99) == b"\x14\0\0\0"


def broker_down_and_up():
    """F-14: reports wait, arrive after a restart; offers that were missed are made up for."""
    with core(mqtt=True) as c:
        assert c.wait(STATE) == b"\1\0\0\0"
        base = c.descriptors()
        servers.stop("mosquitto")
        assert c.wait(STATE) == b"\0\0\0\0"
        for i in range(1, 65):
            c.send(REPORT, b'{"event": "late"}', i)
        c.send(REPORT, b"{}", 65)
        assert c.wait(ACK, 65) == b"\5\0\0\0", "one more than are kept"
        cpu = c.cpu_seconds()
        time.sleep(1.5)
        assert c.cpu_seconds() - cpu < 0.2, "busy while the broker is away"
        servers.start_mqtt()
        assert c.wait(STATE, timeout=40) == b"\1\0\0\0"
        for i in range(1, 65):
            c.wait(ACK, i)
        c.wait(OFFER, timeout=30)
        assert c.descriptors() == base


def broker_refuses():
    bad = {"host": "localhost", "port": servers.broker_port, "ca_file": servers.ca, "username": "gateway"}
    with open(ROOT + "/wrong", "w") as f:
        f.write("wrong")
    cores = [core(mqtt=settings) for settings in (
        {**bad, "password_file": ROOT + "/wrong"}, {**bad, "password_file": ROOT + "/absent"},
        {**bad, "ca_file": "/etc/ssl/certs/ca-certificates.crt"}, {**bad, "port": free_port()},
        {**bad, "host": "no-such-host.invalid"})]
    time.sleep(1)
    for c in cores:
        with c:
            try:
                assert not c.wait(STATE, timeout=0)
            except TimeoutError:
                pass
            o, got = c.fetch("metadata/timestamp.json")  # which goes on meanwhile
            assert got == SMALL
            assert c.cpu_seconds() < 1


def half_open_broker():
    """A broker that accepts and says nothing: no spinning, HTTP goes on."""
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        with core(mqtt={"host": "localhost", "port": s.getsockname()[1], "ca_file": servers.ca}) as c:
            peer, _ = s.accept()
            cpu = c.cpu_seconds()
            time.sleep(1.5)
            assert c.cpu_seconds() - cpu < 0.1, "busy"
            o, got = c.fetch("metadata/timestamp.json")
            assert got == SMALL
            peer.close()


def ends_with_core():
    c = core(mqtt=True)
    c.wait(STATE)
    c.start("objects/big")
    c.close(0)
    c = core()
    c.p.send_signal(signal.SIGTERM)
    assert c.p.wait(5) == 0
    c.s.close()


def hangs():
    """F-25: one that takes no ping for so long ends by itself: the core may have no right to signal it."""
    c = core(limits={**FAST, "hang_seconds": 1})
    for _ in range(5):
        c.send(PING)
        c.wait(PONG)
        time.sleep(0.4)
    assert c.p.poll() is None, "it lives as long as it answers"
    c.p.send_signal(signal.SIGSTOP)     # it hangs, whatever it is told
    for _ in range(4):
        c.send(PING)
        time.sleep(0.4)
    c.p.send_signal(signal.SIGCONT)
    assert c.p.wait(5) == -signal.SIGALRM
    c.s.close()


def wrong_settings():
    for bad in ({"url": "http://localhost"}, {"url": "https://u:p@localhost"}, {"id": "a/b"}, {"product": "+"},
                {"prefix": "a/#"}, {"unknown": 1}, {"mqtt": {"host": "x"}}, {"mqtt": {"host": "x", "port": 70000}},
                {"limits": {"min_rate": -1}}, {"url": ["https://x"]}):
        c = Core(PROGRAM, USER, stderr=subprocess.DEVNULL, **bad)
        try:
            c.wait(READY, timeout=10)
            raise AssertionError(bad)
        except (EOFError, ConnectionResetError):
            pass
        c.close(1)
    c = core()
    c.send(77)  # no such message
    assert c.p.wait(10) == 1
    c.s.close()


def client_certificates():
    """The core hands them over as text, so no file of them has to be open to this process."""
    folder = ROOT + "/mutual"
    with Servers(folder, PUBLISH, clients=True) as s:
        def pem(path):
            with open(path) as f:
                return f.read()
        cert, key = map(pem, s.authority.issue("gw1", usage="clientAuth"))
        other = pem(s.authority.issue("gw2", usage="clientAuth")[1])
        chain = cert + pem(s.ca)

        def ask(**mine):
            with core(url=s.url, ca_file=s.ca, mqtt={"host": "localhost", "port": s.broker_port, "ca_file": s.ca, **mine},
                      **mine) as c:
                o, got = c.fetch("metadata/timestamp.json")
                try:
                    connected = c.wait(STATE, timeout=20 if mine.get("client_key") == key else 1) == b"\1\0\0\0"
                except TimeoutError:
                    connected = False
                return o.reason == "ok" and got == SMALL, connected
        for c in cert, chain:
            assert ask(client_certificate=c, client_key=key) == (True, True)
        for mine in {}, {"client_certificate": cert, "client_key": other}, {"client_certificate": "no", "client_key": "no"}:
            assert ask(**mine) == (False, False), mine


def wakeups(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))


def idle_is_quiet():
    with core(mqtt=True) as c:
        assert c.wait(STATE) == b"\1\0\0\0"
        time.sleep(2.5)     # what is left of the beginning
        before = wakeups(c.p.pid)
        time.sleep(4)
        assert wakeups(c.p.pid) - before <= 1


def confined():
    """S-29, seen from outside; what it can then do is tried in test-confine."""
    with core(mqtt=True) as c:
        c.wait(STATE)
        with open("/proc/%d/status" % c.p.pid) as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status
        assert status["CapEff"] == status["CapPrm"] == status["CapAmb"] == "0" * 16, status
        if USER:
            assert "0" not in status["Uid"].split() + status["Gid"].split(), status
            assert status["Groups"].strip() == "", status
            assert os.stat("/proc/%d/fd" % c.p.pid).st_uid == 0, "dumpable"
    if os.geteuid() == 0:
        for user in (None, "root", "no-such-user-here"):
            c = Core(PROGRAM, user, stderr=subprocess.DEVNULL)
            assert c.p.wait(10) == 1, user
            c.s.close()
    p = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, capture_output=True)
    assert p.returncode == 64 and b"edgeferryd" in p.stderr


TESTS = [("S-27 whole files, HTTP/1.1, one connection", whole_files), ("S-27 no more than asked for", limits),
         ("S-25 paths that lead elsewhere", nonsense_paths), ("ranges, gathered", byte_ranges),
         ("nobody waits for a slow reader", slow_reader), ("sixty at once", many_at_once),
         ("cancelled, by word and by closing the pipe", cancel), ("into a file", into_file),
         ("F-11 F-12 server away or not ours", server_away), ("F-08 F-12 resumes", server_comes_back),
         ("F-08 changed under us", changed_under_us), ("woken by the broker", broker_wakes),
         ("S-34 reports and acknowledgements", reports), ("F-14 broker down and up", broker_down_and_up),
         ("F-11 F-12 F-14 broker refuses", broker_refuses), ("F-14 broker half open", half_open_broker),
         ("S-29 who this gateway is, by certificate", client_certificates),
         ("idle, it sleeps", idle_is_quiet), ("ends with the core", ends_with_core), ("F-25 ends when it hangs", hangs),
         ("F-27 wrong settings", wrong_settings)]
if "unconfined" not in PROGRAM:
    TESTS.append(("S-29 confined", confined))

if __name__ == "__main__":
    only = sys.argv[3:]
    try:
        setup()
        tap([t for t in TESTS if not only or any(o in t[0] for o in only)])
    finally:
        servers.stop()
        shutil.rmtree(ROOT)
