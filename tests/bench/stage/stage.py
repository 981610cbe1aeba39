#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a slot is written: edgeferry-worker from a pipe against dd with fsync, in the same run.

    stage.py --worker build/…/edgeferry-worker --repo build/…/edgeferry-repo --cache DIR [--json]

A root filesystem image of 256 MiB (a real Debian userland) is cut by the publisher's tool, then, in
turn, copied by dd and staged by the worker into a slot that held zeros. The worker checks every chunk
twice, decompresses it, writes it, and reads the whole slot back past the cache, of which dd does
nothing. A third figure: what staging the next release fetches and takes when this one runs.
"""

import argparse
import array
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import rootfs  # noqa: E402

STAGE, DATA, NEED, PROGRESS, DONE = 1, 2, 64, 65, 66     # src/worker/job.h


class Release:
    """An image as it was published: objects by digest."""

    def __init__(self, repo, work, name, image):
        workspace = os.path.join(work, name)
        subprocess.run([repo, "init", "bench", "--workspace", workspace, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([repo, "add", "rootfs", "rootfs", image, "--version", "1.0.0", "--security", "1",
                        "--compatible", "example.org,bench", "--workspace", workspace, "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(workspace, "staged", "rootfs.json")) as f:
            self.component = json.load(f)
        self.image = image
        self.objects = os.path.join(workspace, "objects")
        self.size = self.component["image"]["size"]

    def path(self, what):
        return os.path.join(self.objects, self.component[what]["sha256"])

    def job(self, target, running):
        """The STAGE message."""
        c = self.component
        paths = target.encode() + running.encode()
        body = struct.pack("=32sQ32sQII", bytes.fromhex(c["index"]["sha256"]), c["index"]["size"],
                           bytes.fromhex(c["image"]["sha256"]), c["image"]["size"],
                           len(target.encode()), len(running.encode())) + paths
        return struct.pack("=II", STAGE, len(body)) + body


def feed(pack, ranges, fd):
    with open(pack, "rb") as f:
        for offset, size in ranges:
            while size:
                n = os.splice(f.fileno(), fd, min(size, 1 << 20), offset_src=offset)
                offset, size = offset + n, size - n
    os.close(fd)


def peak(pid):
    """KiB; not of wait4, which counts from the fork on and so this interpreter's memory too."""
    with open(f"/proc/{pid}/status") as f:
        return max((int(line.split()[1]) for line in f if line.startswith("VmHWM:")), default=0)


def stage(worker, release, target, running):
    """One job. Returns seconds, peak RSS in KiB, bytes fetched."""
    core, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fetched = rss = 0
    begin = time.monotonic()

    def place():
        os.dup2(child.fileno(), 3)

    process = subprocess.Popen([worker], pass_fds=[3], preexec_fn=place, stdin=subprocess.DEVNULL)
    child.close()
    with open(release.path("index"), "rb") as index:
        socket.send_fds(core, [release.job(target, running)], [index.fileno()])
    while True:
        message = core.recv(1 << 17)
        if not message:
            sys.exit("the worker ended without an outcome")
        kind, size = struct.unpack_from("=II", message)
        if kind == NEED:
            numbers = array.array("Q", message[8:])
            ranges = list(zip(numbers[0::2], numbers[1::2]))
            fetched += sum(numbers[1::2])
            r, w = os.pipe()
            threading.Thread(target=feed, args=(release.path("pack"), ranges, w), daemon=True).start()
            socket.send_fds(core, [struct.pack("=IIQII", DATA, 16, 0, 0, 0)], [r])
            os.close(r)
        elif kind == PROGRESS:
            rss = peak(process.pid)
        elif kind == DONE:
            reason, = struct.unpack_from("=I", message, 8)
            break
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begin
    if reason or process.returncode:
        detail = message[12:].split(b"\0")[0].decode()
        sys.exit(f"staging failed: reason {reason}, exit {process.returncode}: {detail}")
    return seconds, rss, fetched


def dd(release, target):
    begin = time.monotonic()
    subprocess.run(["dd", f"if={release.image}", f"of={target}", "bs=1M", "conv=fsync,notrunc", "status=none"], check=True)
    return time.monotonic() - begin


def fresh(path, size):
    """A slot of zeros that has its blocks, as a partition has, and nothing waiting to be written."""
    if os.path.exists(path):
        os.unlink(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(fd, 0, size)
    os.fsync(fd)
    os.close(fd)


def measure(options, work):
    one = Release(options.repo, work, "one", rootfs.image(options.cache, f"{options.cache}/rootfs-1.0.0.img", "1.0.0"))
    two = Release(options.repo, work, "two", rootfs.image(options.cache, f"{options.cache}/rootfs-2.0.0.img", "2.0.0",
                                                            packages=("less",)))
    a, b = os.path.join(work, "slot-a"), os.path.join(work, "slot-b")
    fresh(a, one.size)
    rounds = []
    for _ in range(options.rounds):
        fresh(b, one.size)
        copied = dd(one, b)
        fresh(b, one.size)
        rounds.append((copied, *stage(options.worker, one, b, a)))
    # b holds release one and runs; a gets release two.
    update = stage(options.worker, two, a, b)
    dd_s = statistics.median(r[0] for r in rounds)
    stage_s = statistics.median(r[1] for r in rounds)
    mb = one.size / 1e6
    return {
        "image_bytes": one.size, "pack_bytes": one.component["pack"]["size"],
        "dd_s": round(dd_s, 3), "dd_mb_s": round(mb / dd_s, 1),
        "stage_s": round(stage_s, 3), "stage_mb_s": round(mb / stage_s, 1),
        "ratio_of_dd": round(dd_s / stage_s, 3),
        "ratio_each_round": [round(r[0] / r[1], 3) for r in rounds],
        "peak_rss_kib": max(r[2] for r in rounds + [(0, *update)]),
        "update_s": round(update[0], 3), "update_fetched_bytes": update[2],
        "update_fetched_share_of_pack": round(update[2] / two.component["pack"]["size"], 4),
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--worker", required=True)
    p.add_argument("--repo", required=True)
    p.add_argument("--cache", required=True, help="folder for the images, which are kept")
    p.add_argument("--work", help="folder on the disk to be measured (default: the cache)")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", action="store_true")
    options = p.parse_args()
    options.cache = os.path.abspath(options.cache)
    os.makedirs(options.cache, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-stage.", dir=options.work or options.cache) as work:
        f = measure(options, work)
    if options.json:
        print(json.dumps(f))
        return
    print(f"image            {f['image_bytes'] / 1e6:8.1f} MB, pack {f['pack_bytes'] / 1e6:.1f} MB")
    print(f"dd conv=fsync    {f['dd_mb_s']:8.1f} MB/s  ({f['dd_s']} s)")
    print(f"edgeferry-worker {f['stage_mb_s']:8.1f} MB/s  ({f['stage_s']} s), ratio {f['ratio_of_dd']} "
          f"{f['ratio_each_round']}")
    print(f"peak memory      {f['peak_rss_kib']:8d} KiB")
    print(f"next release     {f['update_s']} s, fetched {f['update_fetched_bytes'] / 1e6:.1f} MB "
          f"({f['update_fetched_share_of_pack']:.1%} of its pack)")


if __name__ == "__main__":
    main()
