# SPDX-License-Identifier: Apache-2.0
"""Rollout statements (R-01 to R-04), and that their role can do nothing else (S-04)."""
from tool import *

LATER = "2026-12-01T08:00:00Z"


def statement(p, folder="pub"):
    """What is published, through the metadata that names it."""
    n = p.json(f"{folder}/metadata/timestamp.json")["signed"]["meta"]["snapshot.json"]["version"]
    n = p.json(f"{folder}/metadata/{n}.snapshot.json")["signed"]["meta"]["rollouts.json"]["version"]
    [(path, entry)] = p.json(f"{folder}/metadata/{n}.rollouts.json")["signed"]["targets"].items()
    assert path == "rollouts/demo.json"
    data = (p.path / f"{folder}/targets/rollouts/{entry['hashes']['sha256']}.demo.json").read_bytes()
    assert sha256(data) == entry["hashes"]["sha256"] and len(data) == entry["length"]
    return json.loads(data)


def keyid(p, name):
    return {k["name"]: k["keyid"] for k in json.loads(p.run("key", "list", "--json").stdout)}[name]


def test_set_and_halt():
    with Place() as p:
        p.run("init", "demo")
        p.refused("not-found", "rollout", "show", expect=3)
        p.refused("not-found", "rollout", "renew", expect=3)
        p.refused("not-found", "rollout", "set", "1.0.0", "--share", 25, expect=3)
        p.release()
        p.run("publish", "pub")
        p.run("verify", "pub")  # none yet
        p.refused("not-found", "sign", "--refresh", "rollouts", expect=3)
        assert not list((p.path / "ws").glob("*/*rollouts.json"))
        p.run("rollout", "set", "1.0.0", "--share", "25")
        p.run("publish", "pub")
        got = statement(p)
        salt = got["releases"][0]["salt"]
        assert got == {"schema": 1, "product": "demo", "counter": 1, "expires": "2026-11-24T08:00:00Z",
                       "releases": [{"version": "1.0.0", "sequence": 1, "share": 250, "salt": salt,
                                     "halted": False}]}
        p.run("verify", "pub")
        p.run("rollout", "set", "1.0.0", "--share", "50.5", "--days", 10)
        got = json.loads(p.run("rollout", "show", "--json").stdout)
        assert got["counter"] == 2 and got["expires"] == LATER
        assert got["releases"][0]["share"] == 505 and got["releases"][0]["salt"] == salt
        p.run("rollout", "halt", "1.0.0")
        assert "halted" in p.run("rollout", "show").stdout
        assert "EXPIRED" in p.run("rollout", "show", now=LATER).stdout
        p.run("publish", "pub")
        assert statement(p)["releases"][0]["halted"] is True and statement(p)["counter"] == 3
        p.refused("usage", "rollout", "set", "1.0.0", "--share", "60", expect=64)
        p.run("rollout", "set", "1.0.0", "--share", "60", "--resume")
        p.run("rollout", "renew", now="2026-11-30T00:00:00Z")
        got = json.loads(p.run("rollout", "show", "--json").stdout)
        assert got["counter"] == 5 and got["expires"] == "2026-12-03T00:00:00Z"
        assert got["releases"][0]["share"] == 600 and got["releases"][0]["halted"] is False
        p.run("publish", "pub")
        p.run("verify", "pub")


def test_share_and_salt():
    """R-03"""
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.release("2.0.0")
        for text in ("", "-1", "101", "100.1", "25%", "2.55", "1e1", " 5", "25.", "0x10", ".5"):
            p.refused("usage", "rollout", "set", "1.0.0", "--share", text, expect=64)
        p.refused("usage", "rollout", "set", "1.0.0", expect=64)
        for days in (0, 31):
            p.refused("usage", "rollout", "set", "1.0.0", "--share", 1, "--days", days, expect=64)
        for salt in ("short", "a b c d e f", "x" * 65, "r42-7f3ü"):
            p.refused("usage", "rollout", "set", "1.0.0", "--share", 1, "--salt", salt, expect=64)
        p.refused("not-found", "rollout", "show", expect=3)
        p.run("rollout", "set", "1.0.0", "--share", "10", "--salt", "r42-7f3a")
        p.refused("usage", "rollout", "set", "1.0.0", "--share", "9.9", expect=64)
        p.refused("usage", "rollout", "set", "1.0.0", "--share", 20, "--salt", "r42-7f3b", expect=64)
        p.refused("usage", "rollout", "set", "2.0.0", "--share", 20, "--salt", "r42-7f3a", expect=64)
        p.refused("not-found", "rollout", "set", "3.0.0", "--share", 20, expect=3)
        p.run("rollout", "set", "1.0.0", "--share", 100, "--salt", "r42-7f3a")
        p.run("rollout", "set", "2.0.0", "--share", 0)
        p.run("rollout", "halt", "2.0.0")
        got = json.loads(p.run("rollout", "show", "--json").stdout)["releases"]
        assert [(x["version"], x["share"], x["halted"]) for x in got] == [
            ("1.0.0", 1000, False), ("2.0.0", 0, True)]
        assert len({x["salt"] for x in got}) == 2


def test_halts_while_others_sign():
    """R-04: a release that waits for a second signature holds up no halt, and no timestamp."""
    with Place() as p:
        p.run("init", "demo", "--threshold", "releases=2/2")
        p.release()
        p.run("publish", "pub")
        p.run("rollout", "set", "1.0.0", "--share", 100)
        for name in ("releases-2", "root-1", "root-2", "targets-1"):
            (p.path / f"ws/keys/{name}.pem").unlink()
        p.stage("2.0.0")
        p.run("release", "2.0.0")
        p.run("sign")
        assert (p.path / "ws/pending/releases.json").exists()
        p.run("rollout", "halt", "1.0.0")
        p.refused("bad-signature", "publish", "pub")
        p.run("publish", "pub", "--signed-only")
        assert statement(p)["releases"][0]["halted"] is True
        got = json.loads(p.run("verify", "pub", "--json").stdout)
        assert [x["version"] for x in got["releases"]] == ["1.0.0"]
        # what is pending cannot be rolled out
        p.refused("not-found", "rollout", "set", "2.0.0", "--share", 1, expect=3)


def forge(p, role, targets, key):
    """The published document of a delegated role with other targets, signed by another key."""
    [f] = (p.path / "pub/metadata").glob(f"*.{role}.json")
    good = f.read_bytes()
    document = json.loads(good)
    document["signed"]["targets"] = targets
    p.write("to-sign", canonical(document["signed"]))
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", p.path / f"ws/keys/{key}.pem", "-in",
            p.path / "to-sign", "-out", p.path / "sig")
    document["signatures"] = [{"keyid": keyid(p, key), "sig": (p.path / "sig").read_bytes().hex()}]
    f.write_bytes(json.dumps(document).encode())
    return f, good


def one_release(p):
    """A published release and its statement, with one version of each."""
    p.run("init", "demo", now="2026-11-21T07:00:00Z")
    p.release()
    p.run("rollout", "set", "1.0.0", "--share", 100)
    p.run("publish", "pub")
    p.run("verify", "pub")


def test_roles_do_not_mix():
    """S-04: a rollouts key signs no releases, a releases key no statements, and neither anything else."""
    with Place() as p:
        one_release(p)
        for role in ("releases", "rollouts"):
            [f] = (p.path / "pub/metadata").glob(f"*.{role}.json")
            targets = json.loads(f.read_bytes())["signed"]["targets"]
            for key in ("rollouts-1", "releases-1", "targets-1", "snapshot-1", "timestamp-1"):
                f, good = forge(p, role, targets, key)
                if key == f"{role}-1":
                    p.run("verify", "pub")
                else:
                    p.refused("bad-signature", "verify", "pub")
                f.write_bytes(good)
        for name in ("timestamp.json", "*.snapshot.json", "*.targets.json"):
            [f] = (p.path / "pub/metadata").glob(name)
            good = f.read_bytes()
            document = json.loads(good)
            for key in ("rollouts-1", "releases-1"):
                p.write("to-sign", canonical(document["signed"]))
                openssl("pkeyutl", "-sign", "-rawin", "-inkey", p.path / f"ws/keys/{key}.pem", "-in",
                        p.path / "to-sign", "-out", p.path / "sig")
                sig = (p.path / "sig").read_bytes().hex()
                document["signatures"] = [{"keyid": keyid(p, key), "sig": sig}]
                f.write_bytes(json.dumps(document).encode())
                p.refused("bad-signature", "verify", "pub")
            f.write_bytes(good)
        p.run("verify", "pub")


def test_online_role_names_no_release():
    """S-04: a rollouts role that speaks of a release's path is not heard at all."""
    with Place() as p:
        one_release(p)
        [f] = (p.path / "pub/metadata").glob("*.releases.json")
        document = json.loads(f.read_bytes())
        release = document["signed"]["targets"]["releases/demo/1.0.0.json"]
        [g] = (p.path / "pub/metadata").glob("*.rollouts.json")
        own = json.loads(g.read_bytes())["signed"]["targets"]
        evil = dict(release, custom=dict(release["custom"], version="9.9.9", sequence=99))
        g, good = forge(p, "rollouts", {**own, "releases/demo/9.9.9.json": evil}, "rollouts-1")
        p.refused("not-signed-for", "verify", "pub", expect=None)
        g.write_bytes(good)
        p.run("verify", "pub")
        # nor can the release role speak of shares
        f, good = forge(p, "releases", {"releases/demo/1.0.0.json": release, **own}, "releases-1")
        g.unlink()
        assert p.run("verify", "pub", expect=None).returncode != 0


def test_verify_looks_into_it():
    """A statement that gateways would not take is found before it is published."""
    with Place() as p:
        one_release(p)
        good = statement(p)

        def put(value):
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            name = f"targets/rollouts/{sha256(data)}.demo.json"
            p.write(f"pub/{name}", data)
            return forge(p, "rollouts", {"rollouts/demo.json": {
                "length": len(data), "hashes": {"sha256": sha256(data)}}}, "rollouts-1")

        for bad in (b"{}", dict(good, floor=0), dict(good, product="other"), dict(good, counter=0),
                    dict(good, releases=[dict(good["releases"][0], version="9.9.9")]),
                    dict(good, releases=[dict(good["releases"][0], sequence=7)])):
            f, before = put(bad)
            got = p.run("verify", "pub", expect=None)
            assert got.returncode in (1, 5), (bad, got)
            f.write_bytes(before)
        put(dict(good, releases=[]))
        p.run("verify", "pub")


def test_bundles_are_without():
    """Whoever hands over a bundle has decided; on a server it makes gateways hold, not go on."""
    with Place() as p:
        one_release(p)
        p.run("bundle", "1.0.0", "x.ferry")
        names = subprocess.run(["tar", "tf", "x.ferry"], cwd=p.path, capture_output=True, text=True,
                               check=True).stdout
        assert "rollouts" not in names
        p.run("verify", "x.ferry")
        (p.path / "web").mkdir()
        subprocess.run(["tar", "xf", "../x.ferry"], cwd=p.path / "web", check=True)
        p.refused("not-found", "verify", "web", expect=3)
        p.run("inspect", "x.ferry")


def test_inspect():
    """What people and programs are told of a folder, every field."""
    with Place() as p:
        one_release(p)
        got = json.loads(p.run("inspect", "pub", "--json").stdout)
        assert sorted(got) == ["kind", "members", "path", "releases", "roles", "rollouts"]
        assert got["kind"] == "folder" and got["path"] == "pub" and got["members"] == []
        assert [(r["role"], r["version"], r["signatures"]) for r in got["roles"]] == [
            ("root", 1, 2), ("targets", 1, 1), ("releases", 2, 1), ("rollouts", 1, 1),
            ("snapshot", 3, 1), ("timestamp", 3, 1)]
        assert all(len(r["expires"]) == 20 for r in got["roles"])
        assert got["rollouts"] == [statement(p)]
        [release] = got["releases"]
        assert release["version"] == "1.0.0" and {c["name"] for c in release["components"]} == {
            "rootfs", "meter"}
        text = p.run("inspect", "pub").stdout
        for part in ("not verified", "rollouts", "1000 of 1000", "meter", "demo 1.0.0, sequence 1, feature"):
            assert part in text, part


def test_halt_cut_off_anywhere():
    """F-01: a halt that was cut off is whole or not there, and done again it is there."""
    if not shutil.which("strace"):
        raise Skip("no strace")
    with Place() as p:
        one_release(p)
        (p.path / "ws").rename(p.path / "ws0")
        for n in range(1, 100):
            shutil.rmtree(p.path / "ws", ignore_errors=True)
            shutil.copytree(p.path / "ws0", p.path / "ws")
            got = p.run("rollout", "halt", "1.0.0", "--quiet", expect=None,
                        prefix=["strace", "-qq", "-o", "/dev/null", "-e", "trace=renameat", "-e",
                                f"inject=renameat:signal=SIGKILL:when={n}"])
            before = json.loads(p.run("rollout", "show", "--json").stdout)
            assert (before["counter"], before["releases"][0]["halted"]) in ((1, False), (2, True))
            p.run("rollout", "halt", "1.0.0")
            p.run("publish", f"pub-{n}")
            p.run("verify", f"pub-{n}")
            assert statement(p, f"pub-{n}")["releases"][0]["halted"] is True
            if got.returncode == 0:
                break
        assert n > 3


def test_workspace_from_before():
    """One that was made before there was the role gets it by rotating it."""
    with Place() as p:
        p.run("init", "demo")
        config = p.json("ws/workspace.json")
        del config["roles"]["rollouts"], config["keys"]["rollouts-1"]
        p.write("ws/workspace.json", json.dumps(config).encode())
        for f in (p.path / "ws/keys").glob("rollouts-1*"):
            f.unlink()
        p.run("rotate", "targets")  # delegations without it, as they were
        assert [r["name"] for r in p.json("ws/metadata/2.targets.json")["signed"]["delegations"]["roles"]
                ] == ["releases"]
        p.release()
        p.refused("not-found", "rollout", "set", "1.0.0", "--share", 1, expect=3)
        p.run("rotate", "rollouts")
        p.run("rollout", "set", "1.0.0", "--share", 1)
        p.run("publish", "pub")
        p.run("verify", "pub")
        p.run("rotate", "rollouts")
        p.run("publish", "pub")
        p.run("verify", "pub")
        assert statement(p)["counter"] == 1


main(dict(globals()))
