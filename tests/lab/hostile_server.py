#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
An HTTPS server that misbehaves: the first part of the path names the case, the second is its number.
Every case serves, or pretends to serve, BODY. Other ports have certificates that must not be believed.

  hostile_server.py --root DIR    prints one line of JSON (ports, CA file, cases), runs until its
                                  standard input closes
"""
import argparse
import gzip
import json
import os
import random
import re
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pki import Authority  # noqa: E402

BODY = random.Random(7).randbytes(300000)
ETAG = '"one"'
CASES = {}


class Request:
    def __init__(self, server, conn, text, body=BODY):
        self.server, self.conn, self.text, self.body = server, conn, text, body
        self.path = text.split(" ", 2)[1]
        parts = self.path.strip("/").split("/")
        self.case, self.arg = parts[0], int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
        self.headers = dict((k.strip().lower(), v.strip()) for k, _, v in
                            (line.partition(":") for line in text.split("\r\n")[1:] if line))
        m = re.match(r"bytes=(\d+-\d*(?:,\d+-\d*)*)$", self.headers.get("range", ""))
        self.ranges = [(int(a), int(b) if b else len(body) - 1)
                       for a, b in (r.split("-") for r in m[1].split(","))] if m else []
        self.range = self.ranges[0] if m else None  # of several, most cases answer the first
        self.count = server.count(self.path)  # of requests for this path, from 1

    def raw(self, data):
        self.conn.sendall(data)

    def head(self, status, *lines):
        self.raw(("HTTP/1.1 %s\r\n%s\r\n" % (status, "".join(x + "\r\n" for x in lines))).encode())

    def span(self, validator=ETAG):
        """(status, first, last): what a good server would answer."""
        if not self.range or self.headers.get("if-range", validator) != validator:
            return "200 OK", 0, len(self.body) - 1
        first, last = self.range
        return "206 Partial Content", first, min(last, len(self.body) - 1)

    def good(self, limit=None, etag=ETAG, date="", body=BODY):
        """A right answer of which at most limit body bytes come. True: the connection may go on."""
        status, first, last = self.span(etag or date)
        if first > last:
            self.head("416 Range Not Satisfiable", "Content-Range: bytes */%d" % len(body), "Content-Length: 0")
            return True
        lines = ["Content-Length: %d" % (last - first + 1)]
        lines += ["ETag: " + etag] * bool(etag) + ["Last-Modified: " + date] * bool(date)
        if status.startswith("206"):
            lines.append("Content-Range: bytes %d-%d/%d" % (first, last, len(body)))
        self.head(status, *lines)
        data = body[first:last + 1]
        self.raw(data if limit is None else data[:limit])
        return limit is None or limit >= len(data)


    def parts(self, edit=lambda parts: parts, limit=None, boundary="00000000000000000018", named=None):
        """Several ranges in one answer, as nginx writes it. edit: of [(headers, bytes)]."""
        if len(self.ranges) < 2:
            return self.good()
        made = [(b"Content-Type: application/octet-stream\r\nContent-Range: bytes %d-%d/%d\r\n"
                 % (first, min(last, len(BODY) - 1), len(BODY)), BODY[first:last + 1]) for first, last in self.ranges]
        line = b"\r\n--" + boundary.encode()
        data = b"".join(line + b"\r\n" + h + b"\r\n" + b for h, b in edit(made)) + line + b"--\r\n"
        self.head("206 Partial Content", "ETag: " + ETAG, "Content-Length: %d" % len(data),
                  "Content-Type: multipart/byteranges; boundary=" + (named or boundary))
        self.raw(data if limit is None else data[:limit])
        return limit is None or limit >= len(data)


def case(f):
    CASES[f.__name__.replace("_", "-")] = f
    return f


@case
def good(r):
    return r.good()


@case
def cut(r):
    r.good(r.arg)


@case
def cut_without_etag(r):
    r.good(r.arg, etag="")


@case
def cut_weak_etag(r):
    r.good(r.arg, etag='W/"one"')


def _date(n):
    return "Mon, 01 Jan 2024 00:00:%02d GMT" % n


@case
def cut_date(r):
    """Nothing but a date to tie to."""
    r.good(r.arg, etag="", date=_date(0))


@case
def cut_date_changing(r):
    r.good(r.arg, etag="", date=_date(r.count))


@case
def cut_changing(r):
    r.good(r.arg, etag='"%d"' % r.count)


@case
def cut_growing(r):
    """The same entity tag, but another file: the total gives it away."""
    r.good(r.arg, body=BODY + bytes(r.count))


@case
def cut_then_whole(r):
    """Breaks off once, then has no use for ranges."""
    if r.count == 1:
        r.good(r.arg)
        return
    r.range = None
    return r.good()


@case
def ignore_range(r):
    r.range = None
    return r.good()


@case
def short_range(r):
    """Legal: fewer bytes than asked for."""
    if r.range:
        r.range = (r.range[0], min(r.range[1], r.range[0] + 999))
    return r.good()


def _other_range(r, first, last, total=len(BODY)):
    r.head("206 Partial Content", "ETag: " + ETAG, "Content-Range: bytes %s-%s/%s" % (first, last, total),
           "Content-Length: 100")
    r.raw(bytes(100))


@case
def range_from_zero(r):
    _other_range(r, 0, 99)


@case
def range_beyond(r):
    _other_range(r, r.range[0], r.range[1] + 5000)


@case
def range_nonsense(r):
    _other_range(r, "9" * 30, "x")


@case
def range_backwards(r):
    _other_range(r, r.range[0] + 9, r.range[0])


@case
def part_unasked(r):
    r.head("206 Partial Content", "Content-Range: bytes 0-99/100", "Content-Length: 100")
    r.raw(bytes(100))


@case
def part_without_range(r):
    r.head("206 Partial Content", "Content-Length: 100")
    r.raw(bytes(100))


@case
def multipart(r):
    r.head("206 Partial Content", "Content-Type: multipart/byteranges; boundary=x",
           "Content-Range: bytes 0-1/2", "Content-Length: 100")
    r.raw(bytes(100))


@case
def parts(r):
    return r.parts()


@case
def parts_cut(r):
    """Breaks off after so many bytes, each time."""
    r.parts(limit=r.arg)


@case
def parts_unended(r):
    """All parts, but the line behind the last one never ends."""
    r.parts(limit=-4)
    time.sleep(300)


@case
def parts_quoted(r):
    return r.parts(boundary="a b'c", named='"a b\'c"')


@case
def parts_joined(r):
    """One answer for all, with what is between: allowed."""
    if r.ranges:
        r.range = (r.ranges[0][0], r.ranges[-1][1])
    return r.good()


@case
def parts_refused(r):
    """No use for several ranges; one is answered."""
    if len(r.ranges) > 1:
        r.head("416 Range Not Satisfiable", "Content-Length: 0")
        return True
    return r.good()


@case
def parts_whole(r):
    """As some stores do: the whole file instead of several ranges."""
    if len(r.ranges) > 1:
        r.range = None
    return r.good()


@case
def parts_backwards(r):
    return r.parts(lambda p: p[::-1])


@case
def parts_twice(r):
    return r.parts(lambda p: [p[0], *p])


@case
def parts_other_total(r):
    return r.parts(lambda p: [p[0]] + [(h.replace(b"/300000", b"/300001"), b) for h, b in p[1:]])


@case
def parts_without_range(r):
    return r.parts(lambda p: [(b"X: y\r\n", b) for _, b in p])


@case
def parts_range_twice(r):
    return r.parts(lambda p: [(h + h, b) for h, b in p])


@case
def parts_long_headers(r):
    return r.parts(lambda p: [(b"X: y\r\n" * 500 + h, b) for h, b in p])


@case
def parts_long_line(r):
    return r.parts(lambda p: [(b"X: " + b"y" * 500 + b"\r\n" + h, b) for h, b in p])


@case
def parts_short(r):
    """A part with fewer bytes than it says: the boundary is among them."""
    return r.parts(lambda p: [(h, b[:-100]) for h, b in p])


@case
def parts_long(r):
    return r.parts(lambda p: [(h, b + b"more") for h, b in p])


@case
def parts_beyond(r):
    return r.parts(lambda p: p[:-1] + [(p[-1][0].replace(b"-299999/", b"-300000/"), p[-1][1] + b"x")])


@case
def parts_other_boundary(r):
    return r.parts(named="another")


@case
def parts_long_boundary(r):
    return r.parts(boundary="x" * 71)


@case
def parts_lacking(r):
    """Legal: fewer of them; the rest is asked for again."""
    return r.parts(lambda p: p[:2])


@case
def parts_none(r):
    return r.parts(lambda p: [])


@case
def length_too_long(r):
    r.head("200 OK", "Content-Length: %d" % (len(BODY) * 2))
    r.raw(BODY)


@case
def length_too_short(r):
    r.head("200 OK", "Content-Length: 100")
    r.raw(BODY)


@case
def length_huge(r):
    r.head("200 OK", "Content-Length: 9223372036854775000")
    r.raw(BODY)


@case
def length_nonsense(r):
    r.head("200 OK", "Content-Length: -5")
    r.raw(BODY)


@case
def endless(r):
    r.head("200 OK", "Transfer-Encoding: chunked")
    while True:
        r.raw(b"10000\r\n" + bytes(65536) + b"\r\n")


@case
def bomb(r):
    data = gzip.compress(bytes(1 << 20)) * 50
    r.head("200 OK", "Content-Encoding: gzip", "Content-Length: %d" % len(data))
    r.raw(data)


@case
def drip(r):
    r.head("200 OK", "Content-Length: 100000")
    for _ in range(600):
        r.raw(b"x")
        time.sleep(0.5)


@case
def drip_headers(r):
    r.raw(b"HTTP/1.1 200 OK\r\n")
    for i in range(600):
        r.raw(b"X-%d: y\r\n" % i)
        time.sleep(0.5)


@case
def trickle(r):
    """A little, a pause, and away, again and again: never slow for long, never done."""
    r.good(1100)
    time.sleep(0.4)


@case
def captive_portal(r):
    """Asks everybody to log in, with whatever was asked for."""
    if r.arg == 0:
        r.head("302 Found", "Location: /captive-portal/1", "Content-Length: 0")
        return True
    page = b"<html>Welcome to the hotel</html>"
    r.head("200 OK", "Content-Type: text/html", "Content-Length: %d" % len(page))
    r.raw(page)
    return True


@case
def silent(r):
    time.sleep(300)


@case
def redirect(r):
    if r.arg == 0:
        return good(r)
    r.head("302 Found", "Location: /redirect/%d" % (r.arg - 1), "Content-Length: 0")
    return True


@case
def redirect_loop(r):
    r.head("302 Found", "Location: " + r.path, "Content-Length: 0")
    return True


@case
def redirect_to_http(r):
    r.head("302 Found", "Location: http://localhost:%d/good" % r.server.ports["plain"], "Content-Length: 0")
    return True


@case
def redirect_to_file(r):
    r.head("302 Found", "Location: file:///etc/passwd", "Content-Length: 0")
    return True


@case
def redirect_to_expired(r):
    r.head("302 Found", "Location: https://localhost:%d/good" % r.server.ports["expired"], "Content-Length: 0")
    return True


@case
def redirect_with_body(r):
    r.head("302 Found", "Location: /good", "Transfer-Encoding: chunked")
    while True:
        r.raw(b"10000\r\n" + bytes(65536) + b"\r\n")


@case
def many_headers(r):
    r.head("200 OK", *("X-%d: %s" % (i, "y" * 100) for i in range(2000)), "Content-Length: 1")
    r.raw(b"x")


@case
def endless_headers(r):
    r.raw(b"HTTP/1.1 200 OK\r\n")
    while True:
        r.raw(b"X: y\r\n" * 100)


@case
def long_header(r):
    r.raw(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        r.raw(b"y" * 65536)


@case
def escapes(r):
    r.head("200 OK", "Content-Range: bytes \x1b[2J\x07", "Content-Length: 1")
    r.raw(b"x")


@case
def escapes_part(r):
    r.head("206 Partial Content", "Content-Range: bytes \x1b[2J\x07", "Content-Length: 1")
    r.raw(b"x")


@case
def status(r):
    r.head("%d Whatever" % r.arg, "Content-Length: 5")
    r.raw(b"sorry")
    return True


@case
def status_endless(r):
    r.head("%d Whatever" % r.arg, "Transfer-Encoding: chunked")
    while True:
        r.raw(b"10000\r\n" + bytes(65536) + b"\r\n")


@case
def busy_once(r):
    if r.count > 1:
        return r.good()
    r.head("503 Busy", "Retry-After: %d" % r.arg, "Content-Length: 0")
    return True


@case
def garbage(r):
    r.raw(random.Random(3).randbytes(70000))


@case
def old_http(r):
    r.raw(b"just a body")


class HostileServer:
    def __init__(self, root):
        self.root, self.ports, self.sockets, self.counts, self.lock = root, {}, [], {}, threading.Lock()

    def count(self, path):
        with self.lock:
            self.counts[path] = self.counts.get(path, 0) + 1
            return self.counts[path]

    def start(self):
        ca = Authority(os.path.join(self.root, "hostile-ca"), "hostile lab CA")
        other = Authority(os.path.join(self.root, "other-ca"), "somebody else")
        self.ca = ca.file
        self._listen("good", self._tls(*ca.issue("good")))
        self._listen("expired", self._tls(*ca.issue("expired", start="20200101000000Z", end="20210101000000Z")))
        self._listen("future", self._tls(*ca.issue("future", start="20990101000000Z", end="20990201000000Z")))
        self._listen("other-host", self._tls(*ca.issue("other", ("DNS:example.com", "IP:192.0.2.1"))))
        self._listen("unknown-issuer", self._tls(*other.issue("stranger")))
        self._listen("not-a-server", self._tls(*self._self_signed(ca)))
        self._listen("old-tls", self._tls(*ca.issue("old"), old=True))
        self._listen("plain", None)
        self._listen("reset", "reset")
        self._listen("mute", "mute")
        return self

    @staticmethod
    def _self_signed(ca):
        return ca.file, os.path.join(ca.dir, "ca.key")  # the authority itself, which names no host

    @staticmethod
    def _tls(cert, key, old=False):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(cert, key)
        if old:
            c.set_ciphers("DEFAULT:@SECLEVEL=0")
            c.minimum_version = ssl.TLSVersion.TLSv1
            c.maximum_version = ssl.TLSVersion.TLSv1_1
        return c

    def _listen(self, name, tls):
        s = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.sockets.append(s)
        self.ports[name] = s.getsockname()[1]
        threading.Thread(target=self._accept, args=(s, tls), daemon=True).start()

    def _accept(self, s, tls):
        while True:
            try:
                conn, _ = s.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn, tls), daemon=True).start()

    def _serve(self, conn, tls):
        try:
            if tls == "mute":
                time.sleep(300)
                return
            if tls == "reset":
                conn.recv(100)
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if tls:
                conn = tls.wrap_socket(conn, server_side=True)
            self._requests(conn)
        except (OSError, ValueError, IndexError):
            pass
        finally:
            conn.close()

    def _requests(self, conn):
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                more = conn.recv(65536)
                if not more:
                    return
                buffer += more
                if buffer[:1] == b"\x16":  # somebody speaks TLS to the plain port
                    conn.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    return
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            if not self.answer(conn, head.decode("latin-1")):
                return

    def answer(self, conn, head):
        """True: the connection may go on."""
        r = Request(self, conn, head)
        if r.case in CASES:
            return CASES[r.case](r)
        r.head("404 Not Found", "Content-Length: 0")
        return True

    def url(self, name="good"):
        return "https://localhost:%d" % self.ports[name]

    def stop(self):
        for s in self.sockets:
            s.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def main():
    p = argparse.ArgumentParser(description="an HTTPS server that misbehaves, on loopback")
    p.add_argument("--root", required=True, help="folder for its certificates")
    a = p.parse_args()
    with HostileServer(a.root) as s:
        print(json.dumps({"ports": s.ports, "ca": s.ca, "cases": sorted(CASES)}), flush=True)
        while os.read(0, 4096):
            pass


if __name__ == "__main__":
    main()
