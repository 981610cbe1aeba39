# SPDX-License-Identifier: Apache-2.0
"""dm-verity: trees that veritysetup made or is to make."""
import re

from tool import *

SIZE = 130 * 4096   # two blocks of digests, and one above
IMAGE = hashlib.shake_256(b"dm-verity").digest(SIZE)


def veritysetup(*args):
    done = subprocess.run(["veritysetup", *map(str, args)], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def add(p, image, how, **more):
    return p.run("add", "rootfs", "rootfs", image, "--compatible", GATEWAY, "--version", "1.0.0", "--verity", how, **more)


def formatted(p, name, *options):
    """An image with a tree, made by hand: OFFSET:ROOT."""
    p.write(name, IMAGE)
    out = veritysetup("format", f"--hash-offset={SIZE}", *options, p.path / name, p.path / name)
    return f"{SIZE}:" + re.search(r"Root hash:\s+([0-9a-f]{64})", out)[1]


def test_made():
    with Place() as p:
        p.run("init", "demo")
        p.write("image", IMAGE)
        add(p, "image", "make")
        c = p.json("ws/staged/rootfs.json")
        assert c["verity"]["offset"] == SIZE and c["image"]["size"] == SIZE + 4 * 4096
        assert not [n for n in os.listdir(p.path / "ws") if n.startswith("verity")]
        # the same image gives the same bytes, whatever the clock and chance say
        add(p, "image", "make", now=None)
        assert p.json("ws/staged/rootfs.json") == c
        p.run("release", "1.0.0")
        p.run("sign")
        p.run("publish", "pub")
        p.run("verify", "pub")
        [manifest] = (p.path / "pub/targets/releases/demo").glob("*.1.0.0.json")
        assert json.loads(manifest.read_bytes())["components"][0]["verity"] == c["verity"]


def test_made_is_what_veritysetup_takes():
    with Place() as p:
        p.run("init", "demo")
        p.write("image", IMAGE)
        add(p, "image", "make")
        c = p.json("ws/staged/rootfs.json")
        # the same salt and UUID by hand: the same tree
        digest = sha256(IMAGE)
        uuid = f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
        assert formatted(p, "other", f"--salt={digest}", f"--uuid={uuid}") == f"{SIZE}:{c['verity']['root']}"
        assert sha256((p.path / "other").read_bytes()) == c["image"]["sha256"]


def test_given():
    with Place() as p:
        p.run("init", "demo")
        how = formatted(p, "image")
        add(p, "image", how)
        c = p.json("ws/staged/rootfs.json")
        assert f"{c['verity']['offset']}:{c['verity']['root']}" == how
        assert sha256((p.path / "image").read_bytes()) == c["image"]["sha256"]


def test_tampered():
    """Anywhere: data, superblock, either level of the tree, and the root hash itself."""
    with Place() as p:
        p.run("init", "demo")
        how = formatted(p, "image")
        good = (p.path / "image").read_bytes()
        for at, word in ((5000, "bad-digest"), (SIZE - 1, "bad-digest"), (SIZE, "bad-format"), (SIZE + 33, "bad-format"),
                         (SIZE + 72, "bad-size"), (SIZE + 90, "bad-digest"), (SIZE + 4096, "bad-digest"),
                         (SIZE + 2 * 4096 + 50, "bad-digest")):
            p.write("image", good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
            p.refused(word, "add", "rootfs", "rootfs", "image", "--compatible", GATEWAY, "--version", "1.0.0", "--verity", how)
        p.write("image", good)
        for wrong, word, code in ((how[:-1] + ("0" if how[-1] != "0" else "1"), "bad-digest", 1),
                                  (how.replace(str(SIZE), str(SIZE - 4096)), "bad-format", 1),
                                  (how.replace(str(SIZE), "0"), "bad-size", 1), ("yes", "usage", 64), (how[:-1], "usage", 64),
                                  ("-" + how, "usage", 64)):
            p.refused(word, "add", "rootfs", "rootfs", "image", "--compatible", GATEWAY, "--version", "1.0.0", "--verity", wrong,
                      expect=code)
        p.write("odd", good[:5000])
        p.refused("usage", "add", "rootfs", "rootfs", "odd", "--compatible", GATEWAY, "--version", "1.0.0", "--verity", "make",
                  expect=64)
        assert not (p.path / "ws/staged/rootfs.json").exists()


def test_small_blocks():
    """A file system that no kernel would mount there is refused, with the way out: mke2fs takes 1 KiB when it is small."""
    with Place() as p:
        p.run("init", "demo")
        for size, code in ((1024, 64), (2048, 64), (4096, 0)):
            with open(p.path / "image", "wb") as f:
                f.truncate(2 << 20)
            subprocess.run(["/sbin/mke2fs", "-q", "-b", str(size), p.path / "image"], check=True)
            said = add(p, "image", "make", expect=code)
            assert code == 0 or "mke2fs -b 4096" in said.stderr, said.stderr
            assert (p.path / "ws/staged/rootfs.json").exists() == (code == 0)


main(dict(globals()))
