#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
edgeferryd as a process on a bus of its own: what it links and opens (architecture, section 3), its
D-Bus face against docs/io.github.edgeferry1.xml, who may act (S-30), how it ends, and what it refuses
to start with (S-14, F-21, F-27).  test-daemon.py EDGEFERRYD EDGEFERRY-NET EDGEFERRY-WORKER XML [EDGEFERRY-NODE]
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
sys.path.insert(0, LAB)
import image  # noqa: E402

DAEMON, NET, WORKER, XML, *NODE = (os.path.abspath(a) for a in sys.argv[1:])
NAME, PATH = "io.github.edgeferry1", "/io/github/edgeferry1"
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow send_type="signal"/><allow eavesdrop="false"/></policy></busconfig>
"""
TESTS = []


def test(f):
    TESTS.append(f)
    return f


def wait(condition, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("waited too long")


class Bench:
    """A folder with everything that one daemon needs; a source that nobody serves."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ef-daemon-")
        self.dir = self.folder.name
        os.chmod(self.dir, 0o755)
        for d in ("etc/nodes.d", "libexec", "boot", "state", "run"):
            os.makedirs(f"{self.dir}/{d}")
        os.symlink(NET, f"{self.dir}/libexec/edgeferry-net")
        os.symlink(WORKER, f"{self.dir}/libexec/edgeferry-worker")
        self.write("boot/state.json", '{"schema": 1, "primary": "A", "trial": "none", "mark": {"A": "good", "B": "good"}}')
        self.write("boot/running.json", '{"schema": 1, "running": "A", "trial": false}')
        for s in "ab":
            self.write(f"slot-{s}", "\0" * 4096)
        self.write("etc/edgeferry.conf", f"""[Gateway]
Product=demo
Compatible=edgeferry.github.io,sim-gateway
Id=gw-test
StateDirectory={self.dir}/state
RuntimeDirectory={self.dir}/run
[Source]
URL=https://localhost:9/
[Network]
User=nobody
[Slots]
Boot=sim
BootDirectory={self.dir}/boot
A={self.dir}/slot-a
B={self.dir}/slot-b
[Update]
Automatic=no
""")
        self.write("etc/nodes.d/meter.conf", f"""[Node]
Compatible=edgeferry.github.io,host
Link=sim
Device={self.dir}/nobody.sock
Security=none
""")
        self.write("bus.conf", BUS_CONFIG.format(socket=f"{self.dir}/bus"))
        self.trust()
        self.address = f"unix:path={self.dir}/bus"
        self.bus = subprocess.Popen(["dbus-daemon", "--nofork", f"--config-file={self.dir}/bus.conf"],
                                    stderr=subprocess.DEVNULL)
        wait(lambda: os.path.exists(f"{self.dir}/bus"))
        self.processes = []

    def write(self, name, text):
        with open(f"{self.dir}/{name}", "w") as f:
            f.write(text)

    def trust(self):
        """A root of trust that is well-formed and signed by itself, made with openssl."""
        import hashlib
        key = f"{self.dir}/root.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        public = {"keytype": "ed25519", "keyval": {"public": der[-32:].hex()}, "scheme": "ed25519"}
        canonical = lambda o: json.dumps(o, sort_keys=True, separators=(",", ":")).encode()
        keyid = hashlib.sha256(canonical(public)).hexdigest()
        role = {"keyids": [keyid], "threshold": 1}
        signed = {"_type": "root", "spec_version": "1.0.31", "version": 1, "expires": "2099-01-01T00:00:00Z",
                  "consistent_snapshot": True, "keys": {keyid: public},
                  "roles": {r: role for r in ("root", "targets", "snapshot", "timestamp")}}
        self.write("message", "")
        with open(f"{self.dir}/message", "wb") as f:
            f.write(canonical(signed))
        sig = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", f"{self.dir}/message"],
                             check=True, capture_output=True).stdout
        self.write("etc/root.json", json.dumps({"signatures": [{"keyid": keyid, "sig": sig.hex()}], "signed": signed}))

    def start(self):
        log = open(f"{self.dir}/log", "ab")
        p = subprocess.Popen([DAEMON, f"--config={self.dir}/etc", f"--bus={self.address}"], stdin=subprocess.DEVNULL,
                             stdout=log, stderr=log,
                             env={**os.environ, "EDGEFERRY_LIBEXEC": f"{self.dir}/libexec"})
        self.processes.append(p)
        return p

    def up(self):
        p = self.start()
        wait(lambda: p.poll() is not None or self.call("GetStatus")[0] == 0)
        assert p.poll() is None, self.log()
        return p

    def log(self):
        with open(f"{self.dir}/log") as f:
            return f.read()

    def busctl(self, *args, user=None):
        options = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
        done = subprocess.run(["busctl", f"--address={self.address}", "--json=short", *args], capture_output=True,
                              text=True, timeout=30, **options)
        return done.returncode, done.stdout, done.stderr

    def call(self, member, *args, path=PATH, interface="Manager", user=None):
        """(exit code, first value of the answer or the error's text)"""
        code, out, err = self.busctl("call", NAME, path, f"{NAME}.{interface}", member, *args, user=user)
        if code:
            return code, err
        data = json.loads(out)["data"] if out.strip() else []
        return 0, data[0] if data else None

    def document(self, member, *args, **options):
        code, value = self.call(member, *args, **options)
        assert code == 0, value
        return json.loads(value)

    def close(self):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
            p.wait()
        self.bus.terminate()
        self.bus.wait()
        self.folder.cleanup()


def sockets(pid):
    """Inodes of the sockets that a process holds."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def internet_sockets(pid):
    inodes = set()
    for table in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"):
        try:
            with open(f"/proc/{pid}/net/{table}") as f:
                inodes |= {line.split()[9] for line in f.readlines()[1:]}
        except OSError:
            pass
    return inodes


@test
def links_neither_network_library(b):
    """Not by itself and not through what it links."""
    for program, expected in ((DAEMON, False), (WORKER, False), (NET, True)):
        out = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in ("libcurl", "libmosquitto"):
            assert (library in out) == expected, f"{program}: {library}"


@test
def opens_no_internet_socket(b):
    p = b.up()
    b.call("Check")     # edgeferry-net tries to connect
    held = sockets(p.pid)
    assert held, "no socket at all cannot be right"
    assert not held & internet_sockets(p.pid)


@test
def face_is_the_documented_one(b):
    b.up()

    def shape(interface):
        """What a reader of the XML may rely on."""
        items = set()
        for e in interface:
            if e.tag is ElementTree.Comment:
                continue
            if e.tag == "property":
                items.add(("property", e.get("name"), e.get("type"), e.get("access")))
            else:
                args = tuple((a.get("type"), a.get("direction", "out")) for a in e if a.tag == "arg")
                items.add((e.tag, e.get("name"), args))
        return items

    documented = {i.get("name"): shape(i) for i in ElementTree.parse(XML).getroot() if i.tag == "interface"}
    paths = {"Manager": PATH, "Node": f"{PATH}/node/meter", "Slot": f"{PATH}/slot/A"}
    for name, path in paths.items():
        code, out, err = b.busctl("call", NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect")
        assert code == 0, err
        root = ElementTree.fromstring(json.loads(out)["data"][0])
        found = {i.get("name"): shape(i) for i in root if i.tag == "interface"}
        want = documented[f"{NAME}.{name}"]
        have = found[f"{NAME}.{name}"]
        assert have == want, f"{name}: missing {want - have}, not documented {have - want}"


@test
def documents_have_their_keys(b):
    b.up()
    s = b.document("GetStatus")
    for key in ("version", "product", "id", "release", "state", "deployment", "trial", "server", "broker", "slots",
                "nodes", "trust", "rollout"):
        assert key in s, key
    assert s["rollout"] is None and s["state"] == "idle" and s["deployment"] is None and s["id"] == "gw-test" and s["broker"] == "none"
    assert [x["slot"] for x in s["slots"]] == ["A", "B"] and s["slots"][0]["running"] and not s["slots"][1]["running"]
    nodes = b.document("ListNodes")
    assert [n["name"] for n in nodes] == ["meter"] and nodes[0]["present"] is False
    assert b.document("ListReleases") == [] and b.document("ListDeployments", "u", "0") == []
    events = b.document("GetHistory", "u", "0")
    assert [e["event"] for e in events] == ["start"]
    assert b.document("Describe", path=f"{PATH}/node/meter", interface="Node")["name"] == "meter"


@test
def errors_carry_word_and_hint(b):
    b.up()
    for member, args, word in (("Confirm", (), "not-found"), ("Reject", (), "not-found"),
                               ("Cancel", (), "not-found"), ("Rollback", (), "not-found"),
                               ("Install", ("st", "1.0.0", "3"), "unknown flags"),
                               ("Install", ("st", "9" * 60, "0"), "usage"),
                               ("Install", ("st", "x" * 100000, "0"), "usage")):
        code, text = b.call(member, *args)
        assert code != 0, member
        # busctl prints the message alone: text, detail, hint
        assert "(" in text or word in text, f"{member}: {text}"
    code, _ = b.call("Describe", path=f"{PATH}/deployment/_77", interface="Deployment")
    assert code != 0
    assert b.document("ListDeployments", "u", "0") == []


@test
def others_read_and_do_not_act(b):
    """S-30: nobody of authority, no polkit on this bus."""
    if os.geteuid() != 0:
        return "needs root to become somebody else"
    b.up()
    nobody = 65534
    assert b.document("GetStatus", user=nobody)["id"] == "gw-test"
    assert b.document("GetHistory", "u", "5", user=nobody)
    for member, args in (("Check", ()), ("Install", ("st", "", "0")), ("Confirm", ()), ("Reject", ()), ("Cancel", ()),
                         ("Rollback", ()), ("ProvisionNode", ("s", "meter")), ("RotateNodeKey", ("s", "meter"))):
        code, text = b.call(member, *args, user=nobody)
        assert code != 0 and "permission" in text.lower(), f"{member}: {text}"
    assert b.document("ListDeployments", "u", "0") == []
    return None


@test
def a_source_that_is_away_fails_with_its_reason(b):
    b.up()
    code, path = b.call("Install", "st", "", "0")
    assert code == 0, path
    d = wait(lambda: next((d for d in b.document("ListDeployments", "u", "1") if d["ended"]), None), 120)
    assert (d["state"], d["reason"]) == ("failed", "net-unreachable"), d
    assert [e["to"] for e in b.document("GetHistory", "u", "0") if e["event"] == "deployment"] == ["offered", "failed"]
    assert b.document("Describe", path=path, interface="Deployment")["state"] == "failed"


@test
def ends_on_sigterm_and_leaves_no_child(b):
    p = b.up()
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(p.pid)], capture_output=True, text=True).stdout.split()
    assert children, "edgeferry-net should be running"
    p.send_signal(signal.SIGTERM)
    assert p.wait(15) == 0, b.log()
    for pid in children:
        assert not os.path.exists(f"/proc/{pid}"), f"{pid} is left"
    b.up()      # and starts again from what it stored
    assert [e["event"] for e in b.document("GetHistory", "u", "0")] == ["start", "start"]


@test
def a_second_daemon_on_the_same_state_is_refused(b):
    first = b.up()
    second = b.start()
    assert second.wait(15) == 1
    assert "another edgeferryd has" in b.log(), b.log()
    assert first.poll() is None and b.call("GetStatus")[0] == 0


@test
def a_second_daemon_with_a_state_of_its_own_is_refused(b):
    """F-21: it is still the same gateway: the name on the bus is taken."""
    first = b.up()
    with open(f"{b.dir}/etc/edgeferry.conf") as f:
        text = f.read()
    os.mkdir(f"{b.dir}/other")
    b.write("etc/edgeferry.conf", text.replace(f"{b.dir}/state", f"{b.dir}/other"))
    assert b.start().wait(15) == 1
    assert "another edgeferryd is on the bus" in b.log(), b.log()
    assert first.poll() is None and b.call("GetStatus")[0] == 0


@test
def state_that_is_gone_stops_it(b):
    """S-14: from nothing it starts once only."""
    p = b.up()
    p.terminate()
    p.wait(15)
    os.unlink(f"{b.dir}/state/state.db")
    assert b.start().wait(15) == 1
    assert "state-unreadable" in b.log(), b.log()
    os.unlink(f"{b.dir}/state/state.mark")      # nothing but the trust store is left of it
    os.unlink(f"{b.dir}/state/trust/root.json")
    with open(f"{b.dir}/state/trust/timestamp.json", "w") as f:
        f.write("{}")
    assert b.start().wait(15) == 1


@test
def a_node_is_unplugged(b):
    """F-17: seen as it happens, not when the node would have been asked again."""
    if not NODE:
        return "no edgeferry-node"
    node = subprocess.Popen([NODE[0], "--flash", f"{b.dir}/flash", "--socket", f"{b.dir}/meter.sock",
                             "--class", "edgeferry.github.io,host"])
    b.processes.append(node)
    b.write("etc/nodes.d/meter.conf", f"[Node]\nCompatible=edgeferry.github.io,host\nLink=sim\n"
            f"Device={b.dir}/meter.sock\nSecurity=none\n")
    b.up()
    wait(lambda: b.document("ListNodes")[0]["present"])
    time.sleep(0.5)   # the next question is half a minute away
    node.kill()
    wait(lambda: not b.document("ListNodes")[0]["present"], 5)
    return None


@test
def a_node_gets_its_keys(b):
    """The first one in the clear, another one in a session; the daemon alone writes them."""
    if not NODE:
        return "no edgeferry-node"
    image.new_key(f"{b.dir}/edge.pem")
    with open(f"{b.dir}/v1.img", "wb") as f:
        f.write(image.make(b"v1" * 1000, f"{b.dir}/edge.pem", "1.0.0"))
    b.processes.append(subprocess.Popen([NODE[0], "--flash", f"{b.dir}/flash", "--socket", f"{b.dir}/nobody.sock",
                                         "--key", f"{b.dir}/edge.pub.pem", "--image", f"{b.dir}/v1.img"]))
    key = f"{b.dir}/state/meter.key"
    b.write("etc/nodes.d/meter.conf", f"[Node]\nCompatible=edgeferry.github.io,host\nLink=sim\n"
            f"Device={b.dir}/nobody.sock\nKey={key}\n")
    b.up()
    code, text = b.call("RotateNodeKey", "s", "meter")
    assert code != 0 and "provision" in text, text
    code, text = b.call("ProvisionNode", "s", "nobody")
    assert code != 0 and "nobody" in text, text
    code, text = b.call("ProvisionNode", "s", "meter")
    assert code == 0, text
    with open(key, encoding="ascii") as f:
        first = f.read()
    assert os.stat(key).st_mode & 0o777 == 0o600
    wait(lambda: b.document("ListNodes")[0]["present"])
    code, text = b.call("ProvisionNode", "s", "meter")
    assert code != 0 and "rotate" in text, text
    code, text = b.call("RotateNodeKey", "s", "meter")
    assert code == 0, text
    with open(key, encoding="ascii") as f:
        assert f.read() != first
    wait(lambda: b.document("ListNodes")[0]["present"])
    events = b.document("GetHistory", "u", "0")
    assert [e["to"] for e in events if e["event"] == "node" and e["reason"] == "ok"] == ["provision", "rotate-key"], events
    assert first.strip() not in json.dumps(events) + b.log()
    return None


@test
def nodes_in_the_air(b):
    """More of them than the adapter holds (K-11): all are found, by turns, and shown with what was seen of them."""
    if not NODE:
        return "no edgeferry-node"
    image.new_key(f"{b.dir}/edge.pem")
    with open(f"{b.dir}/v1.img", "wb") as f:
        f.write(image.make(b"v1" * 1000, f"{b.dir}/edge.pem", "1.0.0"))
    with open(f"{b.dir}/air.key", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write(os.urandom(32).hex() + "\n")
    devices = {"C0:00:00:00:00:01": "one", "C0:00:00:00:00:02": "two", "C0:00:00:00:00:03": "three"}
    for name in devices.values():
        b.processes.append(subprocess.Popen([NODE[0], "--flash", f"{b.dir}/{name}.flash", "--ble", f"{b.dir}/{name}.sock",
                                             "--key", f"{b.dir}/edge.pub.pem", "--image", f"{b.dir}/v1.img", "--psk",
                                             f"{b.dir}/air.key"]))
        b.write(f"etc/nodes.d/{name}.conf", f"[Node]\nCompatible=edgeferry.github.io,host\nLink=ble\n"
                f"Device=name:{name}\nKey={b.dir}/air.key\n")
    with open(f"{b.dir}/etc/edgeferry.conf", "a") as f:
        f.write("[Bluetooth]\nAdapter=hci0\nMaxConnections=1\n")
    bluez = subprocess.Popen([os.path.join(LAB, "ble", "fake_bluez.py"), b.address,
                              *(f"{a}={b.dir}/{n}.sock={n}" for a, n in devices.items())],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    b.processes.append(bluez)
    assert bluez.stdout.readline() == "ready\n"
    b.up()

    def air():
        return [n for n in b.document("ListNodes") if n["link"] == "ble"]
    wait(lambda: all(n["present"] for n in air()), 40)
    assert {n["address"]: n["name"] for n in air()} == devices, air()
    assert all(n["signal"] in (-60, -61) for n in air()), air()
    assert "address" not in next(n for n in b.document("ListNodes") if n["name"] == "meter")
    print("most", file=bluez.stdin, flush=True)
    assert bluez.stdout.readline().split()[0] == "1"
    return None


@test
def a_wrong_configuration_names_its_line(b):
    b.write("etc/nodes.d/meter.conf", "[Node]\nLink=sim\nNonsense=1\n")
    assert b.start().wait(15) == 78
    assert "meter.conf:3" in b.log(), b.log()


@test
def a_configuration_that_cannot_be_read_is_tried_again(b):
    """F-26: the disk's fault is no mistake in a file, after which systemd would let it be."""
    os.symlink("/proc/self/mem", f"{b.dir}/etc/nodes.d/lamp.conf")     # its first byte: EIO
    assert b.start().wait(15) == 1
    assert "lamp.conf: Input/output error" in b.log(), b.log()


@test
def slots_that_are_not_found_stop_it(b):
    b.write("etc/edgeferry.conf", "[Gateway]\nProduct=demo\nCompatible=a.example,b\nId=x\n[Slots]\nBoot=auto\n")
    assert b.start().wait(15) == 1  # systemd tries again: they may come yet
    assert "Boot=auto: " in b.log() and "edgeferry doctor" in b.log(), b.log()


def main():
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    for i, f in enumerate(TESTS, 1):
        b = Bench()
        try:
            skip = f(b)
            print(f"ok {i} - {f.__name__}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception as e:      # noqa: BLE001: the line is the report
            failed += 1
            print(f"not ok {i} - {f.__name__}: {type(e).__name__}: {e}".replace("\n", "\n# "), flush=True)
        finally:
            b.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
