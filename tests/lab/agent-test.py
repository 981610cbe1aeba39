#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a node does beyond updates by its gateway, on the real images: stock SMP clients, the crash record, settings,
statistics, how much an update disturbs the application. Arguments as edge-test.py.
"""
import copy
import importlib.util
import os
import struct
import subprocess
import sys
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import factory  # noqa: E402
import image  # noqa: E402
import noise  # noqa: E402
import qemu_board  # noqa: E402
import session  # noqa: E402
import smp  # noqa: E402
import smp_plain  # noqa: E402

spec = importlib.util.spec_from_file_location("edge_test", os.path.join(HERE, "edge-test.py"))
edge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(edge)
expect = edge.expect

CAUSE_WATCHDOG, CAUSE_FAULT = 3, 4
ACCESS_DENIED, NO_ENTRY = 11, 5
FLAGS, CRC = 456, 460       # in the factory page
UNDEFINED = 1 << 16         # CFSR: UNDEFINSTR
TICK_US = 10000             # of the boards
# 2^n nanoseconds an instruction: 15.6 MIPS, about what a Cortex-M0 at 16 MHz does, and 31 MIPS for the others.
ICOUNT = {"nrf51-microbit": 6}


def expect_rc(rc, f, *args, **options):
    try:
        f(*args, **options)
    except smp.Refused as e:
        expect(e.rc == rc, f"rc {e.rc}, not {rc}")
        return
    raise AssertionError(f"accepted, not refused with rc {rc}")


def open_to_plain_clients(flash, at):
    with open(flash, "r+b") as f:
        f.seek(at)
        page = bytearray(f.read(CRC))
        page[FLAGS] |= factory.PLAIN_CLIENTS
        f.seek(at)
        f.write(page + struct.pack("<I", zlib.crc32(page)))


def answered(echo):
    """The answer to an echo request."""
    text = smp.uncbor(echo, 8)[0]["d"]
    body = b"\xbfar" + smp.cbor(text) + b"\xff"
    return bytes([echo[0] + 1, 0]) + struct.pack(">H", len(body)) + echo[4:8] + body


class Board(qemu_board.Board):
    """Instructions are counted: time goes by what the program executes, not by how busy this machine is."""

    def _command(self):
        return super()._command() + ["-icount", f"shift={ICOUNT.get(self.board, 5)},sleep=off"]


class Tests(edge.Tests):
    def crash_record(self, n):
        return n.smp.call(smp.READ, 239, 2)

    def stat(self, n, name):
        return n.smp.call(smp.READ, 2, 0, {"name": name})["fields"]

    def test_plain_clients(self):
        """mcumgr's and smpclient's ways, console and raw: upload, test, reset, confirm, without preflight"""
        n = edge.Node(self)
        open_to_plain_clients(n.flash, self.map["factory"])
        with n:
            expect(n.smp.identify()["plain"], "not open")
            for major, kind in enumerate(("newtmgr", "console", "raw"), 2):
                new = self.image(f"{major}.0.0")
                digest = image.split(new)[2]
                n.smp.close()
                with smp_plain.Plain(n.serial, kind) as p:
                    p.upload(new)
                    expect(p.list()[1]["hash"] == digest, "not there")
                    p.test(digest)
                    p.reset()
                n.smp = smp.Smp(n.serial)       # and the gateway beside them
                n.smp.until(lambda i: i["mode"] == 1 and i["trial"] and i["test"] == edge.PASSED)
                n.smp.close()
                with smp_plain.Plain(n.serial, kind) as p:
                    p.confirm()
                    expect(p.list()[0]["version"] == f"{major}.0.0" and p.list()[0]["confirmed"], str(p.list()))
                n.smp = smp.Smp(n.serial)
                expect(not n.smp.identify()["trial"], "on trial")

    def test_plain_clients_refused(self):
        """a node that its maker did not open to them says so, and flash stays as it is (E-01)"""
        new = self.image("2.0.0")
        with edge.Node(self) as n:
            expect(not n.smp.identify()["plain"], "open")
            before = n.slots()
            n.smp.close()
            for kind in ("newtmgr", "console", "raw"):
                with smp_plain.Plain(n.serial, kind) as p:
                    expect(p.list()[0]["version"] == "1.0.0", "version")
                    expect(p.info().startswith("app 1.0.0 on"), p.info())
                    for f in (lambda: p.upload(new), lambda: p.test(image.split(new)[2]), p.confirm, p.reset):
                        expect_rc(ACCESS_DENIED, f)
            n.smp = smp.Smp(n.serial)
            expect(n.slots() == before, "flash changed")

    def crashed(self, n, variant):
        n.install(self.image("2.0.0+7", variant), 60)
        n.smp.reset()
        n.smp.until(lambda i: i["mode"] == 1 and not i["trial"] and i["revert"])
        return self.crash_record(n)

    def test_crash_record(self):
        """where a program stood when it crashed or hung, and which one it was; until the power goes"""
        rom = {"nrf51-microbit": (0x8200, 0x20000), "mps2-an385": (0x21000200, 0x21060000)}.get(self.board)
        with edge.Node(self) as n:
            expect_rc(NO_ENTRY, self.crash_record, n)
            c = self.crashed(n, "app-fault")
            expect((c["cause"], c["mode"], c["version"]) == (CAUSE_FAULT, 1, "2.0.0+7"), str(c))
            expect(n.smp.identify()["cause"] == CAUSE_FAULT and c["exc"], str(c))
            if rom:
                expect(all(rom[0] <= c[r] & ~1 < rom[1] for r in ("pc", "lr")) and c["exc"] == 3, str(c))
                expect(c["cfsr"] == (0 if self.board == "nrf51-microbit" else UNDEFINED), str(c))
            c = self.crashed(n, "app-hang")
            expect((c["cause"], c["version"], c["uptime"]) == (CAUSE_WATCHDOG, "2.0.0+7", 0), str(c))
            expect(not rom or rom[0] <= c["pc"] < rom[1], str(c))
            n.smp.call(smp.WRITE, 239, 2)
            expect_rc(NO_ENTRY, self.crash_record, n)
            n.power_off()
            n.power_on()
            expect_rc(NO_ENTRY, self.crash_record, n)

    def test_settings(self):
        """a setting is in force when committed, and after a power cut when saved"""
        with edge.Node(self) as n:
            def runs_per_second():
                before = self.stat(n, "task")
                up = self.stat(n, "node")["uptime"]
                time.sleep(3)
                return (self.stat(n, "task")["runs"] - before["runs"]) / max(1, self.stat(n, "node")["uptime"] - up)

            n.smp.call(smp.WRITE, 3, 0, {"name": "app/period", "val": struct.pack("<H", 20)})
            n.smp.call(smp.WRITE, 3, 2)
            expect(runs_per_second() > 20, "the period is not in force")
            n.smp.call(smp.WRITE, 3, 3)
            n.power_off()
            n.power_on()
            val = n.smp.call(smp.READ, 3, 0, {"name": "app/period"})["val"]
            expect(val == struct.pack("<H", 20), f"{val} after a power cut")
            n.smp.call(smp.WRITE, 3, 1, {"name": "app/period"})

    def test_rate(self):
        """the line's rate: raised, one that cannot be made refused, back at the first one after silence (F-16)"""
        with edge.Node(self) as n:
            if self.board == "host":   # a socket has none
                expect_rc(3, n.smp.call, smp.WRITE, 239, 5, {"baud": 230400})
                return
            expect(n.smp.call(smp.WRITE, 239, 5, {"baud": 230400}) == {}, "raised")
            expect_rc(3, n.smp.call, smp.WRITE, 239, 5, {"baud": 4000000})
            expect(n.smp.call(smp.WRITE, 0, 0, {"d": "x" * 128})["r"] == "x" * 128, "echo")
            time.sleep(2.5)
            expect(n.smp.call(smp.WRITE, 0, 0, {"d": "back"})["r"] == "back", "echo after silence")
            expect(n.smp.call(smp.WRITE, 239, 5, {"baud": 0}) == {}, "lowered")

    def test_repair(self):
        """one wrong bit of a request of a session is turned back, whichever it is; two are not (F-16, E-09)"""
        psk, n = os.urandom(32), edge.Node(self)
        with open(n.flash, "wb") as f:
            f.write(factory.flash(self.board, self.image("1.0.0"), self.keys, psk=psk))
        with n:
            n.smp.close()
            line = smp.open_line(n.serial, 20)
            down, up, flags = session.meet(line, psk)
            expect(flags == noise.HAS_KEY | noise.REQUIRED | noise.REPAIRS, f"flags {flags}")
            body = smp.cbor({"d": "x" * 36})
            message = struct.pack(">BBHHBB", 0x0A, 0, len(body), 0, 7, 0) + body
            bits = 8 * len(noise.checked(noise.frame(noise.REQUEST, down, 0, message)))
            for seq, bit in enumerate((0, 5, 8, 300, bits // 2, bits - 17, bits - 16, bits - 1)):
                frame = noise.checked(noise.frame(noise.REQUEST, down, 2 * seq, message))
                session.send_raw(line, noise.flipped(noise.flipped(frame, bit), (bit + 77) % bits))
                frame = noise.checked(noise.frame(noise.REQUEST, down, 2 * seq + 1, message))
                session.send_raw(line, noise.flipped(frame, bit))
                # what was sent with two has no answer, so this is the answer to what was sent with one
                answer = session.receive(line, bytes([noise.RESPONSE]))
                expect(answer == noise.frame(noise.RESPONSE, up, seq, answered(message)), f"bit {bit}")
            line.close()
            n.smp = smp.Smp(n.serial)

    def test_statistics(self):
        """what a node counts: messages, dropped ones, boots, erases, free stack; and its report"""
        with edge.Node(self) as n:
            expect(n.smp.call(smp.READ, 2, 1)["stat_list"] == ["line", "node", "task"], "groups")
            before = self.stat(n, "line")
            n.smp.sock.sendall(smp.cobs_encode(bytes([8, 0, 0, 1, 0, 0, 1, 6, 0xA0, 1, 2])) + b"\0")
            line = self.stat(n, "line")
            expect(line["messages"] == before["messages"] + 1 and line["dropped"] == before["dropped"] + 1, str(line))
            new = self.image("2.0.0")
            n.install(new)
            node = self.stat(n, "node")
            pages = -(-len(new) // self.map["page"])
            expect(node["boots"] >= 1 and node["erases"] == pages and node["records"] > 2, f"{node}, {pages} pages")
            if self.board != "host":
                expect(0 < node["stack"] < 0x1800, str(node))
                print(f"# {self.board}: {node['stack']} bytes of stack were never used, signature check included")
            report = smp.uncbor(n.smp.call(smp.READ, 239, 3, {"nonce": b"fresh"})["report"])[0]
            expect(report["nonce"] == b"fresh" and report["version"] == "1.0.0" and report["keys"] == [k[0][:8] for k in self.keys],
                   str(report))
            expect(report["hash"] == n.running()["hash"], str(report))

    def host_options(self):
        """edgeferry-node: battery and stock clients are as its command line says"""
        with edge.Node(self) as n:
            i = n.smp.identify()
            expect((i["bat"], i["ext"]) == (100, True), str(i))
            for options, want in ((["--battery", "37"], (37, False)), (["--battery", "5", "--external"], (5, True))):
                n.power_off()
                n.board.command = n.board.command[:5] + options
                n.power_on()
                i = n.smp.identify()
                expect((i["bat"], i["ext"]) == want, str(i))
            n.power_off()
            os.unlink(n.flash)
            n.board.command = n.board.command[:5] + ["--plain"]
            n.power_on()
            expect(n.smp.identify()["plain"], "not open")
        bad = subprocess.run([self.node, "--flash", n.flash, "--socket", n.serial, "--battery", "101"],
                             stderr=subprocess.PIPE)
        expect(bad.returncode == 64 and b"100 percent" in bad.stderr, str(bad))

    def board_stock_bootloader(self):
        """no image runs: a stock client brings the node back, through a bootloader that has room for it"""
        stock, new = copy.copy(self), self.image("2.0.0")
        stock.loader = next(f for f in (f"{self.images}/boot{kind}-{self.board}.elf" for kind in ("-stock", ""))
                            if os.path.exists(f))
        n = edge.Node(stock)
        open_to_plain_clients(n.flash, self.map["factory"])
        self.put(n, self.map["slot0"] + 0x400, b"\0\0\0\0")
        with n:
            expect(n.smp.identify()["mode"] == 0, "an image runs")
            n.smp.close()
            for kind in ("console", "raw"):
                with smp_plain.Plain(n.serial, kind) as p:
                    p.upload(new)
                    p.test(image.split(new)[2])
            with smp_plain.Plain(n.serial, "console") as p:
                p.reset()
            n.smp = smp.Smp(n.serial)
            n.smp.until(lambda i: i["mode"] == 1 and i["trial"] and i["test"] == edge.PASSED)

    def board_jitter(self):
        """the application's task stays on time while an image comes in as fast as the line takes it"""
        new = self.image("2.0.0", size=48 << 10)
        n = edge.Node(self)
        n.board = Board(self.board, self.loader, n.flash, n.serial)
        with n:
            n.smp.preflight(new)
            n.smp.upload(new)
            task = self.stat(n, "task")
        print(f"# {self.board}: {task['upload_ticks']} ticks at work on {len(new)} bytes; late by at most "
              f"{task['upload_late_max']} us, 99 of 100 by at most {task['upload_late_p99']} us")
        expect(task["upload_ticks"] >= 20 and task["upload_late_p99"] <= task["upload_late_max"], str(task))
        expect(task["upload_late_max"] < TICK_US / 100, "more than a hundredth of a tick")


if __name__ == "__main__":
    edge.Tests = Tests
    kinds = ("test_", "host_" if "host" in sys.argv else "board_")
    if not any(a in dir(Tests) for a in sys.argv):
        sys.argv += [n for n in vars(Tests) if n.startswith(kinds)]
    edge.main()
