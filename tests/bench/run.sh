#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh: every benchmark, one after the other, on an otherwise idle machine. Needs a build in build/.
set -eu
cd "$(dirname "$0")/../.."
ninja -C build >/dev/null
ninja -C build tests/bench/ble/ble-stage tests/bench/uart/uart-stage tests/bench/fleet/fleet-stage tests/unit/dfu/node-drive tests/unit/links/bus-run tests/unit/links/libbus.so tests/bench/wear/wear >/dev/null

echo "== Bootloader and application: bytes of flash, RAM and stack by board"
boards="nrf51-microbit mps2-an385 mps2-an505 riscv-virt"
tests/lab/edge_sizes.py build/edge-fw/cross $boards
echo
echo "== Boot: instructions from reset to the jump into the application"
tests/bench/boot/boot.py build/edge-fw/cross $boards
echo
echo "== Flash of a node: erases per update against MCUboot's strategies"
build/tests/bench/wear/wear
echo
echo "== UART: payload against line rate"
tests/bench/uart/uart.py --node build/edge-fw/port/host/edgeferry-node --stage build/tests/bench/uart/uart-stage
echo
echo "== BLE: payload against a bare stream of values"
tests/bench/ble/ble.py --node build/edge-fw/port/host/edgeferry-node --stage build/tests/bench/ble/ble-stage
echo
echo "== SPI: payload against the clock"
tests/bench/spi/spi.py build
echo
echo "== Fleet: one image to many nodes at once"
tests/bench/fleet/fleet.py --node build/edge-fw/port/host/edgeferry-node --stage build/tests/bench/fleet/fleet-stage
echo
echo "== Fleet: the same by the whole of edgeferryd"
tests/bench/fleet/daemon.py build
echo
echo "== Shared line: broadcast against one node after the other"
tests/bench/bus/bus.py build
echo
echo "== Session: a handshake"
tests/bench/session/handshake.py --images build/edge-fw/cross
echo
echo "== Session: a wrong bit turned back"
tests/bench/session/repair.py --images build/edge-fw/cross
echo
echo "== Slot: staging 1 GiB over HTTPS against curl and dd"
tests/bench/stage/stage.py --build build --cache build/lab
echo
echo "== Slot: staging 1 GiB from a bundle against RAUC"
tests/bench/rauc/rauc.py --build build --cache build/lab
echo
echo "== Gateway: down time of an update against a plain restart"
EDGEFERRY_BUILD=$PWD/build tests/lab/vm/downtime.py build/machine
echo
echo "== Memory"
tests/bench/memory/memory.py build
echo
echo "== Root filesystems: what an update fetches"
tests/bench/rootfs-delta/rootfs-delta.py --build build --cache build/lab
echo
echo "== Patches for microcontrollers: code and RAM of the decoder; sizes of the pairs in MCU_PAIRS, against bsdiff and xdelta3"
# shellcheck disable=SC2086
tests/bench/mcu-patch/mcu-patch.py --build build ${MCU_PAIRS:-}
echo
echo "== Patches for microcontrollers: seconds on a serial line, of the pairs in MCU_PAIRS"
# shellcheck disable=SC2086
tests/bench/mcu-patch/wire.py --build build ${MCU_PAIRS:-}
