#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# userland.sh OUT.tar: the guest of the Bluetooth lab, from Debian packages: a kernel with hci_vhci (the cloud kernel has
# none), systemd, bluetoothd, btvirt, and the libraries of edgeferry's programs. Needs root.
set -eu
out=$(realpath -m "$1")
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
case $codename in bookworm) gpiod=libgpiod2 ;; *) gpiod=libgpiod3 ;; esac
packages=systemd-sysv,udev,dbus,kmod,linux-image-amd64,initramfs-tools,zstd,qemu-guest-agent
packages=$packages,bluez,bluez-test-tools,python3-minimal,libjansson4,libsqlite3-0,libssl3,libzstd1,libubootenv0.1,$gpiod
drivers='/lib/modules/*/kernel'

exec mmdebstrap --quiet --mode=root --variant=minbase --format=tar --include="$packages" \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
	--dpkgopt="path-exclude=$drivers/drivers/gpu/*" --dpkgopt="path-exclude=$drivers/drivers/media/*" \
	--dpkgopt="path-exclude=$drivers/drivers/net/ethernet/*" --dpkgopt="path-exclude=$drivers/drivers/net/wireless/*" \
	--dpkgopt="path-exclude=$drivers/drivers/scsi/*" --dpkgopt="path-exclude=$drivers/drivers/infiniband/*" \
	--dpkgopt="path-exclude=$drivers/sound/*" --dpkgopt="path-exclude=$drivers/drivers/usb/*" \
	--dpkgopt="path-exclude=$drivers/drivers/iio/*" --dpkgopt="path-exclude=$drivers/drivers/staging/*" \
	--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/*' \
	--customize-hook='echo gateway > "$1/etc/hostname"; : > "$1/etc/machine-id"' \
	--customize-hook='for u in getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
		e2scrub_all.timer e2scrub_reap.service fstrim.timer; do ln -sf /dev/null "$1/etc/systemd/system/$u"; done' \
	"$codename" "$out"
