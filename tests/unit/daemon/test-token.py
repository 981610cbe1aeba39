#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""edgeferryd and a client key in a token that comes and goes: what says so, what goes on, and that no restart is needed.
Real p11-kit server, web server and broker. TAP.

    test-token.py BUILD
"""

import json
import os
import subprocess
import sys

import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
from checks import Checks  # noqa: E402
from farm import Farm, wait  # noqa: E402
from servers import Servers  # noqa: E402
from softhsm import EXACT, PIN, Token, missing  # noqa: E402

BUILD = sys.argv[1]
check = Checks()


def net(g):
    done = subprocess.run(["pgrep", "-P", str(g.process.pid), "edgeferry-net"], capture_output=True, text=True)
    return done.stdout.split()


def fault(g):
    return g.json("status")["client_key"]


def look(g):
    return g.cli("check", check=False)


def doctor(g):
    """What it finds amiss with server and broker. The engine keeps what it has allocated."""
    done = subprocess.run([f"{BUILD}/src/doctor/edgeferry-doctor", f"--config={g.dir}/etc", f"--bus=unix:path={g.dir}/bus"],
                          stdout=subprocess.PIPE, text=True, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    return {kind: [(x["level"], x["text"], x["advice"]) for x in json.loads(done.stdout)["findings"]
                   if x["check"] == kind and x["level"] != "ok"] for kind in ("server", "broker")}


def advised(found, level, text, advice):
    return all(any(x[0] == level and text in x[1] and advice in x[2] for x in found[kind]) for kind in found)


def connected(g):
    wait(lambda: g.json("status")["broker"] == "connected", 30, "the broker")


def another_web_server(servers):
    """Which knows nothing of the sessions of TLS that there were, nor of connections."""
    servers.stop("nginx")
    servers.start_http()


def absent(g, token):
    check("it starts without the token", g.process.poll() is None and fault(g)["reason"] == "net-unreachable" and
          token.socket in fault(g)["detail"], fault(g))
    done = look(g)
    check("a look says what is missing, and the way out", done.returncode != 0 and "cannot prove who it is" in done.stderr and
          token.socket in done.stderr and "doctor" in done.stderr, done.stderr)
    look(g)
    lines = [line for line in g.said().splitlines() if "looked for again" in line]
    check("the journal has it once for each key, with the way out", len(lines) == 2 and all("doctor" in x for x in lines), g.said())
    found = doctor(g)
    check("doctor, too", advised(found, "error", token.socket + ": No such file", "edgeferry-token.service"), found)
    check("status shows it", "Client key" in g.cli("status").stdout)


def comes(g, token):
    token.start()
    done = look(g)
    check("there again, the next look finds it", done.returncode == 2 and fault(g) is None, f"{done.returncode} {done.stderr}")
    check("which the journal says", "the client key in the token is there again" in g.said())
    connected(g)
    check("and the broker's side with it", True)
    found = doctor(g)
    check("doctor reaches both by it, and has nothing to say", found == {"server": [], "broker": []}, found)
    os.chmod(token.pin_file, 0o644)
    found = doctor(g)
    check("but of a PIN that others can read", advised(found, "warning", "can be read by others", "chmod 600"), found)
    os.chmod(token.pin_file, 0o600)


def goes(f, g, token, servers):
    token.stop()
    check("what is connected stays connected", g.json("status")["broker"] == "connected" and fault(g) is None)
    another_web_server(servers)
    servers.stop("mosquitto")
    servers.start_mqtt()
    done = look(g)
    check("taken away, the next connection says so", done.returncode != 0 and "does not sign any more" in done.stderr and
          fault(g)["reason"] == "net-unreachable", done.stderr)
    wait(lambda: g.json("status")["broker"] == "disconnected", 30, "the end of the broker's connection")
    g.cli("install", "--no-wait", f.bundle("1.0.0"), check=False)
    wait(lambda: g.json("deployments"), 30, "a deployment to report on")
    check("it goes on", g.process.poll() is None)
    token.start()
    done = look(g)
    check("brought back, without a restart", done.returncode == 2, done.stderr)
    connected(g)
    with servers.subscribe("edgeferry/gateway/gw-1/report") as s:
        g.cli("pause")
        s.next(30)
    check("and reports go out", True)


def refused(g, token):
    token.write_pin("0000")
    g.cli("reload")
    wait(lambda: fault(g), 20, "the refusal")
    before = net(g)
    done = [look(g) for _ in range(3)][-1]
    check("a PIN that is refused is an error of its own", fault(g)["reason"] == "denied" and "refuses the PIN" in done.stderr,
          f"{fault(g)} {done.stderr}")
    found = doctor(g)
    check("doctor says so", advised(found, "error", "refuses the PIN", "reload"), found)
    token.write_pin(PIN)
    look(g)
    found = doctor(g)
    check("and does not try it either", advised(found, "error", "refuses the PIN", "reload"), found)
    check("and is not tried again by itself: tokens lock themselves", net(g) == before and fault(g), f"{before} {net(g)}")
    g.cli("reload")
    wait(lambda: not fault(g), 20, "the key")
    check("a reload reads the PIN anew", look(g).returncode == 2, look(g))


def other_ones(g, token, servers):
    """As doctor finds them before anything is told to the daemon."""
    def rewritten(old, new):
        with open(f"{g.dir}/etc/edgeferry.conf", encoding="utf-8") as f:
            text = f.read()
        with open(f"{g.dir}/etc/edgeferry.conf", "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))
        found = doctor(g)
        with open(f"{g.dir}/etc/edgeferry.conf", "w", encoding="utf-8") as f:
            f.write(text)
        return found
    found = rewritten("object=tls", "object=other")
    check("doctor: no such key", advised(found, "error", "no such key", "list-objects" if EXACT else "PIN"), found)
    cert = servers.authority.issue("gw-2", usage="clientAuth")[0]
    found = rewritten("gw-1.crt", "gw-2.crt")
    check("doctor: another key's certificate", advised(found, "error", "not the key of the certificate", "issued") and cert,
          found)
    found = rewritten(token.pin_file, "/nowhere")
    check("doctor: no PIN", advised(found, "error", "/nowhere: No such file", "write the PIN"), found)


def nothing_said(g):
    said = g.said() + json.dumps(g.json("status")) + g.cli("history", "--json").stdout
    found = [s for s in (PIN, urllib.parse.quote(PIN, ""), "pin-value", "BEGIN") if s in said]
    check("S-31 no PIN in journal, status and history", not found, found)


def main():
    why = missing()
    if why:
        print("1..0 # SKIP " + why)
        return 0
    with Farm(BUILD) as f:
        f.bundle("1.0.0")   # newer metadata than there is
        f.repo("publish", f"{f.dir}/www")
        token = Token(f"{f.dir}/token")
        with Servers(f"{f.dir}/servers", f"{f.dir}/www", clients=True) as servers:
            cert, key = servers.authority.issue("gw-1", usage="clientAuth")
            token.add(key, "tls")
            os.unlink(key)
            mine = f"CAFile={servers.ca}\nClientCertificate={cert}\nClientKey={token.uri('tls')}\n"
            g = f.gateway("gw-1", f"[Source]\nURL={servers.url}\n{mine}[Mqtt]\nBroker=localhost:{servers.broker_port}\n{mine}"
                          f"[Network]\nUser=nobody\nTokenSocket={token.socket}\n")
            try:
                g.start()
                pid = g.process.pid
                absent(g, token)
                comes(g, token)
                goes(f, g, token, servers)
                refused(g, token)
                other_ones(g, token, servers)
                nothing_said(g)
                check("all of it by one edgeferryd", g.process.pid == pid and g.process.poll() is None)
            finally:
                token.stop()
    return check.end()


sys.exit(main())
