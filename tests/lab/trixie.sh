#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# trixie.sh [FOLDER]: builds edgeferry in a Debian 13 chroot and runs the tests that its newer libraries
# decide: libgpiod 2, systemd 257, OpenSSL 3.5. Needs root and mmdebstrap, takes Debian from where this
# machine has it. FOLDER (/var/tmp/edgeferry-trixie) keeps the chroot for the next time.
set -eu
[ "$(id -u)" = 0 ] || { echo "trixie.sh: needs root"; exit 77; } # skipped

root=${1:-/var/tmp/edgeferry-trixie}
source=$(realpath "$(dirname "$0")/../..")
# what debian/control names, without the boards' compilers and emulators
packages="gcc libc6-dev ninja-build pkcs11-provider $(sed -n '/^Build-Depends:/,/^[A-Z]/ s/^ \([a-z0-9.+-]*\).*/\1/p' "$source/debian/control" |
	grep -Ev '^(debhelper|dh-|gcc-|clang|libclang|qemu-|u-boot-qemu|mmdebstrap|autopkgtest|git|lintian|piuparts|systemd-container)')"

mirror() {
	cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null | awk '
		$1 == "URIs:" { uri = $2 }
		$1 == "Suites:" && $2 !~ /security/ && uri ~ /debian\/?$/ { print uri; exit }
		$1 == "deb" && $0 ~ /debian\/? / { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }'
}

if [ ! -e "$root/etc/debian_version" ]; then
	from=$(mirror)
	[ -n "$from" ] || { echo "trixie.sh: no Debian mirror in this machine's apt sources" >&2; exit 1; }
	mmdebstrap --variant=apt trixie "$root.new" "$from"
	mv "$root.new" "$root"
fi
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service of its own starts here
chmod 755 "$root/usr/sbin/policy-rc.d"

rm -rf "$root/src"
mkdir "$root/src"
git -C "$source" ls-files -z | tar -C "$source" --null -T - -cf - | tar -C "$root/src" -xf -
# in a mount namespace of its own, which leaves nothing behind
packages=$(printf '%s ' $packages)
export root packages
exec unshare --mount sh -euc '
	mount --make-rprivate /
	mount --bind "$root" "$root"
	mount --rbind /proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount --rbind /sys "$root/sys"
	exec chroot "$root" sh -euc "
		apt-get -qq update
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $packages >/dev/null
		cd /src
		pkgconf --modversion libgpiod libsystemd libcrypto
		[ -e /build/build.ninja ] || meson setup /build -Dedge=disabled
		ninja -C /build
		meson test -C /build --suite unit --print-errorlogs"'
