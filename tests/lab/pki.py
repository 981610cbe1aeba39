# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities for tests: P-256, made with the openssl command, in a folder."""
import os
import subprocess

CONFIG = """[ca]
default_ca = d
[d]
dir = {dir}
database = {dir}/index.txt
serial = {dir}/serial
new_certs_dir = {dir}
default_md = sha256
default_days = 3650
policy = p
unique_subject = no
copy_extensions = copy
[p]
commonName = supplied
[ca_ext]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[req]
distinguished_name = dn
[dn]
"""


def _openssl(*args):
    done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (args[0], done.stderr))


class Authority:
    """A CA; .file is its certificate in PEM."""

    def __init__(self, folder, name="Test CA"):
        self.dir = os.path.abspath(folder)
        os.makedirs(self.dir, exist_ok=True)
        self.file = os.path.join(self.dir, "ca.crt")
        self.config = os.path.join(self.dir, "openssl.cnf")
        for file, text in ((self.config, CONFIG.format(dir=self.dir)), ("index.txt", ""), ("serial", "1000\n")):
            with open(os.path.join(self.dir, file), "w") as f:
                f.write(text)
        self._key(self._path("ca.key"))
        _openssl("req", "-x509", "-new", "-config", self.config, "-extensions", "ca_ext", "-sha256",
                 "-key", self._path("ca.key"), "-subj", "/CN=" + name, "-days", "3650", "-out", self.file)

    def _path(self, name):
        return os.path.join(self.dir, name)

    @staticmethod
    def _key(path, kind="ec"):
        if kind == "rsa":
            _openssl("genrsa", "-out", path, "2048")
            return
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)

    def issue(self, name, sans=("DNS:localhost", "IP:127.0.0.1", "IP:::1"), start=None, end=None, usage="serverAuth",
              key_type="ec"):
        """Server certificate, or with usage clientAuth a client's; start and end like 20200101000000Z. Returns (certificate, key)."""
        cert, key, csr = (self._path(name + e) for e in (".crt", ".key", ".csr"))
        self._key(key, key_type)
        _openssl("req", "-new", "-config", self.config, "-key", key, "-subj", "/CN=" + name, "-out", csr,
                 "-addext", "subjectAltName=" + ",".join(sans), "-addext", "extendedKeyUsage=" + usage)
        dates = (["-startdate", start] if start else []) + (["-enddate", end] if end else [])
        _openssl("ca", "-batch", "-config", self.config, "-cert", self.file, "-keyfile", self._path("ca.key"),
                 "-in", csr, "-out", cert, "-notext", *dates)
        return cert, key
