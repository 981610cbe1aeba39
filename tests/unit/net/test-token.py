#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""edgeferry-net with its client key in a token behind a real p11-kit server, against nginx and mosquitto that turn
everybody else away: test-token.py PROGRAM CONFINE-TEST LAB"""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

PROGRAM, CONFINE, LAB = sys.argv[1:4]
sys.path.insert(0, LAB)
from core import FAST, FETCHED, KEY, READY, REASONS, STATE, Core, tap  # noqa: E402
from servers import Servers  # noqa: E402
from softhsm import EXACT, PIN, Token, missing  # noqa: E402

USER = "nobody" if os.geteuid() == 0 else None
ROOT = tempfile.mkdtemp(prefix="ef-token-")
os.chmod(ROOT, 0o755)
PUBLISH = ROOT + "/publish"
SMALL = b'{"signed": 1}'
BIG = os.urandom(48 << 20)
servers = Servers(ROOT + "/srv", PUBLISH, clients=True)
certificates, files = {}, {}
said = ROOT + "/said"


def pem(path):
    with open(path) as f:
        return f.read()


def setup():
    os.makedirs(PUBLISH)
    for name, data in (("small", SMALL), ("big", BIG)):
        with open(f"{PUBLISH}/{name}", "wb") as f:
            f.write(data)
    servers.start()
    token = Token(ROOT + "/token")
    for number, kind in enumerate(("ec", "rsa"), 1):
        cert, key = servers.authority.issue("gw-" + kind, usage="clientAuth",
                                            **({"key_type": kind} if kind == "rsa" else {}))
        token.add(key, kind, number)
        certificates[kind], files[kind] = pem(cert), pem(key)
    return token


def address(name="ec", pin=PIN, token="gateway"):
    """As the core hands it over."""
    return f"pkcs11:token={token};object={name}" + ("?pin-value=" + urllib.parse.quote(pin, "") if pin else "")


def identity(key, name="ec"):
    return {"client_certificate": certificates[name], "client_key": key}


def core(token, source=None, broker=None, **more):
    settings = {"url": servers.url, "ca_file": servers.ca, "limits": FAST, "token_socket": token.socket, **(source or {})}
    if broker:
        settings["mqtt"] = {"host": "localhost", "port": servers.broker_port, "ca_file": servers.ca, **broker}
    with open(said, "a") as log:
        return Core(PROGRAM, USER, stderr=log, **{**settings, **more})


def fault(c):
    """(reason, text) of the next KEY."""
    payload = c.wait(KEY)
    return REASONS.get(int.from_bytes(payload[:4], sys.byteorder)), payload[4:].decode()


def both_ways(token):
    for name in "ec", "rsa":
        with token.start(), core(token, identity(address(name), name), identity(address(name), name)) as c:
            c.wait(READY)
            o, got = c.fetch("small")
            assert o.reason == "ok" and got == SMALL, o
            assert c.wait(STATE) == b"\1\0\0\0"
            assert not [m for m in c.early if m[0] == KEY], c.early
        token.stop()
    with core(token) as c:  # who has nothing is turned away
        c.wait(READY)
        assert c.fetch("small")[0].reason != "ok"


def confined(token):
    """S-29: what it holds of the token is one connection; its module and files are another process's, and another user's."""
    with token.start():
        with core(token, identity(address()), identity(address())) as c:
            c.wait(READY)
            assert c.fetch("small")[1] == SMALL
            if USER:    # nobody else may look into it
                with open(f"/proc/{c.p.pid}/maps") as f:
                    maps = f.read()
                assert "p11-kit-client.so" in maps and "softhsm" not in maps
            with open(f"/proc/{c.p.pid}/status") as f:
                status = f.read()
            assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
            with open("/proc/net/unix") as f:
                taken = [line for line in f if line.endswith(token.socket + "\n") and line.split()[5] == "03"]
            assert len(taken) == 1, taken
        key = servers.authority.issue("another", usage="clientAuth")[1]
        assert not token.write_through(key), "who has the PIN and the connection cannot change what is in the token"
        done = subprocess.run([CONFINE], capture_output=True, text=True, timeout=200, env={
            **os.environ, "EF_TOKEN_SOCKET": token.socket, "EF_TOKEN_KEY": address(), "EF_TOKEN_FILE": token.database()})
        assert done.returncode == 0, done.stdout + done.stderr


def nobody_listens(token):
    """It starts all the same; what needs no token goes on."""
    with core(token, identity(address()), identity(address())) as c:
        reason, text = fault(c)
        assert reason == "net-unreachable" and token.socket in text and "No such file" in text, text
        c.wait(READY)
        o, _ = c.fetch("small")
        assert o.reason == "net-key" and text == o.detail, o
    with core(token, {"client_certificate": certificates["rsa"], "client_key": files["rsa"]}, identity(address())) as c:
        assert fault(c)[0] == "net-unreachable"
        c.wait(READY)
        assert c.fetch("small")[1] == SMALL
        assert c.cpu_seconds() < 1


def wrong_ones(token):
    with token.start():
        for key, name, reason, text in (
                (address("other"), "ec", "not-found", "no such key"), (address(token="other"), "ec", "not-found", "no such key"),
                (address(pin=None), "ec", "not-found", "without a PIN"), (address("rsa"), "ec", "config", "not the key of the"),
                (address(pin="4712"), "ec", "denied", "refuses the PIN")):
            if not EXACT and reason == "not-found" and "pin-value" in key:
                reason = "denied"
            with core(token, identity(key, name)) as c:
                got = fault(c)
                assert got[0] == reason and text in got[1], (key, got)
                c.wait(READY)
                o, _ = c.fetch("small")
                assert o.reason == "net-key" and text in o.detail, o
    with token.start(), core(token, identity(address())) as c:  # it is not locked
        c.wait(READY)
        assert c.fetch("small")[1] == SMALL


def taken_away(token):
    """In mid-transfer: what flows goes on, what connects anew says why it cannot, and the core is told."""
    token.start()
    with core(token, identity(address()), identity(address())) as c:
        c.wait(READY)
        assert c.wait(STATE) == b"\1\0\0\0"
        ident, read = c.start("big")
        got = os.read(read, 1000)
        token.stop()
        while piece := os.read(read, 1 << 20):
            got += piece
        os.close(read)
        c.wait(FETCHED, ident)
        assert got == BIG
        servers.stop("nginx")
        servers.start_http()    # which forgets the session of TLS
        o, _ = c.fetch("small")
        assert o.reason == "net-key" and "does not sign any more" in o.detail, o
        assert fault(c)[0] == "net-unreachable"
        servers.stop("mosquitto")
        servers.start_mqtt()
        assert c.wait(STATE) == b"\0\0\0\0"
        reason, text = fault(c)
        assert reason == "net-unreachable" and "[Mqtt]" in text, text
        assert c.p.poll() is None and c.cpu_seconds() < 3


def hanging(token):
    """A server that says nothing: the process ends by its alarm, and before it has begun to be of use to anybody."""
    import socket
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(token.socket)
        os.chmod(token.socket, 0o666)
        s.listen()
        with core(token, identity(address())) as c:
            time.sleep(1)
            assert c.p.poll() is None and not c.early
            s.close()   # what waits is turned away
            assert fault(c)[0] in ("not-found", "net-unreachable") or not EXACT
            c.wait(READY)
    os.unlink(token.socket)


def nothing_said(token):
    """S-31"""
    text = pem(said)
    for secret in (PIN, urllib.parse.quote(PIN, ""), "4712", "pin-value", "BEGIN"):
        assert secret not in text, text


TESTS = [("a key in a token, to web server and broker, EC and RSA", both_ways),
         ("S-29 one connection, and nothing else of the token", confined),
         ("nobody listens", nobody_listens), ("another key, another token, no PIN, a wrong one", wrong_ones),
         ("taken away", taken_away), ("a server that hangs", hanging), ("S-31 no PIN in what it says", nothing_said)]

if __name__ == "__main__":
    why = missing()
    if why:
        print("1..0 # SKIP " + why)
        sys.exit(0)
    only = sys.argv[4:]
    hsm = None
    try:
        hsm = setup()
        tap([(name, lambda f=f: f(hsm)) for name, f in TESTS if not only or any(o in name for o in only)])
    finally:
        if hsm:
            hsm.stop()
        servers.stop()
        shutil.rmtree(ROOT)
