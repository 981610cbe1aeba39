#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long it takes to put an image of 1 GiB into a slot from a bundle on the disk, beside RAUC.

    rauc.py --build BUILD --cache DIR [--work DIR] [--rounds N] [--json] [CASE…]

In turn, into the same loop device, from a file on the same disk and in the page cache:
  rauc        'rauc install' of a bundle (format plain, the image compressed as mksquashfs does it by default) by
              'rauc service' into a slot of type raw. Checks the signature over the whole bundle, writes, syncs; it does
              not read the slot back.
  edgeferry   edgeferry-worker with the index and the pack of a bundle: checks each chunk twice, unpacks it, writes it, syncs,
              and reads the slot back past the page cache. The signature over manifest and index is the core's work, and
              not in the figures; it is over some 100 kB. Nothing is there to take chunks from.

Memory is the most that was resident: of rauc the service, which is daemon and writer in one; of edgeferry the worker, and
beside it edgeferryd as it is idle in the same run. RAUC maps the bundle to check its signature, and what it has mapped counts
as resident, but the kernel can drop it: so what is the process's own is given as well.
Needs root, loop devices, and RAUC: apt install rauc.

Cases: full, an image without room left, into a slot of zeros; full-used, into one full of other bytes.
"""
import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "stage"), os.path.join(HERE, "..", "..", "lab")]
from stage import PACKAGES, SIZE, prepare, warm  # noqa: E402; before staging, which puts lab/stage.py in front
import rootfs  # noqa: E402
import staging  # noqa: E402

CASES = ("full", "full-used")
LIMIT_RATIO, LIMIT_MEMORY = 1.0, 1 / 3
COMPATIBLE = "bench"
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={0}</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow own="*"/><allow receive_sender="*"/></policy></busconfig>"""


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


@contextlib.contextmanager
def loop(path):
    device = run("losetup", "--find", "--show", "--direct-io=on", path).strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextlib.contextmanager
def program(*command, env=None, log=None, ready=lambda: True):
    with open(log or os.devnull, "w", encoding="utf-8") as out:
        p = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        end = time.monotonic() + 30
        while not ready():
            if p.poll() is not None or time.monotonic() > end:
                sys.exit(f"{command[0]} does not start: see {log}")
            time.sleep(0.02)
        yield p
    finally:
        p.terminate()
        p.wait()


def used(pid):
    """Seconds of a process so far, with those of its children that have ended."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class Memory(threading.Thread):
    """KiB of a process at most, until it ends or end() is called: all that is resident, and of that its own (RssAnon), which
    is no page of a file. The latter is sampled."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.all, self.own, self.over = pid, 0, 0, False
        self.start()

    def run(self):
        while not self.over:
            try:
                with open(f"/proc/{self.pid}/status", encoding="utf-8") as f:
                    now = {line.split(":")[0]: int(line.split()[1]) for line in f if line.startswith(("VmHWM:", "RssAnon:"))}
            except OSError:
                return
            if not now:
                return
            self.all, self.own = now["VmHWM"], max(self.own, now["RssAnon"])
            time.sleep(0.005)

    def end(self):
        self.over = True
        self.join()
        return {"kib": self.all, "own_kib": self.own}


class Rauc:
    """Its service, on a bus of its own, and a bundle with the image."""

    def __init__(self, work, image, running, target):
        self.dir = f"{work}/rauc"
        self.address = f"unix:path={self.dir}/bus"
        self.env = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": self.address}
        write(f"{self.dir}/bus.conf", BUS.format(f"{self.dir}/bus"))
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10", "-subj", "/CN=bench",
            "-keyout", f"{self.dir}/key.pem", "-out", f"{self.dir}/cert.pem")
        write(f"{self.dir}/in/manifest.raucm",
              f"[update]\ncompatible={COMPATIBLE}\nversion=1\n[bundle]\nformat=plain\n[image.rootfs]\nfilename=rootfs.img\n")
        os.link(image, f"{self.dir}/in/rootfs.img")
        self.bundle = f"{self.dir}/bench.raucb"
        run("rauc", "bundle", f"--cert={self.dir}/cert.pem", f"--key={self.dir}/key.pem", f"{self.dir}/in", self.bundle)
        os.makedirs(f"{self.dir}/data")
        write(f"{self.dir}/system.conf",
              f"[system]\ncompatible={COMPATIBLE}\nbootloader=noop\nmountprefix={self.dir}/mnt\ndata-directory={self.dir}/data\n"
              f"bundle-formats=plain\n[keyring]\npath={self.dir}/cert.pem\n"
              f"[slot.rootfs.0]\ndevice={running}\ntype=raw\nbootname=A\n[slot.rootfs.1]\ndevice={target}\ntype=raw\nbootname=B\n")

    def is_up(self):
        return subprocess.run(["rauc", "status"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def install(self):
        """seconds, CPU seconds, memory"""
        with program("rauc", "service", f"--conf={self.dir}/system.conf", "--override-boot-slot=A", env=self.env,
                     log=f"{self.dir}/service.log", ready=self.is_up) as service:
            memory, before, begin = Memory(service.pid), used(service.pid), time.monotonic()
            client = subprocess.Popen(["rauc", "install", self.bundle], env=self.env, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
            said = client.stdout.read()
            _, status, usage = os.wait4(client.pid, 0)
            client.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - begin
            if client.returncode:
                sys.exit(f"rauc install: {said}")
            return {"s": seconds, "cpu_s": used(service.pid) - before + usage.ru_utime + usage.ru_stime,
                    **memory.end()}


def stage(build, release, target, running):
    """The same by edgeferry-worker."""
    core, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    begin = time.monotonic()
    with open(release.path("index"), "rb") as index, open(release.path("pack"), "rb") as pack:
        worker = subprocess.Popen([f"{build}/src/worker/edgeferry-worker"], pass_fds=[3],
                                  preexec_fn=lambda: os.dup2(child.fileno(), 3), stdin=subprocess.DEVNULL)
        child.close()
        memory = Memory(worker.pid)
        socket.send_fds(core, [release.job(target, running)], [index.fileno()])
        outcome = None
        while outcome is None:
            message = core.recv(1 << 17)
            kind = int.from_bytes(message[:4], sys.byteorder) if message else staging.DONE
            if kind == staging.NEED:    # as from a bundle: a file that holds the whole pack, here from its start
                socket.send_fds(core, [staging.struct.pack("=IIQII", staging.DATA, 16, 0, 1, 0)], [pack.fileno()])
            elif kind == staging.DONE:
                outcome = message[8:]
    core.close()
    _, status, usage = os.wait4(worker.pid, 0)
    worker.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begin
    if worker.returncode or not outcome or outcome[:4] != b"\0\0\0\0":
        sys.exit(f"staging failed: exit {worker.returncode}, {outcome}")
    return {"s": seconds, "cpu_s": usage.ru_utime + usage.ru_stime, **memory.end()}


def idle(build, work, address):
    """Memory of an edgeferryd that has started and waits."""
    write(f"{work}/ef/edgeferry.conf", f"[Gateway]\nProduct=bench\nCompatible=example.org,bench\nId=bench\nStateDirectory={work}/ef/state\n"
          f"RuntimeDirectory={work}/ef/run\n")
    log = f"{work}/ef/log"
    with program(f"{build}/src/daemon/edgeferryd", f"--config={work}/ef", f"--bus={address}", log=log,
                 ready=lambda: os.path.exists(f"{work}/ef/state/state.db")) as daemon:
        time.sleep(1)
        if daemon.poll() is not None:
            sys.exit(f"edgeferryd ended: see {log}")
        memory = Memory(daemon.pid)
        time.sleep(0.1)
        return memory.end()


def same(device, image, size):
    """Past the page cache."""
    back = subprocess.run(f"dd if={device} iflag=direct bs=1M count={size} iflag=count_bytes,direct status=none | cmp - {image}",
                          shell=True, check=False)
    return back.returncode == 0


def measure(options, case):
    kind, _, how = case.partition("-")
    image = rootfs.image(options.cache, f"{options.cache}/stage-{kind}.img", "1.0.0", PACKAGES[kind], size=SIZE)
    size, found = os.path.getsize(image), []
    with tempfile.TemporaryDirectory(prefix="bench-rauc.", dir=options.work) as work:
        own = f"{work}/image"   # one file system for the links
        shutil.copyfile(image, own)
        for name in ("running", "target"):
            prepare(f"{work}/{name}", size, False)
        with loop(f"{work}/running") as running, loop(f"{work}/target") as target:
            release = staging.Release(f"{options.build}/src/repo/edgeferry-repo", work, "release", own)
            rauc = Rauc(work, own, running, target)
            with program("dbus-daemon", f"--config-file={rauc.dir}/bus.conf", "--nofork", ready=lambda: os.path.exists(f"{rauc.dir}/bus")):
                daemon = idle(options.build, work, rauc.address)
                for _ in range(options.rounds):
                    row = {}
                    for name, work_on in (("rauc", rauc.install),
                                          ("edgeferry", lambda: stage(options.build, release, target, running))):
                        refill(target, size, how == "used")
                        warm(rauc.bundle, release.path("pack"))
                        row[name] = work_on()
                        if not same(target, own, size):
                            sys.exit(f"{name}: the slot does not hold the image")
                    found.append(row)
            bytes_of = {"bundle": os.path.getsize(rauc.bundle), "pack": release.component["pack"]["size"]}
    median = {name: {k: round(statistics.median(r[name][k] for r in found), 2) for k in ("s", "cpu_s")} |
              {k: max(r[name][k] for r in found) for k in ("kib", "own_kib")} for name in ("rauc", "edgeferry")}
    return {"case": case, "image_bytes": size, **{f"{k}_bytes": v for k, v in bytes_of.items()}, **median, "edgeferryd": daemon,
            "ratios_s": [round(r["edgeferry"]["s"] / r["rauc"]["s"], 2) for r in found],
            "ratios_cpu": [round(r["edgeferry"]["cpu_s"] / r["rauc"]["cpu_s"], 2) for r in found]}


def refill(device, size, used_before):
    """The slot as a former release, or the factory, has left it; nothing of it waits to be written."""
    source = f"head -c {size} /dev/zero"
    if used_before:
        source += f" | openssl enc -aes-256-ctr -K {'0' * 64} -iv {'0' * 32}"
    run("sh", "-c", f"{source} | dd of={device} bs=1M oflag=direct iflag=fullblock status=none && sync")


def show(f):
    print(f"{f['case']}: image {f['image_bytes'] / 1e6:.0f} MB; bundle of RAUC {f['bundle_bytes'] / 1e6:.0f} MB, "
          f"pack {f['pack_bytes'] / 1e6:.0f} MB")
    for name in ("rauc", "edgeferry"):
        print(f"  {name:<11}{f[name]['s']:6.2f} s, CPU {f[name]['cpu_s']:5.2f} s, {f[name]['kib']} KiB, its own {f[name]['own_kib']}")
    print(f"  ratio      {statistics.median(f['ratios_s']):6.2f} {f['ratios_s']} in time, wanted: at most {LIMIT_RATIO}; "
          f"{statistics.median(f['ratios_cpu']):.2f} in CPU")
    for what, name in (("kib", "memory"), ("own_kib", "its own")):
        worker, daemon, rauc = f["edgeferry"][what], f["edgeferryd"][what], f["rauc"][what]
        print(f"  {name:<11}{worker / rauc:6.2f} of RAUC's, wanted: at most {LIMIT_MEMORY:.2f}; {(worker + daemon) / rauc:.2f} with "
              f"edgeferryd ({daemon} KiB)", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", required=True)
    p.add_argument("--cache", required=True, help="folder for the images, which are kept")
    p.add_argument("--work", help="folder on the disk to be measured (default: the cache)")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--json", action="store_true")
    p.add_argument("case", nargs="*", metavar="CASE", help=" or ".join(CASES))
    options = p.parse_args()
    if not shutil.which("rauc"):
        print("rauc is not installed (apt install rauc): nothing to compare with")
        return
    if os.geteuid() or subprocess.run(["losetup", "--find"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        print("root and loop devices are needed, and not to be had here")
        return
    options.build, options.cache = os.path.abspath(options.build), os.path.abspath(options.cache)
    options.work = os.path.abspath(options.work or options.cache)
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
