#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh: every benchmark, one after the other, on an otherwise idle machine. Needs a build in build/.
set -eu
cd "$(dirname "$0")/../.."
ninja -C build >/dev/null
ninja -C build tests/bench/uart/uart-stage tests/bench/fleet/fleet-stage tests/bench/wear/wear >/dev/null

echo "== Bootloader and application: bytes of text and RAM"
edge-fw/size.sh arm-none-eabi-size build/edge-fw/cross/boot-*.elf build/edge-fw/cross/app-mps2-an385.elf \
	build/edge-fw/cross/app-nrf51-microbit.elf
echo
echo "== Flash of a node: erases per update against MCUboot's strategies"
build/tests/bench/wear/wear
echo
echo "== UART: payload against line rate"
tests/bench/uart/uart.py --node build/edge-fw/port/host/edgeferry-node --stage build/tests/bench/uart/uart-stage
echo
echo "== Fleet: one image to many nodes at once"
tests/bench/fleet/fleet.py --node build/edge-fw/port/host/edgeferry-node --stage build/tests/bench/fleet/fleet-stage
echo
echo "== Session: a handshake"
tests/bench/session/handshake.py --images build/edge-fw/cross
echo
echo "== Slot: staging 1 GiB over HTTPS against curl and dd"
tests/bench/stage/stage.py --build build --cache build/lab
echo
echo "== Memory"
tests/bench/memory/memory.py build
echo
echo "== Root filesystems: what an update fetches"
tests/bench/rootfs-delta/rootfs-delta.py --build build --cache build/lab
