# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# To be sourced: a container that boots Debian, systemd and all, for the packages that packages.sh left in $folder. Its
# network leads nowhere. Needs root, mmdebstrap and systemd-nspawn.

: "${folder:?}"
root= # what container_new made

# container_new NAME PACKAGE…: $root, a copy of the file system with these packages of Debian and all that ours depend on
container_new() {
	root=$folder/$1
	shift
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
		sed -n "s/^Debian $suite //p" | head -n 1)
	wanted="systemd-sysv dbus polkitd openssl procps python3-minimal $*"
	for deb in "$folder"/first/*.deb; do
		wanted="$wanted $(dpkg-deb -f "$deb" Depends | tr , '\n' | grep -v '^ *edgeferry' | sed 's/(.*//; s/|.*//')"
	done
	wanted=$(echo $wanted | tr ' ' '\n' | sort -u | paste -sd,)
	if [ "$(cat "$root.made" 2>/dev/null)" != "$wanted" ]; then
		rm -rf --one-file-system "$root" "$root.made"
		mmdebstrap --quiet --mode=root --variant=minbase --include="$wanted" "$suite" "$root" "$mirror"
		echo "$wanted" >"$root.made"
	fi
	rm -rf --one-file-system "$root.run"
	cp -a --reflink=auto "$root" "$root.run"
	root=$root.run
	: >"$root/etc/apt/sources.list"
}

# container_boot COMMAND…: in place of this shell, as what COMMAND runs, until it is powered off
container_boot() {
	export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
	exec "$@" systemd-nspawn --quiet --directory="$root" --register=no --keep-unit --private-network --boot \
		--console=pipe </dev/null
}
