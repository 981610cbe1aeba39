#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a handshake costs a board: instructions from the moment when the handshake is in until its answer is made,
flash included. Against what the gateway waits for an answer, at the board's clock and 1.5 cycles an instruction (an
estimate).

    handshake.py --images build/edge-fw/cross
"""
import argparse
import os
import struct
import sys
import tempfile

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import elf  # noqa: E402
import factory  # noqa: E402
import image  # noqa: E402
import noise  # noqa: E402
import qemu_board  # noqa: E402
import session  # noqa: E402
import smp  # noqa: E402

CLOCKS = {"nrf51-microbit": 16e6, "mps2-an385": 25e6}
CYCLES, PATIENCE_S = 1.5, 10
SHIFT = 7                                   # an instruction takes QEMU's clock 2^7 ns
TICK = 10_000_000 >> SHIFT                  # instructions in the 10 ms of the port's tick, by which they are counted


class Counted(qemu_board.Board):
    def _command(self):
        return super()._command() + ["-icount", f"shift={SHIFT}"]


def word(gdb, address):
    return struct.unpack("<I", gdb.read(address, 4))[0]


def run(name, images, work):
    loader, flash, serial = f"{images}/boot-{name}.elf", f"{work}/flash", f"{work}/serial"
    psk = os.urandom(32)
    key = image.new_key(f"{work}/edge.pem")
    with open(flash, "wb") as f:        # no image: the bootloader serves
        f.write(factory.flash(name, None, [factory.image_key(key)], psk=psk))
    board = Counted(name, loader, flash, serial).start()
    try:
        line = smp.open_line(serial, 20)
        gateway, _ = session.begin(line, psk)
        board.attach()
        first, last = board.elf.function("noise_hash"), board.elf.function("board_transmit")
        ticks, = {s.value for s in board.elf.find("ticks", elf.OBJECT)}
        session.send(line, bytes([noise.HANDSHAKE]) + gateway.write())
        board.gdb.run_to(first)
        start = word(board.gdb, ticks)
        board.gdb.run_to(last)
        count = (word(board.gdb, ticks) - start) * TICK
        board.run_free()
        answer = session.receive(line, b"\xe3")
        gateway.read(answer[1:])        # it is one
        line.close()
        return count
    finally:
        board.cut()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--images", required=True)
    options = p.parse_args()
    for board, hz in CLOCKS.items():
        with tempfile.TemporaryDirectory(prefix="edgeferry-handshake-") as work:
            n = run(board, options.images, work)
        seconds = n * CYCLES / hz
        print(f"{board:<16}{n / 1e6:6.1f} M instructions, about {seconds:.1f} s, {seconds / PATIENCE_S:.2f} of the "
              f"gateway's patience of {PATIENCE_S} s")


if __name__ == "__main__":
    main()
