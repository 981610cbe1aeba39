# SPDX-License-Identifier: Apache-2.0
"""
A deployment as small as it can be with nothing left out: real servers, gateways with two slots of some
100 KiB, each with a boot partition, and the simulated boot loader, one edgeferry-node each in a session. A machine goes from release
1.0.0 to 2.0.0 by itself as soon as it is switched on, and can be put back as it was before, in no time:
for what is done thousands of times (e2e/test-kill-points.py, e2e/test-fault-points.py).
"""
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import sqlite3
import subprocess
import time

from farm import COMPATIBLE, Farm, wait
from gateway import Gateway
from servers import Servers
from stage import DBUS_CONFIG

IMAGE, BOOT = 256 << 10, 32 << 10
ENDS = re.compile(r"deployment \d+: \w+ -> (confirmed|reverted|refused|failed|cancelled)\b")


class Power(Gateway):
    """The simulated machine without a userland: what is in a slot is known by its bytes."""

    restart_after = 0.02

    def __init__(self, machine):
        m = machine
        super().__init__(m.dir, f"{m.dir}/libexec", m.slots, m.bus, f"{m.dir}/etc")
        self.machine = machine

    def _power_on(self):
        found = super()._power_on()
        self.machine.started()
        return found

    def goes_off(self):
        return super().goes_off() or self.machine.lost_power()

    def _read_slot(self, slot):
        """It starts when kernel and root file system are of one release."""
        return self.machine.slot_digests(slot) in self.machine.farm.images.values()


class Small(Farm):
    """Publisher, servers, and images for machines."""

    # In memory: a deployment flushes 150 times, and a disk that is at work on something else takes seconds for that.
    within = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

    def __init__(self, build):
        self.images, self.servers = {}, None
        self.tools = os.path.abspath(f"{build}/tests/lab")
        self.first = random.Random(1).randbytes(IMAGE)
        super().__init__(build)
        self.repo("publish", f"{self.dir}/www")

    def release(self, version, payload):
        """An image for the nodes, and one for the slots of which a third is new."""
        system = self.first[:IMAGE // 3] + random.Random(version).randbytes(IMAGE // 3) + self.first[IMAGE // 3 * 2:]
        system = system.ljust(IMAGE, b"\0")
        boot = random.Random("kernel " + version).randbytes(BOOT)
        path, boot_path = (f"{self.dir}/{name}-{version}.img" for name in ("system", "boot"))
        for name, data in ((path, system), (boot_path, boot)):
            with open(name, "wb") as f:
                f.write(data)
        self.images[version] = tuple(hashlib.sha256(data).hexdigest() for data in (system, boot))
        self.repo("add", "rootfs", "rootfs", path, "--boot", boot_path, "--version", version, "--security", "1", "--level", "3",
                  "--compatible", "edgeferry.github.io,sim-gateway")
        return super().release(version, payload)

    def components(self):
        return "node,rootfs"

    def publish(self):
        self.repo("publish", f"{self.dir}/www")

    def machine(self, name):
        self.gateways.append(Machine(self, name))
        return self.gateways[-1]

    def __enter__(self):
        self.servers = Servers(f"{self.dir}/servers", f"{self.dir}/www").start()
        return self

    def __exit__(self, *what):
        try:
            super().__exit__(*what)
        finally:
            self.servers.stop()


class Machine:
    """One gateway, its bus and its node. Its folder "m" is what reset() puts back."""

    def __init__(self, farm, name):
        self.farm, self.name = farm, name
        top = f"{farm.dir}/{name}"
        self.dir, self.base, self.line = f"{top}/m", f"{top}/base", f"{top}/line"
        for d in ("etc/nodes.d", "data", "run", "checks.d", "libexec", "boot"):
            os.makedirs(f"{self.dir}/{d}")
        for p in ("daemon/edgeferryd", "net/edgeferry-net", "worker/edgeferry-worker"):
            os.symlink(f"{farm.build}/src/{p}", f"{self.dir}/libexec/{os.path.basename(p)}")
        self.slots = [f"{self.dir}/slot-{s}" for s in "ab"]
        self.boots = [f"{self.dir}/boot-{s}" for s in "ab"]
        for s, boot in zip(self.slots, self.boots):
            shutil.copy(f"{farm.dir}/system-1.0.0.img", s)
            shutil.copy(f"{farm.dir}/boot-1.0.0.img", boot)
        self._configure()
        with open(f"{top}/bus.conf", "w") as f:
            f.write(DBUS_CONFIG.format(socket=f"{top}/bus"))
        self.bus = f"unix:path={top}/bus"
        farm.spawn("dbus-daemon", "--nofork", f"--config-file={top}/bus.conf", stderr=subprocess.DEVNULL)
        wait(lambda: os.path.exists(f"{top}/bus"), 10, "the bus")
        self.node = self.power = self.running = None    # running: slot of the last start
        self.cut, self.log, self.doing = False, None, ""     # doing: for people

    def _configure(self):
        f, s = self.farm, self.farm.servers
        with open(f"{self.dir}/checks.d/10-good", "w") as c:
            c.write("#!/bin/sh\nexit 0\n")
        os.chmod(c.name, 0o755)
        with open(f"{self.dir}/etc/root.json", "w") as c:
            c.write(f.root)
        with open(f"{self.dir}/etc/nodes.d/lamp.conf", "w") as c:
            c.write(f"[Node]\nCompatible={COMPATIBLE}\nLink=uart\nDevice={self.line}\nBaudRate=1000000\nKey={f.key}\n")
        with open(f"{self.dir}/etc/edgeferry.conf", "w") as c:
            c.write(f"""[Gateway]
Product=demo
Compatible=edgeferry.github.io,sim-gateway
Id={self.name}
StateDirectory={self.dir}/data
RuntimeDirectory={self.dir}/run
[Source]
URL={s.url}
CAFile={s.ca}
PollSec=3s
[Mqtt]
Broker=localhost:{s.broker_port}
CAFile={s.ca}
[Network]
User=nobody
[Slots]
Boot=sim
BootDirectory={self.dir}/boot
A={self.slots[0]}
B={self.slots[1]}
BootA={self.boots[0]}
BootB={self.boots[1]}
[Update]
Automatic=all
ConfirmSec=60
ChecksDirectory={self.dir}/checks.d
""")

    # ---- what is done to it ----
    def wrap(self, program, *command):
        """Programs are started as arguments of a command from now on, until reset()."""
        path = f"{self.dir}/libexec/{program}"
        real = os.readlink(path)
        os.unlink(path)
        with open(path, "w") as f:
            f.write(f'#!/bin/sh\nexec {shlex.join(command)} {shlex.quote(real)} "$@"\n')
        os.chmod(path, 0o755)

    def kill_at(self, program, n, power=False):
        """The program is killed before its nth system call; power: the whole machine is."""
        self.wrap(program, f"{self.farm.tools}/kill-at", *(["--all"] if power else []), str(n), f"{self.dir}/hit")
        self.cut = power

    def fail_at(self, program, n, error):
        """The nth of those system calls of the program that can fail fails."""
        self.wrap(program, f"{self.farm.tools}/kill-at", "--error", str(error), str(n), f"{self.dir}/hit")

    def record(self, log):
        """What the gateway does to files is written down (write-log.c), and its starts."""
        for program in ("edgeferryd", "edgeferry-worker"):
            self.wrap(program, f"{self.farm.tools}/write-log", log, f"{self.dir}/flash")
        self.log = log

    def started(self):
        """The firmware has begun: what is on the disk was flushed, but for what it has changed itself."""
        if not self.log:
            return
        with open(self.log, "ab") as log:
            log.write(b"P\n")
            for name in ("state.json", "running.json"):
                with open(f"{self.dir}/boot/{name}", "rb") as f:
                    data = f.read()
                log.write(f"F {f.name} {len(data)}\n".encode() + data + b"\n")
            log.write(f"D {self.dir}/boot/reboot-requested\n".encode())

    def put(self, parts, files, flash):
        """Another disk: {path below its folder: bytes}; and the node's memory."""
        for part in parts:
            if os.path.isdir(f"{self.dir}/{part}"):
                shutil.rmtree(f"{self.dir}/{part}")
                os.makedirs(f"{self.dir}/{part}", mode=0o700)
        for name, data in [*files.items(), ("flash", flash)]:
            os.makedirs(os.path.dirname(f"{self.dir}/{name}"), mode=0o700, exist_ok=True)
            with open(f"{self.dir}/{name}", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
                f.write(data)

    def hit(self):
        """(how many calls were counted, the one that was hit or None)."""
        try:
            with open(f"{self.dir}/hit") as f:
                count, *call = f.read().split()
        except FileNotFoundError:
            return 0, None
        return int(count), call[1] if call else None

    def lost_power(self):
        """True once: the power went with the program."""
        now = self.cut and self.hit()[1] is not None
        self.cut = self.cut and not now
        return now

    # ---- on and off ----
    def on(self):
        self._node_on()
        self.power = Power(self)
        if not os.path.exists(f"{self.dir}/boot/state.json"):
            self.power.install()
        self.power.start()
        return self

    def _node_on(self):
        if self.node and self.node.poll() is None:
            return
        f, line = self.farm, self.line
        if os.path.lexists(line):
            os.unlink(line)
        self.node = f.spawn(f"{f.build}/edge-fw/port/host/edgeferry-node", "--flash", f"{self.dir}/flash", "--pty", line,
                            "--slot-size", str(64 << 10), "--key", f.edge, "--image", f"{f.dir}/1.0.0.img", "--psk", f.key,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait(lambda: os.path.exists(line), 20, "the node")

    def off(self):
        if self.power:
            self.power.stop()
            self.running = self.power.boots[-1][0]
        self.power = None

    def _node_off(self):
        if self.node:
            self.node.kill()
            self.node.wait()
            self.farm.processes.remove(self.node)
        self.node = None

    def stop(self, kill=False):
        self.off()

    def keep(self):
        """This is what reset() goes back to."""
        self.off()
        self._node_off()
        os.unlink(f"{self.dir}/journal")
        shutil.copytree(self.dir, self.base, symlinks=True)

    def reset(self):
        self.off()
        self._node_off()
        self.cut, self.log = False, None
        shutil.rmtree(self.dir)
        shutil.copytree(self.base, self.dir, symlinks=True)

    # ---- watching ----
    def journal(self):
        try:
            with open(f"{self.dir}/journal", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def outcome(self, release, seconds, after=0):
        """The deployment of a release, when it is over; one with a higher number. The journal is asked first: that does not wake anybody."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if ENDS.search(self.journal()) or time.monotonic() % 1 < 0.05:
                done = self.cli("deployments", "--json=short", check=False)
                rows = json.loads(done.stdout) if done.returncode == 0 else []
                over = [d for d in rows if d["release"] == release and d["ended"] and d["id"] > after]
                if over:
                    return over[0]
            time.sleep(0.02)
        raise TimeoutError(f"waited {seconds} s for the end of {release}")

    def cli(self, *args, check=True):
        done = subprocess.run([f"{self.farm.build}/src/cli/edgeferry", f"--address={self.bus}", *args],
                              capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def status(self):
        done = self.cli("status", "--json=short", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    # ---- what is there; while it is off ----
    def boot_state(self):
        with open(f"{self.dir}/boot/state.json") as f:
            return json.load(f)

    def slot_digests(self, slot):
        """Of root file system and boot partition."""
        found = []
        for paths, size in ((self.slots, IMAGE), (self.boots, BOOT)):
            with open(paths["AB".index(slot)], "rb") as f:
                found.append(hashlib.sha256(f.read(size)).hexdigest())
        return tuple(found)

    def database(self, query):
        db = sqlite3.connect(f"{self.dir}/data/state.db")
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()
