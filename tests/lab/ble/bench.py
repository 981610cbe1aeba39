# SPDX-License-Identifier: Apache-2.0
"""A bus of the test's own with a BlueZ on it (fake_bluez.py) and nodes behind that."""
import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={work}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow send_type="signal"/><allow eavesdrop="false"/></policy></busconfig>
"""


def wait(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited too long")
        time.sleep(0.02)


class Bench:
    """devices: {address: name}; the node NAME of a device listens on WORK/NAME.sock."""

    def __init__(self, work, node, devices):
        self.work, self.node, self.devices, self.nodes, self.bluez = work, node, devices, {}, None
        self.address = f"unix:path={work}/bus"
        with open(f"{work}/bus.conf", "w") as f:
            f.write(BUS_CONFIG.format(work=work))
        self.bus = subprocess.Popen(["dbus-daemon", "--nofork", f"--config-file={work}/bus.conf"], stderr=subprocess.DEVNULL)
        wait(lambda: os.path.exists(f"{work}/bus"))
        self.secret = f"{work}/node.key"
        with open(self.secret, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(os.urandom(32).hex() + "\n")

    def start_bluez(self, mtu=247):
        self.bluez = subprocess.Popen([f"{HERE}/fake_bluez.py", self.address,
                                       *(f"{a}={self.work}/{n}.sock={n}" for a, n in self.devices.items())],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "MTU": str(mtu)})
        assert self.bluez.stdout.readline() == "ready\n"

    def tell(self, *words):
        print(*words, file=self.bluez.stdin, flush=True)
        return self.bluez.stdout.readline().strip()

    def most(self):
        """The most connections at a time."""
        return int(self.tell("most").split()[0])

    def opened(self, address):
        """How often the device's notifications were."""
        return int(self.tell("most").split()[1 + list(self.devices).index(address)])

    def stop_bluez(self):
        self.bluez.kill()
        self.bluez.communicate()

    def start_node(self, name, mtu=247):
        path = f"{self.work}/{name}.sock"
        if os.path.exists(path):
            os.unlink(path)
        self.nodes[name] = subprocess.Popen([
            self.node, "--flash", f"{self.work}/{name}.flash", "--ble", f"{path},{mtu}", "--slot-size", "1048576",
            "--psk", self.secret, "--key", f"{self.work}/edge.pub.pem", "--image", f"{self.work}/v1.img"])
        wait(lambda: os.path.exists(path))

    def stop_node(self, name):
        self.nodes[name].kill()
        self.nodes.pop(name).wait()

    def new_node(self, name, mtu=247):
        if name in self.nodes:
            self.stop_node(name)
        if os.path.exists(f"{self.work}/{name}.flash"):
            os.unlink(f"{self.work}/{name}.flash")
        self.start_node(name, mtu)

    def close(self):
        for name in list(self.nodes):
            self.stop_node(name)
        if self.bluez:
            self.stop_bluez()
        self.bus.kill()
        self.bus.wait()
