#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs a board to turn a wrong bit back: instructions from the end of the checksum of a request's frame until
its session looks at it, by single steps for bits near the end, from which the first bit of the longest frame, which is
found last, follows. Beside it the time in which such a frame comes in, at the board's clock and 1.5 cycles an
instruction (an estimate).

    repair.py --images build/edge-fw/cross
"""
import argparse
import os
import struct
import sys
import tempfile

import handshake
from handshake import factory, image, noise, qemu_board, session, smp

BOARDS = {"nrf51-microbit": 512, "mps2-an385": 1024}    # and the longest message
BAUD = 1000000
LINK_REGISTER = 14
NEAR, FAR = 50, 150     # bits before the last one
LONGEST = 10000


def steps(gdb, until):
    for n in range(LONGEST):
        if gdb.pc() == until:
            return n
        gdb.step()
    raise RuntimeError(f"{until:#x} is not reached")


def instructions(board, app, line, frame):
    """From the return of the checksum to the session."""
    board.attach()
    crc, opened = app.function("crc16_xmodem"), board.elf.function("ef_session_open")
    session.send_raw(line, frame)
    board.gdb.run_to(crc)
    board.gdb.run_to(board.gdb.register(LINK_REGISTER) & ~1)
    count = steps(board.gdb, opened)
    board.run_free()
    session.receive(line, b"\xe5")
    return count


def run(name, images, work):
    psk, flash, serial = os.urandom(32), f"{work}/flash", f"{work}/serial"
    key = image.new_key(f"{work}/edge.pem")
    with open(f"{images}/app-{name}.bin", "rb") as f:
        payload = image.make(f.read(), f"{work}/edge.pem", class_name=name)
    with open(flash, "wb") as f:
        f.write(factory.flash(name, payload, [factory.image_key(key)], psk=psk))
    app = handshake.elf.Elf(f"{images}/app-{name}.elf")
    board = qemu_board.Board(name, f"{images}/boot-{name}.elf", flash, serial).start()
    try:
        with smp.Smp(serial, 60) as s:
            s.until(lambda i: i["mode"] == 1)
        line = smp.open_line(serial, 60)
        down, *_ = session.meet(line, psk)
        message = struct.pack(">BBHHBB", 0x0A, 0, BOARDS[name] - 8, 64, 0, 0).ljust(BOARDS[name], b"\xa0")
        frames = [noise.checked(noise.frame(noise.REQUEST, down, n, message)) for n in range(3)]
        bits = 8 * len(frames[0])
        clean, near, far = (instructions(board, app, line, noise.flipped(f, 8 * (len(f) - 1 - k // 8) + k % 8) if k else f)
                            for f, k in zip(frames, (0, NEAR, FAR)))
        a_bit = (far - near) / (FAR - NEAR)
        return near - clean + a_bit * (bits - 1 - NEAR), a_bit, len(frames[0])
    finally:
        board.cut()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--images", required=True)
    options = p.parse_args()
    for board, longest in BOARDS.items():
        with tempfile.TemporaryDirectory(prefix="edgeferry-repair-") as work:
            n, a_bit, size = run(board, options.images, work)
        took = n * handshake.CYCLES / handshake.CLOCKS[board]
        print(f"{board:<16}{n:8,.0f} instructions for {size} bytes, {a_bit:.1f} a bit, about {took * 1e3:.1f} ms; they take "
              f"{size * 10 / BAUD * 1e3:.1f} ms at {BAUD} baud")


if __name__ == "__main__":
    main()
