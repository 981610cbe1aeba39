#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes this machine able to build and test edgeferry: installs what debian/control names and the
# machine lacks, and fetches the sources of the MCUs' crypto libraries through apt. Says so first; does nothing
# when nothing is missing. Run by ./demo and ./test.
set -eu
cd "$(dirname "$0")/../.."

say() {
	echo "set-up: $*"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		say "root rights are needed for: $*" >&2
		exit 1
	fi
}

missing() {
	# dpkg-checkbuilddeps is itself one of the things that can be missing
	if command -v dpkg-checkbuilddeps >/dev/null; then
		dpkg-checkbuilddeps debian/control 2>&1 || true
	else
		echo "all (dpkg-dev is not installed)"
	fi
}

# Packages that bring a service must not start it here: the tests run servers of their own.
install_quietly() {
	policy=/usr/sbin/policy-rc.d
	ours=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
		as_root chmod 755 $policy
		ours=yes
	fi
	before=$(dpkg-query -W -f '${db:Status-Abbrev}${Package} ' nginx-common mosquitto 2>/dev/null || true)
	rc=0
	as_root apt-get -q update || rc=$?
	if [ $rc = 0 ]; then
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends build-dep ./ || rc=$?
	fi
	[ -z "$ours" ] || as_root rm -f $policy
	[ $rc = 0 ] || { say "installing failed" >&2; exit $rc; }
	if [ -d /run/systemd/system ]; then
		case $before in *nginx-common*) ;; *) as_root systemctl -q disable nginx 2>/dev/null || true ;; esac
		case $before in *mosquitto*) ;; *) as_root systemctl -q disable mosquitto 2>/dev/null || true ;; esac
	fi
}

m=$(missing)
if [ -n "$m" ]; then
	say "installing the build and test dependencies of debian/control that this machine lacks:"
	say "${m#*Unmet build dependencies: }"
	install_quietly
	m=$(missing)
	[ -z "$m" ] || { say "still missing: $m" >&2; exit 1; }
fi
tests/lab/fetch-deb-source.sh bearssl
tests/lab/fetch-deb-source.sh tinyssh
# meson lays our build file over that source only when it unpacks it
for ours in subprojects/packagefiles/*; do
	for unpacked in subprojects/"${ours##*/}"-*/; do
		[ ! -d "$unpacked" ] || cmp -s "$ours/meson.build" "$unpacked/meson.build" || cp "$ours/meson.build" "$unpacked"
	done
done
