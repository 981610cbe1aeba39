#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# packages.sh [FOLDER [PART…]]: the Debian packages as a stranger builds and installs them. Needs root and what
# debian/control names. PART: reproducible, examined, life, piuparts, autopkgtest, cross; all of them when none is named.
#
# Builds the source package twice in a clean chroot without network, at another path and with another time, umask,
# locale and time zone: all packages must be the same, byte for byte. Then lintian, and a package's life in another
# chroot: install, upgrade, remove, purge, which piuparts tries as well. Then what debian/tests/control names, by
# autopkgtest on a booted system, with upgrades while an update is under way. Then the packages of arm64 and armhf,
# which an emulator runs (qemu-user-static). FOLDER (/var/tmp/edgeferry-packages) keeps chroots and packages.
set -eu
[ "$(id -u)" = 0 ] || { echo "packages.sh: needs root"; exit 77; } # skipped
here=$(realpath "$(dirname "$0")/../..")
folder=${1:-/var/tmp/edgeferry-packages}
mkdir -p "$folder"
folder=$(realpath "$folder")
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
	sed -n "s/^Debian $suite //p" | head -n 1)

say() {
	echo "packages: $*"
}

# in_chroot ROOT [UNSHARE OPTION…] COMMAND: with /proc and /dev, in namespaces that leave nothing behind
in_chroot() {
	root=$1; shift
	command=$1; shift
	ROOT=$root COMMAND=$command unshare --mount --pid --fork "$@" sh -euc '
		mount --make-rprivate /
		mount -t proc proc "$ROOT/proc"
		mount --rbind /dev "$ROOT/dev"
		exec chroot "$ROOT" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
			sh -euc "$COMMAND"' </dev/null
}

new_chroot() { # ROOT VARIANT [ARCHITECTURE…]
	[ ! -e "$1" ] || return 0
	mmdebstrap --quiet --mode=root --variant="$2" --architectures="$(dpkg --print-architecture)${3:+,$3}" "$suite" "$1.new" "$mirror"
	printf '#!/bin/sh\nexit 101\n' >"$1.new/usr/sbin/policy-rc.d"
	chmod 755 "$1.new/usr/sbin/policy-rc.d"
	mv "$1.new" "$1"
}

source_package() {
	rm -rf "$folder/source"
	mkdir -p "$folder/source/tree"
	"$here/tests/lab/fetch-deb-source.sh" bearssl
	"$here/tests/lab/fetch-deb-source.sh" tinyssh
	"$here/debian/make-orig" "$folder/source" >/dev/null
	for t in "$folder"/source/*.orig.tar.xz "$folder"/source/*.orig-*; do
		part=${t##*.orig} part=${part%%.tar*}
		mkdir -p "$folder/source/tree/${part#-}"
		tar -C "$folder/source/tree/${part#-}" --strip-components=1 -xf "$t"
	done
	cp -R "$here/debian" "$folder/source/tree/"
	dpkg-source -b "$folder/source/tree" >/dev/null 2>&1 ||
		(cd "$folder/source" && dpkg-source -b tree)
	rm -rf "$folder/source/tree"
}

# build OUT PATH UMASK LOCALE ZONE
build() {
	root=$folder/build
	rm -rf "${folder:?}/$1" "${root:?}/$2"
	mkdir -p "$folder/$1" "$root/$2"
	cp "$folder"/source/* "$root/$2/"
	in_chroot "$root" "umask $3; export LC_ALL=$4 TZ=$5; cd $2
		dpkg-source -x ./*.dsc tree >/dev/null
		cd tree
		DEB_BUILD_OPTIONS='nocheck parallel=2' dpkg-buildpackage -us -uc -b -Pnocheck" --net >"$folder/$1.log" 2>&1 ||
		{ tail -n 40 "$folder/$1.log"; exit 1; }
	cp "$root/$2"/*.deb "$root/$2"/*.changes "$root/$2"/*.buildinfo "$folder/$1/"
	rm -rf "${root:?}/$2"
}

reproducible() {
	source_package
	new_chroot "$folder/build" buildd
	cp -R "$here/debian" "$folder/build/debian"
	in_chroot "$folder/build" 'apt-get -qq update
		apt-get -qq -y --no-install-recommends -Pnocheck build-dep / >/dev/null 2>&1'
	rm -r "$folder/build/debian"
	build first /build/one 022 C UTC
	build second /srv/another/place 002 C.UTF-8 Pacific/Kiritimati
	rc=0
	for deb in "$folder"/first/*.deb; do
		if cmp -s "$deb" "$folder/second/$(basename "$deb")"; then say "same twice: $(basename "$deb")"; else
			say "DIFFERS: $(basename "$deb")"
			rc=1
		fi
	done
	return $rc
}

# What is there after a purge, and was not before the install; the catalogue of users is dpkg's own matter.
files() {
	(cd "$1" && find . -xdev ! -path './proc/*' ! -path './dev/*' ! -path './var/lib/dpkg/*' ! -path './var/log/*' \
		! -path './var/cache/*' ! -path './etc/passwd*' ! -path './etc/group*' ! -path './etc/shadow*' \
		! -path './etc/gshadow*' ! -path './etc/.pwd.lock' ! -path './tmp/*' | LC_ALL=C sort)
}

# life: with nothing there but what the packages depend on
life() {
	root=$folder/life
	rm -rf "$root"
	new_chroot "$root" minbase
	mkdir "$root/debs"
	cp "$folder"/first/edgeferry_*.deb "$folder"/first/edgeferry-tools_*.deb "$folder"/first/edgeferry-edge-fw_*.deb "$root/debs/"
	# what they depend on, and the service manager of every real machine, is not theirs to remove
	in_chroot "$root" 'apt-get -qq update
		apt-get -qq -y --no-install-recommends install systemd >/dev/null
		for deb in /debs/*.deb; do
			depends=$(dpkg-deb -f "$deb" Depends)
			[ -z "$depends" ] || apt-get -qq -y --no-install-recommends satisfy "$depends" >/dev/null
		done'
	files "$root" >"$folder/before"
	in_chroot "$root" 'dpkg -i /debs/*.deb >/dev/null
		edgeferry --version
		/usr/libexec/edgeferry/edgeferryd --version
		getent passwd edgeferry-net >/dev/null
		echo "# of the administrator" >>/etc/edgeferry/edgeferry.conf
		echo "[Gateway]" >/etc/edgeferry/conf.d/own.conf
		mkdir -p /var/lib/edgeferry/keys
		echo key >/var/lib/edgeferry/keys/node
		# the next version
		dpkg-deb -R /debs/edgeferry_*.deb /tmp/next
		sed -i "s/^Version: .*/&+next/" /tmp/next/DEBIAN/control
		dpkg-deb -b /tmp/next /tmp/next.deb >/dev/null
		dpkg -i /tmp/next.deb >/dev/null
		grep -q "of the administrator" /etc/edgeferry/edgeferry.conf
		test -e /etc/edgeferry/conf.d/own.conf
		dpkg --remove edgeferry edgeferry-tools edgeferry-edge-fw >/dev/null
		test ! -e /usr/bin/edgeferry
		test -e /var/lib/edgeferry/keys/node
		grep -q "of the administrator" /etc/edgeferry/edgeferry.conf
		dpkg --purge edgeferry edgeferry-tools edgeferry-edge-fw >/dev/null
		rm -r /tmp/next /tmp/next.deb'
	files "$root" >"$folder/after"
	diff "$folder/before" "$folder/after" || { say "a purge leaves files behind, or takes others along"; return 1; }
	say "installed, upgraded, removed, purged: nothing is left"
}

# Of this version with a lower number, as there is no release before it yet; debug symbols, which want exactly their
# package's version, are left out.
version_before() { # PACKAGE…
	rm -rf "$folder/before"
	mkdir "$folder/before"
	for deb; do
		rm -rf "$folder/repack"
		dpkg-deb -R "$deb" "$folder/repack"
		sed -i 's/^Version: .*/&~before/' "$folder/repack/DEBIAN/control"
		[ ! -e "$folder/repack/etc/edgeferry/edgeferry.conf" ] ||
			echo '# of the version before' >>"$folder/repack/etc/edgeferry/edgeferry.conf"
		dpkg-deb --root-owner-group -b "$folder/repack" "$folder/before/" >/dev/null
	done
	rm -rf "$folder/repack"
	(cd "$folder/before" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
}

# install, purge; install the version before by apt, upgrade, purge: nothing is left, nothing of others is touched.
# systemd is there before, as in life: what it leaves behind is its own matter.
piuparts() {
	set -- "$folder"/first/edgeferry_*.deb "$folder"/first/edgeferry-tools_*.deb "$folder"/first/edgeferry-edge-fw_*.deb
	version_before "$@"
	[ -e "$folder/piuparts.tar.gz" ] ||
		mmdebstrap --quiet --mode=root --variant=minbase --include=systemd "$suite" "$folder/piuparts.tar.gz" "deb $mirror $suite main"
	rm -f "$folder/piuparts.log"
	command piuparts --basetgz "$folder/piuparts.tar.gz" --distribution "$suite" --mirror "$mirror main" --no-eatmydata \
		--bindmount "$folder/before" --extra-repo "deb [trusted=yes] file://$folder/before ./" \
		--log-file "$folder/piuparts.log" "$@" >/dev/null ||
		{ grep -B2 -A20 'ERROR\|FAIL' "$folder/piuparts.log" | tail -n 60; return 1; }
	for wanted in 'PASS: Installation and purging test' 'PASS: Installation, upgrade and purging tests'; do
		grep -q "$wanted" "$folder/piuparts.log" || { say "piuparts has not said: $wanted"; return 1; }
	done
	say "piuparts has nothing to say"
}

autopkgtest() {
	"$here/tests/lab/autopkgtest.sh" "$folder"
}

examined() {
	lintian --allow-root --pedantic -I --fail-on error,warning,info,pedantic "$folder"/first/*.changes "$folder"/source/*.dsc
	say "lintian has nothing to say"
	for deb in "$folder"/first/*.deb; do
		say "$(dpkg-deb -f "$deb" Package): $(dpkg-deb -f "$deb" Installed-Size) KiB installed, $(stat -c %s "$deb") bytes"
	done
}

# What a program of another architecture needs to run is unpacked, not installed: nothing of it is run here.
run_foreign() { # ARCHITECTURE EMULATOR
	root=$folder/run-$1
	rm -rf "$root"
	wanted=$(for deb in "$folder/cross-$1.debs"/edgeferry_*.deb "$folder/cross-$1.debs"/edgeferry-tools_*.deb; do
		dpkg-deb -f "$deb" Depends | tr , '\n' | sed 's/(.*//; s/|.*//; s/ //g'
	done | grep -v '^edgeferry' | sort -u | paste -sd,)
	mmdebstrap --quiet --mode=root --variant=extract --architectures="$1" --include="$wanted" "$suite" "$root" "$mirror"
	for deb in "$folder/cross-$1.debs"/*.deb; do dpkg-deb -x "$deb" "$root"; done
	libraries=lib/$(dpkg-architecture -a"$1" -qDEB_HOST_MULTIARCH)
	for program in bin/edgeferry libexec/edgeferry/edgeferryd bin/edgeferry-repo; do
		say "$1: $("$2" -L "$root" -E LD_LIBRARY_PATH="$root/$libraries:$root/usr/$libraries" "$root/usr/$program" --version)"
	done
}

cross() {
	[ -e "$folder/source" ] || source_package
	for pair in arm64:qemu-aarch64-static armhf:qemu-arm-static; do
		arch=${pair%%:*} root=$folder/cross-${pair%%:*}
		new_chroot "$root" buildd "$arch"
		rm -rf "$root/debian" "$root/build" "$folder/cross-$arch.debs"
		cp -R "$here/debian" "$root/debian"
		in_chroot "$root" "apt-get -qq update
			apt-get -qq -y --no-install-recommends install crossbuild-essential-$arch >/dev/null
			apt-get -qq -y --no-install-recommends -a$arch -Pcross,nocheck --arch-only build-dep / >/dev/null"
		mkdir "$root/build" "$folder/cross-$arch.debs"
		cp "$folder"/source/* "$root/build/"
		in_chroot "$root" "cd build
			dpkg-source -x ./*.dsc tree >/dev/null
			cd tree
			DEB_BUILD_OPTIONS='nocheck parallel=2' dpkg-buildpackage -us -uc -B -a$arch -Pcross,nocheck" --net >"$folder/cross-$arch.log" 2>&1 ||
			{ tail -n 40 "$folder/cross-$arch.log"; exit 1; }
		cp "$root"/build/*.deb "$folder/cross-$arch.debs/"
		run_foreign "$arch" "${pair##*:}"
	done
}

[ $# -gt 1 ] && shift || set -- reproducible examined life piuparts autopkgtest cross
for part; do
	"$part"
done
