# SPDX-License-Identifier: Apache-2.0
"""Published test keys are refused (S-32, L-07): as role keys, as image keys, in images."""
from tool import *

# MCUboot's sample root-ec-p256.pem, of which the private half is in everybody's hands
SAMPLE = bytes.fromhex(
    "3059301306072a8648ce3d020106082a8648ce3d030107034200042acb403ce8feed5ba44995a1a91daee8dbbe1937cd"
    "14fb2f245737e5953988d994b9d65aebd7cdd5308ad6fe48b24a6a810ee5f07d8b6834cc3a6afc538efac1")


def with_whole_ed25519_key():
    """good-ed25519-seccnt7.bin with the key itself in place of its hash."""
    image = (VECTORS / "good-ed25519-seccnt7.bin").read_bytes()
    area = len(image) - 4 - 36 - 36 - 68
    der = openssl("pkey", "-pubin", "-in", VECTORS / "ed25519.pub.pem", "-outform", "DER").stdout
    assert image[area:area + 2] == b"\x07\x69" and len(der) == 44
    return image[:area + 2] + (4 + 36 + 48 + 68).to_bytes(2, "little") + image[area + 4:area + 40] \
        + b"\x02\0\x2c\0" + der + image[-68:]


def refusals(p, *extra, tool=TOOL, word="usage", image="image-key"):
    key = VECTORS / "p256.pem"
    p.write("fw.bin", sample_firmware("1.0.0"))
    add = ("add", "mcu", "meter")
    rest = ("--compatible", "acme.example,meter-v2", "--version", "1.0.0")
    for args in (("key", "add", "bad", key), ("key", "add", "bad", VECTORS / "ed25519.pem"),
                 ("key", "add", "bad", "sample.pem"), ("key", "add", "bad", VECTORS / "p256.pub.pem"),
                 ("rotate", "releases", "--key", VECTORS / "ed25519.pem"),
                 (*add, "fw.bin", *rest, "--key", key),
                 ("image", "sign", "--key", key, "--version", "1.0.0", "fw.bin", "out.bin")):
        got = p.refused(word, *args, *extra, expect=64, tool=tool)
        assert "published" in got.stderr or extra
        assert not (p.path / "out.bin").exists()
    got = p.run("init", "demo", "--edge-key", key, *extra, expect=64, tool=tool, ws="other")
    assert not (p.path / "other/workspace.json").exists()
    if not extra:
        p.write("whole.bin", with_whole_ed25519_key())
        for vector in (VECTORS / "good-p256-seccnt3-uuid.bin", VECTORS / "wrong-key-p256.bin",
                       VECTORS / "good-p256-fullkey.bin", VECTORS / "good-ed25519-seccnt7.bin", "whole.bin"):
            got = p.run(*add, vector, "--compatible", "acme.example,meter-v2", expect=None, tool=tool)
            assert got.returncode not in (0, 64), vector
            assert "published" in got.stderr or "fullkey" in str(vector), got.stderr
    assert not (p.path / "ws/staged/meter.json").exists()


def start(p):
    der = p.write("sample.der", SAMPLE)
    openssl("pkey", "-pubin", "-inform", "DER", "-in", p.path / der, "-out", p.path / "sample.pem")
    p.run("init", "demo")


def test_refused_unless_allowed():
    with Place() as p:
        start(p)
        refusals(p)
        p.write("fw.bin", sample_firmware("1.0.0"))
        p.run("image", "sign", "--key", VECTORS / "p256.pem", "--version", "1.0.0", "fw.bin", "out.bin",
              "--allow-test-keys")
        p.run("key", "add", "bad", VECTORS / "ed25519.pem", "--allow-test-keys")
        # it signs nothing where that is not said again
        p.run("rotate", "releases", "--key", VECTORS / "p256.pem", "--allow-test-keys")
        p.stage()
        p.run("release", "1.0.0")
        p.refused("usage", "sign", expect=64)


def test_a_release_build_has_no_such_option():
    """The same, and no way around it."""
    if not RELEASE:
        raise Skip("no release build given")
    with Place() as p:
        start(p)
        refusals(p, tool=RELEASE)
        refusals(p, "--allow-test-keys", tool=RELEASE)
        assert "allow-test-keys" not in p.run("sign", "--help", tool=RELEASE).stdout
        assert "allow-test-keys" in p.run("sign", "--help").stdout
        # nor with a workspace that another build made
        p.run("rotate", "releases", "--key", VECTORS / "p256.pem", "--allow-test-keys")
        p.run("sign", "--refresh", "releases", tool=RELEASE, expect=64)
        # and its own keys work
        p.run("init", "demo", ws="new", tool=RELEASE)
        p.run("sign", "--refresh", "timestamp", ws="new", tool=RELEASE)


main(dict(globals()))
