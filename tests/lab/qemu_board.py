#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One board in QEMU: its bootloader, its flash file, its serial line on a unix socket.

    qemu_board.py --board B --loader ELF --flash FILE --serial SOCKET [--kill-after SECONDS]

stays in the foreground; SIGTERM or SIGINT saves the flash and ends. --kill-after pulls the plug after
that time (the flash keeps what had been written). As a module: Board(...), start, stop, cut.

What QEMU 7.2 does, and what is done about it here:
- what -kernel loads is loaded again at every reset: only the bootloader comes that way;
- mps2: the flash is RAM in a file that QEMU maps, so the file is always complete;
- riscv-virt: both flash banks are files; the bootloader's is made for the run and read-only;
- microbit: the flash starts as zeros and cannot be given as a file; it is written through the gdb stub
  before the first instruction and read back with memsave (pmemsave sees another address space).
"""
import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import elf  # noqa: E402
import gdb_stub  # noqa: E402

MICROBIT_LOADER_END = 0x8000
MICROBIT_FLASH_END = 0x40000
MPS2_FLASH_SIZE = 16 << 20
VIRT_BANK_SIZE = 32 << 20
EMULATORS = {"nrf51-microbit": "qemu-system-arm", "mps2-an385": "qemu-system-arm", "mps2-an505": "qemu-system-arm",
             "riscv-virt": "qemu-system-riscv32"}


def qemu(board):
    """The emulator of a board, None where it is not installed."""
    return shutil.which(EMULATORS[board])


def connect(path, process, log, timeout=20):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            time.sleep(0.01)
    with open(log, errors="replace") as f:
        raise RuntimeError(f"qemu: {f.read().strip() or 'no socket ' + path}")


class Stuck(Exception):
    """The emulator itself answers no more, whatever runs in it."""


class Qmp:
    def __init__(self, sock):
        sock.settimeout(60)
        self.file = sock.makefile("rw")
        self.file.readline()
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        try:
            return self._ask(command, arguments)
        except TimeoutError as e:
            raise Stuck(f"{command}: the emulator does not answer") from e

    def _ask(self, command, arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        for line in self.file:
            r = json.loads(line)
            if "return" in r:
                return r["return"]
            if "error" in r:
                raise RuntimeError(f"{command}: {r['error']['desc']}")
        raise RuntimeError(f"{command}: qemu went away")


class Board:
    def __init__(self, board, loader, flash, serial, extra=(), forget=False):
        """extra: further options of the emulator. forget: the flash file stays as it is."""
        if board not in EMULATORS:
            raise ValueError(f"{board}: no such board")
        self.board, self.loader, self.flash, self.serial = board, loader, flash, serial
        self.process = self.gdb = None
        self.extra, self.forget = extra, forget
        self.elf = elf.Elf(loader)

    def _machine(self):
        if self.board == "nrf51-microbit":
            return ["-M", "microbit", "-kernel", self.loader]
        if self.board.startswith("mps2-"):
            return ["-M", f"{self.board},memory-backend=flash", "-kernel", self.loader, "-object",
                    f"memory-backend-file,id=flash,size={MPS2_FLASH_SIZE},mem-path={self.flash},share={'off' if self.forget else 'on'}"]
        bank = f"{self.dir}/bank0"
        shutil.copy(self.loader.removesuffix(".elf") + ".bin", bank)
        os.truncate(bank, VIRT_BANK_SIZE)
        # with less memory the device tree would lie where the words are that a reset keeps
        return ["-M", "virt", "-cpu", "rv32,zkr=true", "-m", "4M", "-bios", "none", "-device", "i6300esb,addr=1",
                "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={bank}",
                "-drive", f"if=pflash,unit=1,format=raw,file={self.flash},snapshot={'on' if self.forget else 'off'}"]

    def _command(self):
        return [EMULATORS[self.board], "-display", "none", "-nodefaults", "-S",
                "-chardev", f"socket,id=serial,path={self.serial},server=on,wait=off", "-serial", "chardev:serial",
                "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off",
                "-chardev", f"socket,id=gdb,path={self.dir}/gdb,server=on,wait=off", "-gdb", "chardev:gdb",
                *self._machine(), *self.extra]

    def start(self, stop_at=None, times=1, steps=0):
        """stop_at: a function of the bootloader. The board then stands still, to be cut, so many instructions
        after that function was entered for the nth time: however slow this machine is, it is that place."""
        self.debug()
        try:
            if stop_at:
                self.gdb.run_to(self.elf.function(stop_at), times, steps)
                return self
            self.run_free()
        except BaseException:
            self._end()
            raise
        return self

    def debug(self):
        """Starts the board and leaves it before its first instruction, for self.gdb to go on."""
        self.dir = tempfile.mkdtemp(prefix="board.")
        try:
            if os.path.exists(self.serial):
                os.unlink(self.serial)
            log = f"{self.dir}/log"
            with open(log, "wb") as f:
                self.process = subprocess.Popen(self._command(), stdout=f, stderr=f, stdin=subprocess.DEVNULL,
                                                start_new_session=True)
            self.qmp_sock = connect(f"{self.dir}/qmp", self.process, log)
            self.qmp = Qmp(self.qmp_sock)
            self.gdb = gdb_stub.Gdb(connect(f"{self.dir}/gdb", self.process, log), self.elf.machine)
            if self.board == "nrf51-microbit":
                with open(self.flash, "rb") as f:
                    data = f.read()
                self.gdb.write(MICROBIT_LOADER_END, data[MICROBIT_LOADER_END:MICROBIT_FLASH_END])
        except BaseException:
            self._end()
            raise

    def attach(self):
        """Stops a board that runs, for self.gdb."""
        self.gdb = gdb_stub.Gdb(connect(f"{self.dir}/gdb", self.process, f"{self.dir}/log"), self.elf.machine)

    def run_free(self):
        """Lets the board go, without self.gdb."""
        self.gdb.packet(b"D")
        self._close_gdb()
        self.qmp("cont")

    def _close_gdb(self):
        if self.gdb:
            self.gdb.sock.close()
            self.gdb = None

    def worked(self):
        """Seconds of processor time that the emulator has taken."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, address, size):
        """As the core sees it, while it stands still."""
        dump = f"{self.dir}/memory"
        self.qmp("memsave", val=address, size=size, filename=dump)
        with open(dump, "rb") as f:
            return f.read()

    def _keep_flash(self):
        """Of the one board whose flash is no file."""
        if self.board == "nrf51-microbit" and not self.forget:
            with open(self.flash + ".new", "wb") as f:
                f.write(self.memory(0, MICROBIT_FLASH_END))
            os.replace(self.flash + ".new", self.flash)

    def save(self):
        """Brings the flash file up to date; the board goes on running."""
        if self.board == "nrf51-microbit":
            self.qmp("stop")
            self._keep_flash()
            self.qmp("cont")

    def cut(self):
        """The plug is pulled: what was written by now is in the flash file, RAM is lost."""
        try:
            if self.process and self.process.poll() is None:
                self.qmp("stop")
                self._keep_flash()
        finally:
            self._end()

    stop = cut      # a node has no shutdown: ending it is a power cut at rest

    def _end(self):
        if self.process:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None
        self._close_gdb()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def main():
    p = argparse.ArgumentParser(description="run a board in QEMU")
    p.add_argument("--board", required=True, choices=list(EMULATORS))
    p.add_argument("--loader", required=True, help="ELF of the bootloader")
    p.add_argument("--flash", required=True, help="file made by factory.py; kept up to date")
    p.add_argument("--serial", required=True, help="path of the unix socket that is the serial line")
    p.add_argument("--kill-after", type=float, help="seconds until the plug is pulled")
    a = p.parse_args()
    if not qemu(a.board):
        sys.exit(f"qemu_board.py: {EMULATORS[a.board]} is not installed")

    def end(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    b = Board(a.board, a.loader, a.flash, a.serial)
    try:
        b.start()
        until = time.monotonic() + a.kill_after if a.kill_after is not None else None
        while b.process.poll() is None:
            left = 1.0 if until is None else min(1.0, until - time.monotonic())
            if left <= 0:
                break
            time.sleep(left)
        else:
            raise RuntimeError("qemu ended by itself")
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        b.stop()


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ValueError) as e:
        sys.exit(f"qemu_board.py: {e}")
