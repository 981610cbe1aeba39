#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What edgeferry-edge-fw installs is enough to build an application: edge-kit.py BUILD BOARD…

Installs the kit from a build folder into a folder of its own, builds the example from those files alone, without a
warning, and starts it with the bootloader of the same build: it answers, and its self-test passes. TAP.
"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import factory  # noqa: E402
import image  # noqa: E402
import qemu_board  # noqa: E402
import smp  # noqa: E402

PASSED = 1


def install(build, root):
    """The folders of the kit and of its example."""
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--tags", "edge-fw"], check=True,
                   env={**os.environ, "DESTDIR": root}, stdout=subprocess.DEVNULL)
    found = {name: os.path.join(at, name) for at, names, _ in os.walk(root) for name in names}
    kit = next(os.path.dirname(path) for name, path in found.items() if name == "boards")
    return kit, found["blink"]


def built(kit, example, board, work):
    shutil.copytree(example, work)
    subprocess.run(["make", "-s", "-C", work, f"BOARD={board}", f"EDGE_FW={kit}", "CFLAGS=-Werror"], check=True)
    with open(f"{work}/blink.bin", "rb") as f:
        return f.read()


def runs(board, loader, payload, work):
    key = f"{work}/key.pem"
    public = image.new_key(key)
    with open(f"{work}/flash", "wb") as f:
        f.write(factory.flash(board, image.make(payload, key, class_name=board), [factory.image_key(public)]))
    node = qemu_board.Board(board, loader, f"{work}/flash", f"{work}/serial")
    node.start()
    try:
        with smp.Smp(f"{work}/serial") as s:
            s.until(lambda i: i["test"] == PASSED)
    finally:
        node.cut()


def main():
    build, boards = os.path.abspath(sys.argv[1]), sys.argv[2:]
    print(f"1..{len(boards)}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="ef-kit-") as root:
        kit, example = install(build, f"{root}/installed")
        for n, board in enumerate(boards, 1):
            work, skip = f"{root}/{board}", ""
            try:
                payload = built(kit, example, board, work)
                if qemu_board.qemu(board):
                    runs(board, f"{build}/edge-fw/cross/boot-{board}.elf", payload, work)
                else:
                    skip = " # no emulator: built only"
                print(f"ok {n} - {board}{skip}")
            except Exception as e:      # whatever it is, the next board is tried
                failed += 1
                print(f"not ok {n} - {board}\n# {type(e).__name__}: {e}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
