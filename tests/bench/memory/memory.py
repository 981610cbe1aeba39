#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway's processes, idle and while a slot and two nodes are staged: memory, how often idle ones wake up, and
how soon the daemon is ready, beside rauc's (start.py).

    memory.py BUILD

The stage is the end-to-end test's: a broker, a web server, two nodes. Idle is what they are when each process has given
back what it needed last, which edgeferry-net does at the core's ping, every two minutes, and when nodes have been the
same for so long that they are asked every five. Resident is VmRSS of /proc/PID/status, in KiB, the largest of samples taken every 10 ms; shared pages count in each process, and in
Pss by their share. A wake-up is a voluntary switch of context of any thread.
"""
import glob
import os
import sys
import tempfile
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import start  # noqa: E402
from farm import Farm  # noqa: E402
from servers import Servers  # noqa: E402
from stage import NODES, Stage  # noqa: E402

PROGRAMS = ("edgeferryd", "edgeferry-net", "edgeferry-worker")
PSS_KIB, WAKEUPS = 8 << 10, 6   # wanted at most, of all together, and a minute
SETTLE, CALM = 150, 360   # seconds until then
MINUTES = 5


def resident(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return 0


def field(path, name):
    with open(path) as f:
        return next(int(line.split()[1]) for line in f if line.startswith(name))


def wakeups(pids):
    return sum(field(task, "voluntary_ctxt_switches:") for pid in pids for task in glob.glob(f"/proc/{pid}/task/*/status"))


def at_rest(pids):
    """(wake-ups a minute, KiB Pss) of these processes together."""
    before = wakeups(pids)
    time.sleep(60 * MINUTES)
    return (wakeups(pids) - before) / MINUTES, sum(field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids)


def say(what, rate, pss):
    print(f"idle, {what}: {rate:.1f} wake-ups a minute, {rate / WAKEUPS:.2f} of what is wanted at most; "
          f"{pss} KiB Pss, {pss / PSS_KIB:.2f}", flush=True)


def alone(build, work):
    """A broker and no node; systemd's watchdog as in the unit."""
    os.makedirs(f"{work}/www")
    os.chmod(work, 0o755)
    os.environ["WATCHDOG_USEC"] = "120000000"
    with Servers(f"{work}/servers", f"{work}/www") as servers, Farm(build) as farm:
        g = farm.gateway("gw", f"[Mqtt]\nBroker=localhost:{servers.broker_port}\nCAFile={servers.ca}\n"
                         "[Network]\nUser=nobody\n")
        start.say(g)
        g.start()
        time.sleep(SETTLE)
        core = g.process.pid
        with open(f"/proc/{core}/task/{core}/children") as f:
            say("a broker and no node", *at_rest([core, *f.read().split()]))
    del os.environ["WATCHDOG_USEC"]


def sample(stage, peak):
    for name in PROGRAMS:
        for pid in stage.gateway.pids(name):
            peak[name] = max(peak.get(name, 0), resident(pid))


def main():
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="ef-idle-") as work:
        alone(build, work)
    with tempfile.TemporaryDirectory(prefix="bench.", dir=build) as work, \
            Stage(build, f"{work}/stage", cache=f"{build}/lab") as s:
        s.outcome_of_install(s.bundle("1.0.0"), "1.0.0")
        idle, busy = {}, {}
        time.sleep(CALM)
        say("and two nodes on serial lines", *at_rest([pid for name in PROGRAMS for pid in s.gateway.pids(name)]))
        for _ in range(50):
            sample(s, idle)
            time.sleep(0.01)
        s.add_rootfs("2.0.0", s.rootfs("2.0.0", packages=("less",)))
        for node in NODES:
            s.add_firmware(node, "2.0.0")
        s.make_release("2.0.0", [*NODES, "rootfs"])
        s.publish()
        s.wake()
        end = time.monotonic() + 120
        while time.monotonic() < end:
            sample(s, busy)
            time.sleep(0.01)
            if "edgeferry-worker" in busy and not s.gateway.pids("edgeferry-worker"):
                break
        s.outcome("2.0.0")
        print(f"{'KiB resident':<20}{'idle':>8}{'staging':>9}")
        for name in PROGRAMS:
            print(f"{name:<20}{idle.get(name, 0):>8}{busy.get(name, 0):>9}")
        print(f"{'together':<20}{sum(idle.values()):>8}{sum(busy.values()):>9}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
