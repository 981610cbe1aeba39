#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""First keys and new keys of a node, with edgeferry-node on the other end (SPEC-session, section 6). TAP.

    node-keys.py DRIVE NODE
"""

import os
import stat
import subprocess
import sys
import tempfile
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import image  # noqa: E402
from checks import Checks  # noqa: E402

DRIVE, NODE = sys.argv[1:]
check = Checks()


class Scene:
    """A node without a key, and where the gateway keeps the one it is to have."""

    def __init__(self, work):
        self.path = os.path.join(work, f"{len(os.listdir(work))}")
        self.key, self.next = self.path + ".key", self.path + ".key.new"
        self.node = subprocess.Popen([NODE, "--flash", self.path + ".flash", "--socket", self.path + ".sock",
                                      "--key", f"{work}/edge.pub.pem", "--image", f"{work}/v1.img"])
        while not os.path.exists(self.path + ".sock"):
            time.sleep(0.01)

    def __call__(self, *words, key=None, board="host"):
        """One command of a gateway that was just started."""
        key = self.key if key is None else key
        drive = [DRIVE, "sim", self.path + ".sock", "115200", *([key, "edgeferry.github.io," + board] if key else [])]
        return subprocess.run(drive, input=" ".join(words) + "\n", stdout=subprocess.PIPE, text=True,
                              check=True).stdout.strip()

    def expect(self, what, said, *words, **how):
        answer = self(*words, **how)
        check(f"{what}: {said}", answer.startswith(said), answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.node.kill()
        self.node.wait()


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(text)


def first_key(work):
    with Scene(work) as s:
        s.expect("without a key there is no session", "node-key", "identify")
        s.expect("a node of another class gets none", "node-mismatch", "provision", board="lamp")
        check("and nothing is left", not os.path.exists(s.key) and not os.path.exists(s.next))
        s.expect("a credential cannot be written", "config", "provision", key="credential:node")
        s.expect("the first key", "ok", "provision")
        check("its file is nobody else's", stat.S_IMODE(os.stat(s.key).st_mode) == 0o600)
        check("and a key", len(read(s.key)) == 65 and not os.path.exists(s.next))
        s.expect("it opens sessions", "ok host 1.0.0", "identify")
        s.expect("the node does nothing outside of one", "node-key", "identify", key="")
        s.expect("there is one already", "already-installed", "provision")
        os.rename(s.key, s.key + ".away")
        s.expect("a node with a key takes none in the clear", "node-key", "provision")
        os.rename(s.key + ".away", s.key)
        s.expect("and is none the worse", "ok host", "identify")


def new_key(work):
    with Scene(work) as s:
        s.expect("nothing to rotate", "node-key", "rotate-key")
        s.expect("the first key", "ok", "provision")
        old = read(s.key)
        s.expect("another one", "ok", "rotate-key")
        check("the file holds it", read(s.key) != old and not os.path.exists(s.next))
        check("and is nobody else's", stat.S_IMODE(os.stat(s.key).st_mode) == 0o600)
        s.expect("it opens sessions", "ok host", "identify")
        write(s.path + ".old", old)
        s.expect("the old one does not", "node-key", "identify", key=s.path + ".old")


def interrupted(work):
    with Scene(work) as s:
        s("provision")
        good = read(s.key)
        stale = "12" * 32 + "\n"
        # power went before it was sent: the node has the old one
        write(s.next, stale)
        s.expect("not yet sent", "ok host", "identify")
        check("the old one stays", read(s.key) == good)
        s.expect("and rotation works", "ok", "rotate-key")
        good = read(s.key)
        # power went after it was sent: the node has the new one
        write(s.key, stale)
        write(s.next, good)
        s.expect("sent, and no more heard", "ok host", "identify")
        check("the new one takes its place", read(s.key) == good and not os.path.exists(s.next))
        # the same with the first one
        os.rename(s.key, s.next)
        s.expect("provision once more", "ok", "provision")
        check("it is the same key", read(s.key) == good)
        os.rename(s.key, s.next)
        s.expect("or just a session", "ok host", "identify")
        check("is enough", read(s.key) == good)


def main():
    with tempfile.TemporaryDirectory(prefix="edgeferry-keys-") as work:
        image.new_key(f"{work}/edge.pem")
        with open(f"{work}/v1.img", "wb") as f:
            f.write(image.make(b"v1" * 1000, f"{work}/edge.pem", "1.0.0"))
        first_key(work)
        new_key(work)
        interrupted(work)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
