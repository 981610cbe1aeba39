# SPDX-License-Identifier: Apache-2.0
"""As much of gdb's remote protocol as it takes to look at a board and to stop it at an address."""
import socket

import elf

CHUNK = 1024
PC = {elf.ARM: 15, elf.RISCV: 32}      # numbers of registers
SP = {elf.ARM: 13, elf.RISCV: 2}


class Gdb:
    def __init__(self, sock, machine):
        self.sock, self.machine = sock, machine
        self.sock.settimeout(20)
        self.buf = b""
        self.packet(b"qXfer:features:read:target.xml:0,fff")    # else single registers cannot be read

    def send(self, body):
        self.sock.sendall(b"$" + body + b"#%02x" % (sum(body) & 255))

    def reply(self, stops):
        """The next answer; stops: the one that says that the machine has stopped."""
        while True:
            start, end = self.buf.find(b"$"), self.buf.find(b"#")
            if 0 <= start < end and len(self.buf) >= end + 3:
                reply, self.buf = self.buf[start + 1:end], self.buf[end + 3:]
                self.sock.sendall(b"+")
                if (reply[:1] in (b"T", b"S")) != stops:       # a stop is no answer
                    continue
                return reply
            data = self.sock.recv(65536)
            if not data:
                raise RuntimeError("gdb stub closed")
            self.buf += data

    def packet(self, body, stops=False):
        self.send(body)
        return self.reply(stops)

    def must(self, body, what):
        if self.packet(body) != b"OK":
            raise RuntimeError(f"gdb: {what}")

    def write(self, address, data):
        for i in range(0, len(data), CHUNK):
            piece = data[i:i + CHUNK]
            self.must(b"M%x,%x:" % (address + i, len(piece)) + piece.hex().encode(), f"no write to {address + i:#x}")

    def read(self, address, size):
        data = b""
        while len(data) < size:
            n = min(CHUNK, size - len(data))
            data += bytes.fromhex(self.packet(b"m%x,%x" % (address + len(data), n)).decode())
        return data

    def register(self, number):
        return int.from_bytes(bytes.fromhex(self.packet(b"p%x" % number).decode())[:4], "little")

    def pc(self):
        return self.register(PC[self.machine])

    def sp(self):
        return self.register(SP[self.machine])

    def stop_at(self, *addresses):
        for a in addresses:
            self.must(b"Z1,%x,2" % a, f"no breakpoint at {a:#x}")

    def pass_by(self, *addresses):
        """Takes breakpoints away."""
        for a in addresses:
            self.must(b"z1,%x,2" % a, f"no breakpoint at {a:#x}")

    def step(self):
        self.packet(b"s", stops=True)

    def run(self, timeout=20):
        """On to the next breakpoint; False, and stopped, when none was reached in time."""
        self.sock.settimeout(timeout)
        try:
            self.packet(b"c", stops=True)
            return True
        except socket.timeout:
            self.sock.settimeout(20)
            self.sock.sendall(b"\3")
            self.reply(True)
            return False
        finally:
            self.sock.settimeout(20)

    def run_to(self, address, times=1, steps=0):
        """To the nth arrival there from now on, and steps further."""
        self.stop_at(address)
        for _ in range(times):
            self.step()     # off the breakpoint: it would stop there for ever
            if not self.run():
                raise RuntimeError(f"gdb: {address:#x} is not reached")
        self.pass_by(address)
        for _ in range(steps):
            self.step()
