# SPDX-License-Identifier: Apache-2.0
"""The publisher's life: keys, metadata, chunks, releases, publishing, bundles."""
import fcntl

from tool import *


def check_chain(p, folder):
    """All of a published folder's metadata, verified without any code of ours."""
    at = lambda name: p.json(f"{folder}/metadata/{name}")
    roots = []
    while (p.path / f"{folder}/metadata/{len(roots) + 1}.root.json").exists():
        roots.append(at(f"{len(roots) + 1}.root.json"))
    for old, new in zip([roots[0]] + roots, roots):
        for by in (old, new):
            role = by["signed"]["roles"]["root"]
            assert valid_signatures(p, new, by["signed"]["keys"], role) >= role["threshold"]
    root = roots[-1]["signed"]
    assert root["version"] == len(roots) and root["consistent_snapshot"] is True
    for keyid, key in root["keys"].items():
        assert sha256(canonical(key)) == keyid

    def by_root(document, name):
        assert document["signed"]["_type"] == name
        role = root["roles"][name]
        assert valid_signatures(p, document, root["keys"], role) >= role["threshold"]
        return document["signed"]

    timestamp = by_root(at("timestamp.json"), "timestamp")
    n = timestamp["meta"]["snapshot.json"]["version"]
    snapshot = by_root(at(f"{n}.snapshot.json"), "snapshot")
    assert snapshot["version"] == n
    n = snapshot["meta"]["targets.json"]["version"]
    targets = by_root(at(f"{n}.targets.json"), "targets")
    assert targets["version"] == n and targets["targets"] == {}
    n = snapshot["meta"]["releases.json"]["version"]
    document = at(f"{n}.releases.json")
    role = targets["delegations"]["roles"][0]
    assert role["name"] == "releases" and role["paths"] == ["releases/*/*"] and role["terminating"]
    assert valid_signatures(p, document, targets["delegations"]["keys"], role) >= role["threshold"]
    assert document["signed"]["version"] == n
    return document["signed"]["targets"]


def check_objects(p, folder, targets):
    """Manifests and objects by digest; chunks by zstd."""
    for path, entry in targets.items():
        head, version = path.rsplit("/", 1)
        digest = entry["hashes"]["sha256"]
        data = (p.path / folder / "targets" / head / f"{digest}.{version}").read_bytes()
        assert sha256(data) == digest and len(data) == entry["length"]
        manifest = json.loads(data)
        for key, value in entry["custom"].items():
            assert manifest[key] == value
        for c in manifest["components"]:
            for part in ("index", "pack") if c["type"] == "rootfs" else ("image",):
                blob = (p.path / folder / "objects" / c[part]["sha256"]).read_bytes()
                assert sha256(blob) == c[part]["sha256"] and len(blob) == c[part]["size"]
        yield manifest


def number(data, at):
    """LEB128: (value, where it ends)."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def digest16(data):
    return hashlib.sha256(data).digest()[:16]


def groups_of(index):
    """[(size, size in the pack, size of the leaf, digest, digest of the leaf)]"""
    n, at, groups = struct.unpack_from("<I", index, 88)[0], 96, []
    for _ in range(n):
        size, at = number(index, at)
        packed, at = number(index, at)
        leaf, digest, leaf_digest = 0, None, None
        if packed:
            leaf, at = number(index, at)
            digest, leaf_digest, at = index[at:at + 16], index[at + 16:at + 32], at + 32
        groups.append((size, packed, leaf, digest, leaf_digest))
    assert at == len(index)
    return groups


def unpack_group(leaf, pieces):
    at, done, out = 0, 0, []
    while at < len(leaf):
        length, at = number(leaf, at)
        packed, at = number(leaf, at)
        data = bytes(length)
        if packed:
            digest, packed_digest, at = leaf[at:at + 16], leaf[at + 16:at + 32], at + 32
            piece = pieces[done:done + packed]
            assert digest16(piece) == packed_digest
            data = subprocess.run(["zstd", "-d", "-q", "-c"], input=piece, capture_output=True, check=True).stdout
            assert digest16(data) == digest
        assert len(data) == length
        done += packed
        out.append(data)
    assert done == len(pieces)
    return b"".join(out)


def unpack(index, pack):
    """The image, by the specification of the chunk index and the zstd program."""
    size, image, pack_size, pack_sha = *struct.unpack_from("<Q32s", index, 8), *struct.unpack_from("<Q32s", index, 48)
    assert index[:8] == b"EFCHUNK1" and index[92:96] == bytes([10, 12, 15, 5])
    assert pack_size == len(pack) and hashlib.sha256(pack).digest() == pack_sha
    groups = groups_of(index)
    at, leaf_at, out = 0, sum(g[1] for g in groups), []
    for length, packed, leaf_size, digest, leaf_digest in groups:
        data = bytes(length)
        if packed:
            leaf = pack[leaf_at:leaf_at + leaf_size]
            assert digest16(leaf) == leaf_digest
            data = unpack_group(leaf, pack[at:at + packed])
            assert len(data) == length and digest16(data) == digest
        out.append(data)
        at, leaf_at = at + packed, leaf_at + leaf_size
    assert leaf_at == len(pack)
    whole = b"".join(out)
    assert len(whole) == size and hashlib.sha256(whole).digest() == image
    return whole


def test_first_release():
    with Place() as p:
        p.run("init", "demo")
        p.stage()
        p.run("release", "1.0.0", "--notes", "first", "--kind", "security")
        p.refused("bad-signature", "publish", "pub")
        assert not (p.path / "pub/metadata").exists()
        p.run("sign")
        p.run("publish", "pub")
        [manifest] = check_objects(p, "pub", check_chain(p, "pub"))
        assert manifest["product"] == "demo" and manifest["sequence"] == 1
        assert manifest["kind"] == "security" and manifest["notes"] == "first"
        assert manifest["order"] == ["meter", "rootfs"]
        p.run("verify", "pub")


def test_chunks_by_zstd():
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.run("publish", "pub")
        [manifest] = check_objects(p, "pub", check_chain(p, "pub"))
        c = manifest["components"][1]
        read = lambda part: (p.path / "pub/objects" / c[part]["sha256"]).read_bytes()
        image = unpack(read("index"), read("pack"))
        assert image == sample_rootfs("1.0.0") and sha256(image) == c["image"]["sha256"]
        # two files only: what is a hole is not in the pack
        assert len(read("pack")) < 110000
        for content in (b"x", bytes(65536), bytes(65537), stream("q", 65536), stream("r", 131073)):
            p.write("odd.img", content)
            p.run("add", "rootfs", "odd", "odd.img", "--compatible", GATEWAY, "--version", "1.0.0")
            c = p.json("ws/staged/odd.json")
            read = lambda part: (p.path / "ws/objects" / c[part]["sha256"]).read_bytes()
            assert unpack(read("index"), read("pack")) == content


def test_large_sparse_image():
    """S-07: more than 2 GiB, all holes but the end."""
    with Place() as p:
        p.run("init", "demo")
        with open(p.path / "big.img", "wb") as f:
            f.seek((1 << 31) + 70000)
            f.write(b"end")
        p.run("add", "rootfs", "rootfs", "big.img", "--compatible", GATEWAY, "--version", "1.0.0")
        c = p.json("ws/staged/rootfs.json")
        assert c["image"]["size"] == (1 << 31) + 70003
        assert c["pack"]["size"] < 1000
        os.truncate(p.path / "big.img", 0)
        p.refused("bad-size", "add", "rootfs", "rootfs", "big.img", "--compatible", GATEWAY,
                  "--version", "1.0.0")
        # a refused addition leaves what was staged, and no left-over
        assert p.json("ws/staged/rootfs.json") == c
        assert not list((p.path / "ws/objects").glob(".*"))


def same_keys(p, ws, source):
    args = []
    for key in ("root-1", "root-2", "targets-1", "releases-1", "rollouts-1", "snapshot-1", "timestamp-1"):
        args += ["--key", f"{key[:-2]}={source}/keys/{key}.pem"]
    p.run("init", "demo", *args, "--edge-key", f"{source}/keys/edge.pem", ws=ws)


def test_same_input_same_bytes():
    with Place() as p:
        p.run("init", "demo")
        same_keys(p, "one", "ws")
        same_keys(p, "two", "ws")
        p.write("fw.bin", sample_firmware("x"))
        p.run("image", "sign", "--key", "ws/keys/edge.pem", "--version", "1.0.0", "--security", 1,
              "--compatible", METER, "fw.bin", "fw.signed")
        signed = (p.path / "fw.signed").read_bytes()
        for ws in ("one", "two"):
            p.release(ws=ws, firmware=signed)
            p.run("publish", f"pub-{ws}", ws=ws)
            p.run("bundle", "1.0.0", f"{ws}.ferry", ws=ws)
        contents = lambda name: {k: v[0] for k, v in p.tree(name).items()}
        assert contents("pub-one") == contents("pub-two")
        assert (p.path / "one.ferry").read_bytes() == (p.path / "two.ferry").read_bytes()
        # at another time, only what carries a time differs
        same_keys(p, "three", "ws")
        p.run("sign", "--refresh", "timestamp", ws="three", now="2027-01-01T00:00:00Z")
        a, b = p.json("one/metadata/timestamp.json"), p.json("three/metadata/timestamp.json")
        assert a["signed"]["expires"] == "2026-12-21T08:00:00Z"
        assert b["signed"]["expires"] == "2027-01-31T00:00:00Z"


def test_epoch_from_environment():
    with Place() as p:
        p.run("init", "demo", now=None, prefix=["env", "SOURCE_DATE_EPOCH=1790000000"])
        assert p.json("ws/metadata/timestamp.json")["signed"]["expires"] == "2026-10-21T14:13:20Z"
        p.refused("usage", "sign", now=None, expect=64, prefix=["env", "SOURCE_DATE_EPOCH=soon"])
        p.refused("usage", "sign", now="2026-02-30T00:00:00Z", expect=64)


def test_an_image_is_signed_once():
    with Place() as p:
        p.run("init", "demo")
        p.stage()
        first = p.json("ws/staged/meter.json")["image"]
        p.stage()
        assert p.json("ws/staged/meter.json")["image"] == first
        p.stage(firmware=sample_firmware("other"))
        assert p.json("ws/staged/meter.json")["image"] != first


def test_published_twice_is_identical():
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.run("publish", "pub")
        before = p.tree("pub")
        p.run("publish", "pub", expect=2)
        assert p.tree("pub") == before
        p.release("1.1.0")
        p.run("publish", "pub")
        after = p.tree("pub")
        # nothing of what was there has changed but the timestamp
        assert {k for k in before if after.get(k) != before[k]} == {"metadata/timestamp.json"}
        assert len(check_chain(p, "pub")) == 2
        p.run("verify", "pub")
        assert not [k for k in after if "/." in "/" + k]


def test_bundle_by_tar():
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.run("rotate", "root", "--all")
        p.release("2.0.0")
        p.run("bundle", "2.0.0", "x.ferry")
        names = subprocess.run(["tar", "tf", "x.ferry"], cwd=p.path, capture_output=True, text=True,
                               check=True).stdout.split()
        [manifest] = [n for n in names if n.startswith("targets/")]
        m = json.loads(subprocess.run(["tar", "xOf", "x.ferry", manifest], cwd=p.path,
                                      capture_output=True, check=True).stdout)
        by_name = {c["name"]: c for c in m["components"]}
        assert m["version"] == "2.0.0"
        assert names == ["metadata/1.root.json", "metadata/2.root.json", "metadata/timestamp.json",
                         "metadata/3.snapshot.json", "metadata/1.targets.json",
                         "metadata/3.releases.json", manifest,
                         "objects/" + by_name["meter"]["image"]["sha256"],
                         "objects/" + by_name["rootfs"]["index"]["sha256"],
                         "objects/" + by_name["rootfs"]["pack"]["sha256"]]
        size = (p.path / "x.ferry").stat().st_size
        assert size % 512 == 0
        listing = subprocess.run(["tar", "tvf", "x.ferry", "--utc", "--numeric-owner"], cwd=p.path,
                                 capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            assert line.startswith("-rw-r--r-- 0/0 ") and " 1970-01-01 00:00 " in line
        # unpacked, it is a repository
        (p.path / "unpacked").mkdir()
        subprocess.run(["tar", "xf", "../x.ferry"], cwd=p.path / "unpacked", check=True)
        p.run("verify", "x.ferry")
        assert "2.0.0" in p.run("inspect", "x.ferry").stdout
        seen = json.loads(p.run("inspect", "x.ferry", "--json").stdout)
        assert [x["name"] for x in seen["members"]] == names and len(seen["releases"]) == 1
        p.refused("not-found", "bundle", "3.0.0", "y.ferry", expect=3)
        assert not (p.path / "y.ferry").exists() and not (p.path / "y.ferry.tmp").exists()


def test_unpacked_bundle_is_a_repository():
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.run("bundle", "1.0.0", "x.ferry")
        (p.path / "web").mkdir()
        subprocess.run(["tar", "xf", "../x.ferry"], cwd=p.path / "web", check=True)
        assert len(list(check_objects(p, "web", check_chain(p, "web")))) == 1
        got = json.loads(p.run("verify", "web", "--json").stdout)
        assert got["ok"] is True and got["releases"][0]["version"] == "1.0.0"
        p.run("publish", "pub")
        assert {k: v[0] for k, v in p.tree("pub").items()} == \
            {k: v[0] for k, v in p.tree("web").items()}


def test_thresholds():
    """S-02: fewer keys than the threshold publish nothing."""
    with Place() as p:
        p.run("init", "demo", "--threshold", "releases=2/3", "--threshold", "root=2/3")
        hidden = {}
        for n in (1, 2):
            f = p.path / f"ws/keys/releases-{n}.pem"
            hidden[f] = f.read_bytes()
            f.unlink()
        p.release()
        assert len(p.json("ws/pending/releases.json")["signatures"]) == 1
        p.refused("bad-signature", "publish", "pub")
        p.run("sign", expect=0)
        assert len(p.json("ws/pending/releases.json")["signatures"]) == 1
        f, key = hidden.popitem()
        f.write_bytes(key)
        p.run("sign")
        p.run("publish", "pub")
        check_chain(p, "pub")
        p.run("verify", "pub")
        p.run("sign", expect=2)


def test_rotations():
    """S-16: every step is signed by old and new; a client goes from the first to the last."""
    with Place() as p:
        p.run("init", "demo", "--threshold", "root=2/2")
        p.run("export-root", "first.json")
        p.release()
        p.run("publish", "pub")
        for role in ("root", "targets", "releases", "rollouts", "snapshot", "timestamp", "root"):
            p.run("rotate", role, "--all")
            p.run("publish", "pub")
            check_chain(p, "pub")
            p.run("verify", "pub", "--root", "first.json")
        p.run("bundle", "1.0.0", "x.ferry")
        p.run("verify", "x.ferry", "--root", "first.json")
        p.run("export-root", "last.json")
        assert p.json("last.json")["signed"]["version"] == 6
        p.run("verify", "x.ferry", "--root", "last.json")
        p.refused("usage", "rotate", "root", expect=64)
        p.refused("not-found", "rotate", "root", "--replace", "root-9", expect=3)
        # one of two: the other stays
        before = p.json("ws/workspace.json")["roles"]["root"]["keys"]
        p.run("rotate", "root", "--replace", before[0])
        after = p.json("ws/workspace.json")["roles"]["root"]["keys"]
        assert after[1] == before[1] and after[0] != before[0]


def test_kinds_of_keys():
    with Place() as p:
        for kind in ("ecdsa", "rsa"):
            p.run("init", "demo", "--key-type", kind, "--threshold", "root=1/1", ws=kind)
            p.release(ws=kind)
            p.run("publish", f"pub-{kind}", ws=kind)
            check_chain(p, f"pub-{kind}")
            p.run("verify", f"pub-{kind}", ws=kind)
        p.refused("usage", "init", "demo", "--key-type", "dsa", expect=64, ws="other")
        p.run("init", "demo", ws="other")


def test_keys():
    """S-31"""
    with Place() as p:
        p.run("init", "demo")
        for f in (p.path / "ws/keys").iterdir():
            private = not f.name.endswith(".pub.pem")
            assert f.stat().st_mode & 0o777 == (0o600 if private else 0o644), f
            assert f.read_text().startswith(
                "-----BEGIN PRIVATE KEY-----" if private else "-----BEGIN PUBLIC KEY-----")
        assert (p.path / "ws/keys").stat().st_mode & 0o777 == 0o700
        p.run("key", "new", "spare")
        p.refused("usage", "key", "new", "spare", expect=64)
        p.refused("usage", "key", "new", "../x", expect=64)
        p.refused("not-found", "key", "add", "other", "nowhere.pem", expect=3)
        openssl("genpkey", "-algorithm", "ed25519", "-out", p.path / "mine.pem")
        p.run("key", "add", "mine", "mine.pem")
        keys = {k["name"]: k for k in json.loads(p.run("key", "list", "--json").stdout)}
        assert keys["mine"]["uri"] == str(p.path / "mine.pem") and keys["mine"]["at_hand"]
        assert keys["root-1"]["role"] == "root"
        (p.path / "mine.pem").unlink()
        keys = {k["name"]: k for k in json.loads(p.run("key", "list", "--json").stdout)}
        assert not keys["mine"]["at_hand"]
        tuf = json.loads(p.run("key", "public", "root-1", "--format", "tuf").stdout)
        assert sha256(canonical(tuf)) == keys["root-1"]["keyid"]
        pem = p.run("key", "public", "edge").stdout
        assert pem == (p.path / "ws/keys/edge.pub.pem").read_text()
        c = p.run("key", "public", "ws/keys/edge.pem", "--format", "c").stdout
        der = openssl("pkey", "-in", p.path / "ws/keys/edge.pem", "-pubout", "-outform", "DER").stdout
        numbers = bytes(int(x, 16) for x in c.replace("{", " ").replace("}", " ").replace(",", " ").split()
                        if x.startswith("0x"))
        assert numbers == hashlib.sha256(der).digest() + der[-65:]


def test_one_at_a_time():
    with Place() as p:
        p.run("init", "demo")
        with HeldFolder(p.path / "ws"):
            p.refused("busy", "sign")
        p.run("sign", expect=2)


class HeldFolder:
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.fd = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __exit__(self, *_):
        os.close(self.fd)


def test_publish_cut_off_anywhere():
    """F-01: at every write, sync and rename; what was published before stays valid."""
    if not shutil.which("strace"):
        raise Skip("no strace")
    with Place() as p:
        p.run("init", "demo")
        p.release()
        p.run("publish", "pub")
        p.run("rotate", "root", "--all")
        p.run("rotate", "timestamp")
        p.release("2.0.0")
        (p.path / "pub").rename(p.path / "old")
        for call in ("renameat", "write"):
            for n in range(1, 200):
                shutil.rmtree(p.path / "pub", ignore_errors=True)
                shutil.copytree(p.path / "old", p.path / "pub")
                got = p.run("publish", "pub", "--quiet", expect=None,
                            prefix=["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                                    f"inject={call}:signal=SIGKILL:when={n}"])
                found = json.loads(p.run("verify", "pub", "--json").stdout)["releases"]
                if got.returncode == 0:
                    assert len(found) == 2
                    break
                assert len(found) in (1, 2)
                if n % 5 == 0:
                    p.run("publish", "pub")
                    assert len(json.loads(p.run("verify", "pub", "--json").stdout)["releases"]) == 2
            assert n > 3, call


def test_sign_cut_off_anywhere():
    """Whatever was going on, running it again ends it."""
    if not shutil.which("strace"):
        raise Skip("no strace")
    with Place() as p:
        p.run("init", "demo")
        p.stage()
        p.run("release", "1.0.0")
        (p.path / "ws").rename(p.path / "ws0")
        for call in ("renameat", "unlinkat"):
            for n in range(1, 100):
                shutil.rmtree(p.path / "ws", ignore_errors=True)
                shutil.copytree(p.path / "ws0", p.path / "ws")
                got = p.run("sign", "--quiet", expect=None,
                            prefix=["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                                    f"inject={call}:signal=SIGKILL:when={n}"])
                p.run("sign", expect=None)
                p.run("publish", f"pub-{call}-{n}")
                p.run("verify", f"pub-{call}-{n}")
                if got.returncode == 0:
                    break
            assert n > 3, call


main(dict(globals()))
