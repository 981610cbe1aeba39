#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The simulated gateway machine (tests/lab/gateway.py): its firmware against the table that the C side is
held against too, cuts at every file operation (F-02), and its init around a small stand-in daemon."""

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "lab"))
import gateway  # noqa: E402


def rows():
    with open(os.path.join(HERE, "firmware-table.txt")) as f:
        for line in f:
            if not line.startswith("#"):
                primary, trial, a, b, _, after, running, tried = line.split()
                yield ({"schema": 1, "primary": primary, "trial": trial, "mark": {"A": a, "B": b}},
                       after, running, tried == "yes")


def test_table():
    n = 0
    for state, after, running, tried in rows():
        before = json.loads(json.dumps(state))
        assert gateway.choose(state) == ({**state, "trial": after}, running, tried), state
        assert state == before, "choose changed its argument"
        n += 1
    assert n == 12, n


class Cut(Exception):
    pass


class CutAfter:
    """os.replace and os.fsync fail from the nth call on, as if the power went."""

    def __init__(self, n):
        self.left, self.real = n, (os.replace, os.fsync, os.unlink)

    def __enter__(self):
        def wrap(call):
            def cut(*args):
                self.left -= 1
                if self.left < 0:
                    raise Cut
                return call(*args)
            return cut
        os.replace, os.fsync, os.unlink = map(wrap, self.real)

    def __exit__(self, *_):
        os.replace, os.fsync, os.unlink = self.real


def machine(folder, libexec=None, slots=("/nonexistent/a", "/nonexistent/b")):
    g = gateway.Gateway(folder, libexec or folder, slots, "unix:path=/nonexistent", folder)
    g.install()
    return g


def set_state(g, **changes):
    with open(g.boot + "/state.json") as f:
        state = json.load(f)
    gateway.replace(g.boot + "/state.json", json.dumps({**state, **changes}))


def test_trial_is_used_once_whatever_is_cut():
    """F-02: two cuts in a row at any operations; the trial is started at most once, then the primary."""
    for first in range(12):
        for second in range(12):
            with tempfile.TemporaryDirectory() as folder:
                g = machine(folder)
                set_state(g, trial="B")
                for n in (first, second):
                    try:
                        with CutAfter(n):
                            g._power_on()
                    except Cut:
                        pass
                g._power_on()
                g._power_on()
                started = [slot for slot, _ in g.boots]
                assert started.count("B") <= 1, (first, second, started)
                assert started[-1] == "A", (first, second, started)
                assert g.boots[-1] == ("A", False)


def ext4(path, release, folder):
    tree = f"{folder}/tree-{release}"
    os.makedirs(f"{tree}/usr/lib/edgeferry/checks.d")
    os.makedirs(f"{tree}/var/lib/dpkg")
    for name, text in (("usr/lib/os-release", f"IMAGE_VERSION={release}\n"), ("var/lib/dpkg/status", "x\n"),
                       ("usr/lib/edgeferry/checks.d/10-check", "#!/bin/sh\nexit 0\n")):
        with open(f"{tree}/{name}", "w") as f:
            f.write(text)
    os.chmod(f"{tree}/usr/lib/edgeferry/checks.d/10-check", 0o755)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, path, "4M"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})


# Writes down that it runs, with a child of its own, until it is ended.
STAND_IN = """#!/bin/sh
echo "$$ $(cat {folder}/boot/running.json)" >> {folder}/starts
sleep 1000 &
echo $! >> {folder}/children
trap 'exit 0' TERM
wait
"""


def wait(condition, what):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited for " + what)


def lines(path):
    try:
        with open(path) as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_life_of_a_machine():
    with tempfile.TemporaryDirectory() as folder:
        ext4(folder + "/a.img", "1", folder)
        ext4(folder + "/b.img", "2", folder)
        with open(folder + "/edgeferryd", "w") as f:
            f.write(STAND_IN.format(folder=folder))
        os.chmod(folder + "/edgeferryd", 0o755)
        g = machine(folder, folder, (folder + "/a.img", folder + "/b.img"))

        def starts():
            return lines(folder + "/starts")

        def release():
            return lines(g.tree + "/usr/lib/os-release")

        with g:
            wait(lambda: len(starts()) == 1, "the first start")
            assert release() == ["IMAGE_VERSION=1"]
            assert os.access(g.tree + "/usr/lib/edgeferry/checks.d/10-check", os.X_OK)
            # A crash: the same boot goes on.
            os.kill(g.process.pid, 9)
            wait(lambda: len(starts()) == 2, "the start after a crash")
            assert len(g.boots) == 1
            # A reboot into the trial slot, as boot_sim asks for it.
            set_state(g, trial="B")
            g.reboot()
            wait(lambda: len(starts()) == 3, "the trial")
            assert g.boots[-1] == ("B", True) and release() == ["IMAGE_VERSION=2"]
            # The plug is pulled: everything dies at once, the trial is over.
            children = lines(folder + "/children")
            g.power_cut()
            wait(lambda: len(starts()) == 4, "the start after the power cut")
            assert g.boots[-1] == ("A", False) and release() == ["IMAGE_VERSION=1"]
            assert all(gone(pid) for pid in children), "a child outlived the power cut"
            # A slot that does not boot: the firmware goes back by itself.
            set_state(g, trial="B")
            g.broken_boots = 1
            g.reboot()
            wait(lambda: len(starts()) == 5, "the start after the panic")
            assert g.boots[-2:] == [("B", True), ("A", False)]
            # A slot without a file system (F-23).
            with open(folder + "/b.img", "r+b") as f:
                f.write(bytes(1 << 20))
            set_state(g, trial="B")
            g.reboot()
            wait(lambda: len(starts()) == 6, "the start after the empty slot")
            assert g.boots[-2:] == [("B", True), ("A", False)]
        wait(lambda: all(gone(pid) for pid in lines(folder + "/children")), "the end of everything started")


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith("test_")]
    print(f"1..{len(tests)}")
    failed = 0
    for i, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f"ok {i} - {name}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {i} - {name}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
