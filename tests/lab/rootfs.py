#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Root filesystem images for the lab: a real Debian userland in a deterministic ext4 image.

  rootfs.py --cache DIR --release 2.0.0 [--package P]… [--failing-check] OUT.img

The userland comes from mmdebstrap with the package sources that this machine uses, kept as a tar in
the cache folder. An image differs by release name, checks and packages, as images of a product do.
No mounts and no loop devices; without root rights everything runs under fakeroot.
"""
import argparse
import os
import subprocess
import sys
import tempfile

SIZE = "256M"
EPOCH = "1700000000"    # one time for everything in an image
GOOD_CHECK = """#!/bin/sh
# The new system can read its own package database.
test -s "$(dirname "$0")/../../../../var/lib/dpkg/status" || { echo "package database is missing"; exit 1; }
"""
BAD_CHECK = """#!/bin/sh
echo "the data logger does not start: missing libplant.so.4"
exit 1
"""


def tar(cache, packages):
    """Path of a tar with the userland; made once."""
    path = os.path.join(cache, "-".join(["userland"] + sorted(packages)) + ".tar")
    if os.path.exists(path):
        return path
    os.makedirs(cache, exist_ok=True)
    mode = "root" if os.geteuid() == 0 else "auto"
    command = ["mmdebstrap", "--quiet", f"--mode={mode}", "--variant=minbase", "--format=tar",
               "--skip=check/empty"]
    if packages:
        command.append("--include=" + ",".join(sorted(packages)))
    with open(path + ".log", "w") as log:
        done = subprocess.run(command + [codename(), path + ".new"], stdout=log, stderr=log,
                              env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
    if done.returncode:
        with open(path + ".log") as log:
            sys.stderr.write(log.read())
        raise RuntimeError("mmdebstrap failed")
    os.rename(path + ".new", path)
    return path


def codename():
    with open("/etc/os-release") as f:
        for line in f:
            if line.startswith("VERSION_CODENAME="):
                return line.split("=", 1)[1].strip().strip('"')
    raise RuntimeError("/etc/os-release names no VERSION_CODENAME")


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def fill(tree, release, failing_check):
    """What makes a userland this product's release."""
    with open(f"{tree}/usr/lib/os-release", "a") as f:
        f.write(f'IMAGE_ID=edgeferry-lab\nIMAGE_VERSION={release}\n')
    write(f"{tree}/usr/lib/edgeferry/release", release + "\n")
    write(f"{tree}/usr/lib/edgeferry/checks.d/10-packages", GOOD_CHECK, 0o755)
    if failing_check:
        write(f"{tree}/usr/lib/edgeferry/checks.d/50-data-logger", BAD_CHECK, 0o755)
    # A program of the product's own, different in each release: real content, not random bytes.
    with open("/bin/sh", "rb") as sh:
        program = sh.read()
    path = f"{tree}/usr/lib/edgeferry/data-logger"
    with open(path, "wb") as f:
        f.write(program + release.encode())
    os.chmod(path, 0o755)


def settle_times(image, tree, environment):
    """mke2fs copies the times of last access and change too, which nobody can set in a tree."""
    commands = []
    for folder, folders, files in os.walk(tree):
        links = [f for f in folders if os.path.islink(os.path.join(folder, f))]
        for path in [folder] + [os.path.join(folder, f) for f in files + links]:
            name = "/" + os.path.relpath(path, tree).replace('"', '""') if path != tree else "/"
            commands += [f'sif "{name}" {field} @{EPOCH}' for field in ("atime", "ctime")]
    subprocess.run(["debugfs", "-w", "-f", "-", image], input="\n".join(commands) + "\n", text=True, check=True,
                   env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def build(userland, out, release, failing_check, size=SIZE):
    """Runs as root or under fakeroot."""
    with tempfile.TemporaryDirectory(prefix="rootfs.", dir=os.path.dirname(out)) as work:
        tree = f"{work}/tree"
        os.mkdir(tree)
        subprocess.run(["tar", "xf", userland, "-C", tree, "--numeric-owner"], check=True)
        fill(tree, release, failing_check)
        subprocess.run(["find", tree, "-exec", "touch", "-h", "-d", "@" + EPOCH, "{}", "+"], check=True)
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
                       "E2FSPROGS_FAKE_TIME": EPOCH, "SOURCE_DATE_EPOCH": EPOCH}
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "rootfs", "-d", tree, "-m", "0",
                        "-U", "0ed6efe4-0000-4000-8000-000000000001", "-O", "^metadata_csum_seed",
                        "-E", "hash_seed=0ed6efe4-0000-4000-8000-000000000002,root_owner=0:0,"
                        "lazy_itable_init=0,lazy_journal_init=0", out + ".new", size],
                       check=True, env=environment, stdout=subprocess.DEVNULL)
        settle_times(out + ".new", tree, environment)
        os.rename(out + ".new", out)


def image(cache, out, release, packages=(), failing_check=False, size=SIZE):
    """Makes the image unless it is there."""
    if os.path.exists(out):
        return out
    userland = tar(cache, list(packages))
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    if os.geteuid() == 0:
        build(userland, os.path.abspath(out), release, failing_check, size)
        return out
    command = ["fakeroot", sys.executable, os.path.abspath(__file__), "--cache", cache, "--release", release,
               "--size", size]
    for p in packages:
        command += ["--package", p]
    subprocess.run(command + (["--failing-check"] if failing_check else []) + [out], check=True)
    return out


def main():
    p = argparse.ArgumentParser(description="make a root filesystem image")
    p.add_argument("--cache", required=True, help="folder for the userland's tar")
    p.add_argument("--release", required=True)
    p.add_argument("--package", action="append", default=[])
    p.add_argument("--size", default=SIZE)
    p.add_argument("--failing-check", action="store_true", help="a check in it fails")
    p.add_argument("out")
    a = p.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    image(a.cache, a.out, a.release, a.package, a.failing_check, a.size)


if __name__ == "__main__":
    main()
