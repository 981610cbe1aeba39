#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The file for node_exporter while edgeferryd runs: whole, true, written when something changed. TAP.

    test-metrics.py BUILD
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402

BUILD = sys.argv[1]
check = Checks()


def samples(path):
    """The text format, strictly: {name and labels: value}; each name has its HELP and TYPE before."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert text.endswith("\n")
    known, found = {}, {}
    for line in text.splitlines():
        if m := re.fullmatch(r"# (HELP|TYPE) (edgeferry_[a-z_]+) (.+)", line):
            assert m[1] == "HELP" or m[3] == ("counter" if m[2].endswith("_total") else "gauge"), line
            known.setdefault(m[2], []).append(m[1])
            continue
        m = re.fullmatch(r'((edgeferry_[a-z_]+)(?:\{[a-z]+="(?:[^"\\\n]|\\.)*"\})?) (\d+)', line)
        assert m and known[m[2]] == ["HELP", "TYPE"] and m[1] not in found, line
        found[m[1]] = int(m[3])
    return found


def main():
    with Farm(BUILD) as f:
        path = f"{f.dir}/edgeferry.prom"
        g = f.gateway("gw-metrics", f"[Metrics]\nFile={path}\n")
        g.configure("first", f.node("first", "socket"), link="sim")
        g.start()
        wait(lambda: os.path.exists(path) and samples(path).get('edgeferry_node_present{node="first"}') == 1, 20, "the node")
        m = samples(path)
        check("nothing is under way", m["edgeferry_deployment_active"] == 0 and m['edgeferry_state_info{state="idle"}'] == 1, m)
        check("when the node was seen", abs(m['edgeferry_node_seen_timestamp_seconds{node="first"}'] - time.time()) < 60, m)
        check("everybody may read it", os.stat(path).st_mode & 0o777 == 0o644, oct(os.stat(path).st_mode))
        f.release("2.0.0", b"two" * 700)
        g.install("2.0.0")
        wait(lambda: samples(path).get('edgeferry_deployments_ended_total{state="confirmed"}') == 1, 20, "the outcome")
        m = wait(lambda: (lambda m: m if 'edgeferry_release_info{release="2.0.0"}' in m else None)(samples(path)), 20, "the release")
        check("outcomes are counted", m['edgeferry_deployments_ended_total{state="reverted"}'] == 0 and
              m['edgeferry_node_behind{node="first"}'] == 0, m)
        f.alive["first"].terminate()
        os.makedirs(f"{g.dir}/etc/conf.d")
        with open(f"{g.dir}/etc/conf.d/x.conf", "w", encoding="utf-8") as x:
            x.write(f"[Metrics]\nFile={f.dir}/nowhere/x.prom\n")
        g.cli("reload")
        wait(lambda: "nowhere/x.prom: No such file" in g.said(), 10, "the complaint")
        os.mkdir(f"{f.dir}/nowhere")
        with open(f"{g.dir}/etc/conf.d/x.conf", "a", encoding="utf-8") as x:
            x.write("[Update]\nAutomatic=all\n")
        g.cli("reload")
        wait(lambda: os.path.exists(f"{f.dir}/nowhere/x.prom"), 10, "the other file")
        check("said once", g.said().count("nowhere/x.prom") == 1, g.said())
        check("another file is as whole", "edgeferry_check_failed" in samples(f"{f.dir}/nowhere/x.prom"))
    return check.end()


sys.exit(main())
