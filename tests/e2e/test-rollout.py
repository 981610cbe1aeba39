#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A rollout on the real path: who waits, who is next, a halt in mid-download and on trial, a statement that has expired,
and what somebody with the publisher's online key can and cannot do.
Proves R-01, R-02, R-04, S-04, S-21.
"""
import contextlib
import glob
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

from scene import PRODUCT, equal, holds, play

GATEWAY = "gw-0001"


def rollout(s, *args):
    s.repo("rollout", *args)
    s.publish()


def listed(s, version):
    return next((r for r in s.json("list") if r["version"] == version), None)


def refusals(s, reason):
    return [e for e in s.history() if e["event"] == "refused" and e["reason"] == reason]


def statement(s):
    return json.loads(s.repo("rollout", "show", "--json"))


def place(s, version):
    """By the rule, worked out here (R-02)."""
    salt = next(r["salt"] for r in statement(s)["releases"] if r["version"] == version)
    digest = hashlib.sha256(f"{salt}\n{GATEWAY}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 1000 >> 64


def factory(s):
    s.wait_broker()
    equal(s.cli("install", s.bundle("1.0.0")).returncode, 0, "exit code of install")
    s.everything_at("1.0.0")
    equal(s.status()["rollout"], None, "what status says of statements while there are none")


def share(s):
    """Published for nobody, then for all up to this one, then for this one."""
    before = s.touched()
    s.add_firmware("lamp", "2.0.0")
    s.make_release("2.0.0", ["lamp"])
    rollout(s, "set", "2.0.0", "--share", "0")
    s.wake()
    s.wait(lambda: (listed(s, "2.0.0") or {}).get("state") == "held", 20, "2.0.0 to be held")
    mine = place(s, "2.0.0")
    for tenths in (0, mine):
        rollout(s, "set", "2.0.0", "--share", f"{tenths // 10}.{tenths % 10}")
        done = s.cli("check", check=False)
        equal(done.returncode, 2, "exit code of check")
        figures = f"{tenths // 10}.{tenths % 10} % of the gateways may take it, this one is at {mine // 10}.{mine % 10} %"
        holds(figures in done.stdout and "2.0.0 is held back: not this gateway's turn yet" in done.stdout,
              f"check says why: {done.stdout}")
        r = listed(s, "2.0.0")
        equal((r["state"], r["reason"], r["rollout"]), ("held", "later", {"share": tenths, "place": mine}), "in the list")
        equal(s.cli("install", check=False).returncode, 2, "exit code of install without a version")
    equal(s.touched(), before, "what is there")
    tenths = mine + 1
    rollout(s, "set", "2.0.0", "--share", f"{tenths // 10}.{tenths % 10}")
    s.wake()
    s.wait(lambda: s.versions().get("lamp") == "2.0.0", 40, "2.0.0 to be installed")
    equal(s.outcome("2.0.0")["state"], "confirmed", "state of 2.0.0")
    s.everything_at({"lamp": "2.0.0", "meter": "1.0.0", "gateway": "1.0.0"})
    equal(s.status()["rollout"]["counter"], statement(s)["counter"], "statement that counts")
    s.invariants()


@contextlib.contextmanager
def frozen_board(s, node):
    """It neither answers nor ends what it was given."""
    process = s.boards[node].process
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def mid_download(s):
    """R-04: told while one board takes the image and the other one stands still."""
    s.add_firmware("lamp", "3.0.0")
    s.add_firmware("meter", "3.0.0")
    s.make_release("3.0.0", ["meter", "lamp"])
    rollout(s, "set", "3.0.0", "--share", "100")
    versions, boot = s.versions(), s.boot_state()
    s.wake()
    s.wait(lambda: s.status()["state"] == "fetching", 20, "fetching")
    with frozen_board(s, "lamp"):
        rollout(s, "halt", "3.0.0")
        s.wake()
        d = s.outcome("3.0.0", 20)
    equal((d["state"], d["reason"]), ("cancelled", "halted"), "deployment")
    equal((s.versions()["meter"], s.boot_state()), (versions["meter"], boot), "what is there")
    done = s.cli("install", "3.0.0", check=False)
    equal(done.returncode, 5, "exit code of installing it by hand")
    holds("its publisher has halted it" in done.stdout + done.stderr, f"why: {done.stdout}{done.stderr}")
    equal(listed(s, "3.0.0")["reason"], "halted", "reason in the list")
    s.everything_at({"lamp": "2.0.0", "meter": "1.0.0", "gateway": "1.0.0"})
    s.invariants()


def on_trial(s):
    """R-04: goes on, is halted again on trial, and goes on for good."""
    with open(hold(s), "w"):
        pass
    rollout(s, "set", "3.0.0", "--share", "100", "--resume")
    s.wake()
    s.wait(lambda: s.status()["state"] == "trial", 40, "a trial")
    rollout(s, "halt", "3.0.0")
    s.wake()
    d = s.outcome("3.0.0", 40)
    equal((d["state"], d["reason"]), ("reverted", "halted"), "deployment")
    os.unlink(hold(s))
    s.everything_at({"lamp": "2.0.0", "meter": "1.0.0", "gateway": "1.0.0"})
    s.invariants()
    rollout(s, "set", "3.0.0", "--share", "100", "--resume")
    s.wake()
    s.wait(lambda: s.deployment("3.0.0")["state"] == "confirmed", 40, "3.0.0 confirmed")
    s.everything_at({"lamp": "3.0.0", "meter": "3.0.0", "gateway": "1.0.0"})
    s.invariants()


def stale(s):
    """S-21: everything is fresh but the statement."""
    before = s.touched()
    s.repo("rollout", "renew", "--days", "1", "--now", "2020-01-01T00:00:00Z")
    for role in ("rollouts", "snapshot", "timestamp"):
        s.repo("sign", "--refresh", role)
    s.publish()
    s.cli("check", check=False)
    equal((s.status()["state"], s.status()["rollout"]["reason"]), ("stale", "expired"), "state")
    equal(len(refusals(s, "expired")), 1, "events")
    done = s.cli("install", "2.0.0", check=False)
    equal(done.returncode, 5, "exit code of installing by hand")
    holds("signed metadata has expired" in done.stdout + done.stderr, f"why: {done.stdout}{done.stderr}")
    equal(s.touched(), before, "what is there")
    rollout(s, "renew")
    equal(s.cli("check", check=False).returncode, 2, "exit code of check")
    equal(s.status()["state"], "idle", "state")


# ---- with the online key of edgeferry-repo ----
def newest(s, role):
    return max(glob.glob(f"{s.www}/metadata/*.{role}.json"), key=lambda f: int(os.path.basename(f).split(".")[0]))


def load(path):
    with open(path, "rb") as f:
        return json.load(f)


def sign_by_rollouts(s, path, change):
    """The published document, changed and signed by the key of rollouts."""
    keyid = load(newest(s, "rollouts"))["signatures"][0]["keyid"]
    document = load(path)
    change(document["signed"])
    bytes_ = json.dumps(document["signed"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with open(f"{s.dir}/to-sign", "wb") as f:
        f.write(bytes_)
    done = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", f"{s.workspace}/keys/rollouts-1.pem", "-in",
                           f"{s.dir}/to-sign"], check=True, capture_output=True)
    document["signatures"] = [{"keyid": keyid, "sig": done.stdout.hex()}]
    with open(path, "w") as f:
        json.dump(document, f)


def evil_releases(s):
    """A release of its own, in the document of releases."""
    def change(signed):
        good = signed["targets"]["releases/demo/3.0.0.json"]
        signed["targets"]["releases/demo/9.9.9.json"] = {
            **good, "custom": {**good["custom"], "version": "9.9.9", "sequence": 99}}
    s.repo("sign", "--refresh", "releases")
    s.publish()
    sign_by_rollouts(s, newest(s, "releases"), change)


def evil_target(s):
    """The same, in its own document."""
    target = load(newest(s, "releases"))["signed"]["targets"]["releases/demo/3.0.0.json"]

    def change(signed):
        signed["targets"]["releases/demo/9.9.9.json"] = {
            **target, "custom": {**target["custom"], "version": "9.9.9", "sequence": 99}}
    rollout(s, "renew")
    sign_by_rollouts(s, newest(s, "rollouts"), change)


def evil_statement(s, **changes):
    rollout(s, "renew")
    data = json.dumps({**statement(s), **changes}).encode()
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{s.www}/targets/rollouts/{digest}.{PRODUCT}.json", "wb") as f:
        f.write(data)

    def change(signed):
        signed["targets"][f"rollouts/{PRODUCT}.json"] = {"length": len(data), "hashes": {"sha256": digest}}
    sign_by_rollouts(s, newest(s, "rollouts"), change)


def online_key(s):
    """S-04: each is refused with an event, and nothing is touched."""
    kept = f"{s.dir}/www-kept"
    for what, reason, make in (
            ("a release", "bad-signature", evil_releases),
            ("a release as a target of its own", "not-signed-for", evil_target),
            ("a floor", "bad-format", lambda s: evil_statement(s, floor=0)),
            ("a statement for another product", "bad-format", lambda s: evil_statement(s, product="other"))):
        before, last = s.touched(), s.history()[-1]["id"]
        make(s)
        s.cli("check", check=False)
        new = [(e["event"], e["reason"]) for e in s.history() if e["id"] > last]
        equal(new, [("refused", reason)], f"events after {what}")
        equal(s.cli("install", "9.9.9", check=False).returncode in (3, 5), True, f"9.9.9 is refused after {what}")
        equal(s.touched(), before, f"what is there after {what}")
        s.invariants()
        shutil.rmtree(kept, ignore_errors=True)
        os.rename(s.www, kept)
        s.repo("rollout", "renew")
        s.publish()
        equal(s.cli("check", check=False).returncode, 2, f"exit code of check when {what} is gone")
        equal(s.status()["rollout"]["reason"], "ok", f"the statement when {what} is gone")


def hold(s):
    return f"{s.dir}/hold"


def prepare(s):
    """A check of the site that lasts as long as a file is there."""
    os.makedirs(f"{s.dir}/checks.d")
    with open(f"{s.dir}/checks.d/10-hold", "w") as f:
        f.write(f"#!/bin/sh\nwhile [ -e {hold(s)} ]; do sleep 0.1; done\n")
    os.chmod(f"{s.dir}/checks.d/10-hold", 0o755)
    s.settings[("Update", "ChecksDirectory")] = f"{s.dir}/checks.d"


SCENES = [
    ("release 1 from a bundle", factory),
    ("R-02 published for nobody, for others, for this one", share),
    ("R-04 halted in mid-download", mid_download),
    ("R-04 halted on trial; and when it goes on", on_trial),
    ("R-01 S-21 a statement that has expired", stale),
    ("S-04 what the online key cannot do", online_key),
]

if __name__ == "__main__":
    sys.exit(play("rollout", SCENES, prepare))
