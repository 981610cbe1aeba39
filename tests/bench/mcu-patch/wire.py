#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long an image takes to a node at 115200 baud, in a session: as it is and as a patch.

    wire.py --build BUILD [FOLDER…]

A FOLDER holds old.bin and new.bin, or folders that do; each is made an image and signed, as nodes get them. Seconds
from the first question to the node's answer that it holds the image, with everything in between: preflight, the
transfer, and with a patch the making of the image; and the bytes on the line. The node is edgeferry-node, so what it
computes takes as long as it does on this machine: what a microcontroller takes for making is in mcu-patch.py's
instructions a byte. Making the patch is not in it; the gateway does that once for all nodes. Exit 1 where the geometric
mean of the times is above LIMIT.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/lab"))
import image  # noqa: E402
from drive import Drive  # noqa: E402

BAUD = 115200
SLOT = 1 << 20
LIMIT = 0.15


def pairs(folders):
    for folder in map(pathlib.Path, folders):
        yield from sorted(f.parent for f in folder.rglob("new.bin") if (f.parent / "old.bin").exists())


def staged(build, work, words):
    """Seconds, and bytes from gateway to node, of one command to a fresh node that runs old.img."""
    end = f"{work}/node"
    for kind in ("flash", "sock", "tty"):
        if os.path.lexists(f"{end}.{kind}"):
            os.unlink(f"{end}.{kind}")
    node = subprocess.Popen([build / "edge-fw/port/host/edgeferry-node", "--flash", f"{end}.flash", "--socket",
                             f"{end}.sock", "--slot-size", str(SLOT), "--key", f"{work}/edge.pub.pem", "--image",
                             f"{work}/old.img", "--psk", f"{work}/node.key"])
    shim = subprocess.Popen([ROOT / "tests/lab/line_shim.py", f"pty:{end}.tty", f"unix:{end}.sock", "--stats"],
                            stdout=subprocess.PIPE, text=True)
    try:
        shim.stdout.readline()
        drive = Drive([build / "tests/unit/dfu/node-drive"], "uart", f"{end}.tty", str(BAUD), f"{work}/node.key")
        said = drive("identify")
        if said.startswith("ok"):
            began = time.monotonic()
            said = drive(*words)
            took = time.monotonic() - began
        if not said.startswith("ok"):
            sys.exit(f"wire.py: {words[0]}: {said}")
        drive.close()
    finally:
        shim.terminate()
        stats = json.loads(shim.communicate()[0])
        node.terminate()
        node.wait()
    return took, stats["forth"]["bytes"]


def measure(build, folder, work):
    for name, version in (("old", "1.0.0"), ("new", "2.0.0")):
        with open(f"{work}/{name}.img", "wb") as f:
            f.write(image.make((folder / f"{name}.bin").read_bytes(), f"{work}/edge.pem", version))
    new, patch = f"{work}/new.img", f"{work}/patch"
    subprocess.run([build / "src/repo/edgeferry-repo", "patch", f"{work}/old.img", new, "--out", patch], check=True,
                   stdout=subprocess.DEVNULL)
    whole, whole_bytes = staged(build, work, ("stage", new))
    short, short_bytes = staged(build, work, ("patch", new, patch))
    print(f"{folder.name:32} {os.path.getsize(new):9,} {os.path.getsize(patch):8,} {whole:9.2f} {short:8.2f} "
          f"{100 * short / whole:6.1f} % {100 * short_bytes / whole_bytes:6.1f} %", flush=True)
    return short / whole


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", type=pathlib.Path, required=True)
    p.add_argument("folders", nargs="*", metavar="FOLDER")
    a = p.parse_args()
    found = list(pairs(a.folders))
    if not found:
        print("no pairs: name folders that hold old.bin and new.bin")
        return
    print(f"{'pair':32} {'image':>9} {'patch':>8} {'image, s':>9} {'patch, s':>8} {'time':>8} {'line':>8}")
    ratios = []
    with tempfile.TemporaryDirectory(prefix="edgeferry-wire-") as work:
        image.new_key(f"{work}/edge.pem")
        with open(f"{work}/node.key", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(os.urandom(32).hex() + "\n")
        for folder in found:
            ratios.append(measure(a.build, folder, work))
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"geometric mean of the times: {100 * mean:.1f} %, at most {100 * LIMIT:.0f} %")
    sys.exit(mean > LIMIT)


if __name__ == "__main__":
    main()
