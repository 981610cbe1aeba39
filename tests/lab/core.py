# SPDX-License-Identifier: Apache-2.0
"""Plays edgeferryd for edgeferry-net: src/net/ipc.h over a socketpair, and TAP for the tests."""
import concurrent.futures
import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
import traceback

CONFIG, FETCH, CANCEL, REPORT, READY, OFFER, FETCHED, ACK, STATE = 1, 2, 3, 4, 64, 65, 66, 67, 68
PING, PONG, KEY = 6, 69, 70
REASONS = {0: "ok", 1: "internal", 3: "io", 5: "busy", 6: "cancelled", 8: "not-found", 9: "usage", 10: "denied", 11: "config",
           20: "bad-format", 23: "bad-size", 40: "net-unreachable", 41: "net-tls", 42: "net-http",
           43: "net-too-large", 44: "net-slow", 45: "net-key"}
# limits that keep failing tests short
FAST = {"backoff_ms": 20, "retries": 2, "broker_backoff_ms": 100, "offer_apart_ms": 200, "missed_spread_ms": 500}


class Fetched:
    def __init__(self, payload):
        reason, self.status, self.bytes = struct.unpack_from("=IIQ", payload)
        self.reason, self.detail = REASONS.get(reason, reason), payload[16:].decode()

    def __repr__(self):
        return "%s %d %d (%s)" % (self.reason, self.status, self.bytes, self.detail)


class Core:
    def __init__(self, program, user="nobody", stderr=None, within=(), **settings):
        """within: a command that runs it, like ("unshare", "--net")."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s, self.id, self.early = mine, 0, []

        def place():
            os.dup2(theirs.fileno(), 3)

        argv = [*within, program] + (["--user", user] if user else [])
        self.p = subprocess.Popen(argv, pass_fds=(3,) if theirs.fileno() == 3 else (theirs.fileno(), 3),
                                  preexec_fn=place, stderr=stderr, stdin=subprocess.DEVNULL,
                                  env={"PATH": "/usr/bin:/bin", "https_proxy": "http://127.0.0.1:1/",
                                       "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""),
                                       "UBSAN_OPTIONS": "halt_on_error=1"})
        theirs.close()
        config = {"id": "gw1", "product": "demo", "prefix": "edgeferry"}
        config.update(settings)
        with contextlib.suppress(BrokenPipeError):  # it may have found a reason to leave already
            self.send(CONFIG, json.dumps(config).encode())

    def send(self, kind, payload=b"", ident=0, fd=None):
        data = struct.pack("=II", kind, ident) + payload
        if fd is None:
            self.s.send(data)
        else:
            socket.send_fds(self.s, [data], [fd])

    def receive(self, timeout):
        """(type, id, payload) or None at the end."""
        if not select.select([self.s], [], [], timeout)[0]:
            raise TimeoutError("nothing from edgeferry-net")
        data = self.s.recv(70000)
        if not data:
            return None
        kind, ident = struct.unpack_from("=II", data)
        return kind, ident, data[8:]

    def wait(self, kind, ident=None, timeout=20):
        """The next message of a kind; others are kept for later waits."""
        end = time.monotonic() + timeout
        while True:
            for i, m in enumerate(self.early):
                if m[0] == kind and ident in (None, m[1]):
                    return self.early.pop(i)[2]
            m = self.receive(max(0, end - time.monotonic()))
            if m is None:
                raise EOFError("edgeferry-net ended")
            self.early.append(m)

    def start(self, path, max_size=1 << 40, ranges=(), fd=None, pipe_size=None):
        """Begins a fetch. Returns (id, read end)."""
        self.id += 1
        read = None
        if fd is None:
            read, fd = os.pipe()
        p = path.encode()
        body = struct.pack("=QII", max_size, len(ranges), len(p))
        self.send(FETCH, body + b"".join(struct.pack("=QQ", *r) for r in ranges) + p, self.id, fd)
        if read is not None:
            os.close(fd)
        return self.id, read

    def fetch(self, path, max_size=1 << 40, ranges=(), timeout=60):
        """(outcome, bytes)."""
        ident, read = self.start(path, max_size, ranges)
        parts = []
        end = time.monotonic() + timeout
        while True:
            if not select.select([read], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("fetch of " + path)
            b = os.read(read, 1 << 20)
            if not b:
                break
            parts.append(b)
        os.close(read)
        outcome = Fetched(self.wait(FETCHED, ident))
        data = b"".join(parts)
        assert outcome.bytes == len(data), (outcome, len(data))
        return outcome, data

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.p.pid))

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.p.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self, expect=0):
        self.s.close()
        try:
            code = self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
            raise
        if expect is not None:
            assert code == expect, "edgeferry-net ended with %d" % code

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(None if kind else 0)


def run(test):
    """(ok, lines for the log)"""
    start = time.monotonic()
    try:
        note = test[1]()
        return True, ["%.2f s%s" % (time.monotonic() - start, "; " + note if note else "")]
    except Exception:
        return False, traceback.format_exc().splitlines() + ["%.2f s" % (time.monotonic() - start)]


def tap(tests, together=1):
    """Runs [(name, function)], so many at a time, and prints TAP; exits non-zero on failure."""
    print("1..%d" % len(tests), flush=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(together) as pool:
        for i, (test, (ok, lines)) in enumerate(zip(tests, pool.map(run, tests)), 1):
            bad += not ok
            for line in lines:
                print("# " + line)
            print("%sok %d - %s" % ("" if ok else "not ", i, test[0]), flush=True)
    sys.exit(1 if bad else 0)
