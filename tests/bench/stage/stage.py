#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long it takes to stage 1 GiB from a local HTTPS server, beside curl piped into dd.

    stage.py --build BUILD --cache DIR [--work DIR] [--rounds N] [--json] [CASE…]

The image is a Debian userland in an ext4 of 1 GiB; nginx serves it from the page cache, over TLS that
both sides verify. In turn, on the same file system, into a slot that was made anew and synced:
  curl | dd   fetches the raw image, writes it, fsync. It checks nothing but TLS.
  with checks the same with what it takes to know that the slot holds the image: sha256sum of what comes in,
              beside the writing, and after fsync sha256sum of the slot, read past the page cache. What
              any updater has to do that checks what it writes and reads it back; it writes before it
              knows, though.
  edgeferry   fetches the chunk index and the compressed chunks with edgeferry-net, and hands them
              through a pipe to edgeferry-worker: checks each chunk twice, unpacks it, writes it, fsync,
              and reads the whole slot back past the page cache to compare its SHA-256.
dd has the worker's priority (nice 10), curl that of edgeferry-net.

Cases: padded, the smallest userland and otherwise zeros; full, an image without room left. Each into a slot
of zeros, and with -used into one that is full of other bytes, as a former release leaves it. Of these
nothing is there before: no running slot to take from, no earlier attempt. full-update: the image runs in the
other slot, and the next release has one package more.
"""

import argparse
import collections
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from staging import Release, Staging, cpu, fresh, same  # noqa: E402
import rootfs  # noqa: E402
from servers import Servers  # noqa: E402

# seconds; cpu: {program: seconds}
Peer = collections.namedtuple("Peer", "seconds cpu")
SIZE = "1G"
PACKAGES = {"padded": (), "full": ("linux-image-amd64", "systemd-sysv", "python3", "openssh-server", "docker.io")}
CASES = ("padded", "padded-used", "full", "full-used", "full-update")
NAMES = ("plain", "checked", "stage")
LIMIT_RATIO, LIMIT_KIB = 1.15, 32 * 1024


HUMBLE = ("nice", "-n", "10")
HASH = (*HUMBLE, "openssl", "dgst", "-sha256", "-r")    # sha256sum knows no instructions of the processor


def pipeline(*commands, **options):
    """One into the other: [(name, process)]."""
    running, before = [], None
    for command in commands:
        last = command is commands[-1]
        p = subprocess.Popen(command, stdin=before, stdout=options.get("stdout") if last else subprocess.PIPE)
        if before:
            before.close()
        before = p.stdout
        running.append((next(c for c in command if c not in HUMBLE), p))
    return running


def curl_dd(servers, target, digest=None):
    """digest: with checks."""
    begin, used = time.monotonic(), {}
    fetch = ["curl", "--silent", "--fail", "--cacert", servers.ca, servers.url + "/image"]
    write = [*HUMBLE, "dd", f"of={target}", "bs=64k", "conv=fsync,notrunc", "status=none"]
    if digest:
        fifo = target + ".fifo"
        os.mkfifo(fifo)
        coming = subprocess.Popen([*HASH, fifo], stdout=subprocess.PIPE)
        running = pipeline(fetch, [*HUMBLE, "tee", fifo], write)
        finish(used, running + [("openssl", coming)])
        os.unlink(fifo)
        back = pipeline([*HUMBLE, "dd", f"if={target}", "bs=1M", "iflag=direct", "status=none"], HASH, stdout=subprocess.PIPE)
        finish(used, back)
        for p in (coming, back[-1][1]):
            assert p.stdout.read().split()[0].decode() == digest
    else:
        finish(used, pipeline(fetch, write))
    return Peer(time.monotonic() - begin, used)


def finish(used, running):
    """Waits for all of them; their CPU seconds by name."""
    for name, p in running:
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        used[name] = used.get(name, 0) + usage.ru_utime + usage.ru_stime
        if p.returncode:
            sys.exit(f"{name}: exit {p.returncode}")


def use(path, size):
    """Fills a slot with bytes that no image has."""
    key = "0" * 64
    with open(path, "r+b") as out:
        subprocess.run(f"head -c {size} /dev/zero | openssl enc -aes-256-ctr -K {key} -iv {key[:32]}", shell=True,
                       check=True, stdout=out)
        os.fsync(out.fileno())


def prepare(path, size, used):
    fresh(path, size)
    if used:
        use(path, size)
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def warm(*paths):
    for path in paths:
        with open(path, "rb") as f:
            while f.read(1 << 20):
                pass


def rounds(options, work, release, running, used):
    www, slot = f"{work}/www", f"{work}/slot"
    release.publish(www)
    found = []
    with Servers(f"{work}/servers", www, mqtt=False) as servers:
        nginx = servers.processes["nginx"].pid
        for _ in range(options.rounds):
            row = {}
            for name, work_on in (("plain", lambda: curl_dd(servers, slot)),
                                  ("checked", lambda: curl_dd(servers, slot, release.digest("image"))),
                                  ("stage", lambda: Staging(options.build, servers).stage(release, slot, running))):
                warm(release.image, release.path("pack"))
                prepare(slot, release.size, used)
                before, lines = cpu(nginx), len(servers.access_log())
                row[name] = work_on()
                server = cpu(nginx) - before
                assert same(slot, release.image)
                row[name].cpu["nginx"] = server
            time.sleep(0.1)
            row["fetched"] = sum(r[3] for r in servers.access_log()[lines:])
            found.append(row)
    return found


def median(values):
    return round(statistics.median(values), 3)


def medians(dicts):
    return {k: median([d[k] for d in dicts]) for k in dicts[0]}


def measure(options, case):
    kind, _, how = case.partition("-")
    image = new = rootfs.image(options.cache, f"{options.cache}/stage-{kind}.img", "1.0.0", PACKAGES[kind], size=SIZE)
    if how == "update":
        new = rootfs.image(options.cache, f"{options.cache}/stage-{kind}-2.img", "2.0.0", (*PACKAGES[kind], "less"), size=SIZE)
    with tempfile.TemporaryDirectory(prefix="bench-stage.", dir=options.work) as work:
        os.chmod(work, 0o755)
        running = f"{work}/running"
        if how == "update":
            shutil.copyfile(image, running)
        else:
            fresh(running, 4096)
        release = Release(f"{options.build}/src/repo/edgeferry-repo", work, "release", new)
        os.makedirs(f"{work}/www")
        os.link(new, f"{work}/www/image")
        found = rounds(options, work, release, running, how == "used")
    return {
        "case": case, "image_bytes": release.size, "pack_bytes": release.component["pack"]["size"],
        "fetched_bytes": found[0]["fetched"],
        "stage_phases_s": medians([f["stage"].phases for f in found]),
        **{f"{name}_s": median([f[name].seconds for f in found]) for name in NAMES},
        **{f"{name}_cpu_s": medians([f[name].cpu for f in found]) for name in NAMES},
        **{f"ratios_{name}": [round(f["stage"].seconds / f[name].seconds, 2) for f in found] for name in ("plain", "checked")},
        "worker_kib": max(f["stage"].worker_kib for f in found), "net_kib": max(f["stage"].net_kib for f in found),
    }


def listed(numbers):
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in numbers.items())


def show(f):
    together = f["worker_kib"] + f["net_kib"]
    print(f"{f['case']}: image {f['image_bytes'] / 1e6:.0f} MB, pack {f['pack_bytes'] / 1e6:.0f} MB")
    image = f["image_bytes"] / 1e6
    print(f"  curl | dd    {f['plain_s']:6.2f} s, fetches {image:.0f} MB; CPU s: {listed(f['plain_cpu_s'])}")
    print(f"  with checks  {f['checked_s']:6.2f} s, fetches {image:.0f} MB; CPU s: {listed(f['checked_cpu_s'])}")
    print(f"  edgeferry    {f['stage_s']:6.2f} s, fetches {f['fetched_bytes'] / 1e6:.0f} MB; CPU s: {listed(f['stage_cpu_s'])}")
    print(f"               of which {listed(f['stage_phases_s'])} s")
    for name, text in (("plain", f"curl | dd, wanted: at most {LIMIT_RATIO}"), ("checked", "the same with checks")):
        print(f"  ratio        {statistics.median(f['ratios_' + name]):6.2f} {f['ratios_' + name]} to {text}")
    print(f"  memory       {together:6d} KiB at most: worker {f['worker_kib']}, net {f['net_kib']}; wanted: below {LIMIT_KIB}",
          flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", required=True)
    p.add_argument("--cache", required=True, help="folder for the images, which are kept")
    p.add_argument("--work", help="folder on the disk to be measured (default: the cache)")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", action="store_true")
    p.add_argument("case", nargs="*", metavar="CASE", help=" or ".join(CASES))
    options = p.parse_args()
    options.build, options.cache = os.path.abspath(options.build), os.path.abspath(options.cache)
    options.work = options.work or options.cache
    os.makedirs(options.cache, exist_ok=True)
    found = []
    if not options.json:
        print("\n\n".join(__doc__.rstrip().split("\n\n")[2:]), end="\n\n")
    for case in options.case or CASES:
        found.append(measure(options, case))
        if not options.json:
            show(found[-1])
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
