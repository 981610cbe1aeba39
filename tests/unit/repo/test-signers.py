# SPDX-License-Identifier: Apache-2.0
"""Signers apart from one another (S-33): exported bytes, other machines, timers; status; the hook."""
from tool import *


def take_away(p, *names, ws="ws"):
    """Private keys, moved to where the tool does not look."""
    for name in names:
        (p.path / f"{ws}/keys/{name}.pem").rename(p.path / f"{name}.away")


def by_hand(p, key, data, sig, kind="ed25519"):
    how = {"ed25519": ["-rawin"], "ecdsa": ["-rawin", "-digest", "sha256"],
           "rsa": ["-rawin", "-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt",
                   "rsa_pss_saltlen:digest"]}[kind]
    openssl("pkeyutl", "-sign", *how, "-inkey", p.path / f"{key}.away", "-in", p.path / data, "-out",
            p.path / sig)


def test_by_hand():
    """S-33: exported bytes, a signature by the openssl program, all kinds of keys."""
    for kind in ("ed25519", "ecdsa", "rsa"):
        with Place() as p:
            p.run("init", "demo", "--key-type", kind)
            take_away(p, "releases-1")
            p.run("sign", "export", "out", expect=2)
            p.stage()
            p.run("release", "1.0.0")
            p.run("sign")
            p.run("sign", "export", "out")
            [item] = p.json("out/to-sign.json")
            assert item["role"] == "releases" and item["version"] == 2
            [who] = item["signers"]
            [key] = who["keys"]
            assert who["signatures"] == 0 and who["threshold"] == 1
            assert key["name"] == "releases-1" and key["type"] == kind and key["signed"] is False
            data = (p.path / "out" / item["file"]).read_bytes()
            assert data == canonical(p.json("ws/pending/releases.json")["signed"])
            by_hand(p, "releases-1", "out/releases.2.bytes", "sig", kind)
            # nothing but that signature by that key over those bytes
            sig = (p.path / "sig").read_bytes()
            for bad in (b"", sig[:-1], sig + b"\0", bytes(len(sig)), sig.hex().encode()):
                p.write("bad", bad)
                p.refused("bad-signature", "sign", "attach", "releases", "releases-1", "bad")
            p.refused("usage", "sign", "attach", "releases", "snapshot-1", "sig", expect=64)
            p.refused("usage", "sign", "attach", "releases", "0" * 64, "sig", expect=64)
            p.refused("usage", "sign", "attach", "boot", "releases-1", "sig", expect=64)
            p.refused("not-found", "sign", "attach", "targets", "targets-1", "sig", expect=3)
            assert p.json("ws/pending/releases.json")["signatures"] == []
            p.run("sign", "attach", "releases", key["keyid"], "sig")
            assert not (p.path / "ws/pending/releases.json").exists()
            p.run("sign")
            p.run("publish", "pub")
            p.run("verify", "pub")


def test_root_by_hand():
    """An offline root: rotation is signed by the old keys and the new ones."""
    with Place() as p:
        p.run("init", "demo", "--threshold", "root=2/2")
        p.release()
        p.run("publish", "pub")
        take_away(p, "root-1", "root-2")
        openssl("genpkey", "-algorithm", "ed25519", "-out", p.path / "root-3.away")
        openssl("pkey", "-in", p.path / "root-3.away", "-pubout", "-out", p.path / "root-3.pub")
        p.run("rotate", "root", "--replace", "root-1", "--key", "root-3.pub")
        p.run("sign", "export", "out")
        [item] = p.json("out/to-sign.json")
        assert [w["threshold"] for w in item["signers"]] == [2, 2]
        for key in ("root-1", "root-2", "root-3"):
            assert (p.path / "ws/pending/root.json").exists()
            by_hand(p, key, "out/root.2.bytes", "sig")
            p.run("sign", "attach", "root", key, "sig")
        assert not (p.path / "ws/pending/root.json").exists()
        p.run("sign", expect=2)
        p.run("publish", "pub")
        p.run("verify", "pub")


def test_several_machines():
    """Two of three, each on a copy of the workspace with a key of its own."""
    with Place() as p:
        p.run("init", "demo", "--threshold", "releases=2/3")
        for ws in ("one", "two", "three"):
            shutil.copytree(p.path / "ws", p.path / ws)
            for n, name in enumerate(("one", "two", "three"), 1):
                if ws != name:
                    (p.path / ws / f"keys/releases-{n}.pem").unlink()
        take_away(p, "releases-1", "releases-2", "releases-3")
        p.stage()
        p.run("release", "1.0.0")
        p.run("sign")
        for ws in ("one", "two"):
            shutil.copytree(p.path / "ws/pending", p.path / ws / "pending", dirs_exist_ok=True)
            p.run("sign", ws=ws)
            assert len(p.json(f"{ws}/pending/releases.json")["signatures"]) == 1
        p.refused("bad-signature", "publish", "pub")
        p.run("sign", "merge", "one")
        p.run("sign", "merge", "one", expect=2)
        p.refused("bad-signature", "publish", "pub")
        # what is forged there is left out
        forged = p.json("two/pending/releases.json")
        forged["signatures"][0]["sig"] = "00" * 64
        p.write("two/pending/releases.json", json.dumps(forged).encode())
        p.run("sign", "merge", "two", expect=2)
        assert len(p.json("ws/pending/releases.json")["signatures"]) == 1
        p.run("sign", ws="two")
        p.run("sign", "merge", "two")
        p.run("sign")
        p.run("publish", "pub")
        p.run("verify", "pub")
        # another document is not merged
        p.run("rotate", "snapshot", "--key-type", "ecdsa")
        p.stage("2.0.0")
        p.run("release", "2.0.0")
        other = p.json("ws/pending/releases.json")
        other["signed"]["expires"] = "2040-01-01T00:00:00Z"
        p.write("one/pending/releases.json", json.dumps(other).encode())
        p.refused("bad-signature", "sign", "merge", "one")


def test_revoke():
    with Place() as p:
        p.run("init", "demo", "--threshold", "releases=1/2", "--threshold", "root=1/2")
        p.run("export-root", "first.json")
        p.release()
        p.run("publish", "pub")
        p.refused("not-found", "key", "revoke", "nobody", expect=3)
        p.refused("not-found", "key", "revoke", "edge", expect=3)
        p.refused("usage", "key", "revoke", "timestamp-1", expect=64)
        for n, name in enumerate(("releases-1", "root-1"), 2):
            id_ = {k["name"]: k["keyid"] for k in json.loads(p.run("key", "list", "--json").stdout)}[name]
            p.run("key", "revoke", name)
            p.run("publish", "pub")
            p.run("verify", "pub", "--root", "first.json")
            newest = "2.targets.json" if name == "releases-1" else "2.root.json"
            document = (p.path / "pub/metadata" / newest).read_text()
            signed = json.loads(document)["signed"]
            assert id_ not in json.dumps(signed)
        releases = p.json("pub/metadata/3.releases.json")
        assert len(releases["signatures"]) == 1
        p.refused("usage", "key", "revoke", "root-2", expect=64)


def test_every_role_rotates():
    """Each role's keys, to each kind of key, and back; a client from the first root follows."""
    with Place() as p:
        p.run("init", "demo")
        p.run("export-root", "first.json")
        p.release()
        p.run("rollout", "set", "1.0.0", "--share", 10)
        p.run("publish", "pub")
        for role in ("root", "targets", "releases", "rollouts", "snapshot", "timestamp"):
            for kind in ("ecdsa", "rsa", "ed25519"):
                p.run("rotate", role, "--all", "--key-type", kind)
            p.run("publish", "pub")
            p.run("verify", "pub", "--root", "first.json")
        p.run("sign", expect=2)


def test_timer():
    """Re-signs timestamp with its own key alone, whatever waits for others."""
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.run("publish", "pub")
        take_away(p, "root-1", "root-2", "targets-1", "releases-1", "rollouts-1", "snapshot-1", "edge")
        p.run("sign", "--refresh", "timestamp", now="2026-12-20T08:00:00Z")
        p.run("publish", "pub", "--signed-only")
        p.run("verify", "pub", now="2027-01-10T08:00:00Z")
        p.run("add", "rootfs", "rootfs", "rootfs.img", "--compatible", GATEWAY, "--version", "2.0.0")
        p.run("release", "2.0.0")
        p.run("rotate", "snapshot")
        for month in ("01", "02"):
            p.run("sign", "--refresh", "timestamp", now=f"2027-{month}-10T08:00:00Z")
            p.refused("bad-signature", "publish", "pub")
            p.run("publish", "pub", "--signed-only")
            p.run("verify", "pub", now=f"2027-{month}-11T08:00:00Z")
        got = json.loads(p.run("verify", "pub", "--json", now="2027-02-11T08:00:00Z").stdout)
        assert [x["version"] for x in got["releases"]] == ["1.0.0"]
        # and when the others come back, all goes on
        for f in p.path.glob("*.away"):
            f.rename(p.path / f"ws/keys/{f.stem}.pem")
        p.run("sign")
        p.run("publish", "pub")
        got = json.loads(p.run("verify", "pub", "--json").stdout)
        assert [x["version"] for x in got["releases"]] == ["1.0.0", "2.0.0"]


def test_status():
    with Place() as p:
        p.run("init", "demo", "--threshold", "releases=2/2")
        got = p.run("status")
        assert "timestamp" in got.stdout and "30 days" in got.stdout
        p.run("status", "--within", 29)
        p.run("status", "--within", 30, expect=4)
        p.run("status", now="2026-12-21T08:00:00Z", expect=4)
        assert "EXPIRED" in p.run("status", now="2027-12-21T08:00:00Z", expect=4).stdout
        p.refused("usage", "status", "--within", 40000, expect=64)
        p.release()
        p.run("rollout", "set", "1.0.0", "--share", 100)
        take_away(p, "releases-2", "root-1")
        p.stage("2.0.0")
        p.run("release", "2.0.0")
        p.run("sign")
        got = json.loads(p.run("status", "--json").stdout)
        roles = {r["role"]: r for r in got["roles"]}
        assert got["product"] == "demo" and got["attention"] is False
        assert [k["at_hand"] for k in roles["root"]["keys"]] == [False, True]
        assert roles["timestamp"]["days_left"] == 30
        assert roles["timestamp"]["expires"] == "2026-12-21T08:00:00Z"
        [who] = roles["releases"]["pending"]["signers"]
        assert roles["releases"]["pending"]["version"] == 3 and roles["releases"]["version"] == 2
        assert (who["signatures"], who["threshold"]) == (1, 2)
        assert [k["name"] for k in who["keys"] if not k["signed"]] == ["releases-2"]
        assert [r["role"] for r in got["roles"] if "pending" in r] == ["releases"]
        assert "may sign: releases-2" in p.run("status").stdout
        # a statement that somebody goes by needs attention first
        assert got["rollout"] == {"counter": 1, "expires": "2026-11-24T08:00:00Z", "days_left": 3}
        p.run("status", "--within", 3, expect=4)
        p.run("rollout", "halt", "1.0.0")
        p.run("status", "--within", 3)


def hook(*words):
    return [x for w in words for x in ("--hook", w)]


LOG = """import os, sys, shutil
names = sys.argv[2:] or sys.stdin.read().split()
if os.environ.get("X") or os.path.exists(sys.argv[1] + ".fail"):
    sys.exit(7)
with open(sys.argv[1], "a") as f:
    f.write(" ".join(names) + "\\n")
for n in names:
    os.makedirs(os.path.dirname(sys.argv[1] + ".d/" + n), exist_ok=True)
    shutil.copy(n, sys.argv[1] + ".d/" + n)
"""


def test_hook():
    """In the safe order, one run a stage, only what is new; what failed comes again."""
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.write("hook.py", LOG.encode())
        words = hook("python3", p.path / "hook.py", p.path / "log")
        p.run("publish", "pub", *words)
        stages = [x.split() for x in (p.path / "log").read_text().splitlines()]
        assert len(stages) == 3 and stages[1:] == [["metadata/timestamp.json"], ["metadata/1.root.json"]]
        first = [n.split("/")[0] for n in stages[0]]
        assert first == sorted(first, key=["objects", "targets", "metadata"].index)
        assert sorted(n for s in stages for n in s) == sorted(p.tree("pub"))
        p.run("verify", "log.d")
        p.run("publish", "pub", *words, expect=2)
        p.run("rotate", "root", "--all")
        p.release("2.0.0")
        p.write("log.fail", b"")
        got = p.refused("io", "publish", "pub", *words)
        assert "exited with 7" in got.stderr
        (p.path / "log.fail").unlink()
        (p.path / "log").unlink()
        p.run("publish", "pub", *words)
        stages = [x.split() for x in (p.path / "log").read_text().splitlines()]
        assert stages[1:] == [["metadata/timestamp.json"], ["metadata/2.root.json"]]
        assert not [n for n in stages[0] if n in ("metadata/1.targets.json", "metadata/2.snapshot.json")]
        p.run("verify", "log.d")
        assert {k: v[0] for k, v in p.tree("log.d").items()} == {k: v[0] for k, v in p.tree("pub").items()}
        p.refused("not-found", "publish", "pub", *hook("no-such-program-here"), expect=3)


def test_hook_a_file():
    """{} in a word: one run a file; no shell looks at it."""
    with Place() as p:
        p.run("init", "demo")
        p.release()
        (p.path / "to").mkdir()
        p.run("publish", "pub", *hook("cp", "--parents", "{}", p.path / "to"))
        p.run("verify", "to")
        (p.path / "flat").mkdir()
        p.run("publish", "pub", *hook("cp", "./{}", f"{p.path}/flat/../to/{{}}"))
        p.run("verify", "to")
        p.write("hook.py", LOG.encode())
        words = hook("python3", p.path / "hook.py", p.path / "log", "{}", "$(touch x);`id`")
        p.run("publish", "pub", *words, expect=1)  # no such file by that name
        assert not (p.path / "x").exists() and not (p.path / "pub/x").exists()
        p.run("publish", "pub", *hook("cp", "--parents", "{}", p.path / "to"), expect=2)
        p.run("publish", "pub", "--hook-all", *hook("cp", "--parents", "{}", p.path / "to"))


def test_hook_rsync():
    """-I, as rsync else takes two timestamps of one size and second for the same."""
    if not shutil.which("rsync"):
        raise Skip("no rsync")
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.run("publish", "pub", *hook("rsync", "-aI", "--files-from=-", ".", p.path / "to/"))
        p.run("verify", "to")
        p.release("2.0.0")
        p.run("publish", "pub", *hook("rsync", "-aI", "--files-from=-", ".", p.path / "to/"))
        assert len(json.loads(p.run("verify", "to", "--json").stdout)["releases"]) == 2


main(dict(globals()))
