# SPDX-License-Identifier: Apache-2.0
"""An emulated PC with one disk, without a display: power switch, serial log, and commands by QEMU's guest agent."""
import base64
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
    def __init__(self, disk, other=None, memory_mib=512, kernel=None, cpus=1):
        """other: a second disk, read-only. kernel: (kernel, initrd, command line) instead of the disk's boot loader."""
        self.dir = tempfile.mkdtemp(prefix="ef-machine-")
        self.agent, self.log = f"{self.dir}/agent", f"{self.dir}/serial.log"
        self.command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35,accel=tcg",
            "-cpu", "max", "-m", str(memory_mib), "-serial", f"file:{self.log}",
            "-drive", f"file={disk},if=none,id=disk,format=raw,cache=writethrough",
            "-device", "virtio-blk-pci,drive=disk",
            "-device", "virtio-serial-pci", "-chardev", f"socket,path={self.agent},server=on,wait=off,id=agent",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0", "-device", "virtio-rng-pci"]
        if other:
            self.command += ["-drive", f"file={other},if=none,id=other,format=raw,readonly=on",
                             "-device", "virtio-blk-pci,drive=other"]
        if kernel:
            self.command += ["-kernel", kernel[0], "-initrd", kernel[1], "-append", kernel[2]]
        self.command += ["-smp", str(cpus)]
        self.process = None
        open(self.log, "w").close()

    # ---- power ----
    def on(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def off(self):
        """As when the plug is pulled; what the guest's disk was given is there."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.off()
        shutil.rmtree(self.dir, ignore_errors=True)

    def serial(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    # ---- agent ----
    def _ask(self, command, arguments=None, timeout=20):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(timeout)
                s.connect(self.agent)
                number = time.monotonic_ns() & 0x7FFFFFFF
                s.sendall(b"\xff" + json.dumps({"execute": "guest-sync-delimited", "arguments": {"id": number}}).encode())
                lines = s.makefile("rb")
                while json.loads((self._line(lines)).lstrip(b"\xff") or b"{}").get("return") != number:
                    pass
                message = {"execute": command} | ({"arguments": arguments} if arguments else {})
                s.sendall(json.dumps(message).encode())
                answer = json.loads(self._line(lines))
        except (OSError, ValueError) as e:
            raise Gone(str(e)) from None
        if "error" in answer:
            raise Gone(answer["error"]["desc"])
        return answer["return"]

    @staticmethod
    def _line(lines):
        line = lines.readline()
        if not line:
            raise Gone("agent closed")
        return line

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
            time.sleep(0.1)
        raise AssertionError(f"{script}: still running after {timeout} s")

    def boot_id(self):
        """Of the start that runs, or None."""
        try:
            return self.run("cat /proc/sys/kernel/random/boot_id", timeout=20).strip()
        except (Gone, AssertionError):
            return None

    def wait(self, what, condition, patience=PATIENCE_S):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"{what}: the emulator ended")
            found = condition()
            if found:
                return found
            time.sleep(1)
        raise AssertionError(f"{what}: not within {patience} s\n{self.serial()[-3000:]}")

    def wait_up(self, patience=PATIENCE_S):
        return self.wait("a start", self.boot_id, patience)
