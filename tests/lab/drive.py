# SPDX-License-Identifier: Apache-2.0
"""tests/unit/dfu/node-drive: a command a line in, its outcome a line out."""
import os
import subprocess


class Drive:
    """program: what runs it, it last. environment: more than this process has."""

    def __init__(self, program, kind, device, rate="115200", secret=None, board="host", **environment):
        session = [secret, f"edgeferry.github.io,{board}"] if secret else []
        self.process = subprocess.Popen([*program, kind, device, rate, *session], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})

    def begin(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def end(self):
        return self.process.stdout.readline().strip()

    def __call__(self, *words):
        self.begin(*words)
        return self.end()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
