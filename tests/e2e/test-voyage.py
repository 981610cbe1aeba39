#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The first voyage under assertions: release 1 from a bundle, release 2 over broker and web server, the four
failures of ./demo, and a last good release that is found by polling while the broker is away.
The meter is spoken to in a session, the lamp in the clear.
Proves S-02, S-09, S-13, S-23, S-31, S-34, E-05, F-14, F-22, I-1, I-2, I-4, I-6, I-8 on the whole path.
"""
import base64
import json
import os
import shutil
import sys
import time

from scene import NODES, PRODUCT, Watch, equal, holds, play
from boundaries import Look

REPORTS = "edgeferry/gateway/gw-0001/report"


def factory(s):
    """No release is on the server: the bundle file alone must do."""
    s.wait_broker()
    path = s.bundle("1.0.0")
    done = s.cli("install", path)
    equal(done.returncode, 0, "exit code of install")
    d = s.outcome("1.0.0")
    equal((d["state"], d["reason"], d["origin"]), ("confirmed", "ok", "bundle"), "deployment")
    s.everything_at("1.0.0")
    slot_holds(s, d, s.first)
    equal(s.cli("install", path, check=False).returncode, 2, "exit code of installing it once more")
    s.invariants()


def slot_holds(s, d, image):
    part = next(c for c in d["components"] if c["type"] == "rootfs")
    equal(part["state"], "confirmed", "state of the root filesystem")
    size = os.path.getsize(image)
    equal(s.slot_digest(part["slot"], size), digest(image), f"bytes of slot {part['slot']}")
    equal(s.gateway.running, part["slot"], "running slot")


def digest(path):
    import hashlib
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def second(s):
    """Broker, web server, both nodes, slot; the processes are watched meanwhile."""
    image = s.rootfs("2.0.0", packages=("less",))
    look = Look()
    boots = len(s.gateway.boots)
    with s.servers.subscribe("edgeferry/#") as reports, Watch(s, look):
        d = s.install("2.0.0", nodes=NODES, image=image)
        equal((d["state"], d["reason"], d["origin"]), ("confirmed", "ok", "source"), "deployment")
        equal({c["name"]: c["state"] for c in d["components"]}, {**dict.fromkeys(NODES, "confirmed"), "rootfs": "confirmed"},
              "components")
        s.wait_broker()
        confirmed_report(reports, d)
    look.enough()
    equal(s.gateway.boots[boots:], [(s.gateway.running, True)], "one restart, on trial")
    s.everything_at("2.0.0")
    slot_holds(s, d, image)
    confirmed_nodes(s)
    order(s, d)
    s.invariants()


def confirmed_report(reports, d, seconds=30):
    """S-34: the outcome arrives at a subscriber that is nobody of ours."""
    end = time.monotonic() + seconds
    while True:
        topic, payload = reports.next(max(0.1, end - time.monotonic()))
        if topic != REPORTS:
            continue
        report = json.loads(payload)
        if report.get("deployment") == d["id"] and report["state"] == d["state"]:
            break
    equal((report["release"], report["reason"], report["id"], report["product"]),
          (d["release"], d["reason"], "gw-0001", PRODUCT), "report")
    equal({c["name"]: c["state"] for c in report["components"]}, {c["name"]: c["state"] for c in d["components"]},
          "components in the report")


def confirmed_nodes(s):
    """Confirmed, not only active: a node that loses power now starts the same image again."""
    release = s.status()["release"]
    for board in s.boards.values():
        board.cut()
        board.start()
    s.restart_daemon()      # it asks all nodes when it starts, and knows nothing of them before
    s.everything_at(release)


def order(s, d):
    """Complete and in order; the gateway's slot last, because its restart ends everything else."""
    states = s.components_of(d["id"])
    whole = ["staging", "staged", "activating", "trial", "confirmed"]
    for name in (*NODES, "rootfs"):
        equal(states.get(name), whole, f"events of {name}")
    events = [(e["component"], e["to"]) for e in s.history() if e["deployment"] == d["id"]]
    staged = [i for i, e in enumerate(events) if e[1] == "staged" and e[0]]
    first = min(i for i, e in enumerate(events) if e[1] == "activating" and e[0])
    holds(max(staged) < first, "all parts are staged before the first one is activated")
    for node in NODES:
        holds(events.index((node, "trial")) < events.index(("rootfs", "activating")), f"{node} is up before the restart")


def attacker(s):
    other = f"{s.dir}/attacker"
    if not os.path.exists(other):
        os.makedirs(other)
        s.repo("init", PRODUCT, workspace=other)
        for node in NODES:
            s.add_firmware(node, "6.6.6", workspace=other)
        s.make_release("6.6.6", NODES, "--sequence", "666", workspace=other)
    return other


def wrong_key(s):
    """S-02, S-37: from a bundle."""
    before, bundle = s.touched(), s.bundle("6.6.6", workspace=attacker(s))
    done = s.cli("install", bundle, check=False)
    equal(done.returncode, 5, "exit code")
    holds("not signed by enough trusted keys" in done.stdout + done.stderr, f"the reason is named: {done.stdout}{done.stderr}")
    equal(s.deployments()[0]["reason"], "bad-signature", "reason")
    equal(s.touched(), before, "what is there")
    s.invariants()


def foreign_server(s):
    """The whole web root is somebody else's."""
    before = s.touched()
    os.rename(s.www, s.www + ".ours")
    try:
        s.repo("publish", s.www, workspace=attacker(s))
        done = s.cli("check", check=False)
        equal(done.returncode, 5, "exit code")
        holds("not signed by enough trusted keys" in done.stderr, f"the reason is named: {done.stderr}")
        equal([e["reason"] for e in s.history() if e["event"] == "refused"][-1], "bad-signature", "the last refusal")
        equal(s.status()["server"]["reason"], "bad-signature", "what status says of the server")
    finally:
        shutil.rmtree(s.www)
        os.rename(s.www + ".ours", s.www)
    equal(s.cli("check", check=False).returncode, 2, "exit code with our own repository again")
    equal(s.touched(), before, "what is there")
    s.invariants()


def wrong_board(s):
    """S-23, F-22: the lamp's image, released as if it were for the meter's board."""
    before = s.touched()
    image = f"{s.dir}/lamp-as-meter.img"
    s.repo("image", "sign", "--key", "edge", "--version", "2.1.0", "--security", "1", "--compatible",
           f"edgeferry.github.io,{NODES['lamp']}", s.firmware("lamp"), image)
    s.repo("add", "mcu", "meter", image, "--compatible", f"edgeferry.github.io,{NODES['meter']}", "--hardware", "1-3")
    s.make_release("2.1.0", ["meter"], "--force")
    s.publish()
    s.wake()
    d = s.outcome("2.1.0")
    equal((d["state"], d["reason"]), ("refused", "not-compatible"), "deployment")
    equal(d["components"], [], "nothing was planned")
    equal(s.touched(), before, "what is there")
    s.everything_at("2.0.0")
    s.invariants()


def never_confirms(s):
    """The self-test may last longer than the node itself allows, so the node goes back, not the gateway. The other
    one, which was well, goes back with it."""
    boots = len(s.gateway.boots)
    s.add_firmware("meter", "2.2.0")
    s.add_firmware("lamp", "2.2.0", behaviour="never-ready", self_test=40, confirm=8)
    s.make_release("2.2.0", NODES)
    s.publish()
    s.wake()
    d = s.outcome("2.2.0")
    equal((d["state"], d["reason"]), ("reverted", "node-reverted"), "deployment")
    holds("lamp" in d["detail"] and "not confirmed" in d["detail"], f"the detail says who and why: {d['detail']}")
    equal({c["name"]: c["state"] for c in d["components"]}, dict.fromkeys(NODES, "reverted"), "components")
    lamp = next(n for n in s.status()["nodes"] if n["name"] == "lamp")
    equal(lamp["reverted"], "not-confirmed", "what the lamp itself says")
    equal(len(s.gateway.boots), boots, "restarts of the gateway")
    s.everything_at("2.0.0")
    s.invariants()


def failing_check(s):
    """Both nodes are in it: they are up with the new firmware when the check fails, and come back."""
    boots, slot = len(s.gateway.boots), s.gateway.running
    d = s.install("2.3.0", nodes=NODES, image=s.rootfs("2.3.0", packages=("less",), failing_check=True))
    equal((d["state"], d["reason"]), ("reverted", "check-failed"), "deployment")
    holds("50-data-logger" in d["detail"] and "libplant" in d["detail"], f"the detail names the check: {d['detail']}")
    other = "B" if slot == "A" else "A"
    equal(s.gateway.boots[boots:], [(other, True), (slot, False)], "restarts")
    equal(s.boot_state()["mark"][other], "bad", "mark of the slot that failed")
    s.everything_at("2.0.0")
    s.invariants()


def polled(s):
    """F-14: without a broker releases are found by polling, and reports wait until it is back."""
    s.servers.subscribe("edgeferry/#", "cloud").close()
    s.servers.stop("mosquitto")
    s.settings[("Source", "PollSec")] = "2s"
    s.configure()
    s.restart_daemon()
    image = s.rootfs("2.4.0")
    s.give("2.4.0", nodes=NODES, image=image)
    d = s.outcome("2.4.0", 90)
    equal((d["state"], d["reason"]), ("confirmed", "ok"), "deployment")
    s.everything_at("2.4.0")
    slot_holds(s, d, image)
    holds(s.database("SELECT count(*) FROM outbox")[0][0] > 0, "reports wait")
    s.servers.start_mqtt()
    s.wait(lambda: s.database("SELECT count(*) FROM outbox")[0][0] == 0, 90, "an empty outbox")
    with s.servers.subscribe("edgeferry/#", "cloud") as reports:
        confirmed_report(reports, d)
    s.invariants()


def overtaken(s):
    """A release that comes while another one is under way has its turn afterwards, without being asked for again."""
    s.settings[("Source", "PollSec")] = "1h"
    s.configure()
    s.restart_daemon()
    s.wait_broker()
    s.give("2.5.0", nodes=["lamp"])
    s.wake()
    s.wait(lambda: (s.deployment("2.5.0") or {"state": ""})["state"] == "fetching", 20, "2.5.0 under way")
    s.give("2.6.0", nodes=["meter"])
    s.wake()
    equal(s.outcome("2.5.0")["state"], "confirmed", "state of 2.5.0")
    equal(s.outcome("2.6.0", 30)["state"], "confirmed", "state of 2.6.0")
    s.everything_at({"lamp": "2.5.0", "meter": "2.6.0", "gateway": "2.4.0"})
    s.invariants()


def secrets(s):
    """S-31: of all files that the run has left, only the key file and the node's flash have the meter's key in them."""
    with open(s.key_file("meter")) as f:
        text = f.read().strip()
    key = bytes.fromhex(text)
    shapes = [key, text.encode(), text.upper().encode(), base64.b64encode(key)[:42], key[:16], text[:32].encode()]
    found, looked = [], 0
    for folder, _, names in os.walk(s.dir):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path) or os.path.islink(path):
                continue
            with open(path, "rb") as f:
                data = f.read()
            looked += 1
            if any(shape in data for shape in shapes):
                found.append(os.path.relpath(path, s.dir))
    holds(looked > 20, f"{looked} files were looked at")
    equal(sorted(found), ["meter.flash", "meter.key"], "files with the key in them")
    for pid in s.gateway.pids("edgeferryd"):
        with open(f"/proc/{pid}/limits") as f:
            core = next(line for line in f if line.startswith("Max core file size"))
        equal(core.split()[4:6], ["0", "0"], "size of a core dump")
    log = s.journal()
    holds("meter" in log, "the journal speaks of the meter")
    for said in (s.cli("status", "--json=short"), s.cli("nodes", "--json=short"), s.cli("history", "--json=short")):
        holds(text not in said.stdout + said.stderr, "a key on the terminal")


SCENES = [
    ("release 1 from a bundle file, no release published", factory),
    ("S-34 I-8 release 2: broker, web server, two nodes, slot; process boundaries", second),
    ("S-02 S-37 a bundle signed by the wrong key", wrong_key),
    ("S-02 a web server with another publisher's repository", foreign_server),
    ("S-23 F-22 an image for the wrong board", wrong_board),
    ("E-05 S-22 firmware that never confirms itself; the node beside it goes back too", never_confirms),
    ("S-13 a root filesystem whose check fails", failing_check),
    ("F-14 the next good release, polled without a broker; reports arrive later", polled),
    ("a release that comes during a deployment has its turn", overtaken),
    ("S-31 keys are nowhere but where they belong", secrets),
]

if __name__ == "__main__":
    sys.exit(play("voyage", SCENES, sessions=("meter",)))
