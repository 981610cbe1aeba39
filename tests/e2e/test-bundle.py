#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A bundle on a plain web server, installed by its address: read by ranges, never downloaded as a whole, nothing else
asked for. Proves S-27, S-37, F-08 for that entrance on the whole path.
"""
import os
import shutil
import sys

from scene import equal, holds, play


def put(s, path, name):
    """Where the web server finds it; no repository is published there."""
    shutil.copy(path, f"{s.servers.publish}/{name}")
    return f"{s.servers.url}/{name}"


def requests(s, before, name):
    rows = s.servers.access_log()[before:]
    equal({row[4] for row in rows if name in row[4]}, {f"/{name}"}, "what was asked for of the bundle")
    return [row for row in rows if name in row[4]]


def by_ranges(s):
    path = s.bundle("1.0.0")
    url = put(s, path, "demo.ferry")
    before = len(s.servers.access_log())
    done = s.cli("install", url)
    equal(done.returncode, 0, "exit code of install")
    d = s.outcome("1.0.0")
    equal((d["state"], d["reason"], d["origin"]), ("confirmed", "ok", "bundle"), "deployment")
    s.everything_at("1.0.0")
    rows = requests(s, before, "demo.ferry")
    equal({row[2] for row in rows}, {206}, "status of the answers")
    holds(len(rows) < 64, f"few requests: {len(rows)}")
    size = sum(row[3] for row in rows)
    holds(size < os.path.getsize(path) + 65536, f"no byte twice: {size} of {os.path.getsize(path)}")
    equal(s.cli("install", url, check=False).returncode, 2, "exit code of installing it once more")
    s.invariants()


def not_there(s):
    done = s.cli("install", f"{s.servers.url}/other.ferry", check=False)
    holds(done.returncode != 0, "exit code")
    d = s.deployments()[0]
    equal((d["state"], d["reason"]), ("refused", "not-found"), "deployment")
    s.everything_at("1.0.0")


def not_https(s):
    for url in (s.servers.url.replace("https:", "http:") + "/demo.ferry", "file:///etc/passwd",
                s.servers.url.replace("//", "//user@") + "/demo.ferry"):
        before = len(s.deployments())
        done = s.cli("install", url, check=False)
        holds(done.returncode != 0, f"exit code of {url}")
        equal(len(s.deployments()), before, f"deployments after {url}")


def cut_short(s):
    path = f"{s.servers.publish}/demo.ferry"
    os.truncate(path, os.path.getsize(path) // 2)
    touched = s.touched()
    done = s.cli("install", f"{s.servers.url}/demo.ferry", check=False)
    holds(done.returncode != 0, "exit code")
    holds(s.deployments()[0]["state"] in ("refused", "failed"), "state")
    equal(s.touched(), touched, "what was touched")


SCENES = [
    ("S-37 a bundle by its address, by ranges", by_ranges),
    ("F-10 nothing is there", not_there),
    ("S-27 https only, without user", not_https),
    ("F-08 cut short on the server", cut_short),
]

if __name__ == "__main__":
    sys.exit(play("bundle", SCENES))
