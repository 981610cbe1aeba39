# SPDX-License-Identifier: Apache-2.0
"""The lab gateway's disk: boot loader, two root slots, data. Made from a userland's tar, without mounts and loop devices."""
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import rootfs  # noqa: E402

MIB = 1 << 20
SLOT_MIB, IMAGE_MIB = 256, 252   # what is left has room for a hash tree
BIOS, ESP, LINUX = ("21686148-6449-6E6F-744E-656564454649", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
                    "0FC63DAF-8483-4772-8E79-3D69D8477DE4")
GRUB_SCRIPT = HERE.parents[2] / "conf/boot/edgeferry.grub"
GRUB_CFG = """serial --unit=0 --speed=115200
terminal_output serial
source ${prefix}/edgeferry.grub
if [ "$edgeferry_slot" = B ]; then set part=gpt4; set name=system_b; else set part=gpt3; set name=system_a; fi
echo "grub: slot $edgeferry_slot"
if linux (hd0,$part)/vmlinuz root=PARTLABEL=$name rw console=ttyS0 quiet mitigations=off panic=5 systemd.show_status=0 $edgeferry_args; then
	initrd (hd0,$part)/initrd.img
	boot
fi
echo "grub: slot $edgeferry_slot does not load"
reboot
"""
FSTAB = """/dev/disk/by-partlabel/data /var/lib/edgeferry ext4 defaults 0 2
/dev/disk/by-partlabel/boot /boot/grub vfat defaults 0 2
LABEL=bundles /run/bundles ext4 ro,nofail,x-systemd.before=edgeferry.service 0 0
"""
# QEMU's user network; 10.0.2.2 is this machine's loopback. No route anywhere else.
NETWORK = """[Match]
Type=ether

[Network]
Address=10.0.2.15/24
LinkLocalAddressing=no
LLDP=no
"""
# The emulator may get little of a busy machine, so nothing is given up early.
MANAGER = """[Manager]
RuntimeWatchdogSec=1min
DefaultDeviceTimeoutSec=10min
DefaultTimeoutStartSec=10min
"""
CONFIG = """[Gateway]
Product=demo
Compatible=edgeferry.github.io,lab-gateway
Id=gw-lab

[Slots]
Boot=grub
BootDirectory=/boot/grub
A=/dev/disk/by-partlabel/system_a
B=/dev/disk/by-partlabel/system_b

[Update]
ConfirmSec=1min
"""


def call(*command, **options):
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", **options.pop("env", {})}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def program(path, script):
    """A shell script in place of what is there."""
    path.unlink(missing_ok=True)
    rootfs.write(str(path), "#!/bin/sh\n" + script, 0o755)


def wanted(tree, unit, target):
    """As systemctl enable."""
    folder = tree / f"etc/systemd/system/{target}.wants"
    folder.mkdir(parents=True, exist_ok=True)
    place = next(p for p in ("etc/systemd/system", "lib/systemd/system") if (tree / p / unit).exists())
    (folder / unit).unlink(missing_ok=True)
    (folder / unit).symlink_to(f"/{place}/{unit}")


def slot_image(userland, out, release, root_json, change=None, finish=None, mib=IMAGE_MIB):
    """change(tree): what is different in this release; finish(image): what comes to the file system. Nothing is made
    when it is there."""
    if os.path.exists(out):
        return out
    with tempfile.TemporaryDirectory(prefix="slot.", dir=os.path.dirname(out)) as work:
        tree = f"{work}/tree"
        os.mkdir(tree)
        call("tar", "xf", userland, "-C", tree, "--numeric-owner")
        rootfs.write(f"{tree}/etc/fstab", FSTAB)
        rootfs.write(f"{tree}/etc/edgeferry/edgeferry.conf", CONFIG)
        rootfs.write(f"{tree}/etc/edgeferry/root.json", pathlib.Path(root_json).read_text())
        rootfs.write(f"{tree}/etc/lab-release", release + "\n")
        rootfs.write(f"{tree}/etc/systemd/journald.conf.d/lab.conf", "[Journal]\nForwardToConsole=yes\nMaxLevelConsole=info\n")
        rootfs.write(f"{tree}/etc/systemd/system/edgeferry-confirm.service.d/lab.conf", "[Service]\nRuntimeMaxSec=2min\n")
        rootfs.write(f"{tree}/etc/systemd/system.conf.d/lab.conf", MANAGER)
        for folder in ("var/lib/edgeferry", "boot/grub"):
            os.makedirs(f"{tree}/{folder}", exist_ok=True)
        if change:
            change(pathlib.Path(tree))
        call("find", tree, "-exec", "touch", "-h", "-d", "@" + rootfs.EPOCH, "{}", "+")
        fixed = {"E2FSPROGS_FAKE_TIME": rootfs.EPOCH, "SOURCE_DATE_EPOCH": rootfs.EPOCH}
        call("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", tree, "-m", "0", "-U", "0ed6efe4-0000-4000-8000-000000000003",
             "-O", "^metadata_csum_seed", "-E", "hash_seed=0ed6efe4-0000-4000-8000-000000000004,root_owner=0:0,"
             "lazy_itable_init=0,lazy_journal_init=0", f"{work}/image", f"{mib}M", env=fixed)
        if finish:
            finish(f"{work}/image")
        os.rename(f"{work}/image", out)
    return out


class Grub:
    """A boot loader on a disk: its partitions (name, MiB, type; the first begins at 1 MiB), how large its slots and their
    images are, and how it comes there."""
    slot_mib, image_mib = SLOT_MIB, IMAGE_MIB
    partitions = [("bios", 1, BIOS), ("boot", 34, ESP)]

    @classmethod
    def install(cls, disk, places, slot, work):
        at = fat(disk, places["boot"])
        pathlib.Path(f"{work}/grub.cfg").write_text(GRUB_CFG)
        call("grub-editenv", f"{work}/grubenv", "create")
        for variable in cls.variables(slot):
            call("grub-editenv", f"{work}/grubenv", "set", variable)
        call("mcopy", "-i", f"{disk}@@{at}", f"{work}/grub.cfg", f"{work}/grubenv", str(GRUB_SCRIPT), "::/")
        cls.install_core(disk, places["bios"][0] // 512, work)

    @staticmethod
    def variables(slot):
        """What the factory puts into grubenv for a gateway with this image in slot A."""
        return []

    @staticmethod
    def install_core(disk, sector, work):
        """As grub-bios-setup does: core.img into its own partition, its place in boot.img and in itself."""
        lib = pathlib.Path("/usr/lib/grub/i386-pc")
        call("grub-mkimage", "-O", "i386-pc", "-o", f"{work}/core.img", "-p", "(hd0,gpt2)/", "biosdisk", "part_gpt",
             "fat", "ext2", "normal", "test", "configfile", "loadenv", "linux", "echo", "serial", "terminal", "reboot",
             "boot")
        boot, core = bytearray((lib / "boot.img").read_bytes()[:440]), bytearray(pathlib.Path(f"{work}/core.img").read_bytes())
        core += bytes(-len(core) % 512)
        struct.pack_into("<Q", boot, 0x5C, sector)
        boot[0x66:0x68] = b"\x90\x90"
        struct.pack_into("<QHH", core, 500, sector + 1, len(core) // 512 - 1, 0x820)
        with open(disk, "r+b") as f:
            f.write(boot)
            f.seek(sector * 512)
            f.write(core)


def fat(disk, place):
    """A file system in a partition: where it begins."""
    at, size = place
    call("mkfs.vfat", "-F", "32", "-s", "1", "--offset", str(at // 512), disk, str(size // 1024))
    return at


def places(loader):
    """name -> (first byte, bytes)"""
    at, found = MIB, {}
    for name, mib, kind in [*loader.partitions, *((name, loader.slot_mib, LINUX) for name in ("system_a", "system_b")),
                            ("data", 64, LINUX)]:
        found[name] = (at, mib * MIB, kind)
        at += mib * MIB
    return found


def make(disk, slot, loader=Grub, other=None):
    """A disk whose slot A, the primary one, holds the image slot, and B the image other, or the same."""
    where = places(loader)
    with open(disk, "wb") as f:
        f.truncate(max(at + size for at, size, _ in where.values()) + MIB)
    call("sfdisk", "-q", disk, input="label: gpt\n" + "".join(
        f"start={at // 512}, size={size // 512}, type={kind}, name={name}\n" for name, (at, size, kind) in where.items()))
    where = {name: (at, size) for name, (at, size, _) in where.items()}
    with tempfile.TemporaryDirectory(dir=os.path.dirname(disk)) as work:
        loader.install(disk, where, slot, work)
    at, size = where["data"]
    call("mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={at}", disk, f"{size // MIB}M")
    for name, image in (("system_a", slot), ("system_b", other or slot)):
        call("dd", f"if={image}", f"of={disk}", "bs=1M", f"seek={where[name][0] // MIB}", "conv=notrunc,sparse")


def place(image, path, at=0):
    """The first byte of a file in the ext4 file system that begins at byte at."""
    block = call("debugfs", "-R", f"bmap {path} 0", f"{image}?offset={at}").split()[-1]
    with open(image, "rb") as f:
        f.seek(at + 1024 + 24)
        return at + int(block) * (1024 << struct.unpack("<I", f.read(4))[0])


def folder_disk(out, folder, mib):
    """A read-only disk with what is in folder."""
    call("mke2fs", "-q", "-F", "-t", "ext4", "-L", "bundles", "-d", folder, out, f"{mib}M")
