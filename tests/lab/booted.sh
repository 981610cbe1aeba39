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
# shellcheck source=tests/lab/container.sh
. "$(dirname "$0")/container.sh"
# what it does to its copy is gone afterwards
trap 'rm -rf --one-file-system "$folder/booted.run"' EXIT
container_new booted "$@"
cp -R "$(dirname "$script")" "${root:?}/scripts"
mkdir "$root/debs"
cp "$folder"/first/edgeferry_*.deb "$folder"/first/edgeferry-tools_*.deb "$folder"/first/edgeferry-edge-fw_*.deb "$root/debs/"
cat >"$root/etc/systemd/system/script.service" <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cd /; (dpkg -i /debs/*.deb && /scripts/$(basename "$script")) >/run/out 2>&1; echo \$? >/run/status; mount -o remount,bind,rw /; cp /run/out /run/status /; systemctl --no-block poweroff'
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../script.service "$root/etc/systemd/system/multi-user.target.wants/"
(container_boot timeout 900) >"$folder/booted.log" 2>&1 || true
cat "$root/out" || { cat "$folder/booted.log"; exit 1; }
exit "$(cat "$root/status" || echo 1)"
