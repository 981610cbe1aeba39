#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# userland.sh DEB OUT.tar: what a gateway of the lab runs, from Debian packages: kernel, systemd, edgeferry itself.
# Needs root, and the package sources that this machine uses.
set -eu
here=$(dirname "$(realpath "$0")") deb=$(realpath "$1") out=$(realpath -m "$2")
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
packages=systemd-sysv,udev,dbus,kmod,linux-image-amd64,initramfs-tools,zstd,cryptsetup-bin,libubootenv-tool,qemu-guest-agent

exec mmdebstrap --quiet --mode=root --variant=minbase --format=tar --include="$packages" \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
	--dpkgopt='path-exclude=/usr/lib/*/gconv/*' --dpkgopt='path-exclude=/lib/udev/hwdb.d/*' \
	--customize-hook='copy-in '"$deb"' /tmp' \
	--customize-hook='chroot "$1" apt-get install --yes --no-install-recommends "/tmp/'"$(basename "$deb")"'"' \
	--customize-hook='rm "$1/tmp/'"$(basename "$deb")"'"' \
	--customize-hook="$here/slim.sh"' "$1"' \
	--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/*' \
	--customize-hook='echo gateway > "$1/etc/hostname"; : > "$1/etc/machine-id"' \
	"$codename" "$out"
