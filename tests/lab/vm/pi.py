# SPDX-License-Identifier: Apache-2.0
"""
The boot stage of a Raspberry Pi around the lab's machine, as far as its documents ("autoboot.txt", "config.txt") say what
A/B updates need: each start reads autoboot.txt from the disk, takes kernel, initramfs and command line from the partition
that it names, and has the flag of `reboot "0 tryboot"` for the one start after it. The flag is read where it shows what
the kernel was really called with: the last line that the kernel prints of a restart has the argument of reboot(2).
The device tree's /chosen/bootloader, which a PC has not, is files below /sys/firmware that a unit of the image makes from
the command line.
"""
import pathlib
import re
import subprocess

import disk
from machine import Machine

AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
COMMAND_LINE = "root=PARTLABEL=system_{slot} rw console=ttyS0 quiet mitigations=off panic=5 systemd.show_status=0"
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
    path.write_text(path.read_text().replace("Boot=grub", "Boot=tryboot").replace("/boot/grub", "/bootfs"))
    fstab = tree / "etc/fstab"
    fstab.write_text(fstab.read_text().replace("by-partlabel/boot /boot/grub", "by-partlabel/bootconfig /bootfs"))
    (tree / "bootfs").mkdir()
    disk.rootfs.write(str(tree / "etc/systemd/system/lab-firmware.service"), UNIT)
    disk.program(tree / "usr/libexec/lab-firmware", DEVICE_TREE)
    disk.wanted(tree, "lab-firmware.service", "sysinit.target")


class Tryboot:
    slot_mib, image_mib = disk.SLOT_MIB, disk.IMAGE_MIB
    partitions = [("bootconfig", 34, disk.ESP), ("boot_a", 34, disk.ESP), ("boot_b", 34, disk.ESP)]

    @staticmethod
    def install(image, places, slot_image, work):
        at = disk.fat(image, places["bootconfig"])
        pathlib.Path(f"{work}/autoboot.txt").write_text(AUTOBOOT)
        disk.call("mcopy", "-i", f"{image}@@{at}", f"{work}/autoboot.txt", "::/")
        boot = disk.call("debugfs", "-R", "ls -p /boot", slot_image).split("/")
        for name, start in (("kernel8.img", "vmlinuz-"), ("initramfs8", "initrd.img-")):
            file = next(word for word in boot if word.startswith(start))
            disk.call("debugfs", "-R", f"dump /boot/{file} {work}/{name}", slot_image)
        pathlib.Path(f"{work}/config.txt").write_text("kernel=kernel8.img\ninitramfs initramfs8 followkernel\n")
        for name in ("a", "b"):
            at = disk.fat(image, places[f"boot_{name}"])
            pathlib.Path(f"{work}/cmdline.txt").write_text(COMMAND_LINE.format(slot=name) + "\n")
            disk.call("mcopy", "-i", f"{image}@@{at}", *(f"{work}/{file}" for file in (
                "kernel8.img", "initramfs8", "config.txt", "cmdline.txt")), "::/")


def settings(text, tryboot):
    """The lines in force of autoboot.txt or config.txt, whose filters are [all], [none] and [tryboot]."""
    found, on = {}, True
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            on = line == "[all]" or (line == "[tryboot]" and tryboot)
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
        config = settings(self.read(partition, "config.txt").decode(), tryboot)
        for name, key in (("kernel", "kernel"), ("initrd", "initramfs")):
            pathlib.Path(f"{self.dir}/{name}").write_bytes(self.read(partition, config[key].split()[0]))
        line = self.read(partition, "cmdline.txt").decode().strip()
        self.starts = (*self.starts, (partition, tryboot))
        return ["-kernel", f"{self.dir}/kernel", "-initrd", f"{self.dir}/initrd",
                "-append", f"{line} lab.partition={partition} lab.tryboot={tryboot:d}"]
