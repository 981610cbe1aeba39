#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Documents that bring a key set (E-07): their bytes, signatures checked by openssl, made by several hands."""
import struct

from tool import Place, VECTORS, main, openssl


def point(pem):
    return openssl("pkey", "-pubin", "-in", pem, "-outform", "DER").stdout[-64:]


def parse(data):
    assert data[:4] == b"EFK1"
    n, need, number = struct.unpack("<BBH", data[4:8])
    keys = [data[8 + i * 64:72 + i * 64] for i in range(n)]
    rest = data[8 + n * 64:]
    assert len(rest) % 65 == 0
    return number, need, keys, [(rest[i], rest[i + 1:i + 65]) for i in range(0, len(rest), 65)], data[:8 + n * 64]


def der(raw):
    def number(b):
        b = b.lstrip(b"\0") or b"\0"
        b = b"\0" + b if b[0] & 0x80 else b
        return b"\x02" + bytes([len(b)]) + b
    body = number(raw[:32]) + number(raw[32:])
    return b"\x30" + bytes([len(body)]) + body


class Keys(Place):
    """Five keys of a publisher, a to e; pub.pem and pem."""

    def __enter__(self):
        for k in "abcde":
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                    self.path / f"{k}.pem")
            openssl("pkey", "-in", self.path / f"{k}.pem", "-pubout", "-out", self.path / f"{k}.pub.pem")
        return self

    def point(self, k):
        return point(self.path / f"{k}.pub.pem")

    def make(self, number, own, before, *args, expect=0, out="set.efk"):
        options = [o for k in own for o in ("--key", k)] + [o for k in before for o in ("--before", k)]
        return self.run("image", "keys", "--set", number, *options, *args, out, expect=expect)

    def check(self, own, before, out="set.efk"):
        """Every signature by the key that it names; the names of these."""
        number, need, keys, signatures, signed = parse((self.path / out).read_bytes())
        assert keys == sorted(map(self.point, own))
        own = sorted(own, key=self.point)
        before = sorted(before, key=self.point) if number > 1 else list(before)
        assert [w for w, _ in signatures] == sorted({w for w, _ in signatures})
        (self.path / "signed").write_bytes(signed)
        names = []
        for who, raw in signatures:
            k = before[who & 0x7F] if who & 0x80 else own[who]
            (self.path / "sig").write_bytes(der(raw))
            openssl("dgst", "-sha256", "-verify", self.path / f"{k}.pub.pem", "-signature", self.path / "sig",
                    self.path / "signed")
            names.append(("before " if who & 0x80 else "") + k)
        return number, need, sorted(names)


def test_one_hand():
    with Keys() as p:
        p.make(1, ["c.pem", "a.pem", "b.pem"], ["b.pem", "a.pem"])
        assert p.check("abc", "ba") == (1, 2, ["a", "b", "before a", "before b", "c"])
        p.make(2, ["c.pem", "d.pem"], ["a.pem", "b.pem", "c.pem"], "--need", 1, out="two")
        assert p.check("cd", "abc", "two") == (2, 1, ["before a", "before b", "before c", "c", "d"])
        # deterministic but for the signatures; again is nothing new
        before = (p.path / "two").read_bytes()
        p.make(2, ["d.pem", "c.pem"], ["c.pem", "b.pem", "a.pem"], "--need", 1, out="two")
        assert (p.path / "two").read_bytes() == before


def test_several_hands():
    with Keys() as p:
        own, old = "abc", "de"

        def by(who):
            name = lambda k: f"{k}.pem" if k in who else f"{k}.pub.pem"  # noqa: E731
            return p.make(1, map(name, own), map(name, old), expect=None)
        got = by("")
        assert got.returncode == 4 and p.check(own, old)[2] == []
        assert by("a").returncode == 4 and p.check(own, old)[2] == ["a"]
        assert by("e").returncode == 4 and p.check(own, old)[2] == ["a", "before e"]
        got = by("b")
        assert got.returncode == 0 and p.check(own, old)[2] == ["a", "b", "before e"]
        assert "signed by 2 of its 3 keys (2 are needed) and 1 of the 2 before" in got.stdout + got.stderr


def test_workspace_names():
    with Keys() as p:
        p.run("init", "meter")
        p.run("key", "add", "edge2", "b.pem")
        p.make(1, ["edge", "edge2"], ["edge"])
        assert parse((p.path / "set.efk").read_bytes())[0] == 1


def test_refusals():
    with Keys() as p:
        keys = ("image", "keys")
        one = ("--key", "a.pem", "--before", "a.pem")
        p.refused("usage", *keys, *one, "x", expect=64)
        p.refused("usage", *keys, "--set", 65536, *one, "x", expect=64)
        p.refused("usage", *keys, "--set", 1, "--key", "a.pem", "x", expect=64)
        p.refused("usage", *keys, "--set", 1, "--before", "a.pem", "x", expect=64)
        p.refused("usage", *keys, "--set", 1, *one, "--need", 2, "x", expect=64)
        p.refused("usage", *keys, "--set", 1, *one, "--key", "a.pub.pem", "x", expect=64)
        p.refused("usage", *keys, "--set", 1, *one, *[o for k in "abcd" for o in ("--key", f"{k}.pem")], "x", expect=64)
        p.refused("usage", *keys, "--set", 1, "--key", VECTORS / "ed25519.pem", "--before", "a.pem", "x", expect=64)
        p.refused("not-found", *keys, "--set", 1, "--key", "nowhere.pem", "--before", "a.pem", "x", expect=3)
        # a published key (S-32)
        p.refused("usage", *keys, "--set", 1, "--key", VECTORS / "p256.pem", "--before", "a.pem", "x", expect=64)
        assert not (p.path / "x").exists()
        # a file that is something else, or whose signature is not what it says
        p.write("x", b"something else")
        p.refused("bad-format", *keys, "--set", 1, *one, "x")
        p.make(1, ["a.pem"], ["b.pem"], out="y")
        bad = bytearray((p.path / "y").read_bytes())
        bad[-1] ^= 1
        p.write("y", bytes(bad))
        p.refused("bad-signature", *keys, "--set", 1, "--key", "a.pem", "--before", "b.pem", "y")
        assert (p.path / "y").read_bytes() == bytes(bad)


def test_vector():
    """tests/vectors/keyset.bin, which the node's own test takes, is what this makes of the same keys."""
    with Place() as p:
        p.extra = ("--allow-test-keys",)
        vector = VECTORS.parent / "keyset.bin"
        p.write("set.efk", vector.read_bytes())
        p.run("image", "keys", "--set", 1, "--need", 1, "--key", VECTORS / "p256.pem", "--key",
              VECTORS / "p256-other.pem", "--before", VECTORS / "p256.pem", "set.efk")
        assert (p.path / "set.efk").read_bytes() == vector.read_bytes()


main(globals())
