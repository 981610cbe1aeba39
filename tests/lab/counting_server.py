# SPDX-License-Identifier: Apache-2.0
"""
An HTTPS server that keeps count of what it sent of each file, and stops where it is told to. It answers
one range, several, or none, as nginx does.

  with CountingServer(root) as s:
      s.files["/objects/x"] = data
      s.limit = lambda path, sent: 1000     # close after so many bytes in one answer; sent: before
"""
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hostile_server import HostileServer, Request  # noqa: E402

BOUNDARY = b"\r\n--00000000000000000021"


class CountingServer(HostileServer):
    def __init__(self, root):
        super().__init__(root)
        self.files = {}
        self.etag = '"one"'
        self.ranges = True      # False: knows nothing of them
        self.parts = True       # False: answers one at a time
        self.hold = None        # an Event: at a stop, set; the connection stays until the end
        self.over = threading.Event()
        self.forget()

    def forget(self):
        """What was sent, and where to stop."""
        self.sent = []          # (path, offset, size), as it went out
        self.requests = []      # (connection, path)
        self.limit = lambda path, sent: None
        self.hold = None

    def bytes(self, path):
        """[(offset, size)] of a file, in the order in which they went out."""
        return [(offset, size) for p, offset, size in self.sent if p == path]

    def twice(self, path):
        """How many bytes of a file were sent more than once."""
        end = twice = 0
        for offset, size in sorted(self.bytes(path)):
            twice += max(0, min(end, offset + size) - offset)
            end = max(end, offset + size)
        return twice

    def stop(self):
        self.over.set()
        super().stop()

    def answer(self, conn, head):
        path = head.split(" ", 2)[1]
        with self.lock:
            self.requests.append((id(conn), path))
        limit = self.limit(path, sum(n for _, n in self.bytes(path)))   # which may change the file
        r = Request(self, conn, head, self.files.get(path, b""))
        if path not in self.files:
            r.head("404 Not Found", "Content-Length: 0")
            return True
        return self._send(r, limit, *self._answer(r))

    def _answer(self, r):
        """(status, headers, [(what stands before, offset, size)], what stands behind)"""
        size, whole = len(r.body), r.headers.get("if-range", self.etag) != self.etag
        lines = ["ETag: " + self.etag]
        if not r.ranges or whole or not self.ranges:
            return "200 OK", lines, [(b"", 0, size)], b""
        ranges = [(first, min(last, size - 1)) for first, last in r.ranges]
        if len(ranges) == 1 or not self.parts:
            first, last = ranges[0]
            return ("206 Partial Content", lines + ["Content-Range: bytes %d-%d/%d" % (first, last, size)],
                    [(b"", first, last - first + 1)], b"")
        lines.append("Content-Type: multipart/byteranges; boundary=" + BOUNDARY[4:].decode())
        return ("206 Partial Content", lines,
                [(BOUNDARY + b"\r\nContent-Range: bytes %d-%d/%d\r\n\r\n" % (first, last, size), first, last - first + 1)
                 for first, last in ranges], BOUNDARY + b"--\r\n")

    def _send(self, r, left, status, lines, pieces, behind):
        r.head(status, *lines, "Content-Length: %d" % (sum(len(p[0]) + p[2] for p in pieces) + len(behind)))
        for before, offset, size in pieces:
            r.raw(before)
            n = size if left is None else min(size, left)
            with self.lock:
                self.sent.append((r.path, offset, n))
            r.raw(r.body[offset:offset + n])
            if n < size:
                return self._stopped()
            left = None if left is None else left - n
        r.raw(behind)
        return True

    def _stopped(self):
        if self.hold:
            self.hold.set()
            self.over.wait()
        return False
