#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""edgeferry-doctor on made-up systems: one that is in order, and each thing that can be wrong with it. TAP.

    test-doctor.py SOURCE DOCTOR EDGEFERRY EDGEFERRY-REPO
"""
import http.server
import json
import os
import re
import shutil
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

SOURCE, DOCTOR, CLI, REPO = sys.argv[1:5]
sys.path.insert(0, f"{SOURCE}/tests/lab")
sys.path.insert(0, f"{SOURCE}/tests/e2e")
from pki import Authority  # noqa: E402
from tap import Tap, equal, holds  # noqa: E402

CONF = """[Gateway]
Product=demo
Compatible=vendor.example,gateway
Id=gateway-1
[Source]
URL=https://updates.example/demo
[Mqtt]
Broker=broker.example
[Slots]
Boot=grub
BootDirectory=/boot/grub
A=/dev/disk/by-partlabel/system_a
B=/dev/disk/by-partlabel/system_b
"""
NODE = """[Node]
Compatible=vendor.example,meter
Link=uart
Device=/dev/ttyMeter
Key=/etc/edgeferry/keys/meter
"""
AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
CHOSEN = "sys/firmware/devicetree/base/chosen/bootloader"
STATUS = {"version": "0.1.0", "state": "idle", "release": "2.0.0", "broker": "connected",
          "server": {"reason": "ok", "detail": ""},
          "nodes": [{"name": "meter", "present": True, "reason": "ok", "detail": "", "running": "2.0.0"}]}


class Machine:
    """A system in a folder: a gateway by GRUB with a node, all of it in order."""

    def __init__(self, folder, workspace):
        self.root = folder
        # what is not in a slot has another file system
        self.state = tempfile.mkdtemp(prefix="ef-doctor.", dir="/dev/shm")
        self.write("etc/edgeferry/edgeferry.conf", CONF)
        self.write("etc/edgeferry/nodes.d/meter.conf", NODE)
        self.write("etc/edgeferry/keys/meter", "0" * 63 + "1\n", 0o600)
        self.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nedgeferry-net:x:990:990::/:/usr/sbin/nologin\n")
        self.write("proc/cmdline", "root=PARTLABEL=system_A edgeferry.slot=A panic=10 quiet\n")
        self.write("proc/consoles", "tty0                 -WU (EC p  )    4:1\n")
        self.write("proc/self/mountinfo", "22 1 254:2 / / ro - ext4 /dev/vda2 ro\n40 22 254:9 / /var/lib/edgeferry rw - ext4 /dev/vda4 rw\n")
        self.write("boot/grub/grubenv", "# GRUB Environment Block\n" + "#" * 999)
        for part, label in (("vda2", "system_a"), ("vda3", "system_b")):
            self.write("dev/" + part, "\0" * 4096)
            self.link("dev/disk/by-partlabel/" + label, "../../" + part)
        self.link("dev/ttyMeter", "/dev/null")
        self.write("dev/watchdog0", "")
        self.write("etc/systemd/system.conf.d/watchdog.conf", "[Manager]\nRuntimeWatchdogSec=15s\n")
        for unit in ("edgeferry.service", "edgeferry-confirm.service"):
            with open(f"{SOURCE}/systemd/{unit}.in", encoding="utf-8") as f:
                self.write("usr/lib/systemd/system/" + unit, f.read())
            self.link("etc/systemd/system/multi-user.target.wants/" + unit, "/usr/lib/systemd/system/" + unit)
        self.write("etc/systemd/system/edgeferry.service.d/ports.conf", "[Service]\nDeviceAllow=char-null rw\n")
        for file in ("usr/share/dbus-1/system.d/io.github.edgeferry1.conf", "usr/libexec/polkitd",
                     "usr/share/dbus-1/system-services/io.github.edgeferry1.service",
                     "usr/share/polkit-1/actions/io.github.edgeferry1.policy"):
            self.write(file, "")
        os.makedirs(f"{self.state}/trust")
        shutil.copy(f"{workspace}/root.json", f"{self.state}/trust/root.json")
        open(f"{self.state}/state.db", "wb").close()
        self.link("var/lib/edgeferry", self.state)

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        self.remove(name)
        with open(self.path(name), "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(self.path(name), mode)

    def link(self, name, to):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        os.symlink(to, self.path(name))

    def remove(self, name):
        if os.path.isdir(self.path(name)) and not os.path.islink(self.path(name)):
            shutil.rmtree(self.path(name))
        elif os.path.lexists(self.path(name)):
            os.unlink(self.path(name))

    def change(self, name, old, new):
        with open(self.path(name), encoding="utf-8") as f:
            text = f.read()
        assert old in text, f"{name} has no {old}"
        self.write(name, text.replace(old, new))

    def conf(self, old, new):
        self.change("etc/edgeferry/edgeferry.conf", old, new)

    def node(self, old, new):
        self.change("etc/edgeferry/nodes.d/meter.conf", old, new)

    def tryboot(self):
        """Raspberry Pi in place of GRUB."""
        self.remove("boot/grub/grubenv")
        self.conf("Boot=grub\nBootDirectory=/boot/grub", "Boot=tryboot\nBootDirectory=/bootfs\n"
                  "BootA=/dev/disk/by-partlabel/boot_a\nBootB=/dev/disk/by-partlabel/boot_b")
        for part, label in (("vda6", "boot_a"), ("vda7", "boot_b")):
            self.write("dev/" + part, "\0" * 4096)
            self.link("dev/disk/by-partlabel/" + label, "../../" + part)
        self.write("bootfs/autoboot.txt", AUTOBOOT)
        self.write("proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n")
        self.write("sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B\0")
        for name, value in (("partition", 2), ("tryboot", 0), ("build-timestamp", 1767225600)):
            self.write(f"{CHOSEN}/{name}", struct.pack(">I", value))

    def uboot(self, places=2):
        self.remove("boot/grub/grubenv")
        self.conf("Boot=grub\nBootDirectory=/boot/grub", "Boot=uboot\nBootDirectory=/etc")
        env = self.path("dev/env")
        block = b"BOOT_ORDER=A B\0BOOT_A_LEFT=3\0BOOT_B_LEFT=3\0\0".ljust(4096 - 4 - (places == 2), b"\0")
        self.write("dev/env", b"".join(struct.pack("<I", crc(block)) + (b"\1\0"[i:i + 1] if places == 2 else b"") + block
                                       for i in range(places)))
        self.write("etc/fw_env.config", "# device offset size\n" + "".join(f"{env} {i * 4096:#x} 0x1000\n" for i in range(places)))

    def end(self):
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.root, ignore_errors=True)


def crc(data):
    import zlib
    return zlib.crc32(data)


def doctor(*args):
    done = subprocess.run([DOCTOR, *args], stdout=subprocess.PIPE, text=True, timeout=60)
    found = json.loads(done.stdout)
    levels = [f["level"] for f in found["findings"]]
    equal([found["errors"], found["warnings"]], [levels.count("error"), levels.count("warning")], "counts")
    equal(done.returncode, 1 if found["errors"] else 0, "exit code")
    for f in found["findings"]:
        holds(f["level"] == "ok" or f["advice"], f"no advice: {f}")
    return found["findings"]


def seen(findings):
    return "\n".join(f"{f['level']} {f['check']}: {f['text']} -> {f['advice']}" for f in findings)


# What is done to a system in order: the finding, and a word of its text and of its advice. None: only this one may be worse
# than ok, unless also= names other checks that are.
def bad_root(m):
    m.remove("var/lib/edgeferry")
    m.link("var/lib/edgeferry", m.state)
    with open(f"{m.state}/trust/root.json", "r+b") as f:
        f.seek(-30, 2)
        f.write(b"X")


def state(action, name=""):
    return lambda m: action(f"{m.state}/{name}")


def put(name, text):
    def write(m):
        with open(f"{m.state}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    return write


def spoil_copy(m):
    with open(m.path("dev/env"), "r+b") as f:
        f.seek(100)
        f.write(b"?")


def both(*actions):
    def act(m):
        for a in actions:
            a(m)
    return act


WRONG = [
    ("config", "error", "edgeferry.conf:13: unknown key", "mend", lambda m: m.conf("B=/dev", "C=/dev"), {"found"}),
    ("config", "error", "/id: not the name of a gateway", "remove the file",
     both(lambda m: m.conf("Id=gateway-1\n", ""), put("id", "two words\n")), {"found"}),
    ("service", "error", "not installed", "install", lambda m: m.remove("usr/lib/systemd/system/edgeferry.service")),
    ("service", "error", "not started at boot", "systemctl enable",
     lambda m: m.remove("etc/systemd/system/multi-user.target.wants/edgeferry.service")),
    ("dbus", "error", "system.d", "package", lambda m: m.remove("usr/share/dbus-1/system.d")),
    ("dbus", "error", "system-services", "package", lambda m: m.remove("usr/share/dbus-1/system-services")),
    ("polkit", "error", "policy", "package", lambda m: m.remove("usr/share/polkit-1")),
    ("clock", "warning", "behind 2100-01-01T00:00:00Z", "timedatectl", put("trust/%time.json", '{"floor":4102444800}'), {"trust"}),
    ("clock", "error", "%time.json", "state folder", put("trust/%time.json", '{"floor":'), {"trust"}),
    ("state", "warning", "No such file", "edgeferry.service makes it", state(shutil.rmtree), {"trust"}),
    ("state", "error", "others than its owner", "chmod 700", state(lambda p: os.chmod(p, 0o777))),
    ("state", "error", "state.db is gone", "copy", state(os.unlink, "state.db")),
    ("space", "warning", "less than ObjectQuota=", "ObjectQuota=", lambda m: m.conf("[Slots]", "[Update]\nObjectQuota=1024G\n[Slots]")),
    ("trust", "error", "no root of trust", "root.json", state(os.unlink, "trust/root.json")),
    ("trust", "error", "cannot be used", "copy", bad_root),
    ("boot", "error", "grub-editenv", "BOOT LOADERS", lambda m: m.write("boot/grub/grubenv", "short")),
    ("boot", "error", "edgeferry.slot", "BOOT LOADERS", lambda m: m.change("proc/cmdline", "edgeferry.slot=A ", "")),
    ("boot", "warning", "slot B is on trial", "confirm",
     both(lambda m: m.change("proc/cmdline", "slot=A", "slot=B edgeferry.trial=1"),
          lambda m: m.change("proc/self/mountinfo", "vda2", "vda3"))),
    ("boot", "warning", "A is what a restart starts", "history",
     both(lambda m: m.change("proc/cmdline", "slot=A", "slot=B"), lambda m: m.change("proc/self/mountinfo", "vda2", "vda3"))),
    ("boot", "error", "may not write", "ReadWritePaths=/boot/efi/grub",
     both(lambda m: m.conf("/boot/grub", "/boot/efi/grub"),
          lambda m: (os.makedirs(m.path("boot/efi")), os.rename(m.path("boot/grub"), m.path("boot/efi/grub"))))),
    ("boot", "warning", "sim is for demonstrations", "auto", lambda m: m.conf("Boot=grub", "Boot=sim"), {"boot"}),
    ("boot", "warning", "single one", "REDUNDAND", lambda m: m.uboot(1)),
    ("boot", "warning", "single one", "REDUNDAND",
     both(lambda m: m.uboot(1), lambda m: m.change("etc/fw_env.config", "# device offset size\n", "half a line\n\n \n"))),
    ("boot", "error", "in one place", "ENV_OFFSET_REDUND",
     both(Machine.uboot, lambda m: m.change("etc/fw_env.config", "0x1000 0x", "0x0 0x"))),
    ("boot", "warning", "copies of U-Boot's environment is not valid", "saveenv",
     both(Machine.uboot, spoil_copy)),
    ("boot", "warning", "at 0x2000", "another place",
     both(Machine.uboot, lambda m: os.truncate(m.path("dev/env"), 12288),
          lambda m: m.change("etc/fw_env.config", "0x1000 0x", "0x2000 0x"))),
    ("boot", "error", "fw_env.config", "BOOT LOADERS", both(Machine.uboot, lambda m: m.write("dev/env", "\0" * 8192))),
    ("boot", "error", "which autoboot.txt does not name", "BOOT LOADERS",
     both(Machine.tryboot, lambda m: m.write(f"{CHOSEN}/partition", struct.pack(">I", 7)))),
    ("boot", "warning", "older than 2025-11-05", "rpi-eeprom-update",
     both(Machine.tryboot, lambda m: m.write(f"{CHOSEN}/build-timestamp", struct.pack(">I", 1700000000)))),
    ("slots", "error", "slot B", "lsblk", lambda m: m.remove("dev/vda3")),
    ("slots", "error", "neither a block device", "partition", lambda m: (m.remove("dev/vda3"), os.mkdir(m.path("dev/vda3")))),
    ("slots", "error", "one and the same", "two different",
     lambda m: (m.remove("dev/disk/by-partlabel/system_b"), m.link("dev/disk/by-partlabel/system_b", "../../vda2"))),
    ("slots", "warning", "slot A has 4096 bytes, slot B 8192", "equal", lambda m: m.write("dev/vda3", "\0" * 8192)),
    ("slots", "error", "the boot partition of slot B", "correct [Slots] BootB=", both(Machine.tryboot, lambda m: m.remove("dev/vda7"))),
    ("slots", "error", "BootA=", "BootA= and BootB=",
     both(Machine.tryboot, lambda m: (m.remove("dev/disk/by-partlabel/boot_b"), m.link("dev/disk/by-partlabel/boot_b", "../../vda6")))),
    ("slots", "error", "the boot partition of slot B is mounted at /boot/firmware", "umount",
     both(Machine.tryboot, lambda m: m.change("proc/self/mountinfo", "40 22", "41 22 254:7 / /boot/firmware rw - vfat /dev/vda7 rw\n40 22"))),
    ("slots", "warning", "releases bring no kernel", "--boot", both(Machine.tryboot, lambda m: m.conf(
        "BootA=/dev/disk/by-partlabel/boot_a\nBootB=/dev/disk/by-partlabel/boot_b\n", ""))),
    ("slots", "error", "/ comes from slot B", "exchange A= and B=", lambda m: m.change("proc/self/mountinfo", "vda2", "vda3")),
    ("slots", "error", "mounted at /mnt", "umount",
     lambda m: m.change("proc/self/mountinfo", "40 22", "41 22 254:3 / /mnt rw - ext4 /dev/vda3 rw\n40 22")),
    ("slots", "warning", "nothing is mounted from", "overlay", lambda m: m.change("proc/self/mountinfo", "vda2", "vda9")),
    ("shared", "error", "in the running slot", "slot-shared.d",
     lambda m: (m.remove("var/lib/edgeferry"), shutil.copytree(m.state, m.path("var/lib/edgeferry")))),
    ("watchdog", "error", "no /dev/watchdog", "driver", lambda m: m.remove("dev/watchdog0")),
    ("watchdog", "error", "no /dev/watchdog", "dtparam=watchdog=on", both(Machine.tryboot, lambda m: m.remove("dev/watchdog0"))),
    ("watchdog", "error", "RuntimeWatchdogSec= is off", "15s", lambda m: m.remove("etc/systemd/system.conf.d")),
    ("watchdog", "error", "RuntimeWatchdogSec= is 0", "15s",
     lambda m: m.write("etc/systemd/system.conf.d/x.conf", "[Manager]\nRuntimeWatchdogSec=0\n")),
    ("watchdog", "warning", "15 s at most", "15s",
     both(Machine.tryboot, lambda m: m.change("etc/systemd/system.conf.d/watchdog.conf", "15s", "1min"))),
    ("panic", "error", "no panic=", "panic=5", lambda m: m.change("proc/cmdline", "panic=10", "panic=0")),
    ("panic", "warning", "sysctl", "panic=5",
     both(lambda m: m.change("proc/cmdline", "panic=10", ""), lambda m: m.write("proc/sys/kernel/panic", "10\n"))),
    ("confirm", "error", "not started at boot", "systemctl enable edgeferry-confirm",
     lambda m: m.remove("etc/systemd/system/multi-user.target.wants/edgeferry-confirm.service")),
    ("confirm", "error", "not below the 15min", "RuntimeMaxSec=", lambda m: m.conf("[Slots]", "[Update]\nConfirmSec=20min\n[Slots]")),
    ("user", "error", "no user edgeferry-net", "sysusers", lambda m: m.change("etc/passwd", "edgeferry-net", "other")),
    ("user", "error", "is root", "another", lambda m: m.conf("[Slots]", "[Network]\nUser=root\n[Slots]")),
    ("broker", "error", "cannot be read", "0640", lambda m: m.conf("Broker=", "PasswordFile=/etc/p\nUsername=u\nBroker=")),
    ("broker", "error", "by everybody", "chmod",
     both(lambda m: m.conf("Broker=", "PasswordFile=/etc/p\nUsername=u\nBroker="), lambda m: m.write("etc/p", "x\n"))),
    ("keys", "error", "key is not there", "provision meter", lambda m: m.remove("etc/edgeferry/keys/meter")),
    ("keys", "error", "others may read", "key", lambda m: os.chmod(m.path("etc/edgeferry/keys/meter"), 0o644)),
    ("keys", "error", "hexadecimal", "key", lambda m: m.write("etc/edgeferry/keys/meter", "short", 0o600)),
    ("keys", "error", "no credential meter", "LoadCredential=meter", lambda m: m.node("Key=/etc/edgeferry/keys/meter", "Key=credential:meter")),
    ("ports", "error", "/dev/ttyMeter: No such", "by-id", lambda m: m.remove("dev/ttyMeter")),
    ("ports", "error", "no port", "Device=", lambda m: m.write("dev/ttyMeter", "")),
    ("ports", "error", "kernel's console", "console=", lambda m: m.write("proc/consoles", "null  -W- (EC p a)    4:64\n")),
    ("ports", "error", "a login runs", "serial-getty@null",
     lambda m: m.link("run/systemd/generator/getty.target.wants/serial-getty@null.service", "/none")),
    ("ports", "error", "may not open", "DeviceAllow=char-null", lambda m: m.remove("etc/systemd/system/edgeferry.service.d")),
    ("lines", "error", "ResetLine=", "correct", lambda m: m.node("Link=uart", "Link=uart\nEntry=lines\nResetLine=no-such-chip:3")),
]


def wrong(workspace, check, level, text, advice, action, also=()):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    try:
        action(m)
        found = doctor("--root", m.root, "--offline")
        hits = [f for f in found if f["check"] == check and f["level"] == level and text in f["text"] and advice in f["advice"]]
        equal(len(hits), 1, f"findings {check} {level} “{text}” “{advice}” in\n{seen(found)}\n")
        others = {f["check"] for f in found if f["level"] != "ok" and f not in hits} - set(also)
        equal(others, set(), f"what else is wrong, in\n{seen(found)}\n")
    finally:
        m.end()


def in_order(workspace, change=lambda m: None):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    try:
        change(m)
        before = tree(m.root)
        found = doctor("--root", m.root, "--offline")
        equal([f for f in found if f["level"] != "ok"], [], "in order, but")
        equal(tree(m.root), before, "what was changed")
        return found
    finally:
        m.end()


def tree(root):
    return {os.path.join(d, n): os.lstat(os.path.join(d, n))[:2] + os.lstat(os.path.join(d, n))[6:9:2]
            for d, folders, files in os.walk(root) for n in folders + files}


# ---- detection ----

AUTO = ("Boot=grub\nBootDirectory=/boot/grub\nA=/dev/disk/by-partlabel/system_a\nB=/dev/disk/by-partlabel/system_b", "Boot=auto")


def detect(workspace, change, conf=AUTO):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    try:
        change(m)
        if conf:
            text = re.sub(r"\[Slots\].*", "[Slots]\n" + conf[1], CONF, flags=re.S)
            m.write("etc/edgeferry/edgeferry.conf", text)
        return doctor("--root", m.root, "--offline")
    finally:
        m.end()


def automatic(workspace):
    for name, change in (("grub", lambda m: None), ("tryboot", Machine.tryboot), ("uboot", Machine.uboot)):
        found = detect(workspace, change)
        equal([f for f in found if f["level"] != "ok"], [], f"{name}: in order, but")
        holds(any(f["check"] == "boot" and f["text"].startswith(f"{name}: slot A runs") for f in found), seen(found))
        holds(any(f["check"] == "found" and "system_a and system_b" in f["text"] for f in found), seen(found))


def verified(workspace):
    """/ lies on dm-verity, with the root hash that the boot loader hands over."""
    found = detect(workspace, lambda m: (m.change("proc/self/mountinfo", "vda2", "dm-0"), m.change(
        "proc/cmdline", "edgeferry.slot=A", f"edgeferry.slot=A edgeferry.roothash={'ab' * 32} edgeferry.hashoffset=4096")), None)
    equal([f for f in found if f["level"] != "ok"], [], "in order, but")


def automatic_missing(workspace):
    for change, text, advice in (
            (lambda m: m.remove("boot/grub/grubenv"), "no grubenv, no fw_env.config and no autoboot.txt", "BOOT LOADERS"),
            (lambda m: m.change("proc/cmdline", "edgeferry.slot=A", ""), "/proc/cmdline", "edgeferry.grub"),
            (lambda m: m.remove("dev/disk/by-partlabel"), "no two partitions", "write A= and B="),
            (both(Machine.tryboot, lambda m: m.remove("bootfs/autoboot.txt")), "autoboot.txt", "boot_partition=2"),
            (both(Machine.tryboot, lambda m: m.remove("sys")), "device tree", "firmware"),
            (lambda m: m.write("etc/fw_env.config", "x\n"), "both grub and uboot", "Boot="),
            (lambda m: [m.link(f"dev/disk/by-partlabel/root_{s}", "../../vda2") for s in "ab"], "root_a and root_b", "A= and B=")):
        found = detect(workspace, change)
        hits = [f for f in found if f["check"] == "found" and f["level"] == "error" and text in f["text"] and advice in f["advice"]]
        equal(len(hits), 1, f"{text} in\n{seen(found)}\n")


def automatic_beside_a_left_over(workspace):
    """What one boot loader lacks is nobody's error when another has all it needs; named slots need no label."""
    found = detect(workspace, lambda m: m.write("bootfs/autoboot.txt", AUTOBOOT))
    equal([f for f in found if f["level"] != "ok"], [], seen(found))
    holds(any(f["text"].startswith("missing: device tree") for f in found), seen(found))
    found = detect(workspace, lambda m: (m.remove("dev/disk"), m.link("dev/slot-b", "vda3")),
                   ("", "Boot=auto\nA=/dev/vda2\nB=/dev/slot-b"))
    equal([f for f in found if f["level"] != "ok"], [], seen(found))


def not_configured(workspace):
    found = detect(workspace, lambda m: None, ("", ""))
    hits = [f for f in found if f["check"] == "found" and f["level"] == "warning"]
    equal(len(hits), 1, seen(found))
    holds("Boot=grub, BootDirectory=/boot/grub, A=/dev/disk/by-partlabel/system_a" in hits[0]["advice"], hits)
    found = detect(workspace, lambda m: m.remove("dev/disk"), ("", ""))
    equal([f for f in found if f["level"] != "ok"], [], "a gateway that updates its nodes only")


# ---- trust ----

def publisher(folder, *options):
    subprocess.run([REPO, "init", "demo", "--workspace", folder, "--quiet", *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([REPO, "export-root", f"{folder}/root.json", "--workspace", folder, "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    return folder


def trust_of(folder, *options):
    with tempfile.TemporaryDirectory(prefix="ef-doctor.") as other:
        publisher(other, *options)
        m = Machine(folder, other)
        try:
            return [f for f in doctor("--root", m.root, "--offline") if f["check"] == "trust"]
        finally:
            m.end()


def expiry():
    now = int(time.time())
    for age, level, text in ((0, "ok", "until"), (345, "warning", "expires at"), (400, "error", "expired at")):
        found = trust_of(tempfile.mkdtemp(prefix="ef-doctor."), "--expire", "root=365", "--now", str(now - age * 86400))
        equal([f["level"] for f in found], [level], f"{age} days: {seen(found)}")
        holds(text in found[0]["text"], seen(found))


def published_keys():
    key = f"{SOURCE}/tests/vectors/mcuboot/ed25519.pem"
    found = trust_of(tempfile.mkdtemp(prefix="ef-doctor."), "--key", f"timestamp={key}", "--allow-test-keys")
    hits = [f for f in found if f["level"] == "error"]
    equal(len(hits), 1, seen(found))
    holds("edgeferry's test key ed25519.pem" in hits[0]["text"] and "rotate" in hits[0]["advice"], hits)


def first_root(workspace):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    try:
        shutil.rmtree(f"{m.state}/trust")
        shutil.copy(f"{workspace}/root.json", m.path("etc/edgeferry/root.json"))
        found = [f for f in doctor("--root", m.root, "--offline") if f["check"] == "trust"]
        equal([f["level"] for f in found], ["ok"], seen(found))
        holds("at the first start" in found[0]["text"], found)
        m.write("etc/edgeferry/root.json", "{}")
        found = [f for f in doctor("--root", m.root, "--offline") if f["check"] == "trust"]
        holds(found[0]["level"] == "error" and "export-root" in found[0]["advice"], seen(found))
    finally:
        m.end()


def no_room(workspace):
    """In a mount namespace of its own: a state folder that is full, or read-only."""
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    try:
        for options, text in (("size=1M", "releases are refused"), ("size=100M,ro", "read-only")):
            done = subprocess.run(
                ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o "$1,mode=700" none "$2" && shift 2 && exec "$@"', "sh", options,
                 m.state, DOCTOR, "--root", m.root, "--offline"], stdout=subprocess.PIPE, text=True)
            found = [f for f in json.loads(done.stdout)["findings"] if f["check"] == "space"]
            holds(len(found) == 1 and found[0]["level"] == "error" and text in found[0]["text"], seen(found))
    finally:
        m.end()


# ---- server and broker ----

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/demo/metadata/timestamp.json" else 404)
        self.end_headers()

    def log_message(self, *args):
        pass


class Served:
    def __init__(self, authority, name="server", clients=None, **dates):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(name, **dates))
        if clients:     # who has no certificate of theirs is turned away
            context.load_verify_locations(clients.file)
            context.verify_mode = ssl.CERT_REQUIRED
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.handle_error = lambda *args: None
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()


def day(days):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))


def reach(m, port, path="demo", host="localhost", more=""):
    m.write("etc/edgeferry/edgeferry.conf", CONF)
    m.conf("URL=https://updates.example/demo", f"CAFile=/ca.crt\nURL=https://{host}:{port}/{path}{more}")
    m.conf("Broker=broker.example", f"CAFile=/ca.crt\nBroker={host}:{port}{more}")
    found = doctor("--root", m.root)
    return {c: [f for f in found if f["check"] == c] for c in ("server", "broker")}


def client_certificates(m, authority, stranger, both_say):
    """A server that wants to know who asks; and each thing that can be wrong with what it is shown."""
    def show(name, folder="etc/edgeferry/secrets/", key=None, **dates):
        cert, own = authority.issue(name, usage="clientAuth", **dates)
        for path, to in ((cert, "cert"), (key or own, "key")):
            with open(path, "rb") as f:
                m.write(folder + to, f.read(), 0o600)
        return own

    files = "\nClientCertificate=/etc/edgeferry/secrets/cert\nClientKey=/etc/edgeferry/secrets/key"
    with Served(authority, "asks", clients=authority) as s:
        good = show("gateway")
        found = reach(m, s.port, more=files)
        equal([f for v in found.values() for f in v if f["level"] != "ok"], [], "with a certificate, but")
        os.chmod(m.path("etc/edgeferry/secrets/key"), 0o640)
        both_say(reach(m, s.port, more=files), "warning", "can be read by others", "chmod")
        show("gateway-soon", end=day(5))
        both_say(reach(m, s.port, more=files), "warning", "cert expires at", "reload")
        show("gateway-late", start=day(-20), end=day(-10))
        both_say(reach(m, s.port, more=files), "error", "cert expired at", "renewed")
        show("gateway-early", start=day(10))
        both_say(reach(m, s.port, more=files), "error", "cert is good from", "clock")
        show("gateway-other", key=good)
        both_say(reach(m, s.port, more=files), "error", "not the key of the certificate", "in PEM")
        m.write("etc/edgeferry/secrets/key", "-----BEGIN NOTHING-----\n", 0o600)
        both_say(reach(m, s.port, more=files), "error", "no private key", "in PEM")
        m.remove("etc/edgeferry/secrets/cert")
        both_say(reach(m, s.port, more=files), "error", "no certificate in PEM", "in PEM")
        show("gateway-credential", folder="run/credentials/edgeferry.service/")
        found = reach(m, s.port, more="\nClientCertificate=credential:cert\nClientKey=credential:key")
        equal([f for v in found.values() for f in v if f["level"] != "ok"], [], "with credentials, but")


def servers(workspace):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    authority, stranger = Authority(m.path("pki"), "CA"), Authority(m.path("pki2"), "Other CA")
    shutil.copy(authority.file, m.path("ca.crt"))

    def both_say(found, level, text, advice):
        for check in ("server", "broker"):
            holds(any(f["level"] == level and text in f["text"] and advice in f["advice"] for f in found[check]),
                  f"{check} {level} {text} {advice} in {seen(found[check])}")
    try:
        with Served(authority) as s:
            for host in ("localhost", "127.0.0.1"):
                found = reach(m, s.port, host=host)
                both_say(found, "ok", "by TLS", "")
                equal([f for v in found.values() for f in v if f["level"] != "ok"], [], "reached, but")
            found = reach(m, s.port, "other")["server"]
            holds(found[0]["level"] == "error" and "404" in found[0]["text"] and "publish" in found[0]["advice"], seen(found))
            port = s.port
        both_say(reach(m, port), "error", "refused", "network is up")
        both_say(reach(m, port, host="no-such-host.invalid"), "error", "no-such-host.invalid", "network is up")
        client_certificates(m, authority, stranger, both_say)
        with Served(stranger) as s:
            both_say(reach(m, s.port), "error", "unable to get local issuer", "CAFile=")
        with Served(authority, "expired", start=day(-20), end=day(-10)) as s:
            both_say(reach(m, s.port), "error", "expired", "clock")
        with Served(authority, "soon", end=day(5)) as s:
            both_say(reach(m, s.port), "warning", "expires at", "renewed")
        with Served(authority, "elsewhere", sans=("DNS:elsewhere.example",)) as s:
            both_say(reach(m, s.port), "error", "hostname mismatch", "for this host")
    finally:
        m.end()


# ---- what the bus tells ----

def on_the_bus(workspace):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    address = f"unix:path={m.path('bus')}"
    m.write("bus.conf", '<busconfig><listen>' + address + '</listen><auth>EXTERNAL</auth><policy context="default">'
            '<allow send_destination="*" eavesdrop="true"/><allow own="*"/><allow receive_sender="*"/></policy></busconfig>')
    bus = subprocess.Popen(["dbus-daemon", "--config-file=" + m.path("bus.conf"), "--nofork", "--print-address"],
                           stdout=subprocess.PIPE, text=True)
    bus.stdout.readline()
    fake = None

    def found(check, status=STATUS, adapters=(True,)):
        m.write("status", json.dumps(status))
        m.write("adapters", json.dumps(adapters))
        return [f for f in doctor("--root", m.root, "--offline", "--bus", address) if f["check"] == check]

    def one(check, level, text, advice="", **given):
        f = found(check, **given)
        holds(len(f) == 1 and f[0]["level"] == level and text in f[0]["text"] and advice in f[0]["advice"],
              f"{check} {level} {text} {advice} in {seen(f)}")
    try:
        m.write("etc/edgeferry/nodes.d/air.conf", NODE.replace("Link=uart", "Link=ble").replace("/dev/ttyMeter", "name:AIR"))
        one("daemon", "error", "does not answer", "systemctl status edgeferry")
        one("nodes", "warning", "not known", "start edgeferry")
        one("bluetooth", "error", "BlueZ does not answer", "bluez")
        fake = subprocess.Popen(["/usr/bin/python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake-bus.py"), address,
                                 m.root], stdout=subprocess.PIPE, text=True)
        equal(fake.stdout.readline(), "ready\n", "fake-bus.py")
        one("daemon", "ok", "release 2.0.0")
        one("daemon", "warning", "0.0.9 runs", "restart", status=STATUS | {"version": "0.0.9"})
        one("daemon", "warning", "expired", "publish", status=STATUS | {"state": "stale"})
        one("nodes", "ok", "meter answers, runs 2.0.0")
        node = STATUS["nodes"][0]
        one("nodes", "warning", "meter does not answer", "power", status=STATUS | {"nodes": [node | {"present": False}]})
        one("nodes", "warning", "meter: ", "", status=STATUS | {"nodes": [node | {"reason": "node-session", "detail": "x"}]})
        equal([f["level"] for f in found("server", status=STATUS | {"server": {"reason": "net-tls", "detail": "self-signed"}})],
              ["warning"], "the daemon's last look")
        one("broker", "error", "not connected", "journal", status=STATUS | {"broker": "disconnected"})
        one("bluetooth", "ok", "1 on")
        one("bluetooth", "error", "no adapter", "dmesg", adapters=[])
        one("bluetooth", "error", "is on", "power on", adapters=[False])
    finally:
        for p in (fake, bus):
            if p:
                p.terminate()
                p.wait()
        m.end()


# ---- the command, and its page ----

def command(workspace):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    env = os.environ | {"EDGEFERRY_LIBEXEC": os.path.dirname(os.path.abspath(DOCTOR)), "LC_ALL": "C.UTF-8"}

    def run(*args):
        done = subprocess.run([CLI, "doctor", "--root", m.root, "--offline", *args], stdout=subprocess.PIPE, text=True, env=env)
        return done.returncode, done.stdout
    try:
        code, text = run()
        equal(code, 0, text)
        holds(text.endswith("0 errors, 0 warnings\n"), text)
        m.remove("dev/watchdog0")
        code, text = run()
        equal(code, 1, text)
        holds(re.search(r"^error    watchdog   there is no /dev/watchdog.*\n {20}→ load the driver", text, re.M), text)
        holds(text.endswith("1 error, 0 warnings\n"), text)
        code, text = run("--json=short")
        equal(json.loads(text)["errors"], 1, text)
    finally:
        m.end()


def config_show(workspace):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)
    env = os.environ | {"EDGEFERRY_LIBEXEC": os.path.dirname(os.path.abspath(DOCTOR)), "LC_ALL": "C.UTF-8"}

    def run(*args):
        return subprocess.run([CLI, "config", *args, "--root", m.root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=env)
    try:
        m.write("etc/edgeferry/conf.d/10-site.conf", "[Update]\nAutomatic=all\nConfirmSec=2min\n[Mqtt]\nTopicPrefix=plant\n")
        m.write("etc/edgeferry/conf.d/20-later.conf", "[Update]\nConfirmSec=\n[Mqtt]\nTopicPrefix=hall\n")
        m.conf("Id=gateway-1\n", "")
        etc = m.path("etc/edgeferry")
        values = {(v["node"], v["section"], v["key"]): (v["value"], v["from"]) for v in json.loads(run("show", "--json").stdout)}
        for key, wanted in {
                (None, "Gateway", "Product"): ("demo", f"{etc}/edgeferry.conf:2"),
                (None, "Gateway", "Hardware"): ("1", "default"),
                (None, "Source", "CAFile"): ("", "default"),
                (None, "Update", "Automatic"): ("all", f"{etc}/conf.d/10-site.conf:2"),
                (None, "Update", "ConfirmSec"): ("5min", "default"),
                (None, "Mqtt", "TopicPrefix"): ("hall", f"{etc}/conf.d/20-later.conf:4"),
                ("meter", "Node", "Link"): ("uart", f"{etc}/nodes.d/meter.conf:3"),
                ("meter", "Node", "BaudRate"): ("115200", "default")}.items():
            equal(values[key], wanted, key)
        holds(re.fullmatch("[0-9a-f]{32}", values[None, "Gateway", "Id"][0]), values)
        equal(values[None, "Gateway", "Id"][1], "derived", "Id=")
        put("id", "as-at-the-first-start\n")(m)
        kept = next(v for v in json.loads(run("show", "--json").stdout) if v["key"] == "Id")
        equal((kept["value"], kept["from"]), ("as-at-the-first-start", "/var/lib/edgeferry/id"), "Id=")
        keys = re.findall(r'^\t\{"(\w+)", "(\w+)", \w+,', open(f"{SOURCE}/src/config/keys.c", encoding="utf-8").read(), re.M)
        equal({k[1:] for k in values}, set(keys), "every key")
        holds(re.search(r"^ +Update +Automatic +all +\S+/10-site.conf:2$", run("show").stdout, re.M), run("show").stdout)
        m.write("etc/edgeferry/conf.d/30-bad.conf", "[Update]\nReboot=never\n")
        done = run("show")
        equal((done.returncode, done.stdout), (1, ""), "with a wrong file")
        holds("30-bad.conf:2: Reboot=never" in done.stderr, done.stderr)
        equal(run("set").returncode, 64, "another action")
    finally:
        m.end()


def who_it_is(workspace):
    m = Machine(tempfile.mkdtemp(prefix="ef-doctor."), workspace)

    def says(text):
        found = [f for f in doctor("--root", m.root, "--offline") if f["check"] == "id"]
        equal([(f["level"], text in f["text"]) for f in found], [("ok", True)], f"“{text}” in {found}")
    try:
        says("gateway-1: as Id= says")
        m.conf("Id=gateway-1\n", "")
        says("derived from the machine id")
        put("id", "as-at-the-first-start\n")(m)
        says("as-at-the-first-start: as at its first start")
    finally:
        m.end()


def this_machine():
    """Whatever it is: every check comes to an end, and the clock, which no folder has, is looked at."""
    with tempfile.TemporaryDirectory(prefix="ef-doctor.") as d:
        with open(f"{d}/edgeferry.conf", "w", encoding="utf-8") as f:
            f.write(f"[Gateway]\nProduct=demo\nCompatible=a.example,b\nId=x\nStateDirectory={d}\n")
        found = doctor("--config", d, "--offline", "--bus", "unix:path=/nowhere")
        clock = [f for f in found if f["check"] == "clock"]
        holds(len(clock) == 1 and "synchronised" in clock[0]["text"], seen(found))
        holds(any(f["check"] == "daemon" and f["level"] == "error" for f in found), seen(found))


def page():
    with open(f"{SOURCE}/src/doctor/main.c", encoding="utf-8") as f:
        names = re.findall(r'^\t\{"(\w+)", (?:true|false), check_\1\},$', f.read(), re.M)
    with open(f"{SOURCE}/docs/man/edgeferry-doctor.8.scd", encoding="utf-8") as f:
        listed = re.findall(r"^\*(\w+)\*$", f.read().split("# CHECKS")[1].split("\n# ")[0], re.M)
    holds(len(names) > 20, names)
    equal(listed, names, "checks in edgeferry-doctor(8)")
    equal({w[0] for w in WRONG} | {"id", "daemon", "found", "server", "nodes", "bluetooth"}, set(names), "checks with a test")


def main():
    t = Tap()
    if not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == os.stat(tempfile.gettempdir()).st_dev:
        t.skip_all("no second file system for the state folder")
    with tempfile.TemporaryDirectory(prefix="ef-doctor.") as workspace:
        publisher(workspace)
        t.case("a gateway in order, by GRUB", in_order, workspace)
        t.case("a gateway in order, by U-Boot", in_order, workspace, Machine.uboot)
        t.case("a gateway in order, by tryboot", in_order, workspace, Machine.tryboot)
        for w in WRONG:
            t.case(f"{w[0]}: {w[2]}", wrong, workspace, *w)
        t.case("Boot=auto finds each boot loader and the slots", automatic, workspace)
        t.case("/ on dm-verity is as it should be", verified, workspace)
        t.case("Boot=auto says what is missing and what to write where", automatic_missing, workspace)
        t.case("Boot=auto beside a left-over, and with slots that are named", automatic_beside_a_left_over, workspace)
        t.case("slots that nobody configured", not_configured, workspace)
        t.case("a root that expires", expiry)
        if os.path.basename(REPO) == "edgeferry-repo" and "--allow-test-keys" in subprocess.run(
                [REPO, "init", "--help"], stdout=subprocess.PIPE, text=True).stdout:
            t.case("S-32 a root with a published key", published_keys)
        else:
            t.skip("S-32 a root with a published key", "a build for release makes none")
        t.case("the root that a first start takes", first_root, workspace)
        if subprocess.run(["unshare", "-rm", "true"], stderr=subprocess.DEVNULL).returncode == 0:
            t.case("a full or read-only state folder", no_room, workspace)
        else:
            t.skip("a full or read-only state folder", "no namespaces here")
        t.case("server and broker", servers, workspace)
        t.case("daemon, nodes and BlueZ by the bus", on_the_bus, workspace)
        t.case("edgeferry doctor", command, workspace)
        t.case("edgeferry config show", config_show, workspace)
        t.case("who the gateway is, and who says so", who_it_is, workspace)
        t.case("this machine", this_machine)
        t.case("every check is explained in edgeferry-doctor(8) and has a test", page)
    return t.end()


sys.exit(main())
