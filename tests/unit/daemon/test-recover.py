#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each command that docs/guide-recover.md gives is run once, and does what the guide says; a new one has to come here. TAP.

    test-recover.py BUILD SOURCE
"""
import os
import re
import sys

BUILD, SOURCE = sys.argv[1:]
sys.path.insert(0, f"{SOURCE}/tests/lab")
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402
from servers import Servers  # noqa: E402

check = Checks()
# not of ours, or the publisher's other page
OTHERS = {"systemctl status edgeferry", "systemctl start edgeferry", "journalctl --boot=-1"}


def commands():
    with open(f"{SOURCE}/docs/guide-recover.md", encoding="utf-8") as f:
        found = re.findall(r"`((?:edgeferry|edgeferry-repo|systemctl|journalctl) [^`]+|publish)`", f.read())
    return set(found) - OTHERS


def main():
    ran = set()
    with Farm(BUILD) as f:
        for version in ("2.0.0", "3.0.0"):
            f.release(version, version.encode() * 300)
        f.repo("publish", f"{f.dir}/www")
        with Servers(f"{f.dir}/servers", f"{f.dir}/www", mqtt=False) as servers:
            g = f.gateway("gw", f"[Source]\nURL={servers.url}\nCAFile={servers.ca}\n[Network]\nUser=nobody\n")
            os.symlink(f"{f.build}/src/doctor/edgeferry-doctor", f"{g.dir}/libexec/edgeferry-doctor")
            os.environ["EDGEFERRY_LIBEXEC"] = f"{g.dir}/libexec"
            g.configure("meter", f.node("meter", "socket"), link="sim")
            g.configure("lamp", f.node("lamp", "socket"), link="sim", key=f"{g.dir}/state/lamp.key")
            g.start()

            def run(command, text, *words, codes=(0,)):
                ran.add(command)
                done = g.cli(*(words or command.split()[1:]), check=False)
                check(command, done.returncode in codes and text in done.stdout + done.stderr, done)

            wait(lambda: g.nodes()["meter"]["present"], 20, "the node")
            run("edgeferry nodes provision NAME", "has its key", "nodes", "provision", "lamp")
            wait(lambda: g.nodes()["lamp"]["present"], 20, "the node with a key")
            run("edgeferry nodes rotate-key NAME", "has another key", "nodes", "rotate-key", "lamp")
            wait(lambda: g.nodes()["lamp"]["present"], 20, "the node with another key")
            run("edgeferry install VERSION", "2.0.0 is confirmed", "install", "2.0.0")
            run("edgeferry install /media/usb/demo-2.0.0.ferry", "3.0.0 is confirmed", "install", f.bundle("3.0.0"))
            run("edgeferry rollback", "2.0.0 is confirmed")
            run("edgeferry deployments ID", "confirmed", "deployments", "1")
            run("edgeferry history", "rotate-key")
            run("edgeferry log", "", codes=(0, 1))          # where there is no journal it has nothing
            # of the machine that this is, which need not be in order
            run("edgeferry doctor", "watchdog", "doctor", f"--config={g.dir}/etc", "--offline", codes=(0, 1))
            run("edgeferry config show", "Product", "config", "show", f"--config={g.dir}/etc")
            run("edgeferry pause", "resume")
            run("edgeferry postpone 2d", "before 2")
            run("edgeferry resume", "again")
            f.repo("rollout", "halt", "3.0.0")
            f.repo("publish", f"{f.dir}/www")
            ran |= {"edgeferry-repo rollout halt VERSION", "publish"}
            said = g.cli("check", check=False)
            check("a halt reaches the gateway", said.returncode == 2 and "halted" in said.stdout, said)
            run("edgeferry reload", "taken")
    check("each command of the guide was run, and no other", ran == commands(), ran ^ commands())
    return check.end()


sys.exit(main())
