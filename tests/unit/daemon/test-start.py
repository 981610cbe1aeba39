#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""edgeferryd starts on a machine that is not ready: without D-Bus, with the clock at 1970 (without its server it starts in
test-daemon.py). What is missing is shown, nothing is installed by it, and it goes on by itself when what was missing is there.
And in a slot with another machine id. TAP.

    test-start.py BUILD FALSE-CLOCK.so
"""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402
from servers import Servers  # noqa: E402

BUILD, CLOCK = sys.argv[1:]
check = Checks()


def without_bus(f):
    g = f.gateway("gw-bus")
    g.stop_bus()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(f"{g.dir}/notify")
        ready.settimeout(20)
        g.spawn(NOTIFY_SOCKET=f"{g.dir}/notify")
        check("ready without a bus", b"READY=1" in ready.recv(4096), g.said())
    wait(lambda: "no D-Bus yet" in g.said(), 10, "the complaint")
    g.start_bus()
    wait(lambda: g.cli("status", check=False).returncode == 0, 15, "the name on the bus")
    check("the same process answers", g.process.poll() is None)
    g.stop()


def in_1970(f, servers):
    """No certificate is valid yet, so no server is believed; a bundle needs no clock."""
    unset = f"{f.dir}/unset"
    with open(unset, "w", encoding="ascii"):
        pass
    g = f.gateway("gw-clock", f"[Source]\nURL={servers.url}\nCAFile={servers.ca}\n[Network]\nUser=nobody\n")
    g.configure("meter", f.node("meter", "socket"), link="sim")
    net = f"{g.dir}/libexec/edgeferry-net"     # it is started with no environment
    program = os.readlink(net)
    os.unlink(net)
    with open(net, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o755)) as script:
        script.write(f'#!/bin/sh\nexport LD_PRELOAD={CLOCK} FALSE_CLOCK={unset}\nexec {program} "$@"\n')
    g.start(LD_PRELOAD=CLOCK, FALSE_CLOCK=unset)
    g.present(1)
    said = g.cli("check", check=False)
    check("with the clock at 1970 no server is believed", said.returncode != 0 and "not yet valid" in said.stderr, said)
    check("and its clock is what to look at", "clock says 1970-01-01T" in said.stderr and "which is wrong" in said.stderr, said)
    said = g.cli("install", "3.0.0", check=False)
    check("and nothing is installed from it", said.returncode == 1 and g.running() == {"meter": "1.0.0"}, said)
    d, _ = g.install("2.0.0")
    check("a bundle is installed", d["state"] == "confirmed" and g.running() == {"meter": "2.0.0"}, d)
    check("what is on record was not in 1970", all(e["time"] > "2020" for e in g.json("history")), g.json("history"))
    os.unlink(unset)
    said = g.cli("check", check=False)
    check("the clock is set: the server is believed", said.returncode == 0 and "3.0.0" in said.stdout, said)
    g.cli("install", "3.0.0")
    check("and its release installed", g.running() == {"meter": "3.0.0"}, g.nodes())
    g.stop()


def with_another_machine_id(f):
    """The name of the first start stays, although this machine's id would give another."""
    g = f.gateway("gw-name")
    conf = f"{g.dir}/etc/edgeferry.conf"
    with open(conf, encoding="utf-8") as file:
        text = file.read()
    with open(conf, "w", encoding="utf-8") as file:
        file.write(text.replace("Id=gw-name\n", ""))
    g.start()
    name = g.json("status")["id"]
    g.stop()
    with open(f"{g.dir}/state/id", encoding="ascii") as file:
        check("the name is kept from the first start on", file.read() == f"{name}\n" and len(name) == 32, name)
    with open(f"{g.dir}/state/id", "w", encoding="ascii") as file:
        file.write(f"{name[::-1]}\n")      # as the other slot would have written it, had it been first
    g.start()
    check("in the other slot it is the same", g.json("status")["id"] == name[::-1], g.json("status")["id"])
    g.stop()
    with open(conf, "w", encoding="utf-8") as file:
        file.write(text)
    g.start()
    check("Id= goes before it", g.json("status")["id"] == "gw-name", g.json("status")["id"])
    g.stop()


def main():
    with Farm(BUILD) as f:
        without_bus(f)
        if os.path.exists("/etc/machine-id"):
            with_another_machine_id(f)
        for version in ("2.0.0", "3.0.0"):
            f.release(version, version.encode() * 200)
        f.repo("publish", f"{f.dir}/www")
        with Servers(f"{f.dir}/servers", f"{f.dir}/www", mqtt=False) as servers:
            in_1970(f, servers)
    return check.end()


sys.exit(main())
