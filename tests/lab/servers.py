#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The real servers of the lab: nginx with TLS and HTTP/2 that serves a folder, and mosquitto over TLS,
on free loopback ports, unprivileged, in a folder of their own.

  servers.py --root DIR --publish DIR    prints one line of JSON, runs until its standard input
                                         closes or a signal comes

As a module: with Servers(root, publish) as s: s.url, s.ca, s.broker_port, s.wake(topic) …
"""
import argparse
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pki import Authority  # noqa: E402

NGINX = """daemon off;
master_process off;
pid {root}/nginx.pid;
error_log {root}/nginx-error.log warn;
events {{ worker_connections 256; }}
http {{
  types {{ application/json json; application/octet-stream bin; }}
  default_type application/octet-stream;
  log_format lab '$connection $server_protocol $status $body_bytes_sent $request_uri "$http_range"';
  access_log {root}/nginx-access.log lab;
  client_body_temp_path {root}/tmp-body; proxy_temp_path {root}/tmp-proxy;
  fastcgi_temp_path {root}/tmp-fastcgi; uwsgi_temp_path {root}/tmp-uwsgi; scgi_temp_path {root}/tmp-scgi;
  sendfile on; tcp_nopush on; keepalive_timeout 30;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    server_name localhost;
    ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    {clients}
    root {publish};
    location /metadata/ {{ add_header Cache-Control no-cache; }}
  }}
}}
"""

MOSQUITTO = """listener {port} 127.0.0.1
certfile {cert}
keyfile {key}
tls_version tlsv1.2
persistence true
persistence_location {root}/
log_dest file {root}/mosquitto.log
log_type all
{access}
{clients}
{user}
"""
MESSAGE = "=> "     # before each message, to tell it from what mosquitto_sub says itself


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise RuntimeError(name + " is not installed")
    return path


class Servers:
    def __init__(self, root, publish, user=None, password=None, http=True, mqtt=True, clients=False):
        """clients: who has no certificate of the authority is turned away."""
        self.root, self.publish = os.path.abspath(root), os.path.abspath(publish)
        self.user, self.password, self.http, self.mqtt = user, password, http, mqtt
        self.clients = clients
        self.port = self.broker_port = None
        self.processes = {}
        self.authority = self.certificate = self.own = None

    # ---- life ----
    def start(self):
        os.makedirs(self.root, mode=0o755, exist_ok=True)
        os.makedirs(self.publish, mode=0o755, exist_ok=True)
        if not self.authority:
            self.authority = Authority(os.path.join(self.root, "ca"), "edgeferry lab CA")
            self.certificate = self.authority.issue("localhost")
        try:
            if self.http:
                self.start_http()
            if self.mqtt:
                self.start_mqtt()
        except BaseException:
            self.stop()
            raise
        return self

    def start_http(self):
        self.port = self._start("nginx", self.port, self._nginx)

    def start_mqtt(self):
        self.broker_port = self._start("mosquitto", self.broker_port, self._mosquitto)

    def stop(self, name=None):
        """Ends one server ("nginx" or "mosquitto"), or all."""
        for n in [name] if name else list(self.processes):
            p = self.processes.pop(n, None)
            if not p:
                continue
            p.terminate()
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _nginx(self, port):
        return NGINX, [_program("nginx"), "-e", self.root + "/nginx-error.log", "-p", self.root, "-c"]

    def _mosquitto(self, port):
        return MOSQUITTO, [_program("mosquitto"), "-c"]

    def _access(self):
        if not self.user:
            return "allow_anonymous true"
        file = os.path.join(self.root, "passwords")
        subprocess.run([_program("mosquitto_passwd"), "-b", "-c", file, self.user, self.password],
                       check=True, capture_output=True)
        return "allow_anonymous false\npassword_file " + file

    def _clients(self, name):
        if not self.clients:
            return ""
        return (f"ssl_client_certificate {self.ca}; ssl_verify_client on;" if name == "nginx" else
                f"cafile {self.ca}\nrequire_certificate true")

    def _start(self, name, port, make):
        """The port asked for (a restart), or a free one: another program may take it first, so a few tries."""
        for _ in range(1 if port else 5):
            p = port or free_port()
            template, command = make(p)
            config = os.path.join(self.root, name + ".conf")
            with open(config, "w") as f:
                f.write(template.format(root=self.root, publish=self.publish, port=p, cert=self.certificate[0],
                                        key=self.certificate[1],
                                        clients=self._clients(name),
                                        access=self._access() if name == "mosquitto" else "",
                                        user="user root" if os.geteuid() == 0 else ""))
            process = subprocess.Popen([*command, config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=open(os.path.join(self.root, name + ".err"), "w"),
                                       preexec_fn=_die_with_parent)
            if self._answers(process, p):
                self.processes[name] = process
                return p
            process.kill()
            process.wait()
        with open(os.path.join(self.root, name + ".err")) as f:
            raise RuntimeError("%s did not start: %s" % (name, f.read()))

    @staticmethod
    def _answers(process, port):
        end = time.monotonic() + 10
        while time.monotonic() < end and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    # ---- use ----
    @property
    def url(self):
        return "https://localhost:%d" % self.port

    @property
    def ca(self):
        return self.authority.file

    def _client(self, program, *args):
        login = ["-u", self.user, "-P", self.password] if self.user else []
        if self.clients:
            cert, key = self.own = self.own or self.authority.issue("lab", usage="clientAuth")
            login += ["--cert", cert, "--key", key]
        return [_program(program), "-h", "localhost", "-p", str(self.broker_port), "--cafile", self.ca, *login, *args]

    def wake(self, topic, payload=""):
        """Publishes, QoS 1; returns when the broker has it."""
        subprocess.run(self._client("mosquitto_pub", "-q", "1", "-t", topic, "-m", payload), check=True,
                       capture_output=True, timeout=20)

    def flood(self, topic, payload, n):
        """Publishes a message n times, as fast as it goes."""
        subprocess.run(self._client("mosquitto_pub", "-q", "1", "-t", topic, "-l"), input=(payload + "\n") * n, text=True,
                       check=True, capture_output=True, timeout=20)

    def subscribe(self, topic, name=None):
        """A Subscription to a topic filter; it is in force when this returns. What comes while nobody listens
        under a name waits for the next one of that name, even through a restart of the broker."""
        lasting = ["-c", "-i", name] if name else []
        return Subscription(["stdbuf", "-oL"] + self._client("mosquitto_sub", "-d", "-q", "1", "-t", topic, *lasting,
                                                            "-F", MESSAGE + "%t %p"))

    def access_log(self):
        """[(connection, protocol, status, bytes, path, range)], oldest first."""
        rows = []
        with open(os.path.join(self.root, "nginx-access.log")) as f:
            for line in f:
                connection, protocol, status, size, path, span = line.split(None, 5)
                rows.append((int(connection), protocol, int(status), int(size), path, span.strip().strip('"')))
        return rows

    def describe(self):
        return {"url": self.url if self.port else None, "port": self.port, "broker_host": "localhost",
                "broker_port": self.broker_port, "ca": self.ca, "root": self.root, "publish": self.publish,
                "pids": {n: p.pid for n, p in self.processes.items()}}


class Subscription:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        self.buffer = b""
        self.before = []    # what waited under its name comes before the word that it is subscribed
        os.set_blocking(self.process.stdout.fileno(), False)
        end = time.monotonic() + 10
        while not (line := self._wait(("Subscribed", MESSAGE), end - time.monotonic())).startswith("Subscribed"):
            self.before.append(line)

    def _wait(self, beginnings, timeout):
        import select
        end = time.monotonic() + timeout
        while True:
            while b"\n" in self.buffer:
                line, self.buffer = self.buffer.split(b"\n", 1)
                text = line.decode("utf-8", "replace")
                if text.startswith(beginnings):
                    return text
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError("nothing from the broker")
            more = self.process.stdout.read(65536)
            if not more:
                raise RuntimeError("mosquitto_sub ended")
            self.buffer += more

    def next(self, timeout=10):
        """(topic, payload) of the next message."""
        line = self.before.pop(0) if self.before else self._wait(MESSAGE, timeout)
        topic, _, payload = line[len(MESSAGE):].partition(" ")
        return topic, payload

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    p = argparse.ArgumentParser(description="nginx and mosquitto for demos and tests, on loopback")
    p.add_argument("--root", required=True, help="folder of their own")
    p.add_argument("--publish", required=True, help="folder to serve")
    p.add_argument("--user")
    p.add_argument("--password")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with Servers(a.root, a.publish, a.user, a.password) as s:
            print(json.dumps(s.describe()), flush=True)
            while os.read(0, 4096):
                pass
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
