# SPDX-License-Identifier: Apache-2.0
"""Firmware images: the same layout as imgtool's, signatures checked by openssl."""
import uuid

from tool import *

KEY = VECTORS / "p256.pem"
Place.extra = ["--allow-test-keys"]
SHA, KEYHASH, SIG = 0x10, 0x01, 0x22


def parse(data):
    """Header fields, payload, protected and unprotected TLVs in order, by the format's description."""
    magic, load, hdr, prot, size, flags, ver, pad = struct.unpack_from("<IIHHII8sI", data)
    assert magic == 0x96f3b83d and pad == 0

    def area(at, want):
        kind, length = struct.unpack_from("<HH", data, at)
        assert kind == want
        tlvs, pos = [], at + 4
        while pos < at + length:
            t, n = struct.unpack_from("<HH", data, pos)
            tlvs.append((t, data[pos + 4:pos + 4 + n]))
            pos += 4 + n
        assert pos == at + length
        return tlvs, pos

    end = hdr + size
    protected = []
    if prot:
        protected, stop = area(end, 0x6908)
        assert stop == end + prot
        end = stop
    signed = data[:end]
    tlvs, end = area(end, 0x6907)
    return dict(load=load, hdr=hdr, prot=prot, size=size, flags=flags, ver=ver, fill=data[32:hdr],
                payload=data[hdr:hdr + size], protected=protected, tlvs=tlvs, signed=signed, end=end)


def compatible_of(vendor, class_name):
    v = uuid.uuid5(uuid.NAMESPACE_DNS, vendor)
    return v.bytes, uuid.uuid5(v, class_name).bytes


def check_against(p, vector, payload, *args):
    """Ours against imgtool's of the same payload and options."""
    theirs = parse((VECTORS / vector).read_bytes())
    p.run("image", "sign", "--as-imgtool", "--key", KEY, *args, VECTORS / payload, "ours.bin")
    data = (p.path / "ours.bin").read_bytes()
    ours = parse(data)
    assert ours["end"] == len(data)
    for same in ("load", "hdr", "prot", "size", "flags", "ver", "fill", "payload", "protected", "signed"):
        assert ours[same] == theirs[same], same
    assert [t for t, _ in ours["tlvs"]] == [t for t, _ in theirs["tlvs"]] == [SHA, KEYHASH, SIG]
    assert ours["tlvs"][:2] == theirs["tlvs"][:2]
    # equal but for the DER of the signature, whose length varies
    assert len(data) - len(ours["tlvs"][2][1]) == theirs["end"] - len(theirs["tlvs"][2][1])
    (p.path / "signed").write_bytes(ours["signed"])
    (p.path / "sig").write_bytes(ours["tlvs"][2][1])
    openssl("dgst", "-sha256", "-verify", VECTORS / "p256.pub.pem", "-signature", p.path / "sig",
            p.path / "signed")
    assert hashlib.sha256(ours["signed"]).digest() == ours["tlvs"][0][1]
    return ours


def test_as_imgtool_makes_them():
    with Place() as p:
        check_against(p, "good-p256.bin", "payload-20k.bin", "--version", "1.2.3+4")
        check_against(p, "good-p256-odd-hdr32.bin", "payload-odd.bin", "--version", "0.0.1",
                      "--header-size", "0x20")
        ours = check_against(p, "good-p256-seccnt3-uuid.bin", "payload-20k.bin", "--version", "1.9.0",
                             "--security", 3, "--compatible", "acme.example,meter-v2")
        vendor, class_id = compatible_of("acme.example", "meter-v2")
        assert ours["protected"] == [(0x50, struct.pack("<I", 3)), (0x74, vendor), (0x75, class_id)]


def test_ed25519():
    """The very bytes of imgtool's: such a signature has one form only."""
    with Place() as p:
        p.run("image", "sign", "--as-imgtool", "--key", VECTORS / "ed25519.pem", "--version", "1.2.3+4", "--security", 7,
              VECTORS / "payload-20k.bin", "ours.bin")
        assert (p.path / "ours.bin").read_bytes() == (VECTORS / "good-ed25519-seccnt7.bin").read_bytes()
        p.run("image", "inspect", "ours.bin", "--key", VECTORS / "ed25519.pub.pem")
        p.refused("image-key", "image", "inspect", "ours.bin", "--key", VECTORS / "p256.pem")


def test_inspect_and_key():
    with Place() as p:
        got = json.loads(p.run("image", "inspect", VECTORS / "good-p256-seccnt7-dep-uuid.bin", "--json",
                               "--key", VECTORS / "p256.pub.pem").stdout)
        vendor, class_id = compatible_of("acme.example", "meter-v2")
        assert got["version"] == "2.0.0+7" and got["security"] == 7 and got["verified"] is True
        assert got["vendor"] == vendor.hex() and got["class"] == class_id.hex()
        assert got["header"] == 512 and got["size"] == 21212
        inspect = ("image", "inspect")
        p.refused("image-key", *inspect, VECTORS / "wrong-key-p256.bin", "--key", VECTORS / "p256.pem")
        p.refused("image-digest", *inspect, VECTORS / "bad-payload-bit.bin", "--key", VECTORS / "p256.pem")
        p.refused("image-unsigned", *inspect, VECTORS / "unsigned-digest-only.bin", "--key",
                  VECTORS / "p256.pem")
        p.refused("bad-image", *inspect, VECTORS / "bad-magic.bin")
        p.refused("not-found", *inspect, "nowhere.bin", expect=3)


def test_refusals():
    with Place() as p:
        p.write("fw.bin", b"x" * 100)
        p.write("empty.bin", b"")
        sign = ("image", "sign", "--key", KEY)
        p.refused("usage", *sign, "fw.bin", "out.bin", expect=64)
        p.refused("usage", *sign, "--version", "1", "fw.bin", "out.bin", expect=64)
        p.refused("usage", *sign, "--version", "1.0.0", "--header-size", 16, "fw.bin", "out.bin", expect=64)
        p.refused("usage", *sign, "--version", "1.0.0", "--header-size", 2000, "fw.bin", "out.bin", expect=64)
        p.refused("usage", *sign, "--version", "1.0.0", "--security", 1 << 32, "fw.bin", "out.bin", expect=64)
        p.refused("usage", *sign, "--version", "1.0.0", "--compatible", "nothing", "fw.bin", "out.bin", expect=64)
        p.refused("bad-size", *sign, "--version", "1.0.0", "empty.bin", "out.bin")
        p.refused("bad-image", *sign, "--version", "1.0.0", VECTORS / "good-p256.bin", "out.bin")
        p.refused("not-found", *sign[:3], "no.pem", "--version", "1.0.0", "fw.bin", "out.bin", expect=3)
        openssl("genpkey", "-algorithm", "RSA", "-out", p.path / "rsa.pem")
        p.refused("usage", *sign[:3], "rsa.pem", "--version", "1.0.0", "fw.bin", "out.bin", expect=64)
        assert not (p.path / "out.bin").exists()


def test_taken_as_it_is():
    with Place() as p:
        p.run("init", "demo")
        image = (VECTORS / "good-p256-seccnt3-uuid.bin").read_bytes()
        p.write("fw.signed", image)
        p.run("add", "mcu", "meter", "fw.signed", "--compatible", "acme.example,meter-v2",
              "--hardware", "2-5", "--self-test", 7, "--confirm", 90, "--policy", "optional",
              "--requires", "rootfs>=1.0.0", "--requires", "lamp>=2.0.0+1")
        c = p.json("ws/staged/meter.json")
        assert (p.path / "ws/objects" / sha256(image)).read_bytes() == image
        assert c == {"name": "meter", "type": "mcu", "compatible": "acme.example,meter-v2",
                     "hardware": {"min": 2, "max": 5}, "version": "1.9.0", "security": 3,
                     "policy": "optional", "image": {"sha256": sha256(image), "size": len(image)},
                     "requires": [{"component": "rootfs", "min": "1.0.0"},
                                  {"component": "lamp", "min": "2.0.0+1"}],
                     "self_test": 7, "confirm": 90}
        p.write("bad.signed", (VECTORS / "bad-tlv-length.bin").read_bytes())
        p.refused("bad-image", "add", "mcu", "meter", "bad.signed", "--compatible", METER)
        p.run("release", "1.0.0", "--component", "meter")
        p.run("sign")
        p.run("publish", "pub")
        p.run("verify", "pub", "--edge-key", VECTORS / "p256.pub.pem")
        p.refused("image-key", "verify", "pub", "--edge-key", VECTORS / "p256-other.pub.pem")


def test_contradictions():
    """S-23: what the manifest says of an image must be what the image says; --force for tests."""
    with Place() as p:
        p.run("init", "demo")
        add = ("add", "mcu", "meter", VECTORS / "good-p256-seccnt3-uuid.bin", "--compatible")
        right = "acme.example,meter-v2"
        for word, code, args in (
                ("not-compatible", 5, (METER,)),
                ("not-compatible", 5, ("acme.example,lamp-v1",)),
                ("bad-image", 1, (right, "--version", "2.0.0")),
                ("floor", 5, (right, "--security", 4))):
            p.run(*add, *args)
            p.refused(word, "release", "1.0.0", expect=code)
            assert not (p.path / "ws/pending/releases.json").exists()
        p.run("release", "1.0.0", "--force")
        p.run("sign")
        p.run("publish", "pub")
        p.run("verify", "pub")
        # with something behind it
        p.run("add", "mcu", "meter", VECTORS / "good-p256-padded-confirmed.bin", "--compatible", METER)
        p.refused("not-compatible", "release", "2.0.0", expect=5)


main(dict(globals()))
