#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Skips instructions of the boot decision, one in each boot, while a slot holds an image that must not run (E-15).

    edge_skip.py --board B --images FOLDER [--every N [--offset O]] [--times K] [--arithmetic A] [--jobs J] [SCENE…]

FOLDER holds boot-B.elf and app-B.elf, .bin. Every N-th of the instructions that a boot executes is skipped, from a
random one on that is printed, at the first K of the times that it is executed. Each boot must end in the bootloader,
in a reset, in a fault, or with the good image. TAP; the number of skips and of instructions is printed.

Arithmetic is what comes from the sources of BearSSL and tinyssh, less the functions that compare (LIBRARY), and from
the compiler's library. A skip in it gives a wrong number where a forger would need a certain one, which is a refusal.
So it is sampled: one in A of the instructions executed there, none with A 0.
"""
import argparse
import collections
import concurrent.futures
import os
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import edge_stack  # noqa: E402
import elf  # noqa: E402
import factory  # noqa: E402
import image  # noqa: E402
import qemu_board  # noqa: E402
import smp  # noqa: E402

# Of the libraries only what decides.
LIBRARY = re.compile("vrfy|asn1_to_raw|sign_ed25519.*_open|crypto_verify|^verify$")
RESETS_MAX = 3
HUNG_AFTER = 3.0        # seconds of the emulator's work; the watchdog would end it, which is a reset like any other
PATIENCE = 15.0         # seconds by the clock, for one that waits for something, and on a machine that is busy


class Code:
    """The instructions that decide, and those of the arithmetic that they rest on."""

    def __init__(self, loader):
        self.image = edge_stack.Image(loader)
        tool = edge_stack.BINUTILS[self.image.elf.machine] + "addr2line"
        starts = sorted(self._reachable(self.image.elf.function("c_start")))
        places = subprocess.run([tool, "-e", loader, *map(hex, starts)], check=True, capture_output=True,
                                text=True).stdout.splitlines()
        self.name = {}      # of the function, by address
        self.arithmetic = set()
        for start, place in zip(starts, places):
            f = self.image.functions[start]
            arithmetic = "subprojects" in place and not LIBRARY.search(f.name) or place.startswith("?")
            size = dict(self.image.ranges)[start]
            for a in range(start, start + size, 2):
                if a in self.image.code and not self.image.code[a][0].startswith("."):
                    self.name[a] = f.name
                    if arithmetic:
                        self.arithmetic.add(a)

    def _reachable(self, root):
        agent = self.image.named("start.c:serve")
        todo, seen = [root], set(agent)
        while todo:
            start = todo.pop()
            if start in seen:
                continue
            seen.add(start)
            f = self.image.functions[start]
            todo += f.calls | f.tails
            for source in self.image.source(f.pointer_calls):
                todo += [a for name in edge_stack.called_from(source) or [] for a in self.image.named(name)]
        return seen - agent

    def nothing(self, address):
        """Bytes that do nothing, in the place of the instruction there."""
        code = self.image.elf.read(address, 2)
        long = code[0] & 3 == 3 if self.image.risc else code[1] >> 3 in (0x1d, 0x1e, 0x1f)
        if self.image.risc:
            return bytes.fromhex("13000000" if long else "0100")
        return bytes.fromhex("aff30080" if long else "00bf")


class Sweep:
    def __init__(self, a, folder):
        self.board, self.a, self.folder = a.board, a, folder
        self.loader = f"{a.images}/boot-{a.board}.elf"
        self.code = Code(self.loader)
        self.map = factory.MAPS[a.board]
        app = elf.Elf(f"{a.images}/app-{a.board}.elf")
        self.app_entry = app.function("reset_handler")
        self.app_range = range(app.value("ROM_BASE"), app.value("ROM_BASE") + app.value("ROM_SIZE"))
        self.ends = {self.code.image.elf.function("serve"): "bootloader",
                     self.code.image.elf.function("port_reset"): "reset", self.app_entry: "application"}
        with open(f"{a.images}/app-{a.board}.bin", "rb") as f:
            self.payload = f.read()
        self.key = f"{folder}/key.pem"
        self.public = factory.image_key(image.new_key(self.key))
        self.good = self.make("1.0.0")

    def make(self, version, key=None):
        return image.make(self.payload, key or self.key, version, class_name=self.board)

    # ---- scenes: the flash, and what slot 0 may run ----

    @staticmethod
    def spoil(data, at):
        return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:]

    def _factory(self, img, **o):
        return factory.flash(self.board, img, [self.public], **o)

    def _life(self, img, act):
        """The flash of a node that was made with img, after act on it."""
        path = f"{self.folder}/life"
        with open(path, "wb") as f:
            f.write(self._factory(img))
        board = qemu_board.Board(self.board, self.loader, path, f"{self.folder}/serial")
        board.start()
        s = smp.Smp(f"{self.folder}/serial")
        s.until(lambda i: i["mode"] == 1)
        act(s)
        s.close()
        board.cut()
        with open(path, "rb") as f:
            return f.read()

    def _spoil_slot(self, data, slot, at):
        return self.spoil(data, self.map["slot0"] + slot * self.map["slot"] + at)

    def _pending(self):
        new = self.make("2.0.0")

        def act(s):
            s.preflight(new)
            s.upload(new)
            s.test(image.split(new)[2])
        return self._life(self.good, act), new

    def scene_signature(self):
        """new from the factory, a bit of the signature is wrong"""
        return self._factory(self.spoil(self.good, len(self.good) - 5))

    def scene_key(self):
        """new from the factory, well signed by a key that is not the node's"""
        other = f"{self.folder}/other.pem"
        image.new_key(other)
        return self._factory(self.make("2.0.0", other))

    def scene_floor(self):
        """new from the factory, well signed and its security counter below the floor"""
        return self._factory(self.make("2.0.0"), floor=2)

    def scene_digest(self):
        """new from the factory, a byte of the image is wrong"""
        return self._factory(self.spoil(self.good, 0x400))

    def scene_payload(self):
        """confirmed long ago, then a byte of the image changes"""
        return self._spoil_slot(self._life(self.good, lambda s: None), 0, 0x400)

    def scene_pending_payload(self):
        """to be tried next, then a byte of it changes"""
        return self._spoil_slot(self._pending()[0], 1, 0x400)

    def scene_pending_signature(self):
        """to be tried next, then a bit of its signature changes"""
        data, new = self._pending()
        return self._spoil_slot(data, 1, len(new) - 5)

    # ---- one boot ----

    def _board(self, name, scene, extra=()):
        return qemu_board.Board(self.board, self.loader, scene, f"{self.folder}/{name}.serial", extra, forget=True)

    def executed(self, scene):
        """The instructions that a boot executes, in that order, and how it ends."""
        log = f"{self.folder}/translated"     # what the emulator translates is what it is about to execute
        board = self._board("cover", scene, ["-d", "in_asm", "-D", log])
        board.debug()
        try:
            board.gdb.stop_at(*self.ends)
            if not board.gdb.run():
                raise RuntimeError("the boot without a skip does not end")
            end = self.end(board)
        finally:
            board._end()
        with open(log) as f:
            seen = dict.fromkeys(int(a, 16) for a in re.findall(r"^0x([0-9a-f]+):", f.read(), re.M))
        return [a for a in seen if a in self.code.name and a not in self.ends], end

    def end(self, board):
        """How a boot ended that stands at one of the ends."""
        kind = self.ends[board.gdb.pc()]
        if kind == "application":
            at = self.map["base"] + self.map["slot0"]
            return "good image" if board.gdb.read(at, len(self.good)) == self.good else "BAD IMAGE"
        return kind

    def skip(self, scene, address, times):
        """One boot, in which the instruction is skipped the times-th time that it is reached."""
        board = self._board(f"{address:x}.{times}", scene)
        board.debug()
        gdb = board.gdb
        try:
            gdb.stop_at(address, *(a for a in self.ends if a != address))
            for n in range(times):
                if n:
                    gdb.step()
                if not gdb.run(HUNG_AFTER * 5) or gdb.pc() != address:
                    return "not reached"
            nothing = self.code.nothing(address)
            kept = gdb.read(address, len(nothing))
            gdb.write(address, nothing)
            gdb.step()
            gdb.write(address, kept)
            if address not in self.ends:
                gdb.pass_by(address)
            return self._outcome(board)
        except (RuntimeError, ConnectionError):
            with open(f"{board.dir}/log", errors="replace") as f:
                if "Lockup" in f.read():    # where the emulator gives up
                    return "lock-up"
            raise
        finally:
            board._end()

    @staticmethod
    def _comes_to_an_end(board):
        begin, worked = time.monotonic(), board.worked()
        while not board.gdb.run(HUNG_AFTER):
            if board.worked() - worked >= HUNG_AFTER or time.monotonic() - begin >= PATIENCE:
                return False
        return True

    def _outcome(self, board):
        for _ in range(RESETS_MAX):
            if not self._comes_to_an_end(board):
                return "BAD IMAGE" if board.gdb.pc() in self.app_range else "hung"
            end = self.end(board)
            if end != "reset":
                return end
            board.gdb.step()
        return "reset"

    def scene(self, name):
        """(instructions executed, of the decision and of arithmetic, outcomes, places where the bad image ran)"""
        path = f"{self.folder}/{name}"
        with open(path, "wb") as f:
            f.write(getattr(self, name)())
        order, end = self.executed(path)
        if end == "BAD IMAGE":
            raise RuntimeError("the bad image runs without any skip")
        arithmetic = [a for a in order if a in self.code.arithmetic]
        decision = [a for a in order if a not in self.code.arithmetic]
        chosen = decision[self.a.offset % self.a.every::self.a.every]
        if self.a.arithmetic:
            chosen += arithmetic[self.a.offset % self.a.arithmetic::self.a.arithmetic]
        cases = [(a, n) for a in chosen for n in range(1, self.a.times + 1)]
        with concurrent.futures.ThreadPoolExecutor(self.a.jobs) as pool:
            results = list(zip(cases, pool.map(lambda c: self.skip(path, *c), cases)))
        outcomes = collections.Counter(r for _, r in results if r != "not reached")
        bad = [f"{a:#x} in {self.code.name[a]} ({self.code.image.source([a])[0]}), time {n}"
               for (a, n), r in results if r == "BAD IMAGE"]
        return len(decision), len(arithmetic), outcomes, bad


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--board", required=True)
    p.add_argument("--images", required=True)
    p.add_argument("--every", type=int, default=1)
    p.add_argument("--offset", type=int, help="with --every: where to begin")
    p.add_argument("--times", type=int, default=1)
    p.add_argument("--arithmetic", type=int, default=0)
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("scenes", nargs="*", metavar="SCENE")
    a = p.parse_args()
    if not qemu_board.qemu(a.board):
        print(f"1..0 # SKIP {qemu_board.EMULATORS[a.board]} is not installed")
        return
    if a.offset is None:
        a.offset = random.randrange(max(a.every, a.arithmetic))
    names = [f"scene_{s}" for s in a.scenes] or [n for n in dir(Sweep) if n.startswith("scene_")]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="skip.") as folder:
        sweep = Sweep(a, folder)
        print(f"1..{len(names)}\n# --every {a.every} --offset {a.offset} --times {a.times} --arithmetic {a.arithmetic}",
              flush=True)
        for i, name in enumerate(names, 1):
            decision, arithmetic, outcomes, bad = sweep.scene(name)
            count = sum(outcomes.values())
            failed += bool(bad) or not count
            for place in bad:
                print(f"# the bad image ran: {place}")
            ends = ", ".join(f"{n} {end}" for end, n in outcomes.most_common())
            print(f"{'not ok' if bad or not count else 'ok'} {i} - {a.board}, {getattr(sweep, name).__doc__}: "
                  f"{count} skips in {decision} instructions and {arithmetic} of arithmetic: {ends}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
