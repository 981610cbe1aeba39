# SPDX-License-Identifier: Apache-2.0
"""Runs edgeferry-repo in a folder of its own and looks at what it made with other tools: openssl, tar,
zstd and Python's standard library. One test_… function a test, reported as TAP."""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import traceback

TOOL = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "edgeferry-repo"
RELEASE = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
VECTORS = pathlib.Path(__file__).resolve().parents[2] / "vectors" / "mcuboot"
NOW = "2026-11-21T08:00:00Z"
GATEWAY = "edgeferry.github.io,sim-gateway"
METER = "edgeferry.github.io,mps2-an385"


class Skip(Exception):
    pass


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Place:
    """A temporary folder with workspaces in it."""
    extra = ()  # options for every run

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="test-repo-"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def run(self, *args, expect=0, now=NOW, ws="ws", prefix=(), tool=TOOL):
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        if "strace" in prefix:  # the leak checker cannot work in a traced process
            env["ASAN_OPTIONS"] = "detect_leaks=0"
        command = [*prefix, tool, *map(str, args), *self.extra, "--workspace", ws]
        if now:
            command += ["--now", now]
        got = subprocess.run(command, cwd=self.path, env=env, capture_output=True, text=True)
        if expect is not None:
            assert got.returncode == expect, f"{command}: {got.returncode}\n{got.stdout}{got.stderr}"
        return got

    def refused(self, word, *args, expect=1, **how):
        got = self.run(*args, expect=expect, **how)
        assert got.stderr.splitlines()[-1 if expect != 64 else -2].startswith(
            f"edgeferry-repo: {word}: "), got.stderr
        return got

    def write(self, name, data):
        (self.path / name).write_bytes(data)
        return name

    def json(self, name):
        return json.loads((self.path / name).read_bytes())

    def tree(self, name):
        """Every file below with its bytes and time."""
        root = self.path / name
        return {str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns)
                for p in sorted(root.rglob("*")) if p.is_file()}

    def stage(self, version="1.0.0", ws="ws", rootfs=None, firmware=None):
        """A root filesystem and a meter, staged."""
        self.write("rootfs.img", rootfs if rootfs is not None else sample_rootfs(version))
        self.write("meter.bin", firmware if firmware is not None else sample_firmware(version))
        self.run("add", "rootfs", "rootfs", "rootfs.img", "--compatible", GATEWAY, "--version", version,
                 "--security", 1, ws=ws)
        self.run("add", "mcu", "meter", "meter.bin", "--compatible", METER, "--version", version,
                 "--security", 1, ws=ws)

    def release(self, version="1.0.0", ws="ws", **what):
        self.stage(version, ws, **what)
        self.run("release", version, ws=ws)
        self.run("sign", ws=ws)


def stream(seed, size):
    """Bytes that do not compress, the same each time."""
    out = b""
    while len(out) < size:
        out += hashlib.sha256(f"{seed} {len(out)}".encode()).digest()
    return out[:size]


def sample_rootfs(version):
    """Holes, text, noise, and an odd end."""
    return (bytes(3 * 65536) + b"a line of text\n" * 9000 + bytes(200000) + stream(version, 100000) +
            bytes(65536) + b"end")


def sample_firmware(version):
    return b"\x00\x10\x00\x20" + stream("fw " + version, 5000)


def canonical(value):
    """OLPC's canonical JSON, written from its definition: only '"' and '\\' are escaped."""
    if isinstance(value, str):
        return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    if isinstance(value, dict):
        return b"{" + b",".join(canonical(k) + b":" + canonical(value[k]) for k in sorted(value)) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    return json.dumps(value).encode()


def openssl(*args, check=True):
    return subprocess.run(["openssl", *map(str, args)], capture_output=True, check=check)


def signature_valid(place, key, sig, data):
    """By the openssl program, from the key as metadata has it."""
    public = key["keyval"]["public"]
    (place.path / "v.data").write_bytes(data)
    (place.path / "v.sig").write_bytes(bytes.fromhex(sig))
    if key["keytype"] == "ed25519":
        der = bytes.fromhex("302a300506032b6570032100" + public)
        pem = "-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der).decode() + "\n-----END PUBLIC KEY-----\n"
        how = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "v.pem", "-sigfile", "v.sig", "-in", "v.data"]
    else:
        pem = public
        how = ["dgst", "-sha256", "-verify", "v.pem", "-signature", "v.sig", "v.data"]
        if key["keytype"] == "rsa":
            how[2:2] = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
    (place.path / "v.pem").write_text(pem)
    got = subprocess.run(["openssl", *how], cwd=place.path, capture_output=True)
    return got.returncode == 0


def valid_signatures(place, document, keys, role):
    good = set()
    for entry in document["signatures"]:
        if entry["keyid"] in role["keyids"] and signature_valid(
                place, keys[entry["keyid"]], entry["sig"], canonical(document["signed"])):
            good.add(entry["keyid"])
    return len(good)


def main(tests):
    names = [n for n in tests if n.startswith("test_")]
    print(f"1..{len(names)}", flush=True)
    failed = 0
    for number, name in enumerate(names, 1):
        try:
            tests[name]()
            print(f"ok {number} {name}", flush=True)
        except Skip as why:
            print(f"ok {number} {name} # SKIP {why}", flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            print(f"not ok {number} {name}", flush=True)
    sys.exit(1 if failed else 0)


__all__ = [n for n in globals() if not n.startswith("_")]
