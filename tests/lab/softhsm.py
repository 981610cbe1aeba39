# SPDX-License-Identifier: Apache-2.0
"""A token (SoftHSM) behind a real p11-kit server on a socket, as the user that owns it: what edgeferry-net meets on a
gateway. As root that user is another one than edgeferry-net's, and than root."""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

MODULES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/pkcs11/libsofthsm2.so"]
CLIENT = next(iter(glob.glob("/usr/lib/*/pkcs11/p11-kit-client.so")), None)
MODULE = next((m for m in MODULES if os.path.exists(m)), None)
PIN = "4711 secret%"
OWNER = "games"
# OpenSSL's provider does not say whether it was the PIN: then it is taken for that
EXACT = not glob.glob("/usr/lib/*/ossl-modules/pkcs11.so")


def missing():
    """What there is no token without; None: nothing."""
    for program in ("softhsm2-util", "p11-kit"):
        if not shutil.which(program):
            return "no " + program
    return None if MODULE and CLIENT else "no libsofthsm2.so or no p11-kit-client.so"


class Token:
    """A folder of its own with a token in it, labelled label."""

    def __init__(self, folder, label="gateway"):
        self.dir, self.label = os.path.abspath(folder), label
        self.socket = self.dir + "/run/pkcs11"
        self.tokens = self.dir + "/tokens"
        self.server = None
        for d in (self.dir, self.dir + "/run", self.tokens):
            os.makedirs(d, mode=0o755)
        self.owner = pwd.getpwnam(OWNER) if os.geteuid() == 0 else None
        with open(self.dir + "/softhsm2.conf", "w") as f:
            f.write(f"directories.tokendir = {self.tokens}\n")
        self.env = {"PATH": os.environ["PATH"], "SOFTHSM2_CONF": self.dir + "/softhsm2.conf"}
        self.util("--init-token", "--free", "--label", label, "--so-pin", "0000", "--pin", PIN)
        self.pin_file = self.dir + "/pin"
        self.write_pin(PIN)
        self._give()

    def _give(self):
        """To its owner, and to nobody else."""
        for d, _, files in os.walk(self.tokens):
            for p in [d, *(os.path.join(d, f) for f in files)]:
                os.chmod(p, 0o700 if os.path.isdir(p) else 0o600)
                if self.owner:
                    os.chown(p, self.owner.pw_uid, self.owner.pw_gid)
        if self.owner:
            os.chown(self.dir + "/run", self.owner.pw_uid, self.owner.pw_gid)

    def write_pin(self, pin):
        with open(self.pin_file, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(pin + "\n")

    def util(self, *args):
        subprocess.run(["softhsm2-util", *args], check=True, capture_output=True, env=self.env)

    def add(self, key, name, number=1):
        """The key of a PEM file becomes one of the token's."""
        pkcs8 = self.dir + "/key.pem"
        subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", pkcs8], check=True)
        self.util("--import", pkcs8, "--token", self.label, "--pin", PIN, "--label", name, "--id", f"{number:02}")
        os.unlink(pkcs8)
        self._give()

    def database(self):
        """A file that holds a key, for who tries to read it."""
        return next(os.path.join(d, f) for d, _, files in os.walk(self.tokens) for f in files if f.endswith(".object"))

    def uri(self, name, pin=True):
        return f"pkcs11:token={self.label};object={name}" + (f"?pin-source=file:{self.pin_file}" if pin else "")

    def write_through(self, key):
        """Whether another key can be put into the token through the server, with the PIN."""
        return subprocess.run(["softhsm2-util", "--module", CLIENT, "--import", key, "--token", self.label, "--pin", PIN,
                               "--label", "mine", "--id", "77"], capture_output=True,
                              env={**self.env, "P11_KIT_SERVER_ADDRESS": "unix:path=" + self.socket}).returncode == 0

    # ---- the server ----
    def start(self):
        become = ["setpriv", f"--reuid={OWNER}", f"--regid={self.owner.pw_gid}", "--clear-groups"] if self.owner else []
        with open(self.dir + "/server.log", "a") as log:
            log.write("---\n")
            log.flush()
            self.server = subprocess.Popen(
                [*become, "p11-kit", "server", "--foreground", "--name", self.socket, "--provider", MODULE,
                 f"pkcs11:token={self.label}?write-protected=yes"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**self.env, "XDG_RUNTIME_DIR": self.dir + "/run"}, start_new_session=True)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket(socket.AF_UNIX) as s:
                if s.connect_ex(self.socket) == 0:
                    break
            time.sleep(0.02)
        else:
            with open(self.dir + "/server.log") as f:
                raise RuntimeError("p11-kit server: " + f.read())
        while "PID=" not in open(self.dir + "/server.log").read().rpartition("---")[2] and time.monotonic() < end:
            time.sleep(0.02)    # it sets a mode of its own after it listens
        os.chmod(self.socket, 0o666)
        return self

    def stop(self):
        """The server, and what it has begun for each connection: the token is gone."""
        if self.server:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
            self.server = None
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
