# SPDX-License-Identifier: Apache-2.0
"""patch: makes, applies and compares; what it says is so."""
from tool import *

OLD = hashlib.shake_256(b"firmware").digest(20000)
NEW = OLD[:5000] + b"a new function" + OLD[5000:15000] + OLD[15100:]


def patch(p, *args, **how):
    return json.loads(p.run("patch", "old", "new", "--json", *args, **how).stdout)


def test_what_it_says():
    with Place() as p:
        p.write("old", OLD)
        p.write("new", NEW)
        said = patch(p, "--out", "out")
        made = (p.path / "out").read_bytes()
        assert made[:3] == b"EP\1" and said["patch-size"] == len(made) < 200
        assert said["new-size"] == len(NEW) and said["saved"] == len(NEW) - len(made)
        assert struct.unpack_from("<II", made, 13) == (len(OLD), len(NEW))
        text = p.run("patch", "old", "new").stdout
        assert f"{len(NEW)} bytes by a patch of {len(made)} " in text and f"saves {len(NEW) - len(made)}" in text
        # the same bytes again
        patch(p, "--out", "again")
        assert (p.path / "again").read_bytes() == made


def test_every_model_takes_any_bytes():
    with Place() as p:
        p.write("old", OLD)
        p.write("new", NEW)
        for n, arch in enumerate(("generic", "thumb", "riscv")):
            said = patch(p, "--arch", arch, "--base", "0x8000000", "--out", "out")
            assert said["arch"] == arch and said["base"] == 0x8000000
            assert (p.path / "out").read_bytes()[3] == n


def test_nothing_to_save():
    with Place() as p:
        p.write("old", b"")
        p.write("new", b"x")
        assert patch(p)["saved"] < 0
        assert "saves nothing" in p.run("patch", "old", "new").stdout
        p.write("new", b"")
        assert patch(p)["new-size"] == 0


def test_refused():
    with Place() as p:
        p.write("old", OLD)
        p.refused("not-found", "patch", "old", "new", expect=3)
        p.write("new", NEW)
        p.refused("usage", "patch", "old", "new", "--arch", "z80", expect=64)
        p.refused("usage", "patch", "old", "new", "--base", "0x100000000", expect=64)
        p.run("patch", "old", expect=64)
        with open(p.path / "large", "wb") as f:
            f.truncate((4 << 20) + 1)
        p.refused("too-large", "patch", "old", "large", expect=5)
        assert p.run("patch", "old", "new", "--out", "no/where", expect=3).stdout == ""


main(dict(globals()))
