#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# autopkgtest.sh FOLDER [OPTION…]: Debian's autopkgtest runs what debian/tests/control names, with the packages that
# packages.sh left in FOLDER, each in a container of its own that was just booted. OPTION: autopkgtest's.
#
# Called by autopkgtest-virt-ssh as well, whose set-up script this is (open, revert, cleanup, debug-failure): what it
# calls SSH is a sshd in the container's namespaces on our standard input, so that no network is needed.
# Needs root, autopkgtest, mmdebstrap, ssh and systemd-nspawn.
set -eu
case $1 in
open | revert | cleanup | debug-failure) do=$1 folder=$2 ;;
*) do=run folder=$(realpath "$1") ;;
esac
# shellcheck source=tests/lab/container.sh
. "$(dirname "$0")/container.sh"

close_container() {
	if pid=$(cat "$folder/autopkgtest.pid" 2>/dev/null); then
		kill "$pid" 2>/dev/null || true
		for _ in $(seq 60); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.5
		done
		kill -KILL "$pid" 2>/dev/null || true
	fi
	rm -rf --one-file-system "$folder/autopkgtest.run" "$folder/autopkgtest.pid"
}

open_container() {
	container_new autopkgtest apt-utils openssh-server
	install -D -m 600 "$folder/autopkgtest.key.pub" "${root:?}/root/.ssh/authorized_keys"
	(container_boot env) >"$folder/autopkgtest.log" 2>&1 &
	echo $! >"$folder/autopkgtest.pid"
	for _ in $(seq 600); do # its first process is the one child of systemd-nspawn that stays
		init=$(cat "/proc/$!/task/$!/children")
		init=${init%% *}
		[ -z "$init" ] || [ "$(cat "/proc/$init/comm")" != systemd ] || [ ! -d "/proc/$init/root/run/sshd" ] || break
		sleep 0.1
	done
	cat >"$folder/autopkgtest.enter" <<S
#!/bin/sh
exec nsenter --target $init --all --root --wd /usr/sbin/sshd -i
S
	chmod 755 "$folder/autopkgtest.enter"
	cat <<S
login=root
hostname=container
identity=$folder/autopkgtest.key
options=-oProxyCommand=$folder/autopkgtest.enter
capabilities=isolation-container,revert,revert-full-system
S
}

run() {
	rm -rf "$folder/autopkgtest.source" "$folder/autopkgtest.out"
	mkdir "$folder/autopkgtest.source"
	(cd "$folder/autopkgtest.source" && dpkg-source --no-check -x "$folder"/source/*.dsc tree >/dev/null)
	: >"$folder/autopkgtest.source/tree/debian/files" # a tree that was built, so that it is not built there
	[ -e "$folder/autopkgtest.key" ] || ssh-keygen -q -t ed25519 -N '' -f "$folder/autopkgtest.key"
	autopkgtest --no-built-binaries --output-dir "$folder/autopkgtest.out" "$@" "$folder"/first/edgeferry_*.deb \
		"$folder"/first/edgeferry-tools_*.deb "$folder/autopkgtest.source/tree" -- ssh -s "$(realpath "$0")" -- "$folder"
}

shift
case $do in
open | revert)
	close_container
	open_container
	;;
cleanup) close_container ;;
debug-failure) tail -n 60 "$folder/autopkgtest.log" >&2 ;;
run) run "$@" ;;
esac
