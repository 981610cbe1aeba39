#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions from reset to the jump into the application, counted by the emulator, for each board.

    boot.py FOLDER BOARD…       FOLDER holds boot-BOARD.elf and app-BOARD.bin

First: as the node leaves the factory, when the signature is checked on every board. Then the usual boot, which on a
slow core compares the digest alone, with an image as it is and with one of twice the size: the difference is what a
byte costs. The last column is the usual boot against one second of the core, at 1.5 cycles an instruction.
"""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
import factory  # noqa: E402
import image  # noqa: E402
import qemu_board  # noqa: E402

CLOCK_MHZ = {"nrf51-microbit": 16, "mps2-an385": 25, "mps2-an505": 20}
CYCLES = 1.5


def boot(board, loader, folder):
    """Instructions until the image is started."""
    b = qemu_board.Board(board, loader, f"{folder}/flash", f"{folder}/serial",
                         ["-icount", f"shift=0,rr=record,rrfile={folder}/record"])
    b.start(stop_at="port_start_image")
    count = b.qmp("query-replay")["icount"]
    b.cut()
    return count


def measure(images, board):
    loader = f"{images}/boot-{board}.elf"
    with open(f"{images}/app-{board}.bin", "rb") as f:
        payload = f.read()
    with tempfile.TemporaryDirectory(prefix="boot.") as folder:
        key = factory.image_key(image.new_key(f"{folder}/key.pem"))
        result = []
        for data in payload, payload.ljust(2 * len(payload), b"\0"):
            with open(f"{folder}/flash", "wb") as f:
                f.write(factory.flash(board, image.make(data, f"{folder}/key.pem", class_name=board), [key]))
            result += [boot(board, loader, folder), boot(board, loader, folder)]
    first, usual, _, twice = result
    return len(payload), first, usual, (twice - usual) / len(payload)


def main():
    print(f"{'board':16} {'image':>7} {'first':>12} {'usual':>12} {'a byte':>7}  of a second")
    for board in sys.argv[2:]:
        size, first, usual, byte = measure(sys.argv[1], board)
        clock = CLOCK_MHZ.get(board)
        ratio = f"{usual * CYCLES / (clock * 1e6):.2f} at {clock} MHz" if clock else "no clock to compare with"
        print(f"{board:16} {size:7,} {first:12,} {usual:12,} {byte:7.1f}  {ratio}", flush=True)


if __name__ == "__main__":
    main()
