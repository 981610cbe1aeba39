#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# slim.sh ROOT: what only costs time in an emulator goes out of the lab's userland: modules for hardware that the
# machine has not, and units that do nothing there. The initramfs starts the watchdog, as the package's example does.
set -eu
root=$1
inside() { chroot "$root" "$@"; }
wanted='virtio_pci virtio_blk virtio_console virtio_rng ext4 crc32c_generic crc32c_intel vfat nls_cp437 nls_ascii autofs4
	i6300esb virtio_net dm_verity'

version=$(ls "$root/usr/lib/modules")
folder=usr/lib/modules/$version
for module in $wanted; do
	inside modprobe -S "$version" --show-depends "$module" | sed -n 's|^insmod [^ ]*/lib/modules/\([^ ]*\).*|\1|p'
done | sort -u > "$root/tmp/kept"
(cd "$root/usr/lib/modules" && tar cf "$root/tmp/kept.tar" -T "$root/tmp/kept")
rm -r "$root/$folder/kernel" "$root/usr/lib/udev/hwdb.bin" 2> /dev/null || true
tar xf "$root/tmp/kept.tar" -C "$root/usr/lib/modules"
rm "$root/tmp/kept" "$root/tmp/kept.tar"
inside depmod "$version"

sed -i 's/^MODULES=.*/MODULES=list/' "$root/etc/initramfs-tools/initramfs.conf"
printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic crc32c_intel i6300esb > "$root/etc/initramfs-tools/modules"
install -m 755 "$root/usr/share/edgeferry/boot/edgeferry.initramfs" "$root/etc/initramfs-tools/scripts/init-bottom/edgeferry"
echo 'options i6300esb heartbeat=60' > "$root/etc/modprobe.d/watchdog.conf"
inside update-initramfs -u

inside systemctl --quiet disable systemd-networkd.service     # enabled where there is a network to be had
for unit in getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
	sys-kernel-tracing.mount modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service \
	modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service systemd-pstore.service \
	proc-sys-fs-binfmt_misc.automount systemd-binfmt.service systemd-update-utmp.service \
	systemd-update-utmp-runlevel.service systemd-user-sessions.service systemd-machine-id-commit.service \
	systemd-fsckd.socket systemd-fsckd.service systemd-pcrphase.service systemd-pcrphase-sysinit.service \
	systemd-ask-password-console.path systemd-ask-password-wall.path; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/systemd/system-generators"
for generator in bless-boot cryptsetup getty gpt-auto hibernate-resume integritysetup rc-local run system-update sysv \
	veritysetup; do
	ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done
