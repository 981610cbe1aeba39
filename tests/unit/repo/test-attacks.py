# SPDX-License-Identifier: Apache-2.0
"""What must be refused: wrong command lines, damaged workspaces, forged and damaged publications."""
from tool import *


def test_command_lines():
    with Place() as p:
        got = subprocess.run([TOOL], capture_output=True, text=True)
        assert got.returncode == 64 and "--help" in got.stderr
        assert subprocess.run([TOOL, "dance"], capture_output=True).returncode == 64
        assert subprocess.run([TOOL, "add"], capture_output=True).returncode == 64
        verbs = subprocess.run([TOOL, "--help"], capture_output=True, text=True, check=True).stdout
        names = [line[2:17].strip() for line in verbs.splitlines() if line.startswith("  ")]
        assert len(names) >= 18
        for name in names:
            help_text = subprocess.run([TOOL, *name.split(), "--help"], capture_output=True, text=True,
                                       check=True).stdout
            assert help_text.startswith(f"Usage: edgeferry-repo {name}") and "--workspace" in help_text
        p.refused("usage", "init", expect=64)
        p.refused("usage", "init", "a", "b", expect=64)
        p.refused("usage", "init", "Demo!", expect=64)
        p.refused("usage", "init", "demo", "--treshold", "root=1/1", expect=64)
        for text in ("root", "root=0/1", "root=2/1", "root=1/17", "boot=1/1", "root=1/1x", "root=a/b"):
            p.refused("usage", "init", "demo", "--threshold", text, expect=64)
        p.refused("usage", "init", "demo", "--expire", "root=0", expect=64)
        p.refused("not-found", "sign", expect=3)
        p.run("init", "demo")
        p.refused("usage", "init", "demo", expect=64)
        add = ("add", "rootfs", "rootfs", p.write("r.img", b"x"))
        p.refused("usage", *add, "--version", "1.0.0", expect=64)
        p.refused("usage", *add, "--compatible", GATEWAY, expect=64)
        both = (*add, "--compatible", GATEWAY, "--version", "1.0.0")
        for wrong in (("--hardware", "5-2"), ("--hardware", "x"), ("--hardware", "1-"), ("--level", "0"),
                      ("--level", "23"), ("--policy", "maybe"), ("--requires", "x"),
                      ("--requires", "x>=y"), ("--self-test", "0"), ("--confirm", "-1"),
                      ("--security", "4294967296"), ("--version", "1.0"), ("--compatible", "x")):
            p.refused("usage", *both, *wrong, expect=64)
        p.refused("usage", "add", "rootfs", "../x", "r.img", *both[4:], expect=64)
        p.refused("not-found", "add", "rootfs", "rootfs", "no.img", *both[4:], expect=3)
        p.refused("not-found", "release", "1.0.0", expect=3)
        p.run(*both)
        for wrong in (("1.0",), ("1.0.0", "--kind", "other"), ("1.0.0", "--order", "rootfs,rootfs"),
                      ("1.0.0", "--order", "lamp"), ("1.0.0", "--component", "../x")):
            p.refused("usage", "release", *wrong, expect=64)
        p.refused("not-found", "release", "1.0.0", "--component", "lamp", expect=3)
        assert not (p.path / "ws/pending/releases.json").exists()
        p.run("drop", "rootfs")
        p.refused("not-found", "drop", "rootfs", expect=3)


def test_releases_do_not_change():
    with Place() as p:
        p.run("init", "demo")
        p.stage()
        p.run("release", "1.0.0")
        p.run("release", "1.0.0", "--notes", "better")  # nobody has signed yet
        p.run("sign")
        p.refused("usage", "release", "1.0.0", expect=64)
        p.refused("downgrade", "release", "1.1.0", "--sequence", 1, expect=5)
        p.run("release", "1.1.0", "--sequence", 10)
        p.run("release", "1.2.0")
        p.run("sign")
        targets = p.json("ws/metadata/3.releases.json")["signed"]["targets"]
        assert {k: v["custom"]["sequence"] for k, v in targets.items()} == {
            "releases/demo/1.0.0.json": 1, "releases/demo/1.1.0.json": 10, "releases/demo/1.2.0.json": 11}
        p.run("add", "mcu", "meter", "meter.bin", "--compatible", METER, "--version", "3.0.0",
              "--requires", "rootfs>=3.0.0")
        p.refused("requirement", "release", "3.0.0", expect=5)
        p.run("release", "3.0.0", "--force")


def test_damaged_workspace():
    """Nothing damaged is handed on; nothing that cannot be read counts as absent (S-14)."""
    with Place() as p:
        p.run("init", "demo")
        p.release()
        obj = p.path / "ws/objects" / p.json("ws/staged/rootfs.json")["pack"]["sha256"]
        good = obj.read_bytes()
        obj.write_bytes(good[:100] + b"?" + good[101:])
        p.refused("bad-digest", "publish", "pub")
        assert not (p.path / "pub/metadata").exists() and not list((p.path / "pub/objects").glob(".*"))
        p.refused("bad-digest", "bundle", "1.0.0", "x.ferry")
        assert not (p.path / "x.ferry").exists() and not (p.path / "x.ferry.tmp").exists()
        obj.write_bytes(good[:-1])
        p.refused("bad-size", "publish", "pub")
        obj.write_bytes(good)
        p.run("publish", "pub")
        [manifest] = (p.path / "ws/targets/releases/demo").iterdir()
        text = manifest.read_bytes()
        manifest.write_bytes(text.replace(b"mcu", b"mcv"))
        p.refused("bad-digest", "bundle", "1.0.0", "x.ferry")
        manifest.write_bytes(text)
        for name in ("workspace.json", "metadata/1.root.json", "metadata/2.releases.json",
                     "metadata/timestamp.json"):
            f = p.path / "ws" / name
            text = f.read_bytes()
            f.write_bytes(text[:-10])
            p.refused("bad-format", "sign", "--refresh", "timestamp")
            f.write_bytes(text)
        config = p.json("ws/workspace.json")
        config["roles"]["root"]["threshold"] = 9
        p.write("ws/workspace.json", json.dumps(config).encode())
        p.refused("config", "sign")


def test_other_publishers():
    with Place() as p:
        p.run("init", "demo")
        p.run("init", "demo", ws="other")
        p.release()
        p.release(ws="other")
        p.run("publish", "pub")
        p.refused("bad-digest", "publish", "pub", ws="other")
        p.run("sign", "--refresh", "timestamp", ws="other")
        p.refused("bad-digest", "publish", "pub", ws="other")
        p.run("verify", "pub")
        shutil.copytree(p.path / "ws", p.path / "backup")
        p.release("2.0.0")
        p.run("publish", "pub")
        p.refused("metadata-rollback", "publish", "pub", ws="backup")
        p.run("verify", "pub")


def test_wrong_keys():
    """S-02, F-34: forged, cross-signed, thinned out."""
    with Place() as p:
        p.run("init", "demo")
        p.run("init", "demo", ws="other")
        for ws in ("ws", "other"):
            p.release(ws=ws)
            p.run("publish", f"pub-{ws}", ws=ws)
            p.run("bundle", "1.0.0", f"{ws}.ferry", ws=ws)
        p.refused("bad-signature", "verify", "pub-other")
        p.refused("bad-signature", "verify", "other.ferry")
        p.run("verify", "pub-other", "--root", "other/metadata/1.root.json")
        p.refused("no-trust", "verify", "pub-ws", ws="nowhere")
        for name in ("timestamp.json", "2.snapshot.json", "1.targets.json", "2.releases.json"):
            f = p.path / "pub-ws/metadata" / name
            good = f.read_bytes()
            document = json.loads(good)
            for change in (dict(document, signatures=[]),
                           dict(document, signatures=p.json(f"other/metadata/{name}")["signatures"]),
                           dict(document, signed=dict(document["signed"], version=9))):
                f.write_bytes(json.dumps(change).encode())
                p.refused("bad-signature", "verify", "pub-ws")
            f.write_bytes(p.json(f"other/metadata/{name}") and
                          (p.path / f"other/metadata/{name}").read_bytes())
            p.refused("bad-signature", "verify", "pub-ws")
            f.write_bytes(good)
        p.run("verify", "pub-ws")
        p.refused("expired", "verify", "pub-ws", now="2027-01-01T00:00:00Z")
        p.run("verify", "ws.ferry", now="2027-01-01T00:00:00Z")


def test_damaged_folder():
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.run("publish", "pub")
        for f in sorted((p.path / "pub").rglob("*")):
            if not f.is_file():
                continue
            good = f.read_bytes()
            for bad in (good[:-1], good + b" ", good[:20] + b"~" + good[21:], b""):
                f.write_bytes(bad)
                got = p.run("verify", "pub", expect=None)
                # white space behind a document changes nothing that is signed
                harmless = bad == good + b" " and f.parent.name == "metadata" or bad == good[:-1] and \
                    f.parent.name == "metadata"
                assert (got.returncode != 0) or harmless, f"{f} {len(bad)} {len(good)}"
            f.unlink()
            assert p.run("verify", "pub", expect=None).returncode != 0, f
            f.write_bytes(good)
        p.run("verify", "pub")


def test_damaged_bundle():
    """F-07, S-05, S-07: bytes of every member and of everything between."""
    with Place() as p:
        p.run("init", "demo", "--threshold", "root=1/1")
        p.release(rootfs=b"root" * 100, firmware=b"fw" * 50)
        p.run("bundle", "1.0.0", "x.ferry")
        good = (p.path / "x.ferry").read_bytes()
        p.run("verify", "x.ferry")
        for at in [*range(0, 512, 29), *range(512, len(good), 331), len(good) - 1]:
            p.write("bad.ferry", good[:at] + bytes([good[at] ^ 4]) + good[at + 1:])
            got = p.run("verify", "bad.ferry", expect=None)
            assert got.returncode not in (0, 64) and got.returncode > 0, at
            assert got.stderr.startswith("edgeferry-repo: ") and ": internal" not in got.stderr
        for size in (0, 511, 512, len(good) // 2, len(good) - 512, len(good) - 1):
            p.write("bad.ferry", good[:size])
            p.refused("bad-format", "verify", "bad.ferry")
        p.write("bad.ferry", good + bytes(512))
        p.refused("bad-format", "verify", "bad.ferry")
        # one more member than is signed for, made by tar itself as far as it can
        extra = sha256(b"extra")
        header = bytearray(good[good.index(b"objects/"):][:512])
        header[8:72] = extra.encode()
        header[124:135] = b"%011o" % 5
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        p.write("more.ferry", good[:-1024] + bytes(header) + b"extra".ljust(512, b"\0") + good[-1024:])
        subprocess.run(["tar", "tf", "more.ferry"], cwd=p.path, check=True, capture_output=True)
        p.refused("not-signed-for", "verify", "more.ferry")


main(dict(globals()))
