#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an update of a root filesystem fetches: edgeferry and its peers on the same pairs in the same run.

    rootfs-delta.py --build BUILD --cache DIR [--json] [PAIR…]

The images are real Debian root file systems: a small gateway's userland (systemd, ssh, Python, curl; no
kernel), in two pairs:
  upgrade   the packages of the last point release of Debian, and the same packages as they are now, with
            security and stable updates
  package   the same, and one package (less) more
each as ext4 of 512 MiB and, with the tools installed, as erofs and as squashfs. The old image is in the
running slot, the slot to be written is empty.
  edgeferry         publishes one index and one pack, whatever runs on a gateway. edgeferry-net fetches from
                    nginx over HTTPS, edgeferry-worker writes the slot, as on a gateway. Bytes are those
                    of nginx's log: index, leaves, chunks, and what stands between parts.
  casync            extracts with the old image as seed; default chunks, and chunks of 8 KiB on average. A
                    request for each chunk, and one for the index; headers of HTTP not counted.
  zchunk            zckdl fetches from nginx over HTTP, the old image's zchunk file is the source. Time is
                    that of zckdl and unzck.
  zstd --patch-from knows both images when it compresses: for one pair, a lower bound.
Time and memory are those of the gateway's side.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from staging import Peak, Release, Staging, fresh, same  # noqa: E402
import rootfs  # noqa: E402
from servers import Servers  # noqa: E402

SIZE = "512M"
PACKAGES = ("systemd-sysv", "openssh-server", "python3", "curl")
# release, packages, with the updates of the archive
OLD = ("1.0.0", PACKAGES, True)
PAIRS = {
    "upgrade": (("1.0.0", PACKAGES, False), OLD),
    "package": (OLD, ("2.0.0", PACKAGES + ("less",), True)),
}
REQUESTS_MAX = 16


def have(*programs):
    return all(shutil.which(p, path=os.environ["PATH"]) for p in programs)


# ---- images ----
def archive():
    """Where apt has the release itself from."""
    lines = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)",
                            "Created-By: Packages"], check=True, capture_output=True, text=True).stdout.splitlines()
    for origin, uri, release, component in (line.split() for line in lines if len(line.split()) == 4):
        if (origin, release, component) == ("Debian", rootfs.codename(), "main"):
            return uri
    sys.exit(f"apt knows no archive of {rootfs.codename()}; run apt-get update first")


def old_tar(cache, packages):
    """The userland from the release's own archive, without its updates."""
    path = os.path.join(cache, "-".join(["userland-released"] + sorted(packages)) + ".tar")
    if not os.path.exists(path):
        with open(path + ".log", "w") as log:
            subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", "--skip=check/empty",
                            "--include=" + ",".join(sorted(packages)), rootfs.codename(), path + ".new",
                            f"deb {archive()} {rootfs.codename()} main"],
                           check=True, stdout=log, stderr=log, env={**os.environ, "SOURCE_DATE_EPOCH": rootfs.EPOCH})
        os.rename(path + ".new", path)
    return path


def userland(options, spec):
    _, packages, updates = spec
    return rootfs.tar(options.cache, list(packages)) if updates else old_tar(options.cache, packages)


def versions(tar):
    """{package: version} of a userland."""
    status = subprocess.run(["tar", "xOf", tar, "./var/lib/dpkg/status"], check=True, capture_output=True, text=True).stdout
    return dict(re.findall(r"^Package: (\S+)$.*?^Version: (\S+)$", status, re.MULTILINE | re.DOTALL))


def difference(options, pair):
    """A line about what differs."""
    old, new = (versions(userland(options, spec)) for spec in PAIRS[pair])
    changed = sorted(p for p in old if p in new and old[p] != new[p])
    added = sorted(set(new) - set(old))
    return (f"{len(old)} packages, {len(changed)} of them in another version" +
            (f" ({', '.join(changed)})" if changed else "") + (f", new: {', '.join(added)}" if added else ""))


def tree(work, tar, release):
    path = os.path.join(work, "tree")
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    subprocess.run(["tar", "xf", tar, "-C", path, "--numeric-owner", "--exclude=./dev/*"], check=True)
    rootfs.fill(path, release, False)
    subprocess.run(["find", path, "-exec", "touch", "-h", "-d", "@" + rootfs.EPOCH, "{}", "+"], check=True)
    return path


def make_ext4(work, tar, release, out):
    rootfs.build(tar, out, release, False, SIZE)


def make_erofs(work, tar, release, out):
    subprocess.run(["mkfs.erofs", "-T" + rootfs.EPOCH, "-U0ed6efe4-0000-4000-8000-000000000001", out,
                    tree(work, tar, release)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_squashfs(work, tar, release, out):
    subprocess.run(["mksquashfs", tree(work, tar, release), out, "-noappend", "-quiet", "-no-progress", "-comp", "zstd",
                    "-all-time", rootfs.EPOCH, "-mkfs-time", rootfs.EPOCH], check=True, stdout=subprocess.DEVNULL)


FORMATS = {"ext4": (make_ext4, "mke2fs"), "erofs": (make_erofs, "mkfs.erofs"), "squashfs": (make_squashfs, "mksquashfs")}


def image(options, work, form, spec):
    release, packages, updates = spec
    name = "-".join(["delta", release, *packages] + ([] if updates else ["released"])) + "." + form
    out = os.path.join(options.cache, name)
    if not os.path.exists(out):
        FORMATS[form][0](work, userland(options, spec), release, out + ".part")
        os.rename(out + ".part", out)
    return out


# ---- edgeferry ----
def edgeferry(options, work, old, new):
    release = Release(options.repo, work, "new", new)
    slot, running, www = f"{work}/slot-b", f"{work}/slot-a", f"{work}/www"
    fresh(slot, max(os.path.getsize(old), os.path.getsize(new)))
    shutil.copyfile(old, running)
    release.publish(www)
    with Servers(f"{work}/servers", www, mqtt=False) as servers:
        staged = Staging(options.build, servers).stage(release, slot, running)
        rows = served(servers)
    assert same(slot, new), "the slot is not the image"
    return {"fetched": sum(r[3] for r in rows), "requests": len(rows), "index": release.component["index"]["size"],
            "pack": release.component["pack"]["size"], "seconds": round(staged.seconds, 2),
            "peak_kib": staged.worker_kib + staged.net_kib}


def served(servers):
    time.sleep(0.2)     # nginx writes a line when it has sent all
    return servers.access_log()


# ---- peers ----
def timed(command, **options):
    """Seconds, and the peak of the program in KiB."""
    begin = time.monotonic()
    p = subprocess.Popen(command, **options)
    watch = Peak(p.pid)
    if p.wait():
        sys.exit("%s: exit %d" % (" ".join(command), p.returncode))
    watch.join()
    return time.monotonic() - begin, watch.kib


QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def casync(work, old, new, *size):
    """The chunks that extraction asks for are what is new in the store: both images are in one."""
    store, env = os.path.join(work, "store"), {**os.environ, "SOURCE_DATE_EPOCH": rootfs.EPOCH}
    sizes = []
    for name, path in (("old", old), ("new", new)):
        subprocess.run(["casync", "make", *size, f"--store={store}", "--compression=zstd", f"{work}/{name}.caibx", path],
                       check=True, env=env, **QUIET)
        chunks = [os.path.join(d, f) for d, _, files in os.walk(store) for f in files]
        sizes.append({c: os.path.getsize(c) for c in chunks})
    lacking = [c for c in sizes[1] if c not in sizes[0]]
    seconds, rss = timed(["casync", "extract", f"--store={store}", f"--seed={old}", f"{work}/new.caibx", f"{work}/casync.out"],
                         **QUIET)
    index = os.path.getsize(f"{work}/new.caibx")
    assert same(f"{work}/casync.out", new)
    os.unlink(f"{work}/casync.out")
    shutil.rmtree(store)
    return {"fetched": index + sum(sizes[1][c] for c in lacking), "requests": len(lacking) + 1, "index": index,
            "seconds": round(seconds, 2), "peak_kib": rss}


def casync_small(work, old, new):
    return casync(work, old, new, "--chunk-size=2048:8192:65536")


class Plain(Servers):
    """zckdl cannot be told whom to trust: without TLS."""

    def _nginx(self, port):
        template, command = super()._nginx(port)
        return template.replace(" ssl http2;", ";"), command


def zchunk(work, old, new):
    www, here = f"{work}/zck", f"{work}/zck-here"
    os.makedirs(www)
    os.makedirs(here)
    for name, path in (("old", old), ("new", new)):
        subprocess.run(["zck", "-o", f"{www}/{name}.zck", path], check=True, **QUIET)
    header = subprocess.run(["zck_read_header", f"{www}/new.zck"], check=True, capture_output=True, text=True).stdout
    with Plain(f"{work}/plain", www, mqtt=False) as servers:
        seconds, rss = timed(["zckdl", "-q", "--fail-no-ranges", f"--source={www}/old.zck",
                              f"http://localhost:{servers.port}/new.zck"], cwd=here, **QUIET)
        rows = served(servers)
    more, other = timed(["unzck", "new.zck"], cwd=here, **QUIET)
    assert same(f"{here}/new", new)
    shutil.rmtree(here)
    shutil.rmtree(www)
    return {"fetched": sum(r[3] for r in rows), "requests": len(rows),
            "index": int(re.search(r"Header size: (\d+)", header).group(1)), "seconds": round(seconds + more, 2),
            "peak_kib": max(rss, other)}


def zstd(work, old, new):
    out = f"{work}/patch.zst"
    subprocess.run(["zstd", "-q", "-f", "-9", "--long=30", f"--patch-from={old}", new, "-o", out], check=True)
    seconds, rss = timed(["zstd", "-q", "-d", "-f", "--long=30", "--memory=2048MB", f"--patch-from={old}", out, "-o",
                          f"{work}/zstd.out"])
    assert same(f"{work}/zstd.out", new)
    size = os.path.getsize(out)
    for f in (out, f"{work}/zstd.out"):
        os.unlink(f)
    return {"fetched": size, "requests": 1, "index": 0, "seconds": round(seconds, 2), "peak_kib": rss}


PEERS = {"casync": (casync, ("casync",)), "casync, 8 KiB": (casync_small, ("casync",)),
         "zchunk": (zchunk, ("zck", "zckdl", "unzck", "zck_read_header")), "zstd --patch-from": (zstd, ("zstd",))}


def measure(options, pair, form):
    with tempfile.TemporaryDirectory(prefix="bench-delta.", dir=options.cache) as work:
        os.chmod(work, 0o755)
        old, new = (image(options, work, form, spec) for spec in PAIRS[pair])
        size = os.path.getsize(new)
        rows = {"edgeferry": edgeferry(options, work, old, new)}
        for name, (method, programs) in PEERS.items():
            if have(*programs):
                rows[name] = method(work, old, new)
        pack = rows["edgeferry"]["pack"]
        for r in rows.values():
            r["share_of_image"], r["share_of_pack"] = round(r["fetched"] / size, 4), round(r["fetched"] / pack, 4)
        return {"pair": pair, "format": form, "image": size, "pack": pack, "methods": rows}


def short_of(methods):
    """What was wanted and is not so."""
    ours = methods["edgeferry"]
    lacks = [f"fewer bytes than {n}" for n in ("casync", "zchunk") if n in methods and methods[n]["fetched"] <= ours["fetched"]]
    lacks += [f"a smaller index than {n}" for n in ("casync", "zchunk") if n in methods and methods[n]["index"] <= ours["index"]]
    return lacks + ([f"at most {REQUESTS_MAX} requests"] if ours["requests"] > REQUESTS_MAX else [])


def show(f):
    print(f"\n{f['pair']}, {f['format']}: image {f['image'] / 1e6:.1f} MB, pack {f['pack'] / 1e6:.1f} MB")
    print(f"  {'':18} {'fetched':>10} {'of image':>9} {'of pack':>8} {'requests':>8} {'index':>9} {'time':>7} {'peak memory':>12}")
    for name, r in f["methods"].items():
        print(f"  {name:18} {r['fetched'] / 1e6:7.2f} MB {r['share_of_image']:9.2%} {r['share_of_pack']:8.2%} {r['requests']:8} "
              f"{r['index'] / 1e3:6.1f} kB {r['seconds']:5.1f} s {r['peak_kib']:8} KiB")
    lacks = short_of(f["methods"])
    print("  wanted: fewer bytes and a smaller index than casync and zchunk, at most 16 requests: " +
          ("missed: " + ", ".join(lacks) if lacks else "so it is"), flush=True)


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
    for name, (_, programs) in PEERS.items():
        if not have(*programs):
            print(f"{name}: {' '.join(programs)}: not installed, left out", file=sys.stderr)
    found = []
    for pair in options.pair or PAIRS:
        if not options.json:
            print(f"\n{pair}: {difference(options, pair)}")
        for form in options.format or FORMATS:
            if not have(FORMATS[form][1]):
                print(f"{form}: {FORMATS[form][1]} is not installed: left out", file=sys.stderr)
                continue
            found.append(measure(options, pair, form))
            if not options.json:
                show(found[-1])
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
