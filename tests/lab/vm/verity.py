# SPDX-License-Identifier: Apache-2.0
"""Images of the lab's gateway that are started on dm-verity, as "ROOT ON DM-VERITY" in edgeferry.conf(5) says."""
import hashlib
import os
import pathlib
import shutil
import struct

import disk
from lab import Lab

BLOCK = 4096
INITRAMFS = {"edgeferry-verity.hook": "hooks", "edgeferry-verity.initramfs": "scripts/local-top"}
# The root is read-only, whatever the kernel's command line says.
FSTAB = "tmpfs /var tmpfs mode=755,size=10% 0 0\ntmpfs /tmp tmpfs mode=1777,size=10% 0 0\n"


def slot(tree):
    """What is different in such an image."""
    for name, folder in INITRAMFS.items():
        shutil.copy(tree / "usr/share/edgeferry/boot" / name, tree / "etc/initramfs-tools" / folder / "edgeferry-verity")
    disk.call("chroot", tree, "update-initramfs", "-u")
    fstab = tree / "etc/fstab"
    fstab.write_text(FSTAB + fstab.read_text())
    disk.rootfs.write(f"{tree}/etc/edgeferry/conf.d/10-request.conf", "[Update]\nReboot=request\n")


def seal(image):
    """Appends the hash tree."""
    disk.call("veritysetup", "format", f"--hash-offset={os.path.getsize(image)}", "--salt=" + 32 * "5a",
              "--uuid=0ed6efe4-0000-4000-8000-000000000005", image, image)


def root(image):
    """(offset of the tree, root hash): the salted digest of its top block, which stands behind the superblock."""
    offset = disk.IMAGE_MIB * disk.MIB
    with open(image, "rb") as f:
        f.seek(offset)
        superblock, top = f.read(BLOCK), f.read(BLOCK)
    size, = struct.unpack_from("<H", superblock, 80)
    return offset, hashlib.sha256(superblock[88:88 + size] + top).hexdigest()


class Grub(disk.Grub):
    @staticmethod
    def variables(slot):
        offset, hash_ = root(slot)
        return [f"edgeferry_verity_A=edgeferry.roothash={hash_} edgeferry.hashoffset={offset}"]


class VerityLab(Lab):
    finish = staticmethod(seal)

    def add_options(self, image):
        return ["--verity", "{}:{}".format(*root(image))]


def flip(lab, slot, image, path, text):
    """Changes one bit of this text in the file on the medium of a slot that holds the image."""
    at = disk.place(image, path)
    with open(image, "rb") as f:
        f.seek(at)
        at += f.read(BLOCK).index(text)
    device = f"/dev/disk/by-partlabel/system_{slot.lower()}"
    lab.machine.run(f"printf '\\{text[0] ^ 1:03o}' | dd of={device} bs=1 seek={at} conv=notrunc,fsync && "
                    "echo 3 > /proc/sys/vm/drop_caches")
