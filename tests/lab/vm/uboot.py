# SPDX-License-Identifier: Apache-2.0
"""
U-Boot on the lab's PC: Debian's build for x86, conf/boot/edgeferry.uboot, and an environment in a partition of the disk,
which edgeferry and fw_setenv change by the same fw_env.config. That build keeps no environment by itself, so the script
reads and writes it; nor can it write a redundant one.
"""
import pathlib

import disk
from machine import Machine

ENV_SIZE = 0x1000
BLOCKS = ENV_SIZE // 512
ROM = pathlib.Path("/usr/lib/u-boot/qemu-x86/u-boot.rom")
VARIABLES = "BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT edgeferry_trial edgeferry_verity_A edgeferry_verity_B"
HEAD = f"""part start virtio 0 ubootenv place
virtio read 0x2000000 ${{place}} {BLOCKS:#x}
env import -c 0x2000000 {ENV_SIZE:#x}
setenv edgeferry_save 'env export -c -s {ENV_SIZE:#x} 0x2000000 {VARIABLES} && virtio write 0x2000000 ${{place}} {BLOCKS:#x}'
"""
TAIL = """echo "u-boot: starts slot ${edgeferry_slot}, attempts left: A ${BOOT_A_LEFT}, B ${BOOT_B_LEFT}"
if test "${edgeferry_slot}" = B; then name=system_b; else name=system_a; fi
part number virtio 0 ${name} number
setenv bootargs "root=PARTLABEL=${name} rw console=ttyS0 quiet mitigations=off panic=5 systemd.show_status=0 ${edgeferry_args}"
if ext4load virtio 0:${number} 0x3000000 /vmlinuz; then
	setenv kernel_size ${filesize}
	if ext4load virtio 0:${number} 0x6000000 /initrd.img; then
		zboot 0x3000000 ${kernel_size} 0x6000000 ${filesize}
	fi
fi
echo "u-boot: slot ${edgeferry_slot} does not load"
reset
"""


def slot(tree):
    """What an image needs to be started by it."""
    path = tree / "etc/edgeferry/edgeferry.conf"
    path.write_text(path.read_text().replace("Boot=grub", "Boot=uboot").replace("/boot/grub", "/etc"))
    fstab = tree / "etc/fstab"
    fstab.write_text("".join(line for line in fstab.read_text().splitlines(True) if "/boot/grub" not in line))
    disk.rootfs.write(f"{tree}/etc/fw_env.config", f"/dev/disk/by-partlabel/ubootenv 0x0 {ENV_SIZE:#x}\n")


class Uboot:
    slot_mib, image_mib = disk.SLOT_MIB, disk.IMAGE_MIB
    partitions = [("ubootenv", 1, disk.LINUX), ("boot", 34, disk.ESP)]

    @staticmethod
    def install(image, places, slot_image, work):
        at = disk.fat(image, places["boot"])
        script = (disk.HERE.parents[2] / "conf/boot/edgeferry.uboot").read_text()
        pathlib.Path(f"{work}/boot.cmd").write_text(HEAD + script + TAIL)
        disk.call("mkimage", "-A", "x86", "-T", "script", "-C", "none", "-d", f"{work}/boot.cmd", f"{work}/boot.scr")
        disk.call("mcopy", "-i", f"{image}@@{at}", f"{work}/boot.scr", "::/")
        pathlib.Path(f"{work}/env.txt").write_text("BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n")
        disk.call("mkenvimage", "-s", str(ENV_SIZE), "-o", f"{work}/env", f"{work}/env.txt")
        disk.call("dd", f"if={work}/env", f"of={image}", "bs=512", f"seek={places['ubootenv'][0] // 512}", "conv=notrunc")


class UbootMachine(Machine):
    board = "pc"

    def firmware(self):
        rom = pathlib.Path(f"{self.dir}/u-boot.rom")
        rom.write_bytes(ROM.read_bytes().replace(b"bootdelay=2", b"bootdelay=0"))
        return ["-bios", str(rom)]
