#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The stage of demo and end-to-end test: a publisher, a web server, a broker, a bus, a gateway with two
root slots, and two emulated boards behind paced serial lines. Everything is real but what
docs/DESIGN.md, "What is simulated, and where" names.

  with Stage(build, folder) as s:
      s.release("2.0.0"); s.publish(); s.wake(); …
"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

LAB = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, LAB)
import rootfs  # noqa: E402
from factory import flash, image_key, read_psk  # noqa: E402
from gateway import Gateway  # noqa: E402
from qemu_board import Board  # noqa: E402
from servers import Servers  # noqa: E402

VENDOR = "edgeferry.github.io"
PRODUCT = "demo"
# name of node and component, board
NODES = {"meter": "mps2-an385", "lamp": "nrf51-microbit"}

DBUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow send_type="signal"/><allow eavesdrop="false"/></policy></busconfig>
"""


def die_with_parent():
    """So that nothing is left running when the stage is killed."""
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Failed(Exception):
    """A command of the stage failed; carries its exit code and output."""

    def __init__(self, command, done):
        super().__init__("%s: exit %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
        self.code, self.output = done.returncode, done.stdout + done.stderr


class Stage:
    make_servers = Servers

    def __init__(self, build, folder, cache=None, baud=115200, debug=False, automatic="all", edge=None, sessions=()):
        """edge: another build folder, which has the firmware. sessions: nodes that have a key."""
        self.build = os.path.abspath(build)
        self.edge = os.path.abspath(edge or build)
        self.settings = {}      # {("Source", "PollSec"): "2s"}: what differs in edgeferry.conf
        self.dir = os.path.abspath(folder)
        self.cache = os.path.abspath(cache or f"{build}/lab")
        self.baud, self.debug, self.automatic = baud, debug, automatic
        self.www, self.workspace, self.config = f"{self.dir}/www", f"{self.dir}/publisher", f"{self.dir}/etc"
        self.sessions = sessions
        self.processes, self.boards, self.servers, self.gateway = [], {}, None, None
        self.bus = f"unix:path={self.dir}/bus"
        self.slots = (f"{self.dir}/slot-a.img", f"{self.dir}/slot-b.img")

    # ---- programs ----
    def program(self, name):
        return {"edgeferry": f"{self.build}/src/cli/edgeferry",
                "edgeferry-repo": f"{self.build}/src/repo/edgeferry-repo",
                "edgeferryd": f"{self.build}/src/daemon/edgeferryd",
                "edgeferry-net": f"{self.build}/src/net/edgeferry-net",
                "edgeferry-worker": f"{self.build}/src/worker/edgeferry-worker"}[name]

    def run(self, *command, check=True, timeout=300):
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise Failed(command, done)
        return done

    def repo(self, *args, workspace=None):
        verb = list(args)
        return self.run(self.program("edgeferry-repo"), *verb, "--workspace", workspace or self.workspace, "--quiet").stdout

    def cli(self, *args, check=True, timeout=300):
        return self.run(self.program("edgeferry"), f"--address={self.bus}", *args, check=check, timeout=timeout)

    def json(self, *args):
        return json.loads(self.cli(*args, "--json=short").stdout)

    # ---- publisher ----
    def rootfs(self, release, **options):
        name = "rootfs-" + release + ("-bad" if options.get("failing_check") else "") + ".img"
        return rootfs.image(self.cache, f"{self.cache}/{name}", release, **options)

    def firmware(self, node, behaviour=""):
        """The application's binary for a node's board."""
        variant = f"-{behaviour}" if behaviour else ""
        return f"{self.edge}/edge-fw/cross/app{variant}-{NODES[node]}.bin"

    def add_firmware(self, node, version, behaviour="", security=1, board=None, self_test=15, confirm=60, workspace=None):
        """board: claim to be for another one."""
        self.repo("add", "mcu", node, self.firmware(node, behaviour), "--version", version, "--security", str(security),
                  "--compatible", f"{VENDOR},{board or NODES[node]}", "--self-test", str(self_test),
                  "--confirm", str(confirm), "--hardware", "1-3", workspace=workspace)

    def add_rootfs(self, version, image, workspace=None):
        self.repo("add", "rootfs", "rootfs", image, "--version", version, "--security", "1", "--level", "3",
                  "--compatible", f"{VENDOR},sim-gateway", workspace=workspace)

    def make_release(self, version, components, *options, workspace=None):
        self.repo("release", version, "--component", ",".join(components), *options, workspace=workspace)
        self.repo("sign", workspace=workspace)

    def publish(self):
        self.repo("publish", self.www)

    def bundle(self, version, workspace=None):
        path = f"{self.dir}/{PRODUCT}-{version}.ferry"
        self.repo("bundle", version, path, workspace=workspace)
        return path

    # ---- building it up ----
    def set_up(self):
        """Everything but what runs."""
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.config + "/nodes.d")
        os.makedirs(f"{self.dir}/libexec")
        for name in ("edgeferryd", "edgeferry-net", "edgeferry-worker"):
            os.symlink(self.program(name), f"{self.dir}/libexec/{name}")
        for path in self._parents(self.dir):
            # edgeferry-net gives up root: it must be able to reach the certificate and its program
            if os.stat(path).st_uid == os.geteuid():
                os.chmod(path, os.stat(path).st_mode | 0o011)
        self.repo("init", PRODUCT)
        self.repo("publish", self.www)      # a repository without releases yet
        self.repo("export-root", f"{self.config}/root.json")
        with open(f"{self.dir}/edge.pub.pem", "w") as f:
            f.write(self.repo("key", "public", "edge"))
        self.first = self.rootfs("1.0.0")
        for slot in self.slots:
            subprocess.run(["cp", "--sparse=always", self.first, slot], check=True)
        self.add_rootfs("1.0.0", self.first)
        for node in NODES:
            self.add_firmware(node, "1.0.0")
            self._factory(node)
        self.make_release("1.0.0", [*NODES, "rootfs"])

    @staticmethod
    def _parents(path):
        while path != "/":
            yield path
            path = os.path.dirname(path)

    def key_file(self, node):
        return f"{self.dir}/{node}.key"

    def _new_key(self, node):
        with open(self.key_file(node), "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32).hex() + "\n")
        return read_psk(self.key_file(node))

    def _factory(self, node):
        """The flash of a board as it leaves the factory: firmware 1.0.0, who may sign the next, its key."""
        image = f"{self.dir}/{node}-1.0.0.img"
        self.run(self.program("edgeferry-repo"), "image", "sign", "--key", "edge", "--version", "1.0.0", "--security", "1",
                 "--compatible", f"{VENDOR},{NODES[node]}", "--workspace", self.workspace, "--quiet",
                 self.firmware(node), image)
        with open(image, "rb") as f:
            data = f.read()
        with open(f"{self.dir}/{node}.flash", "wb") as f:
            f.write(flash(NODES[node], data, [image_key(f"{self.dir}/edge.pub.pem")],
                          device_id=hashlib.sha256(node.encode()).digest()[:16], hwrev=2,
                          psk=self._new_key(node) if node in self.sessions else None))

    def _spawn(self, *command, **options):
        log = open(f"{self.dir}/{os.path.basename(command[0])}.log", "ab")
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=options.pop("stdout", log), stderr=log,
                             preexec_fn=die_with_parent, **options)
        self.processes.append(p)
        return p

    def start_bus(self):
        with open(f"{self.dir}/bus.conf", "w") as f:
            f.write(DBUS_CONFIG.format(socket=f"{self.dir}/bus"))
        self._spawn("dbus-daemon", "--nofork", f"--config-file={self.dir}/bus.conf")
        self.wait(lambda: os.path.exists(f"{self.dir}/bus"), 10, "the bus")

    def start_board(self, node):
        b = Board(NODES[node], f"{self.edge}/edge-fw/cross/boot-{NODES[node]}.elf", f"{self.dir}/{node}.flash",
                  f"{self.dir}/{node}.serial")
        self.boards[node] = b.start()
        self._spawn(sys.executable, f"{LAB}/line_shim.py", f"pty:{self.dir}/tty-{node}", f"unix:{self.dir}/{node}.serial")
        self.wait(lambda: os.path.exists(f"{self.dir}/tty-{node}"), 10, f"the line to {node}")

    def configure(self):
        s, machine = self.servers, f"{self.dir}/machine"
        values = {
            "Gateway": {"Product": PRODUCT, "Compatible": f"{VENDOR},sim-gateway", "Id": "gw-0001",
                        "StateDirectory": f"{machine}/data", "RuntimeDirectory": f"{machine}/run"},
            "Source": {"URL": s.url, "CAFile": s.ca, "PollSec": "1h"},
            "Mqtt": {"Broker": f"localhost:{s.broker_port}", "CAFile": s.ca},
            "Network": {"User": "nobody"},
            "Slots": {"Boot": "sim", "BootDirectory": f"{machine}/boot", "A": self.slots[0], "B": self.slots[1]},
            "Update": {"Automatic": self.automatic, "ConfirmSec": "60",
                       "ChecksDirectory": f"{machine}/tree/usr/lib/edgeferry/checks.d"},
        }
        for (section, key), value in self.settings.items():
            values[section][key] = value
        with open(f"{self.config}/edgeferry.conf", "w") as f:
            for section, keys in values.items():
                f.write(f"[{section}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items()))
        for node, board in NODES.items():
            security = f"session\nKey={self.key_file(node)}" if node in self.sessions else "none"
            with open(f"{self.config}/nodes.d/{node}.conf", "w") as f:
                f.write(f"""[Node]
Compatible={VENDOR},{board}
Link=uart
Device={self.dir}/tty-{node}
BaudRate={self.baud}
Security={security}
""")

    def start(self):
        try:
            self.servers = self.make_servers(f"{self.dir}/servers", self.www).start()
            self.start_bus()
            for node in NODES:
                self.start_board(node)
            self.configure()
            self.gateway = Gateway(f"{self.dir}/machine", f"{self.dir}/libexec", self.slots, self.bus, self.config,
                                   self.debug)
            self.gateway.install()
            self.gateway.start()
            self.wait(lambda: self.cli("status", check=False).returncode == 0, 20, "edgeferryd")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        if self.gateway:
            self.gateway.stop()
        for b in self.boards.values():
            b.stop()
        if self.servers:
            self.servers.stop()
        for p in reversed(self.processes):
            p.terminate()
        for p in self.processes:
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.gateway, self.boards, self.servers, self.processes = None, {}, None, []

    def __enter__(self):
        self.set_up()
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- watching ----
    @staticmethod
    def wait(condition, seconds, what):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        raise TimeoutError(f"waited {seconds} s for {what}")

    def wake(self):
        self.servers.wake(f"edgeferry/{PRODUCT}/offer")

    def status(self):
        """None while the daemon is away (it reboots)."""
        done = self.cli("status", "--json=short", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def deployment(self, release):
        """The newest deployment of a release, or None."""
        done = self.cli("deployments", "--json=short", check=False)
        rows = json.loads(done.stdout) if done.returncode == 0 else []
        return next((d for d in rows if d["release"] == release), None)

    def outcome(self, release, seconds=120):
        """Waits for the end of a deployment; returns it."""
        def over():
            d = self.deployment(release)
            return d if d and d["ended"] else None
        return self.wait(over, seconds, f"the end of the deployment of {release}")

    def outcome_of_install(self, what, release):
        """Installs a release or a bundle by hand and waits for the end."""
        self.cli("install", "--no-wait", what)
        return self.outcome(release)

    def versions(self):
        """{"meter": "1.0.0", …, "gateway": "1.0.0"}: what runs, as nodes and slot say."""
        s = self.status()
        if not s:
            return {}
        found = {n["name"]: n.get("running") if n["present"] else None for n in s["nodes"]}
        running = [x for x in s["slots"] if x.get("running")]
        return {**found, "gateway": running[0]["release"] if running else None}

    def slot_digest(self, slot, size):
        """SHA-256 of the first size bytes of a slot, read from its file."""
        h = hashlib.sha256()
        with open(self.slots["AB".index(slot)], "rb") as f:
            while size:
                data = f.read(min(size, 1 << 20))
                h.update(data)
                size -= len(data)
        return h.hexdigest()

    def journal(self):
        with open(f"{self.dir}/machine/journal", errors="replace") as f:
            return f.read()
