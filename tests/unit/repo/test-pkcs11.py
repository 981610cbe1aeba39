# SPDX-License-Identifier: Apache-2.0
"""Keys in a token (S-33), by URI: SoftHSM, through OpenSSL's store or the engine of libp11."""
from tool import *

MODULES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"]
MODULE = next((m for m in MODULES if os.path.exists(m)), None)
PIN = "4711-secret"
# the engine keeps what it has allocated
QUIET = ("env", "ASAN_OPTIONS=detect_leaks=0")


class Token:
    """A token of its own with keys in it, and what the tool needs to find it."""

    def __init__(self, p, *kinds):
        if not shutil.which("softhsm2-util") or not MODULE:
            raise Skip("no SoftHSM")
        self.p = p
        (p.path / "tokens").mkdir()
        p.write("softhsm2.conf", f"directories.tokendir = {p.path}/tokens\n".encode())
        p.write("pin", PIN.encode())
        (p.path / "pin").chmod(0o600)
        self.env = {"SOFTHSM2_CONF": f"{p.path}/softhsm2.conf", "PKCS11_MODULE_PATH": MODULE}
        self.util("--init-token", "--free", "--label", "hsm", "--so-pin", "0000", "--pin", PIN)
        for n, kind in enumerate(kinds, 1):
            how = {"ecdsa": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                   "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:3072"]}[kind]
            openssl("genpkey", "-algorithm", *how, "-out", p.path / "key.pem")
            self.util("--import", "key.pem", "--token", "hsm", "--pin", PIN, "--label", kind, "--id",
                      f"{n:02}")
            (p.path / "key.pem").unlink()

    def util(self, *args):
        subprocess.run(["softhsm2-util", *args], cwd=self.p.path, check=True, capture_output=True,
                       env={**os.environ, **self.env})

    def uri(self, name, pin="pin"):
        return f"pkcs11:token=hsm;object={name}?pin-source=file:{self.p.path}/{pin}"

    def run(self, *args, **how):
        return self.p.run(*args, **how, prefix=[*QUIET, *(f"{k}={v}" for k, v in self.env.items())])


def made(token, *args):
    got = token.run(*args, expect=None)
    if got.returncode == 3 and "PKCS #11" in got.stderr:
        raise Skip("OpenSSL has no provider and no engine for PKCS #11")
    assert got.returncode == 0, got.stderr


def test_roles_in_a_token():
    with Place() as p:
        t = Token(p, "ecdsa", "rsa")
        made(t, "init", "demo", "--key", f"releases={t.uri('ecdsa')}", "--key", f"root={t.uri('rsa')}",
             "--threshold", "root=1/1")
        assert not (p.path / "ws/keys/releases-1.pem").exists()
        assert (p.path / "ws/keys/releases-1.pub.pem").exists()
        p.stage()
        p.run("release", "1.0.0")
        p.run("sign", prefix=QUIET)  # without the token
        assert p.json("ws/pending/releases.json")["signatures"] == []
        keys = {k["name"]: k for k in json.loads(t.run("key", "list", "--json").stdout)}
        assert keys["releases-1"]["at_hand"] and keys["releases-1"]["type"] == "ecdsa"
        assert keys["root-1"]["at_hand"] and keys["root-1"]["type"] == "rsa"
        t.run("sign")
        p.run("publish", "pub")
        p.run("verify", "pub")
        p.run("export-root", "first.json")
        # an offline root replaces itself: old and new sign
        t.run("rotate", "root")
        t.run("rotate", "releases", "--key-type", "ecdsa")
        p.run("publish", "pub", prefix=QUIET)
        p.run("verify", "pub", "--root", "first.json")


def test_images_by_a_token():
    with Place() as p:
        t = Token(p, "ecdsa")
        made(t, "init", "demo", "--edge-key", t.uri("ecdsa"))
        p.write("meter.bin", sample_firmware("1.0.0"))
        t.run("add", "mcu", "meter", "meter.bin", "--compatible", METER, "--version", "1.0.0")
        p.run("release", "1.0.0")
        p.run("sign")
        p.run("publish", "pub")
        p.run("verify", "pub", "--edge-key", "ws/keys/edge.pub.pem")


def test_no_token_no_signature():
    with Place() as p:
        t = Token(p, "ecdsa")
        made(t, "init", "demo")
        for uri, says in ((t.uri("nothing"), "no such key"), (t.uri("ecdsa", "softhsm2.conf"), "refuses the PIN"),
                          ("pkcs11:token=other;object=ecdsa", "no such key")):
            got = t.run("key", "add", "hsm", uri, expect=3)
            assert got.stderr.startswith("edgeferry-repo: not-found") and says in got.stderr, got.stderr
            assert "pin-source" not in got.stderr and "directories" not in got.stderr, got.stderr
        got = t.run("key", "add", "hsm", f"pkcs11:token=hsm;object=ecdsa?pin-value={PIN}", expect=64)
        assert PIN not in got.stderr + got.stdout
        t.run("key", "add", "hsm", t.uri("ecdsa"))
        assert PIN not in (p.path / "ws/workspace.json").read_text()


main(dict(globals()))
