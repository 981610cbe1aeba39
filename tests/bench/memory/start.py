# SPDX-License-Identifier: Apache-2.0
"""From start to ready, in milliseconds: edgeferryd and, where it is installed, `rauc service`, as plain processes.

Ready is what systemd waits for: READY=1 of edgeferryd, which is on the bus by then; of rauc its name on the bus. What
their units add, above all the sandbox of edgeferry.service, is in tests/bench/idle.
"""
import os
import shutil
import socket
import subprocess
import time

import dbus.bus

ROUNDS = 15


def told(values):
    """The least is what it takes; the median what it takes beside other work."""
    return f"{sorted(values)[len(values) // 2]:.0f} ms, the least {min(values):.0f}"


def until_ready(spawn, ready):
    begin = time.monotonic()
    process = spawn()
    while not ready():
        if process.poll() is not None or time.monotonic() > begin + 20:
            raise RuntimeError(f"{process.args[0]} does not start")
    taken = 1000 * (time.monotonic() - begin)
    process.terminate()
    process.wait()
    return taken


def edgeferry(gateway):
    path = f"{gateway.dir}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(20)

        def spawn():
            s.setblocking(False)
            try:
                while s.recv(4096):
                    pass    # of the one before
            except BlockingIOError:
                s.settimeout(20)
            gateway.spawn(NOTIFY_SOCKET=path)
            return gateway.process
        times = [until_ready(spawn, lambda: b"READY=1" in s.recv(4096)) for _ in range(ROUNDS)]
    os.unlink(path)
    return times


def rauc(gateway):
    address = f"unix:path={gateway.dir}/bus"
    with open(f"{gateway.dir}/rauc.conf", "w") as f:
        f.write("[system]\ncompatible=bench\nbootloader=noop\n[slot.rootfs.0]\ndevice=/dev/null\n")
    bus = dbus.bus.BusConnection(address)

    def spawn():
        return subprocess.Popen(["rauc", "service", f"--conf={gateway.dir}/rauc.conf", "--override-boot-slot=A"],
                                env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    times = [until_ready(spawn, lambda: bus.name_has_owner("de.pengutronix.rauc")) for _ in range(ROUNDS)]
    bus.close()
    return times


def say(gateway):
    """A gateway whose bus is there and whose daemon does not run."""
    theirs = f"rauc service {told(rauc(gateway))}" if shutil.which("rauc") else "rauc is not installed"
    print(f"start to ready, median of {ROUNDS}: edgeferryd {told(edgeferry(gateway))}; {theirs}", flush=True)
