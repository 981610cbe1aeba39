#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F-02, S-14: the `uboot` back-end and a redundant environment, by what U-Boot makes of its two copies (lab/uboot_env.py).

Usage: test-uboot-copies.py DRIVE; TAP."""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab"))
import uboot_env  # noqa: E402

DRIVE = os.path.abspath(sys.argv[1])
SIZE = 4096


class Board:
    """places: (file, offset) of each copy, as fw_env.config names them."""

    def __init__(self, top, places):
        self.top, self.places = top, [(top / name, offset) for name, offset in places]
        for name, _ in self.places:
            name.write_bytes(b"\xff" * 4 * SIZE)
        (top / "proc").mkdir()
        (top / "proc/cmdline").write_text("quiet edgeferry.slot=A ro\n")
        (top / "fw_env.config").write_text("# of the board\n" + "".join(f"{n} {o:#x} {SIZE:#x}\n" for n, o in self.places))
        (top / "defaults").write_text("bootdelay=0\n")
        self.tool("fw_setenv", "-f", top / "defaults", "fdtfile", "some.dtb")

    def tool(self, name, *args):
        return subprocess.run([name, "-c", self.top / "fw_env.config", *args], check=True, capture_output=True, text=True).stdout

    def drive(self, *verb):
        return subprocess.run([DRIVE, "uboot", self.top, self.top, *verb], capture_output=True, text=True)

    def do(self, *verb):
        done = self.drive(*verb)
        assert done.returncode == 0, f"{' '.join(verb)}: {done.stderr}"
        return dict(word.split("=", 1) for word in done.stdout.split())

    def copies(self):
        return [name.read_bytes()[offset:offset + SIZE] for name, offset in self.places]

    def active(self):
        n = uboot_env.active(*self.copies())
        assert n is not None, "no copy is whole"
        return n

    def variables(self):
        return uboot_env.copy(self.copies()[self.active()])[1]

    def spoil(self, n):
        name, offset = self.places[n]
        with open(name, "r+b") as f:
            f.seek(offset + 100)
            f.write(b"!")


def in_turns(board):
    """Each change goes to the older copy alone, all 256 numbers of them round and on, and is what U-Boot sees."""
    numbers = set()
    for n in range(260):
        before, active = board.copies(), board.active()
        verb, slot = (("try", "B"), ("good", "A"))[n % 2]
        board.do(verb, slot)
        after = board.copies()
        assert after[active] == before[active], f"change {n}: the copy in use was written"
        assert board.active() == 1 - active, f"change {n}: U-Boot takes the old copy"
        number, variables = uboot_env.copy(after[1 - active])
        numbers.add(number)
        assert uboot_env.slots(variables) == ((("B", True), ("A", False))[n % 2]), f"change {n}: {variables}"
        assert variables["fdtfile"] == "some.dtb" and variables["bootdelay"] == "0"
    assert len(numbers) == 256, f"{len(numbers)} numbers"


def of_u_boot(board):
    """What U-Boot saves goes to the other copy, and edgeferry sees it."""
    board.do("good", "A")
    for left in "210":
        active = board.active()
        board.tool("fw_setenv", "BOOT_A_LEFT", left)
        assert board.active() == 1 - active
        assert board.do("state")["marks"] == "good,good"
    board.do("up")
    assert board.variables()["BOOT_A_LEFT"] == "3"


def one_spoilt(board):
    """The other one counts, and the next change makes the spoilt one whole again."""
    for spoilt in (0, 1):
        board.do("good", "A")
        board.do("try", "B")
        if board.active() == spoilt:
            board.do("try", "B")
        assert board.active() != spoilt
        board.spoil(spoilt)
        assert uboot_env.copy(board.copies()[spoilt]) is None
        assert board.do("state")["trial"] == "B"
        good = board.copies()[1 - spoilt]
        board.do("good", "A")
        assert board.copies()[1 - spoilt] == good, "the copy in use was written"
        assert board.active() == spoilt and board.do("state")["trial"] == "none"


def newer_spoilt(board):
    """A change that a power cut made void: the state before it, and it can be made once more."""
    board.do("good", "A")
    board.do("try", "B")
    board.spoil(board.active())
    assert board.do("state")["trial"] == "none" and uboot_env.slots(board.variables()) == ("A", False)
    assert board.do("try", "B")["trial"] == "B"
    assert uboot_env.slots(board.variables()) == ("B", True)


def both_spoilt(board):
    """Nothing is made up (S-14), and nothing written."""
    for n in (0, 1):
        board.spoil(n)
    before = board.copies()
    for verb in (("state",), ("try", "B"), ("good", "A")):
        done = board.drive(*verb)
        assert done.returncode == 1 and "fw_env.config" in done.stderr, done.stderr
    assert board.copies() == before


LAYOUTS = {"two files": [("one", 0), ("two", 0)], "one device": [("disk", SIZE), ("disk", 2 * SIZE)]}
CASES = [in_turns, of_u_boot, one_spoilt, newer_spoilt, both_spoilt]


def main():
    failed, cases = 0, [(name, case) for name in LAYOUTS for case in CASES]
    print(f"1..{len(cases)}")
    for n, (name, case) in enumerate(cases, 1):
        with tempfile.TemporaryDirectory(prefix="ef-uboot-") as top:
            try:
                board = Board(pathlib.Path(top), LAYOUTS[name])
                around = board.places[0][0].read_bytes()[3 * SIZE:]
                case(board)
                assert board.places[0][0].read_bytes()[3 * SIZE:] == around, "bytes beside the copies"
                print(f"ok {n} - {name}: {case.__name__}", flush=True)
            except (AssertionError, subprocess.CalledProcessError) as e:
                failed += 1
                print(f"not ok {n} - {name}: {case.__name__}: {e}".replace("\n", "\n# "), flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
