# SPDX-License-Identifier: Apache-2.0
"""
Staging as on a gateway: some server has a release, edgeferry-net fetches over HTTPS, edgeferry-worker
writes the slot, and this plays the core between the two.
"""
import array
import collections
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from core import FETCHED, READY, Core, Fetched  # noqa: E402

STAGE, DATA, NEED, PROGRESS, DONE = 1, 2, 64, 65, 66     # src/worker/job.h
PHASES = ("scan", "write", "read back")                  # enum job_phase

# seconds; KiB of worker and net at most; cpu: {program: seconds}; phases: {name: seconds}
Staged = collections.namedtuple("Staged", "seconds worker_kib net_kib cpu phases")


class Release:
    """An image as the publisher's tool cut it: objects by digest."""

    def __init__(self, repo, work, name, image):
        workspace = os.path.join(work, name)
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        subprocess.run([repo, "init", "bench", "--workspace", workspace, "--quiet"], **quiet)
        subprocess.run([repo, "add", "rootfs", "rootfs", image, "--version", "1.0.0", "--security", "1",
                        "--compatible", "example.org,bench", "--workspace", workspace, "--quiet"], **quiet)
        with open(os.path.join(workspace, "staged", "rootfs.json")) as f:
            self.component = json.load(f)
        self.image = image
        self.objects = os.path.join(workspace, "objects")
        self.size = self.component["image"]["size"]

    def digest(self, what):
        return self.component[what]["sha256"]

    def path(self, what):
        return os.path.join(self.objects, self.digest(what))

    def publish(self, www):
        """Below www, as links: the path of an object there is objects/DIGEST."""
        os.makedirs(f"{www}/objects", exist_ok=True)
        for what in ("index", "pack"):
            path = f"{www}/objects/{self.digest(what)}"
            if not os.path.exists(path):
                os.link(self.path(what), path)

    def job(self, target, running):
        """The STAGE message."""
        c = self.component
        paths = target.encode() + running.encode()
        body = struct.pack("=32sQ32sQQ32sII", bytes.fromhex(c["index"]["sha256"]), c["index"]["size"],
                           bytes.fromhex(c["image"]["sha256"]), c["image"]["size"],
                           0, bytes(32), len(target.encode()), len(running.encode())) + paths
        return struct.pack("=II", STAGE, len(body)) + body


def peak(pid):
    """KiB; not of wait4, which counts from the fork on and so this interpreter's memory too."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return max((int(line.split()[1]) for line in f if line.startswith("VmHWM:")), default=0)
    except OSError:
        return 0


def cpu(pid):
    """Seconds of all its threads so far."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Peak(threading.Thread):
    """Watches a process until it ends: what it had at most is gone with it."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.kib = pid, 0
        self.start()

    def run(self):
        while (now := peak(self.pid)):
            self.kib = now
            time.sleep(0.01)


class Attempt:
    """One stage job: a net and a worker of its own. serve() until it is over, then end(); or kill()."""

    def __init__(self, build, url, ca, **settings):
        self.build = build
        self.net = Core(f"{build}/src/net/edgeferry-net", "nobody" if os.geteuid() == 0 else None, url=url, ca_file=ca,
                        **settings)
        self.net.wait(READY)
        self.fetches, self.outcomes, self.phase, self.worker = [], [], 0, None

    def begin(self, release, target, running):
        self.release = release
        outcome, index = self.net.fetch("objects/" + release.digest("index"))
        assert outcome.reason == "ok", outcome
        self.core, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker = subprocess.Popen([f"{self.build}/src/worker/edgeferry-worker"], pass_fds=[3],
                                       preexec_fn=lambda: os.dup2(child.fileno(), 3), stdin=subprocess.DEVNULL)
        child.close()
        with tempfile.TemporaryFile() as f:
            f.write(index)
            f.flush()
            socket.send_fds(self.core, [release.job(target, running)], [f.fileno()])

    def step(self):
        """The next message of the worker, answered. (reason, detail) at its end, None before."""
        try:
            message = self.core.recv(1 << 17)
        except ConnectionResetError:    # it left with something unread; what it said is still there
            message = self.core.recv(1 << 17)
        if not message:
            return -1, "the worker ended without an outcome"
        kind, _ = struct.unpack_from("=II", message)
        if kind == NEED:
            numbers = array.array("Q", message[8:])
            ident, read = self.net.start("objects/" + self.release.digest("pack"),
                                         ranges=list(zip(numbers[0::2], numbers[1::2])))
            try:
                socket.send_fds(self.core, [struct.pack("=IIQII", DATA, 16, 0, 0, 0)], [read])
            except BrokenPipeError:
                pass    # what it said last comes next
            os.close(read)
            self.fetches.append(ident)
        elif kind == PROGRESS:
            self.phase, = struct.unpack_from("=I", message, 8 + 24)
        elif kind == DONE:
            reason, = struct.unpack_from("=I", message, 8)
            return reason, message[12:].split(b"\0")[0].decode()
        return None

    def serve(self):
        while not (over := self.step()):
            pass
        return over

    def end(self):
        """Resources that the worker used. What the fetches came to is in outcomes."""
        self.core.close()
        _, status, usage = os.wait4(self.worker.pid, 0)
        self.worker.returncode = os.waitstatus_to_exitcode(status)
        self.outcomes = [Fetched(self.net.wait(FETCHED, ident)) for ident in self.fetches]
        return usage

    def kill(self):
        """As when the power goes."""
        for p in (self.worker, self.net.p):
            p.kill()
            p.wait()
        self.core.close()
        self.net.s.close()


class Staging:
    """stage() once: net and worker are started, work, and end."""

    def __init__(self, build, servers):
        self.build, self.servers = build, servers

    def stage(self, release, target, running):
        begin = time.monotonic()
        a = Attempt(self.build, self.servers.url, self.servers.ca)
        a.begin(release, target, running)
        watch = Peak(a.worker.pid)
        phases, since, over = dict.fromkeys(PHASES, 0.0), time.monotonic(), None
        while not over:
            phase, over = a.phase, a.step()
            now = time.monotonic()
            phases[PHASES[phase]] += now - since
            since = now
        usage = a.end()
        seconds = time.monotonic() - begin
        if over[0] or a.worker.returncode or any(o.reason != "ok" for o in a.outcomes):
            sys.exit(f"staging failed: {over}, exit {a.worker.returncode}, {a.outcomes}")
        net_kib, net_cpu = peak(a.net.p.pid), cpu(a.net.p.pid)
        watch.join()
        a.net.close()
        return Staged(seconds, watch.kib, net_kib,
                      {"edgeferry-worker": usage.ru_utime + usage.ru_stime, "edgeferry-net": net_cpu}, phases)


def fresh(path, size):
    """A slot of zeros that has its blocks, as an empty partition has, and nothing waiting to be written."""
    if os.path.exists(path):
        os.unlink(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(fd, 0, size)
    os.fsync(fd)
    os.close(fd)


def same(path, other):
    """Whether path begins with all that is in other."""
    with open(path, "rb") as a, open(other, "rb") as b:
        while data := b.read(1 << 20):
            if a.read(len(data)) != data:
                return False
    return True
