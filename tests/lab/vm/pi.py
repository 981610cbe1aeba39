# SPDX-License-Identifier: Apache-2.0
"""
The boot stage of a Raspberry Pi around the lab's machine, as far as its documents ("autoboot.txt", "config.txt") say what
A/B updates need: each start reads autoboot.txt from the disk, takes kernel, initramfs and command line from the partition
that it names, and has the flag of `reboot "0 tryboot"` for the one start after it. The flag is read where it shows what
the kernel was really called with: the last line that the kernel prints of a restart has the argument of reboot(2).
The device tree's /chosen/bootloader, which a PC has not, is files below /sys/firmware that a unit of the image makes from
the command line.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import disk
from machine import Machine

BOOT_MIB = 34
# One image for either slot: which command line it is, the partition tells that was started.
CONFIG = """kernel=kernel8.img
initramfs initramfs8 followkernel
[boot_partition=2]
cmdline=cmdline-a.txt
[boot_partition=3]
cmdline=cmdline-b.txt
"""
AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
COMMAND_LINE = "root=PARTLABEL=system_{slot} lab.kernel={release} rw console=ttyS0 quiet mitigations=off panic=5 systemd.show_status=0"
CHOSEN = "/sys/firmware/devicetree/base/chosen/bootloader"
DEVICE_TREE = f"""mount -t tmpfs none /sys/firmware
mkdir -p {CHOSEN}
for word in $(cat /proc/cmdline); do
	case $word in
	lab.*) name=${{word#lab.}}; printf "\\000\\000\\000\\00${{name#*=}}" > "{CHOSEN}/${{name%%=*}}" ;;
	esac
done
"""
UNIT = """[Unit]
Description=What the firmware says in the device tree
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/usr/libexec/lab-firmware
"""


def slot(tree):
    """What an image needs to be a Pi's."""
    path = tree / "etc/edgeferry/edgeferry.conf"
    path.write_text(path.read_text().replace("Boot=grub", "Boot=tryboot").replace("/boot/grub", "/bootfs").replace(
        "\n[Update]", "BootA=/dev/disk/by-partlabel/boot_a\nBootB=/dev/disk/by-partlabel/boot_b\n\n[Update]"))
    fstab = tree / "etc/fstab"
    fstab.write_text(fstab.read_text().replace("by-partlabel/boot /boot/grub", "by-partlabel/bootconfig /bootfs"))
    (tree / "bootfs").mkdir()
    disk.rootfs.write(str(tree / "etc/systemd/system/lab-firmware.service"), UNIT)
    disk.program(tree / "usr/libexec/lab-firmware", DEVICE_TREE)
    disk.wanted(tree, "lab-firmware.service", "sysinit.target")


def boot_image(slot_image):
    """The boot partition that goes with a slot's image: its kernel, and what it is called with. Beside that image."""
    out = slot_image + ".boot"
    if os.path.exists(out):
        return out
    release = disk.call("debugfs", "-R", "cat /etc/lab-release", slot_image).strip()
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as work:
        boot = disk.call("debugfs", "-R", "ls -p /boot", slot_image).split("/")
        for name, start in (("kernel8.img", "vmlinuz-"), ("initramfs8", "initrd.img-")):
            file = next(word for word in boot if word.startswith(start))
            disk.call("debugfs", "-R", f"dump /boot/{file} {work}/{name}", slot_image)
        pathlib.Path(f"{work}/config.txt").write_text(CONFIG)
        for slot_ in "ab":
            pathlib.Path(f"{work}/cmdline-{slot_}.txt").write_text(COMMAND_LINE.format(slot=slot_, release=release) + "\n")
        files = [f"{work}/{name}" for name in os.listdir(work)]
        disk.call("mkfs.vfat", "-F", "32", "-s", "1", "-C", f"{work}/image", str(BOOT_MIB * 1024))
        disk.call("mcopy", "-i", f"{work}/image", *files, "::/")
        shutil.move(f"{work}/image", out)
    return out


class Tryboot:
    slot_mib, image_mib = disk.SLOT_MIB, disk.IMAGE_MIB
    partitions = [("bootconfig", 34, disk.ESP), ("boot_a", BOOT_MIB, disk.ESP), ("boot_b", BOOT_MIB, disk.ESP)]

    @staticmethod
    def install(image, places, slot_image, work):
        at = disk.fat(image, places["bootconfig"])
        pathlib.Path(f"{work}/autoboot.txt").write_text(AUTOBOOT)
        disk.call("mcopy", "-i", f"{image}@@{at}", f"{work}/autoboot.txt", "::/")
        for name in ("boot_a", "boot_b"):
            disk.call("dd", f"if={boot_image(slot_image)}", f"of={image}", "bs=1M", f"seek={places[name][0] // disk.MIB}",
                      "conv=notrunc,sparse")


def settings(text, tryboot, partition=None):
    """The lines in force of autoboot.txt or config.txt, whose filters are [all], [none], [tryboot] and
    [boot_partition=N]."""
    found, on = {}, True
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            on = line == "[all]" or (line == "[tryboot]" and tryboot) or line == f"[boot_partition={partition}]"
        elif on and line:
            key, _, value = line.partition(" " if line.startswith("initramfs ") else "=")
            found[key] = value.strip()
    return found


class PiMachine(Machine):
    starts = ()     # (partition, tryboot) of each
    seen = 0        # of the serial line, at the last start

    def read(self, partition, name):
        at = list(disk.places(Tryboot).values())[partition - 1][0]
        return subprocess.run(["mcopy", "-n", "-i", f"{self.disk}@@{at}", f"::{name}", "-"], check=True,
                              capture_output=True).stdout

    def argument(self):
        """Of the reboot(2) that came before this start: none after a plain one, a panic, a watchdog and a power cut."""
        said = re.search(r"reboot: Restarting system with command '([^']*)'", self.serial()[self.seen:])
        return said[1] if self.process and said else ""

    def firmware(self):
        number, *words = self.argument().split() or ["0"]
        tryboot = "tryboot" in words
        self.seen = len(self.serial())
        autoboot = settings(self.read(1, "autoboot.txt").decode(), tryboot)
        if autoboot.get("tryboot_a_b") != "1":
            raise RuntimeError("autoboot.txt: without tryboot_a_b=1 a trial loads tryboot.txt, which is not played here")
        partition = int(number) or int(autoboot["boot_partition"])
        config = settings(self.read(partition, "config.txt").decode(), tryboot, partition)
        for name, key in (("kernel", "kernel"), ("initrd", "initramfs")):
            pathlib.Path(f"{self.dir}/{name}").write_bytes(self.read(partition, config[key].split()[0]))
        line = self.read(partition, config["cmdline"]).decode().strip()
        self.starts = (*self.starts, (partition, tryboot))
        return ["-kernel", f"{self.dir}/kernel", "-initrd", f"{self.dir}/initrd",
                "-append", f"{line} lab.partition={partition} lab.tryboot={tryboot:d}"]
