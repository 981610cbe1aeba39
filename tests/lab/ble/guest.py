# SPDX-License-Identifier: Apache-2.0
"""
An emulated machine with a kernel that has hci_vhci, Debian's bluetoothd, and btvirt for a controller and the air: node-drive
and ble-stage run there against att-server and edgeferry-node. Needs root to be made; its images are kept.
"""
import glob
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "vm")]
import disk  # noqa: E402
import image  # noqa: E402
from machine import Machine  # noqa: E402

ROOT_MIB = 700
HCI = "/tmp/bt-server-le"   # of btvirt -s
AT = "/lab"                 # where our things are in the guest
PROGRAMS = ("tests/unit/dfu/node-drive", "tests/bench/ble/ble-stage", "edge-fw/port/host/edgeferry-node")
CONTROLLER = f"[ -S {HCI} ] && hciconfig hci0 2>/dev/null | grep -q 'BD Address: 00:AA'"
POWERED = "bluetoothctl show 2>/dev/null | grep -q 'Powered: yes'"
COMMAND_LINE = "root=/dev/vda rw console=ttyS0 panic=2 quiet systemd.show_status=0"


def prepare(work):
    """WORK/root.img, vmlinuz and initrd.img."""
    if os.path.exists(f"{work}/root.img"):
        return
    os.makedirs(work, exist_ok=True)
    if not os.path.exists(f"{work}/userland.tar"):
        disk.call(HERE / "userland.sh", f"{work}/userland.tar.new")
        os.rename(f"{work}/userland.tar.new", f"{work}/userland.tar")
    with tempfile.TemporaryDirectory(prefix="tree.", dir=work) as tree:
        disk.call("tar", "xf", f"{work}/userland.tar", "-C", tree, "--numeric-owner")
        pathlib.Path(f"{tree}/etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy(glob.glob(f"{tree}/boot/{name}-*")[0], f"{work}/{name}")
        disk.call("mke2fs", "-q", "-t", "ext4", "-d", tree, "-m", "0", f"{work}/root.img.new", f"{ROOT_MIB}M")
    os.rename(f"{work}/root.img.new", f"{work}/root.img")


class Guest:
    """
    build: the build folder. images: {name: (payload, version, counter)}, made with a new key, beside v1. more: other files
    that are to be there. radio: (milliseconds of a connection event, packets each way in one), on the guest's own clock;
    without, data goes as fast as the machine lets it.
    """

    def __init__(self, work, build, images, more=(), radio=None):
        prepare(work)
        self.radio = radio
        self.dir = tempfile.mkdtemp(prefix="guest.", dir=work)
        shutil.copy(f"{work}/root.img", f"{self.dir}/root.img")
        os.makedirs(f"{self.dir}/lab")
        for program in PROGRAMS:
            shutil.copy(f"{build}/{program}", f"{self.dir}/lab/")
        for path in more:
            shutil.copy(path, f"{self.dir}/lab/")
        for name in ("att-server", "radio"):
            subprocess.run(["gcc", "-std=gnu17", "-O2", "-o", f"{self.dir}/lab/{name}", HERE / f"{name}.c"], check=True)
        key = f"{self.dir}/lab/edge.pem"
        image.new_key(key)
        for name, (payload, version, counter) in {"v1": (b"one" * 999, "1.0.0", 1), **images}.items():
            with open(f"{self.dir}/lab/{name}.img", "wb") as f:
                f.write(image.make(payload, key, version, counter))
        disk.folder_disk(f"{self.dir}/lab.img", f"{self.dir}/lab", 64)
        self.machine = Machine(f"{self.dir}/root.img", f"{self.dir}/lab.img", cpus=1 if radio else 2, counted=bool(radio),
                               kernel=(f"{work}/vmlinuz", f"{work}/initrd.img", COMMAND_LINE))

    def on(self):
        for _ in range(3):
            self.machine.on()
            self.machine.wait_up()
            self.run(f"systemctl is-system-running --wait; mkdir -p {AT} && mount -o ro /dev/vdb {AT} && umask 077 && "
                     "head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' > /tmp/node.key && "
                     "modprobe -a hci_vhci ecdh_generic cmac ecb aes_generic")
            if self.controller():
                break
            self.machine.off()
        self.run("systemctl restart bluetooth")
        self.powered()

    def controller(self):
        """
        btvirt's is there. On a busy machine the kernel may have given it up before it answered for the first time, and Linux
        6.1 does not survive its removal then.
        """
        if self.radio:
            self.background("btvirt", "nice -n -10 btvirt -s")
            self.run(f"until [ -S {HCI} ]; do sleep 0.1; done")
            self.background("radio", f"nice -n -10 {AT}/radio {HCI} {self.radio[0]} {self.radio[1]}")
        else:
            self.background("btvirt", "nice -n -10 btvirt -s -L -l1")
        return "yes" in self.run(f"i=0; until {CONTROLLER}; do i=$((i + 1)); [ $i -lt 30 ] || exit 1; sleep 0.5; done; echo yes",
                                 check=False)

    def powered(self):
        self.run(f"i=0; until {POWERED}; do i=$((i + 1)); [ $i -lt 60 ] || exit 1; "
                 "bluetoothctl power on >/dev/null 2>&1; sleep 0.5; done")

    def run(self, script, **options):
        return self.machine.run(script, **options)

    def background(self, name, command):
        """Goes on in the guest; its process id is in /tmp/NAME.pid, its output in /tmp/NAME.log."""
        self.run(f"setsid {command} >/tmp/{name}.log 2>&1 </dev/null & echo $! > /tmp/{name}.pid")

    def stop(self, name):
        self.run(f"p=$(cat /tmp/{name}.pid) && rm /tmp/{name}.pid && kill $p && while kill -0 $p; do sleep 0.1; done", check=False)

    def node(self, name, address, mtu, fresh=True, image="v1.img", public="edge.pub.pem"):
        """edgeferry-node, in the air as NAME."""
        self.stop(f"air-{name}")
        self.stop(f"node-{name}")
        if fresh:
            self.run(f"rm -f /tmp/{name}.flash")
        self.background(f"node-{name}", f"{AT}/edgeferry-node --flash /tmp/{name}.flash --ble /tmp/{name}.sock,{mtu} --psk "
                        f"/tmp/node.key --key {AT}/{public} --image {AT}/{image} --slot-size 1048576")
        self.air(name, address, mtu, f"/tmp/{name}.sock")

    def air(self, name, address, mtu, node, after_s=0):
        self.background(f"air-{name}", f"sh -c 'sleep {after_s}; exec {AT}/att-server {HCI} {address} {name} {mtu} {node}'")

    def drive(self, device, *commands, timeout=300):
        """A line of outcome for each command of node-drive."""
        text = "\\n".join(commands) + "\\n"
        return self.run(f"printf '{text}' | {AT}/node-drive ble '{device}' 115200 /tmp/node.key edgeferry.github.io,host",
                        timeout=timeout).splitlines()

    def close(self):
        self.machine.close()
        shutil.rmtree(self.dir, ignore_errors=True)
