#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A whole gateway, emulated: GRUB, kernel, systemd as PID 1, edgeferry from its own package. Slots are updated from
bundles by real restarts. F-02, I-1, I-2: what goes wrong in a slot on trial ends in the old one, by itself.

  test-machine.py WORK [DEB]   WORK: a folder for images, kept between runs; DEB: edgeferry's package, else built

Root's, and long: the kernel is emulated. SCENES=1,2 picks scenes, SEED the moments of the power cuts.
"""
import os
import pathlib
import random
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/lab/vm")]
import disk  # noqa: E402
import downtime  # noqa: E402
from cuts import Cuts  # noqa: E402
from lab import Lab, scenes  # noqa: E402
from tap import equal, holds  # noqa: E402


def ending_init(tree):
    """Process 1 ends, and the kernel panics: panic=."""
    disk.program(tree / "usr/lib/systemd/systemd", "exit 1\n")


def no_init(tree):
    """initramfs-tools takes /bin/sh, which waits for commands: the watchdog that the initramfs started."""
    for path in ("usr/sbin/init", "usr/lib/systemd/systemd"):
        (tree / path).unlink()


def hanging_init(tree):
    """The same watchdog."""
    disk.program(tree / "usr/lib/systemd/systemd", "exec sleep infinity\n")


def hanging_system(tree):
    """Nothing but one program runs any more: the watchdog, which systemd had taken over."""
    disk.rootfs.write(str(tree / "etc/systemd/system/hang.service"), """[Unit]
DefaultDependencies=no
[Service]
Type=exec
CPUSchedulingPolicy=fifo
CPUSchedulingPriority=99
ExecStartPre=/bin/sh -c 'echo -1 > /proc/sys/kernel/sched_rt_runtime_us'
ExecStart=/bin/sh -c 'while :; do :; done'
""")
    disk.wanted(tree, "hang.service", "basic.target")


def with_server(tree):
    """How it is reached is on the disk with the bundles."""
    folder = tree / "etc/edgeferry/conf.d"
    folder.mkdir(exist_ok=True)
    (folder / "10-server.conf").symlink_to("/run/bundles/server.conf")
    disk.rootfs.write(f"{tree}/etc/systemd/network/lab.network", disk.NETWORK)
    disk.wanted(tree, "systemd-networkd.service", "basic.target")


def without_network(tree):
    with_server(tree)
    (tree / "etc/systemd/network/lab.network").unlink()


def failing_check(tree):
    disk.rootfs.write(str(tree / "etc/edgeferry/checks.d/50-data-logger"), disk.rootfs.BAD_CHECK, 0o755)


def broken_kernel(tree):
    for path in (tree / "boot").glob("vmlinuz-*"):
        path.write_bytes(b"\0" * 4096)


def broken_core(tree):
    disk.program(tree / "usr/libexec/edgeferry/edgeferryd", "exit 1\n")


RELEASES = {"1.0.0": None, "2.0.0": None, "3.0.0": None, "4.0.0": ending_init, "5.0.0": failing_check,
            "6.0.0": broken_kernel, "7.0.0": broken_core, "8.0.0": no_init, "9.0.0": hanging_init,
            "10.0.0": hanging_system, "11.0.0": with_server, "12.0.0": without_network}


def first_start(lab):
    lab.fresh()
    equal(lab.running(), ("A", False), "slot")
    equal(lab.machine.run("systemctl is-system-running --wait", check=False).strip(), "running", "system")
    print("# " + lab.machine.run("systemctl show -p MemoryCurrent,TasksCurrent edgeferry.service").replace("\n", " "))


def there_and_back(lab):
    for release, slot in (("2.0.0", "B"), ("3.0.0", "A")):
        print("# " + downtime.text(downtime.update(lab, release)), flush=True)
        equal(lab.running(), (slot, True), "slot, on trial")
        equal(lab.release_running(), release, "what runs")
        lab.restart()
        equal(lab.running(), (slot, False), "slot after another restart")


def falls_back(*args):
    return lambda lab: lab.falls_back(*args)


def lost_network(lab):
    """The server answered before the update, and does not in the new slot."""
    lab.fresh("11.0.0")
    lab.machine.wait("the server", lambda: lab.status()["server"]["last_check"])
    lab.falls_back("12.0.0", "server-lost", "https://10.0.2.2", source="12.0.0")


def power_cuts(lab):
    """At any moment of an update, restarts included: it starts, and ends in the old release or the new one."""
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    print(f"# SEED={seed}", flush=True)
    ends = []
    for state, outcome in Cuts(lab, random.Random(seed)).run():
        new = state == "confirmed"
        holds(new or state in ("not begun", "cancelled", "reverted", "failed"), f"the outcome: {state}, {outcome}")
        equal(lab.release_running(), "2.0.0" if new else "1.0.0", f"what runs: {state}")
        equal(lab.running()[0], "B" if new else "A", f"slot: {state}")
        equal(len(lab.deployments()), 1 if outcome else 0, "outcomes on record")
        equal(lab.machine.run("systemctl is-system-running --wait", check=False).strip(), "running", "system")
        status = lab.status()
        equal(status["state"], "idle", "state")
        equal(status["release"] == "2.0.0", new, "whether status says that it is installed")
        equal([s["slot"] for s in status["slots"] if s["primary"]], ["B" if new else "A"], "primary slot")
        ends.append(state)
    holds(len(ends) >= 20, f"{len(ends)} cuts, 20 were wanted")
    print(f"# {ends.count('confirmed')} of {len(ends)} ended in the new release, the others in the old one")


# name, what happens, which releases it takes
SCENES = [
    ("starts from slot A", first_start, []),
    ("A -> B -> A, each confirmed and lasting", there_and_back, ["2.0.0", "3.0.0"]),
    ("F-02 the kernel panics in the new slot", falls_back("4.0.0", "trial-not-booted"), ["4.0.0"]),
    ("F-24 a check fails in the new slot", falls_back("5.0.0", "check-failed", "libplant.so.4"), ["5.0.0"]),
    ("F-02 no kernel in the new slot", falls_back("6.0.0", "trial-not-booted"), ["6.0.0"]),
    ("no core in the new slot", falls_back("7.0.0", "trial-not-booted"), ["7.0.0"]),
    ("I-1 I-2 power cuts", power_cuts, ["2.0.0"]),
    ("F-02 no init in the new slot", falls_back("8.0.0", "trial-not-booted"), ["8.0.0"]),
    ("F-02 init hangs in the new slot", falls_back("9.0.0", "trial-not-booted"), ["9.0.0"]),
    ("F-02 the new slot hangs after systemd began", falls_back("10.0.0", "trial-not-booted"), ["10.0.0"]),
    ("F-24 the new slot has no network", lost_network, ["11.0.0", "12.0.0"]),
]


sys.exit(scenes(Lab(sys.argv[1], RELEASES, *sys.argv[2:]), SCENES))
