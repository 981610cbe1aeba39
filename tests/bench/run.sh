#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh: every benchmark, one after the other, on an otherwise idle machine. Needs a build in build/.
set -eu
cd "$(dirname "$0")/../.."
ninja -C build >/dev/null
ninja -C build tests/bench/uart/uart-stage >/dev/null

echo "== Bootloader and application: bytes of flash, RAM and stack by board"
ninja -C build edge-sizes | grep '^|'
echo
echo "== UART: payload against line rate"
tests/bench/uart/uart.py --node build/edge-fw/port/host/edgeferry-node --stage build/tests/bench/uart/uart-stage
echo
echo "== Slot: staging against dd"
tests/bench/stage/stage.py --worker build/src/worker/edgeferry-worker --repo build/src/repo/edgeferry-repo \
	--cache build/lab
echo
echo "== Memory"
tests/bench/memory/memory.py build
echo
echo "== Root filesystems: what an update fetches"
tests/bench/rootfs-delta/rootfs-delta.py --build build --cache build/lab
