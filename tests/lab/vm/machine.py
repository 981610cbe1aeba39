# SPDX-License-Identifier: Apache-2.0
"""An emulated PC with one disk, without a display: power switch, serial log, and commands by QEMU's guest agent."""
import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

PATIENCE_S = 600    # of everything that the guest does by itself: software emulation, on a busy machine


class Gone(Exception):
    """The guest's agent does not answer."""


class Machine:
    board = "q35"

    def __init__(self, disk, other=None, memory_mib=512, kernel=None, cpus=1, counted=False):
        """other: a second disk, read-only. kernel: (kernel, initrd, command line) instead of the disk's boot loader. counted:
        the guest's clock goes by instructions, 1 ns each, so that what else this machine does takes no time there."""
        self.dir = tempfile.mkdtemp(prefix="ef-machine-")
        self.disk = disk
        self.agent, self.log, self.monitor = (f"{self.dir}/{name}" for name in ("agent", "serial.log", "monitor"))
        # No default route and no resolver: the guest's network reaches this machine's loopback alone.
        self.command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", self.board,
            "-accel", f"tcg,tb-size=512,thread={'multi' if cpus > 1 else 'single'}",
            # Wide registers are emulated word by word: SHA-256 by AVX2 takes six times as long as without.
            "-cpu", "qemu64,+rdrand", "-smp", str(cpus), "-m", str(memory_mib),
            "-chardev", f"file,path={self.log},append=on,id=serial", "-serial", "chardev:serial",
            *(("-icount", "shift=0") if counted else ()), "-device", "virtio-blk-pci,drive=disk",
            "-device", "virtio-serial-pci", "-chardev", f"socket,path={self.agent},server=on,wait=off,id=agent",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0", "-device", "virtio-rng-pci",
            "-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile=",
            # A restart ends the emulator; wait() begins it anew. In the same one it takes twice the time.
            "-no-reboot", "-device", "i6300esb", "-action", "watchdog=reset",
            "-qmp", f"unix:{self.monitor},server=on,wait=off"]
        if other:
            self.command += ["-drive", f"file={other},if=none,id=other,format=raw,readonly=on",
                             "-device", "virtio-blk-pci,drive=other"]
        if kernel:
            self.command += ["-kernel", kernel[0], "-initrd", kernel[1], "-append", kernel[2]]
        self.process = None
        open(self.log, "w").close()

    # ---- power ----
    def firmware(self):
        """More of the emulator's command line, anew at each start."""
        return []

    def on(self, memory=None, writes=None):
        """memory: a file of freeze(), to go on from. writes: a new file that every write and flush of the disk is put
        down in, for power.py. The host keeps its power, so what has reached the disk's file need not be synced."""
        medium = f"driver=file,filename={self.disk},node-name={'medium' if writes else 'disk'},cache.no-flush=on"
        command = [*self.command, *self.firmware(), "-blockdev", medium]
        if writes:
            open(writes, "w").close()
            command += ["-blockdev", f"driver=file,filename={writes},node-name=writes,cache.no-flush=on",
                        "-blockdev", "driver=blklogwrites,file=medium,log=writes,node-name=disk"]
        if memory:
            command += ["-incoming", f"exec:cat {memory}"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        if memory:
            self.wait("the memory", lambda: self._monitor("query-status")["status"] == "paused", step_s=0.1)
            self._monitor("cont")

    def freeze(self, memory):
        """Puts what runs into a file, and the power off: with the disk as it is then, on(memory) goes on from there."""
        self._monitor("stop")
        self._monitor("migrate", {"uri": f"exec:cat > {memory}"})
        self.wait("the memory", lambda: self._monitor("query-migrate").get("status") in ("completed", "failed"), step_s=0.1)
        if self._monitor("query-migrate")["status"] != "completed":
            raise RuntimeError(f"{memory} was not written")
        self.off()

    def ended(self):
        """Whether the guest restarted the machine, or a watchdog did."""
        if self.process.poll():
            raise AssertionError(f"the emulator ended: {self.process.stderr.read()}")
        return self.process.returncode is not None

    def off(self):
        """As when the plug is pulled: SIGKILL for the emulator."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()
            self.process = None

    def close(self):
        self.off()
        shutil.rmtree(self.dir, ignore_errors=True)

    def serial(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def _monitor(self, command, arguments=None):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            for _ in range(100):
                try:
                    s.connect(self.monitor)
                    break
                except OSError:
                    time.sleep(0.05)
            lines = s.makefile("rb")
            for question in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments or {}}):
                s.sendall(json.dumps(question).encode())
                answer = {}
                while not {"return", "error"} & answer.keys():
                    answer = json.loads(lines.readline())
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            return answer["return"]

    # ---- agent ----
    @contextlib.contextmanager
    def _agent(self):
        """A socket to it."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.agent)
            yield s

    def _ask(self, command, arguments=None, timeout=20):
        """timeout: of the whole; an agent that starts anew sends what nobody asked for."""
        end = time.monotonic() + timeout
        try:
            with self._agent() as s:
                s.settimeout(timeout)
                lines = self._lines(s, end)
                number = time.monotonic_ns() & 0x7FFFFFFF
                s.sendall(b"\xff" + json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": number}}).encode())
                while json.loads(next(lines).lstrip(b"\xff") or b"{}").get("return") != number:
                    pass
                message = {"execute": command} | ({"arguments": arguments} if arguments else {})
                s.sendall(json.dumps(message).encode())
                answer = json.loads(next(lines))
        except (OSError, ValueError) as e:
            raise Gone(str(e)) from None
        if "error" in answer:
            raise Gone(answer["error"]["desc"])
        return answer["return"]

    @staticmethod
    def _lines(s, end):
        """What comes until then, line by line."""
        waiting = b""
        while True:
            line, newline, rest = waiting.partition(b"\n")
            if newline:
                waiting = rest
                yield line
                continue
            left = end - time.monotonic()
            if left <= 0:
                raise Gone("no answer in time")
            s.settimeout(left)
            more = s.recv(65536)
            if not more:
                raise Gone("agent closed")
            waiting += more

    def run(self, script, timeout=PATIENCE_S, check=True):
        """A shell script in the guest: its output. Gone when the guest goes away meanwhile."""
        pid = self._ask("guest-exec", {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True})["pid"]
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            state = self._ask("guest-exec-status", {"pid": pid})
            if state["exited"]:
                out = base64.b64decode(state.get("out-data", "")) + base64.b64decode(state.get("err-data", ""))
                if check and state.get("exitcode"):
                    raise AssertionError(f"{script}: status {state['exitcode']}: {out.decode(errors='replace')}")
                return out.decode(errors="replace")
            time.sleep(0.4)     # the guest puts each question down in its journal
        raise AssertionError(f"{script}: still running after {timeout} s")

    def boot_id(self):
        """Of the start that runs, or None."""
        try:
            return self.run("cat /proc/sys/kernel/random/boot_id", timeout=20).strip()
        except (Gone, AssertionError):
            return None

    def wait(self, what, condition, patience=PATIENCE_S, step_s=0.5):
        """Until the condition gives something, which is returned; through restarts."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.ended():
                self.on()
            found = condition()
            if found:
                return found
            time.sleep(step_s)
        raise AssertionError(f"{what}: not within {patience} s\n{self.serial()[-3000:]}")

    def wait_up(self, patience=PATIENCE_S):
        return self.wait("a start", self.boot_id, patience)
