# SPDX-License-Identifier: Apache-2.0
"""
The lab's gateway as a process: Debian's User-Mode Linux with systemd as PID 1, from a disk with boot partition, two root
slots and data. Its userland is put together from files of this machine's packages, which takes seconds, and edgeferry is
what the build folder installs.

A boot loader does not run in it: firmware() does with grubenv what conf/boot/edgeferry.grub does, on the blocks of the
file as GRUB reads and writes them (unit/slots/test-bootloaders.py has GRUB itself).
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import disk
from lab import BUILD, Lab
from machine import Machine

LINUX = "/usr/bin/linux.uml"
PACKAGES = ["base-files", "coreutils", "dash", "dbus", "dbus-bin", "dbus-daemon", "dbus-system-bus-common", "grep", "mount",
            "qemu-guest-agent", "sed", "systemd", "udev", "util-linux"]
LEFT_OUT = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info", "/usr/share/bash-completion",
            "/usr/share/zsh", "/usr/share/i18n", "/usr/share/lintian", "/usr/lib/udev/hwdb.d", "/lib/udev/hwdb.d")
FOLDERS = ("dev", "proc", "sys", "run", "tmp", "var/tmp", "var/log", "root")
PASSWD = """root:x:0:0:root:/root:/bin/sh
messagebus:x:100:101::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
"""
GROUP = """root:x:0:
messagebus:x:101:
nogroup:x:65534:
"""
AGENT = """[Unit]
DefaultDependencies=no
After=sysinit.target
[Service]
ExecStart=/usr/sbin/qemu-ga --method=isa-serial --path=/dev/ttyS0 --statedir=/run
Restart=always
"""
# All of /sys takes seconds here.
TRIGGER = "[Service]\nExecStart=\nExecStart=udevadm trigger --action=add --subsystem-match=block\n"
# What only costs time or misses something that is not there.
MASKED = ("getty.target", "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-pstore.service",
          "e2scrub_reap.service", "fstrim.timer", "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
          "sys-kernel-tracing.mount", "proc-sys-fs-binfmt_misc.automount", "systemd-modules-load.service",
          "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-machine-id-commit.service",
          "systemd-networkd.service", "systemd-firstboot.service", "systemd-sysusers.service", "qemu-guest-agent.service",
          "modprobe@configfs.service", "modprobe@dm_mod.service", "modprobe@drm.service", "modprobe@efi_pstore.service",
          "modprobe@fuse.service", "modprobe@loop.service", "systemd-timesyncd.service", "systemd-sysctl.service",
          "systemd-tmpfiles-setup-dev.service", "systemd-random-seed.service", "systemd-journal-flush.service",
          "systemd-user-sessions.service", "kmod-static-nodes.service")


def files(packages):
    """What belongs to these packages and is needed."""
    found = disk.call("dpkg-query", "-L", *packages).splitlines()
    return [f for f in found if f.startswith("/") and f != "/." and not f.startswith(LEFT_OUT)]


def libraries(programs):
    """What the dynamic linker would load for them."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout
    return [word for word in said.split() if word.startswith("/") and not word.endswith(":")]


def merged(path):
    """/bin and the like are links to folders of /usr."""
    return re.sub(r"^/(bin|sbin|lib|lib64)(?=/|$)", r"/usr/\1", path)


def copy(paths, tree, *how):
    listed = "".join(sorted({f".{merged(p)}\n" for p in paths})).encode()
    packed = subprocess.run(["tar", "c", "--no-recursion", *how, "-C", "/", "-T", "-"], input=listed, capture_output=True, check=True)
    subprocess.run(["tar", "x", "-C", tree], input=packed.stdout, check=True, capture_output=True)


def userland(out):
    """A tar, as of userland.sh. Everything in the build folder has to be built."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as work:
        tree = pathlib.Path(work)
        for name in ("bin", "sbin", "lib", "lib64"):
            (tree / "usr" / name).mkdir(parents=True)
            (tree / name).symlink_to(f"usr/{name}")
        copy(files(PACKAGES), tree)
        disk.call("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", env={"DESTDIR": work})
        for name in ("edgeferry-edge-fw", "doc", "man"):
            shutil.rmtree(tree / "usr/local/share" / name, ignore_errors=True)
        programs = [str(p) for p in tree.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_mode & 0o111
                    and p.read_bytes()[:4] == b"\x7fELF"]
        copy(libraries(programs), tree, "--dereference")
        furnish(tree)
        disk.call("tar", "cf", out, "-C", work, ".")


def furnish(tree):
    for folder in FOLDERS:
        (tree / folder).mkdir(parents=True, exist_ok=True)
    disk.rootfs.write(f"{tree}/etc/passwd", PASSWD)
    disk.rootfs.write(f"{tree}/etc/group", GROUP)
    disk.rootfs.write(f"{tree}/etc/machine-id", "")
    disk.rootfs.write(f"{tree}/etc/hostname", "gateway\n")
    disk.call("ldconfig", "-r", tree)
    local = tree / "usr/local"
    if (local / "etc/edgeferry").exists():      # not when the build folder's prefix is /usr
        (local / "etc/edgeferry").rename(tree / "etc/edgeferry")
        (local / "etc/edgeferry").symlink_to("/etc/edgeferry")
        shutil.copytree(local / "share/dbus-1/system.d", tree / "etc/dbus-1/system.d", dirs_exist_ok=True)
    disk.call("systemd-sysusers", f"--root={tree}")
    (tree / "usr/sbin/init").symlink_to("/lib/systemd/systemd")
    disk.rootfs.write(f"{tree}/etc/systemd/system/lab-agent.service", AGENT)
    disk.wanted(tree, "lab-agent.service", "basic.target")
    disk.rootfs.write(f"{tree}/etc/systemd/system/systemd-udev-trigger.service.d/lab.conf", TRIGGER)
    for unit in MASKED:
        (tree / "etc/systemd/system" / unit).symlink_to("/dev/null")
    generators = tree / "etc/systemd/system-generators"
    generators.mkdir()
    for path in (tree / "usr/lib/systemd/system-generators").iterdir():
        if path.name != "systemd-fstab-generator":
            (generators / path.name).symlink_to("/dev/null")


def slot(tree):
    """What is different in an image for it: no module is there, so none for FAT."""
    fstab = tree / "etc/fstab"
    fstab.write_text(fstab.read_text().replace("vfat", "ext4"))
    disk.rootfs.write(f"{tree}/etc/systemd/system.conf.d/lab.conf", "[Manager]\nDefaultTimeoutStartSec=2min\n")
    disk.rootfs.write(f"{tree}/etc/systemd/system/edgeferry.service.d/lab.conf", "[Service]\nDeviceAllow=block-ubd rw\n")
    disk.call("systemctl", f"--root={tree}", "enable", "edgeferry.service", "edgeferry-confirm.service")


class Grub:
    partitions = [("boot", 8, disk.LINUX)]
    slot_mib, image_mib = 100, 96

    @staticmethod
    def install(image, places, slot_image, work):
        at, size = places["boot"]
        os.mkdir(f"{work}/boot")
        disk.call("grub-editenv", f"{work}/boot/grubenv", "create")
        disk.call("mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={at}", "-d", f"{work}/boot", image, f"{size // disk.MIB}M")


class UmlLab(Lab):
    """No network and no package: what is published comes as bundles, and edgeferry as the build folder installs it."""

    def make_userland(self, out):
        userland(out)

    def serve(self):
        pass


class UmlMachine(Machine):
    def __init__(self, disk_, other):
        self.dir = tempfile.mkdtemp(prefix="ef-uml-")
        self.disk, self.other, self.log = disk_, other, f"{self.dir}/console.log"
        # A restart of the guest executes what it was called by anew.
        disk.program(pathlib.Path(f"{self.dir}/restart"), "exit 0\n")
        self.process = self.line = None
        open(self.log, "w").close()

    def firmware(self):
        """The words of edgeferry.grub on the kernel's command line; a trial is taken out of grubenv first."""
        at = disk.place(self.disk, "/grubenv", disk.places(Grub)["boot"][0])
        with open(self.disk, "r+b") as f:
            f.seek(at)
            env = f.read(1024)
            values = dict(line.split("=", 1) for line in env.decode().splitlines() if "=" in line)
            tried = values.get("edgeferry_trial") in ("A", "B")
            slot = values["edgeferry_trial"] if tried else values.get("edgeferry_primary", "A")
            if tried:
                f.seek(at)
                f.write(env.replace(b"edgeferry_trial=" + slot.encode(), b"edgeferry_trial=-"))
        return [f"root=PARTLABEL=system_{slot.lower()}", "rw", f"edgeferry.slot={slot}", *["edgeferry.trial=1"] * tried]

    def on(self):
        self.off()
        self.line, theirs = socket.socketpair()
        command = [f"{self.dir}/restart", f"ubd0={self.disk}", f"ubd1r={self.other}", "mem=192M", "con=null", "con0=null,fd:1",
                   f"ssl0=fd:{theirs.fileno()}", f"uml_dir={self.dir}/", "umid=lab", "panic=1", "quiet", "console=tty0",
                   "systemd.show_status=0", *self.firmware()]
        with open(self.log, "ab") as log, theirs:
            self.process = subprocess.Popen(command, executable=LINUX, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=[theirs.fileno()], start_new_session=True)

    def ended(self):
        """Whether the guest restarted, or its kernel panicked."""
        return self.process.poll() is not None

    def off(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)     # what runs in the guest are processes of this group
            self.process.wait()
            self.line.close()
            self.process = None

    @contextlib.contextmanager
    def _agent(self):
        yield self.line
