#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an update of a root filesystem fetches: edgeferry, casync and zstd on the same pairs in the same run.

    rootfs-delta.py --build BUILD --cache DIR [--json] [PAIR…]

Pairs of real Debian userlands: `package` (one package added) and `upgrade` (the archive as released
against the archive with its updates), each as ext4 and, with the tools installed, as erofs and
squashfs. The old image is the running slot, the new one is published on nginx; edgeferry-net fetches
and edgeferry-worker writes the other slot, as on a gateway. Bytes are those of nginx's log: index,
leaves, chunks and what stands between parts. casync has its default chunks, zstd knows both images
(--patch-from: the lower bound of a patch for one pair). zchunk is left out: it is no Debian package
that works on images as they are.
"""
import argparse
import array
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "stage"), os.path.join(HERE, "..", "..", "lab"),
                os.path.join(HERE, "..", "..", "unit", "net")]
from stage import DATA, DONE, NEED, Release, fresh, peak  # noqa: E402
import rootfs  # noqa: E402
from core import FETCHED, READY, Core, Fetched  # noqa: E402
from servers import Servers  # noqa: E402

PAIRS = {
    "package": ({"release": "1.0.0"}, {"release": "2.0.0", "packages": ("less",)}),
    "upgrade": ({"release": "1.0.0", "updates": False}, {"release": "1.0.0"}),
}


def have(*programs):
    return all(shutil.which(p, path=os.environ["PATH"]) for p in programs)


# ---- images ----
def old_tar(cache):
    """The userland from the release's own archive, without its updates."""
    path = os.path.join(cache, "userland-released.tar")
    if not os.path.exists(path):
        mirror = "http://deb.debian.org/debian"
        with open(path + ".log", "w") as log:
            subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", "--skip=check/empty",
                            rootfs.codename(), path + ".new", f"deb {mirror} {rootfs.codename()} main"],
                           check=True, stdout=log, stderr=log, env={**os.environ, "SOURCE_DATE_EPOCH": rootfs.EPOCH})
        os.rename(path + ".new", path)
    return path


def tree(work, userland, release):
    path = os.path.join(work, "tree")
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    subprocess.run(["tar", "xf", userland, "-C", path, "--numeric-owner", "--exclude=./dev/*"], check=True)
    rootfs.fill(path, release, False)
    subprocess.run(["find", path, "-exec", "touch", "-h", "-d", "@" + rootfs.EPOCH, "{}", "+"], check=True)
    return path


def make_ext4(options, work, userland, release, out):
    rootfs.build(userland, out, release, False)


def make_erofs(options, work, userland, release, out):
    subprocess.run(["mkfs.erofs", "-T" + rootfs.EPOCH, "-U0ed6efe4-0000-4000-8000-000000000001", out,
                    tree(work, userland, release)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_squashfs(options, work, userland, release, out):
    subprocess.run(["mksquashfs", tree(work, userland, release), out, "-noappend", "-quiet", "-no-progress", "-comp", "zstd",
                    "-all-time", rootfs.EPOCH, "-mkfs-time", rootfs.EPOCH], check=True, stdout=subprocess.DEVNULL)


FORMATS = {"ext4": (make_ext4, "mke2fs"), "erofs": (make_erofs, "mkfs.erofs"), "squashfs": (make_squashfs, "mksquashfs")}


def image(options, work, form, spec):
    spec = dict(spec)
    updates = spec.pop("updates", True)
    packages = spec.pop("packages", ())
    name = "-".join(["delta", spec["release"], *packages] + ([] if updates else ["released"])) + "." + form
    out = os.path.join(options.cache, name)
    if not os.path.exists(out):
        userland = rootfs.tar(options.cache, list(packages)) if updates else old_tar(options.cache)
        FORMATS[form][0](options, work, userland, spec["release"], out + ".part")
        os.rename(out + ".part", out)
    return out


# ---- edgeferry ----
class Gateway:
    """Core for one net and one worker."""

    def __init__(self, options, work, release):
        self.options, self.release = options, release
        self.www = os.path.join(work, "www")
        os.makedirs(self.www + "/objects", exist_ok=True)
        for what in ("index", "pack"):
            shutil.copyfile(release.path(what), f"{self.www}/objects/{release.component[what]['sha256']}")

    def url(self, what):
        return "objects/" + self.release.component[what]["sha256"]

    def update(self, servers, target, running):
        """Seconds, peak KiB of worker and net, bytes and requests by the server's log."""
        user = "nobody" if os.geteuid() == 0 else None
        net = Core(f"{self.options.build}/src/net/edgeferry-net", user, url=servers.url, ca_file=servers.ca)
        net.wait(READY)
        begin = time.monotonic()
        outcome, index = net.fetch(self.url("index"))
        assert outcome.reason == "ok", outcome
        rss = self._stage(net, index, target, running)
        seconds = time.monotonic() - begin
        rss += peak(net.p.pid)
        net.close()
        time.sleep(0.1)
        rows = servers.access_log()
        return seconds, rss, sum(r[3] for r in rows), len(rows)

    def _stage(self, net, index, target, running):
        core, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        worker = subprocess.Popen([f"{self.options.build}/src/worker/edgeferry-worker"], pass_fds=[3],
                                  preexec_fn=lambda: os.dup2(child.fileno(), 3), stdin=subprocess.DEVNULL)
        child.close()
        rss = 0
        with tempfile.TemporaryFile() as f:
            f.write(index)
            f.flush()
            socket.send_fds(core, [self.release.job(target, running)], [f.fileno()])
        fetches = []
        while True:
            message = core.recv(1 << 17)
            kind, _ = struct.unpack_from("=II", message)
            rss = max(rss, peak(worker.pid))
            if kind == NEED:
                numbers = array.array("Q", message[8:])
                ident, read = net.start(self.url("pack"), ranges=list(zip(numbers[0::2], numbers[1::2])))
                socket.send_fds(core, [struct.pack("=IIQII", DATA, 16, 0, 0, 0)], [read])
                os.close(read)
                fetches.append(ident)
            elif kind == DONE:
                break
        reason, = struct.unpack_from("=I", message, 8)
        if worker.wait() or reason:
            sys.exit("staging failed: " + message[12:].split(b"\0")[0].decode())
        for ident in fetches:
            outcome = Fetched(net.wait(FETCHED, ident))
            assert outcome.reason == "ok", outcome
        return rss


def edgeferry(options, work, old, new):
    release = Release(options.repo, work, "new", new)
    slots = [os.path.join(work, s) for s in ("slot-a", "slot-b")]
    size = max(os.path.getsize(old), os.path.getsize(new))
    fresh(slots[1], size)
    shutil.copyfile(old, slots[0])
    gateway = Gateway(options, work, release)
    with Servers(f"{work}/servers", gateway.www, mqtt=False) as servers:
        seconds, rss, fetched, requests = gateway.update(servers, slots[1], slots[0])
    with open(slots[1], "rb") as a, open(new, "rb") as b:
        while data := b.read(1 << 20):
            assert a.read(len(data)) == data, "the slot is not the image"
    c = release.component
    return {"fetched": fetched, "requests": requests, "index": c["index"]["size"], "pack": c["pack"]["size"],
            "seconds": round(seconds, 2), "peak_kib": rss}


# ---- peers ----
def timed(command, **options):
    """Seconds and the peak of the program in KiB, by /usr/bin/time's means."""
    begin = time.monotonic()
    p = subprocess.Popen(command, **options)
    rss = 0
    while p.poll() is None:
        try:
            rss = max(rss, peak(p.pid))
        except OSError:
            pass
        time.sleep(0.01)
    if p.returncode:
        sys.exit("%s: exit %d" % (" ".join(command), p.returncode))
    return time.monotonic() - begin, rss


def casync(work, old, new):
    """The chunks that extraction asks for are what is new in the store: both images are in one."""
    store, env = os.path.join(work, "store"), {**os.environ, "SOURCE_DATE_EPOCH": rootfs.EPOCH}
    sizes = []
    for name, path in (("old", old), ("new", new)):
        subprocess.run(["casync", "make", f"--store={store}", "--compression=zstd", f"{work}/{name}.caibx", path], check=True,
                       env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        chunks = [os.path.join(d, f) for d, _, files in os.walk(store) for f in files]
        sizes.append({c: os.path.getsize(c) for c in chunks})
    lacking = [c for c in sizes[1] if c not in sizes[0]]
    seconds, rss = timed(["casync", "extract", f"--store={store}", f"--seed={old}", f"{work}/new.caibx", f"{work}/casync.out"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    index = os.path.getsize(f"{work}/new.caibx")
    os.unlink(f"{work}/casync.out")
    shutil.rmtree(store)
    return {"fetched": index + sum(sizes[1][c] for c in lacking), "requests": len(lacking) + 1, "index": index,
            "seconds": round(seconds, 2), "peak_kib": rss}


def zstd(work, old, new):
    out = f"{work}/patch.zst"
    subprocess.run(["zstd", "-q", "-f", "-9", "--long=30", f"--patch-from={old}", new, "-o", out], check=True)
    seconds, rss = timed(["zstd", "-q", "-d", "-f", "--long=30", "--memory=2048MB", f"--patch-from={old}", out, "-o",
                          f"{work}/zstd.out"])
    size = os.path.getsize(out)
    for f in (out, f"{work}/zstd.out"):
        os.unlink(f)
    return {"fetched": size, "requests": 1, "index": 0, "seconds": round(seconds, 2), "peak_kib": rss}


def measure(options, pair, form):
    with tempfile.TemporaryDirectory(prefix="bench-delta.", dir=options.cache) as work:
        os.chmod(work, 0o755)
        old, new = (image(options, work, form, spec) for spec in PAIRS[pair])
        size = os.path.getsize(new)
        rows = {"edgeferry": edgeferry(options, work, old, new)}
        if have("casync"):
            rows["casync"] = casync(work, old, new)
        if have("zstd"):
            rows["zstd --patch-from"] = zstd(work, old, new)
        pack = rows["edgeferry"]["pack"]
        for r in rows.values():
            r["share_of_image"], r["share_of_pack"] = round(r["fetched"] / size, 4), round(r["fetched"] / pack, 4)
        return {"pair": pair, "format": form, "image": size, "pack": pack, "methods": rows}


def show(f):
    print(f"\n{f['pair']}, {f['format']}: image {f['image'] / 1e6:.1f} MB, pack {f['pack'] / 1e6:.1f} MB")
    print(f"  {'':18} {'fetched':>10} {'of image':>9} {'of pack':>8} {'requests':>8} {'index':>9} {'time':>7} {'peak memory':>12}")
    for name, r in f["methods"].items():
        print(f"  {name:18} {r['fetched'] / 1e6:7.2f} MB {r['share_of_image']:9.2%} {r['share_of_pack']:8.2%} {r['requests']:8} "
              f"{r['index'] / 1e3:6.1f} kB {r['seconds']:5.1f} s {r['peak_kib']:8} KiB")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", required=True)
    p.add_argument("--cache", required=True, help="folder for userlands and images, which are kept")
    p.add_argument("--format", action="append", choices=list(FORMATS))
    p.add_argument("--json", action="store_true")
    p.add_argument("pair", nargs="*", metavar="PAIR", help=" or ".join(PAIRS))
    options = p.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid():
        os.execvp("fakeroot", ["fakeroot", sys.executable, *sys.argv])
    options.build, options.cache = os.path.abspath(options.build), os.path.abspath(options.cache)
    options.repo = f"{options.build}/src/repo/edgeferry-repo"
    os.makedirs(options.cache, exist_ok=True)
    for name in ("casync", "zstd"):
        if not have(name):
            print(f"{name} is not installed: left out", file=sys.stderr)
    found = []
    for pair in options.pair or PAIRS:
        for form in options.format or FORMATS:
            if not have(FORMATS[form][1]):
                print(f"{form}: {FORMATS[form][1]} is not installed: left out", file=sys.stderr)
                continue
            try:
                found.append(measure(options, pair, form))
            except subprocess.CalledProcessError as e:
                print(f"{pair}, {form}: {e}: left out", file=sys.stderr)
                continue
            if not options.json:
                show(found[-1])
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
