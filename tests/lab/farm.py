# SPDX-License-Identifier: Apache-2.0
"""
A gateway without slots and many host nodes: the real edgeferryd on a bus of its own, edgeferry-node on ptys of their
own or on one shared line (bus_shim.py), releases that are an image for all of them. For tests and benchmarks.

    with Farm(build) as f:
        f.release("2.0.0", payload); f.node("n1"); f.shared(["a1", …]); g = f.gateway(); g.cli("install", f.bundle("2.0.0"))
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

LAB = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, LAB)
from stage import DBUS_CONFIG, die_with_parent  # noqa: E402

COMPATIBLE = "edgeferry.github.io,host"


def wait(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError(f"waited {seconds} s for {what}")


class Gateway:
    """One edgeferryd with its configuration, state and bus."""

    def __init__(self, farm, name, conf=""):
        self.farm, self.dir, self.log = farm, f"{farm.dir}/{name}", f"{farm.dir}/{name}/log"
        for d in ("etc/nodes.d", "state", "run", "libexec"):
            os.makedirs(f"{self.dir}/{d}")
        for p in ("net", "worker"):
            os.symlink(f"{farm.build}/src/{p}/edgeferry-{p}", f"{self.dir}/libexec/edgeferry-{p}")
        with open(f"{self.dir}/etc/edgeferry.conf", "w") as f:
            f.write(f"[Gateway]\nProduct=demo\nCompatible=edgeferry.github.io,sim-gateway\nId={name}\n"
                    f"StateDirectory={self.dir}/state\nRuntimeDirectory={self.dir}/run\n[Update]\nAutomatic=no\n" + conf)
        with open(f"{self.dir}/etc/root.json", "w") as f:
            f.write(farm.root)
        with open(f"{self.dir}/bus.conf", "w") as f:
            f.write(DBUS_CONFIG.format(socket=f"{self.dir}/bus"))
        self.process = self.bus = None
        self.start_bus()

    def start_bus(self):
        self.bus = self.farm.spawn("dbus-daemon", "--nofork", f"--config-file={self.dir}/bus.conf")
        wait(lambda: os.path.exists(f"{self.dir}/bus"), 10, "the bus")

    def stop_bus(self):
        self.bus.kill()
        self.bus.wait()
        os.unlink(f"{self.dir}/bus")

    def configure(self, name, device, address=0, key=None, more="", link="uart", baud=115200):
        with open(f"{self.dir}/etc/nodes.d/{name}.conf", "w") as f:
            f.write(f"[Node]\nCompatible={COMPATIBLE}\nLink={link}\nDevice={device}\nBaudRate={baud}\n"
                    + (f"Address={address}\n" if address else "")
                    + (f"Key={key}\n" if key else "Security=none\n") + more)

    def spawn(self, **env):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [f"{self.farm.build}/src/daemon/edgeferryd", f"--config={self.dir}/etc", f"--bus=unix:path={self.dir}/bus"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent,
                env={**os.environ, "EDGEFERRY_LIBEXEC": f"{self.dir}/libexec", **env})

    def start(self, **env):
        self.spawn(**env)
        wait(lambda: self.cli("status", check=False).returncode == 0, 20, "edgeferryd")
        return self

    def stop(self, kill=False):
        if self.process:
            self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self.process.wait(20)
        self.process = None

    def cli(self, *args, check=True, timeout=600):
        done = subprocess.run([f"{self.farm.build}/src/cli/edgeferry", f"--address=unix:path={self.dir}/bus", *args],
                              capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def json(self, *args):
        return json.loads(self.cli(*args, "--json=short").stdout)

    def nodes(self):
        return {n["name"]: n for n in self.json("nodes")}

    def present(self, count, seconds=60):
        return wait(lambda: sum(n["present"] for n in self.nodes().values()) >= count, seconds, f"{count} nodes")

    def running(self):
        return {name: n.get("running") for name, n in self.nodes().items()}

    def deployment(self, release):
        return next((d for d in self.json("deployments") if d["release"] == release), None)

    def install(self, release, seconds=300, wait_for=True):
        """Returns how it ended and how long it took."""
        start = time.monotonic()
        self.cli("install", "--no-wait", self.farm.bundle(release))
        if not wait_for:
            return None
        d = wait(lambda: (lambda d: d and d["ended"] and d)(self.deployment(release)), seconds, f"the end of {release}")
        return d, time.monotonic() - start

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Bytes that the daemon has for itself."""
        with open(f"/proc/{self.process.pid}/statm") as f:
            _, resident, shared = map(int, f.read().split()[:3])
        return (resident - shared) * os.sysconf("SC_PAGESIZE")

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()


class Farm:
    within = None       # folder for what a farm keeps; None: where temporary files are

    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.folder = tempfile.TemporaryDirectory(prefix="ef-farm-", dir=self.within)
        self.dir = self.folder.name
        os.chmod(self.dir, 0o755)
        self.processes, self.gateways, self.alive, self.bundles = [], [], {}, {}
        self.workspace = f"{self.dir}/publisher"
        self.repo("init", "demo")
        self.repo("publish", f"{self.dir}/www")
        self.repo("export-root", f"{self.dir}/root.json")
        with open(f"{self.dir}/root.json") as f:
            self.root = f.read()
        self.edge = f"{self.dir}/edge.pub.pem"
        with open(self.edge, "w") as f:
            f.write(self.repo("key", "public", "edge"))
        self.release("1.0.0", b"one" * 700)
        self.key = f"{self.dir}/node.key"
        with open(self.key, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32).hex() + "\n")

    def repo(self, *args):
        done = subprocess.run([f"{self.build}/src/repo/edgeferry-repo", *args, "--workspace", self.workspace, "--quiet"],
                              capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def release(self, version, payload):
        raw, image = f"{self.dir}/{version}.bin", f"{self.dir}/{version}.img"
        with open(raw, "wb") as f:
            f.write(payload)
        self.repo("add", "mcu", "node", raw, "--version", version, "--security", "1", "--compatible", COMPATIBLE,
                  "--self-test", "15", "--confirm", "120", "--hardware", "1-3")
        self.repo("image", "sign", "--key", "edge", "--version", version, "--security", "1", "--compatible", COMPATIBLE,
                  raw, image)
        self.repo("release", version, "--component", self.components())
        self.repo("sign")
        return image

    def components(self):
        return "node"

    def bundle(self, version):
        if version not in self.bundles:
            self.bundles[version] = f"{self.dir}/{version}.ferry"
            self.repo("bundle", version, self.bundles[version])
        return self.bundles[version]

    def spawn(self, *command, **options):
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, **options)
        self.processes.append(p)
        return p

    def node(self, name, line=None, session=False, *more):
        """Starts edgeferry-node; its flash outlives it. Returns the path of its line."""
        path = f"{self.dir}/{name}.line"
        self.alive[name] = self.spawn(
            f"{self.build}/edge-fw/port/host/edgeferry-node", "--flash", f"{self.dir}/{name}.flash",
            f"--{line or 'pty'}", path, "--slot-size", str(512 << 10), "--key", self.edge,
            "--image", f"{self.dir}/1.0.0.img", *(["--psk", self.key] if session else []), *more)
        wait(lambda: os.path.exists(path), 20, name)
        return path

    def kill(self, name):
        p = self.alive.pop(name)
        p.kill()
        p.wait()

    def shared(self, nodes, gateways=("bus",), session=False, baud=115200, **options):
        """{name: address} on one line; gateways: names of its ends for them. Returns their paths."""
        paths = [self.node(name, "socket", session, "--address", str(address)) for name, address in nodes.items()]
        ends = [f"{self.dir}/{g}" for g in gateways]
        self.stats = f"{self.dir}/{gateways[0]}.stats"
        self.line = self.spawn(sys.executable, f"{LAB}/bus_shim.py", *(f"pty:{e}" for e in ends), *(f"unix:{p}" for p in paths),
                               "--baud", str(baud), "--stats", self.stats,
                               *(f"--{k}={v}" for k, v in options.items()), stdout=subprocess.DEVNULL)
        for e in ends:
            wait(lambda: os.path.exists(e), 20, "the line")
        return ends

    def line_figures(self):
        self.line.terminate()
        self.line.wait(10)
        with open(self.stats) as f:
            return json.load(f)

    def gateway(self, name="gw-1", conf=""):
        self.gateways.append(Gateway(self, name, conf))
        return self.gateways[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for g in self.gateways:
            g.stop(kill=True)
        for p in reversed(self.processes):
            if p.poll() is None:
                p.kill()
            p.wait()
        self.folder.cleanup()
