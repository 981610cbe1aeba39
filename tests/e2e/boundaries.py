# SPDX-License-Identifier: Apache-2.0
"""Process boundaries, looked at from outside while a deployment runs (docs/DESIGN.md, "Processes")."""
import os

from tap import equal, holds

INTERNET = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")


def internet_sockets():
    """Inodes of all AF_INET and AF_INET6 sockets."""
    inodes = set()
    for table in INTERNET:
        try:
            with open(f"/proc/net/{table}") as f:
                inodes.update(line.split()[9] for line in f.readlines()[1:])
        except FileNotFoundError:
            pass
    return inodes


def descriptors(pid):
    """What a process has open."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return found


def sockets_to_internet(pid):
    # Descriptors first: a socket that is opened between the two readings would look like none.
    sockets = {d[8:-1] for d in descriptors(pid) if d.startswith("socket:[")}
    return sockets & internet_sockets()


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def libraries(pid):
    with open(f"/proc/{pid}/maps") as f:
        return {os.path.basename(line.split()[-1]) for line in f if len(line.split()) > 5}


class Look:
    """One look at all processes of the gateway; also remembers what it has seen, so that nobody tests nothing."""

    def __init__(self):
        self.seen = {"edgeferryd": 0, "edgeferry-net": 0, "edgeferry-worker": 0, "net on the internet": 0}

    def __call__(self, scene):
        self.core(scene)
        self.net(scene)
        self.worker(scene)

    def core(self, scene):
        for pid in scene.gateway.pids("edgeferryd"):
            mapped, sockets = libraries(pid), sockets_to_internet(pid)
            if pid not in scene.gateway.pids("edgeferryd"):
                continue    # a child on its way to become another program, or gone
            for name in mapped:
                holds(not name.startswith(("libcurl", "libmosquitto")), f"edgeferryd has {name}")
            equal(sockets, set(), "internet sockets of edgeferryd")
            self.seen["edgeferryd"] += 1

    def net(self, scene):
        forbidden = (*scene.slots, f"{scene.dir}/machine/data", "/dev/pts", "/dev/tty", scene.config)
        for pid in scene.gateway.pids("edgeferry-net"):
            s = status(pid)
            if s.get("Seccomp", "").strip() != "2" and not self.settled(scene, pid):
                continue    # it has only just been started
            equal(s["NoNewPrivs"].strip(), "1", "NoNewPrivs of edgeferry-net")
            equal(s["Seccomp"].strip(), "2", "Seccomp of edgeferry-net")
            if os.geteuid() == 0:
                holds("0" not in s["Uid"].split(), f"edgeferry-net runs as {s['Uid']}")
                equal(int(s["CapEff"], 16), 0, "capabilities of edgeferry-net")
            for d in descriptors(pid):
                holds(not d.startswith(forbidden), f"edgeferry-net has {d} open")
            self.seen["edgeferry-net"] += 1
            self.seen["net on the internet"] += bool(sockets_to_internet(pid))

    def settled(self, scene, pid):
        """Confinement comes before the first socket to the world."""
        return bool(sockets_to_internet(pid))

    def worker(self, scene):
        for pid in scene.gateway.pids("edgeferry-worker"):
            equal(sockets_to_internet(pid), set(), "internet sockets of edgeferry-worker")
            self.seen["edgeferry-worker"] += 1

    def enough(self):
        for what, times in self.seen.items():
            holds(times > 0, f"{what} was never seen")
