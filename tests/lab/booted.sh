#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# booted.sh FOLDER SCRIPT [PACKAGE…]: boots Debian in a container, systemd and all, installs our packages there, and runs
# SCRIPT as root.
#
# FOLDER is that of packages.sh, which builds them. The folder of SCRIPT is /scripts. PACKAGE: of Debian's, to be there as
# well. The container has a network of its own that leads nowhere. Exit status: SCRIPT's. Needs root, mmdebstrap
# and systemd-nspawn.
set -eu
folder=$(realpath "$1") script=$(realpath "$2")
shift 2
root=$folder/booted
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
	sed -n "s/^Debian $suite //p" | head -n 1)
wanted="systemd-sysv dbus polkitd openssl procps python3-minimal $*"
# what ours depend on, so that they can be installed where no network is
for deb in "$folder"/first/*.deb; do
	wanted="$wanted $(dpkg-deb -f "$deb" Depends | tr , '\n' | grep -v '^ *edgeferry' | sed 's/(.*//; s/|.*//')"
done
wanted=$(echo $wanted | tr ' ' '\n' | sort -u | paste -sd,)
if [ "$(cat "$root.made" 2>/dev/null)" != "$wanted" ]; then
	rm -rf --one-file-system "$root" "$root.made"
	mmdebstrap --quiet --mode=root --variant=minbase --include="$wanted" "$suite" "$root" "$mirror"
	echo "$wanted" >"$root.made"
fi
# this run's own copy; what it does to it is gone afterwards
rm -rf --one-file-system "$root.run"
cp -a --reflink=auto "$root" "$root.run"
trap 'rm -rf --one-file-system "$root.run"' EXIT
cp -R "$(dirname "$script")" "$root.run/scripts"
mkdir "$root.run/debs"
cp "$folder"/first/edgeferry_*.deb "$folder"/first/edgeferry-tools_*.deb "$folder"/first/edgeferry-edge-fw_*.deb "$root.run/debs/"
cat >"$root.run/etc/systemd/system/script.service" <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cd /; (dpkg -i /debs/*.deb && /scripts/$(basename "$script")) >/run/out 2>&1; echo \$? >/run/status; mount -o remount,bind,rw /; cp /run/out /run/status /; systemctl --no-block poweroff'
UNIT
mkdir -p "$root.run/etc/systemd/system/multi-user.target.wants"
ln -s ../script.service "$root.run/etc/systemd/system/multi-user.target.wants/"
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 900 systemd-nspawn --quiet --directory="$root.run" --register=no --keep-unit \
	--private-network --boot --console=pipe </dev/null >"$folder/booted.log" 2>&1 || true
cat "$root.run/out" || { cat "$folder/booted.log"; exit 1; }
exit "$(cat "$root.run/status" || echo 1)"
