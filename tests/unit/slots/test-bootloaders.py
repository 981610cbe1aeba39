#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F-02, I-1: conf/boot/edgeferry.grub in GRUB itself and conf/boot/edgeferry.uboot in U-Boot itself.

Both run in an emulated machine with the medium that the back-end of edgeferry writes; where a kernel would be
started, what it would be started with is printed instead. Usage: test-bootloaders.py DRIVE CONF; TAP.
"""
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

DRIVE, CONF = sys.argv[1], pathlib.Path(sys.argv[2])
LIMIT_S = 60
# Sector 0 of a disk of 16 MiB with one FAT partition, which begins at 1 MiB.
FAT_TABLE = bytes(446) + struct.pack("<B3xB3xII", 0x80, 0x0C, 2048, (16 << 11) - 2048) + bytes(48) + b"\x55\xaa"


def call(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command[0]}: status {done.returncode}: {done.stderr}"
    return done.stdout


class Machine:
    """A medium, and a power switch. start() gives what would have been started, or None when the power went first."""

    def __init__(self, folder):
        self.dir = folder
        self.root = folder / "root"
        for path in ("proc/sys/kernel/random",):
            (self.root / path).mkdir(parents=True)
        (self.root / "proc/cmdline").write_text("edgeferry.slot=A\n")

    def start(self, cut_s=None):
        log = self.dir / "serial.log"
        log.write_bytes(b"")
        self.insert()
        guest = subprocess.Popen(self.command(log), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        end = time.monotonic() + (LIMIT_S if cut_s is None else cut_s)
        found = None
        while time.monotonic() < end and guest.poll() is None and not found:
            found = re.search(rb"would start ([AB]) with(.*?)END", log.read_bytes(), re.S)
            time.sleep(0.01)
        guest.kill()
        guest.wait()
        self.eject()
        if not found:
            if cut_s is None:
                raise AssertionError(f"nothing was started:\n{log.read_text(errors='replace')[-2000:]}")
            return None
        line = self.words(re.sub("[\r\n]", "", found[2].decode()))
        assert line.startswith("edgeferry.slot="), line
        (self.root / "proc/cmdline").write_text(f"ro {line} quiet\n")
        return found[1].decode()

    def words(self, text):
        return text.strip()

    def do(self, verb, slot="A"):
        out = call(DRIVE, self.kind, str(self.dir), str(self.root), verb, slot)
        return dict(word.split("=") for word in out.split())

    def is_state(self, verb="state", slot="A", **wanted):
        state = self.do(verb, slot)
        for key, value in wanted.items():
            assert state[key.replace("_", "-")] == value, f"{key} is {state[key.replace('_', '-')]}, not {value}"


class Grub(Machine):
    kind = "grub"

    def __init__(self, folder):
        super().__init__(folder)
        self.disk = folder / "disk.img"
        self.part = f"{self.disk}@@1048576"
        with open(self.disk, "wb") as disk:
            disk.truncate(16 << 20)
            disk.write(FAT_TABLE)
        call("mkfs.vfat", "-F", "16", "--offset", "2048", str(self.disk), str((16 << 10) - 1024))
        call("grub-editenv", str(folder / "grubenv"), "create")
        (folder / "grub.cfg").write_text(
            "serial --unit=0 --speed=115200\nterminal_output serial\nsource ${prefix}/edgeferry.grub\n"
            'echo "would start $edgeferry_slot with"\nfor w in $edgeferry_args; do echo "<$w>"; done\necho END\nsleep 30\n')
        call("mmd", "-i", self.part, "::/grub")
        call("mcopy", "-i", self.part, str(folder / "grub.cfg"), str(CONF / "edgeferry.grub"), str(folder / "grubenv"),
             "::/grub")
        self.install(folder / "core.img")

    def install(self, core_path):
        """As grub-bios-setup does: core.img behind the partition table, its place in boot.img and in itself."""
        lib = pathlib.Path("/usr/lib/grub/i386-pc")
        call("grub-mkimage", "-O", "i386-pc", "-o", str(core_path), "-p", "(hd0,msdos1)/grub", "biosdisk", "part_msdos",
             "fat", "normal", "test", "configfile", "loadenv", "echo", "serial", "terminal", "sleep")
        boot, core = bytearray((lib / "boot.img").read_bytes()[:440]), bytearray(core_path.read_bytes())
        core += bytes(-len(core) % 512)
        assert len(core) < 2047 * 512
        struct.pack_into("<Q", boot, 0x5C, 1)
        boot[0x66:0x68] = b"\x90\x90"
        struct.pack_into("<QHH", core, 500, 2, len(core) // 512 - 1, 0x820)
        with open(self.disk, "r+b") as disk:
            disk.write(boot)
            disk.seek(512)
            disk.write(core)

    def words(self, text):
        """Its terminal breaks lines after 80 characters, also between words, and then without the blank."""
        return " ".join(re.findall("<(.*?)>", text))

    def insert(self):
        call("mcopy", "-o", "-i", self.part, str(self.dir / "grubenv"), "::/grub/grubenv")

    def eject(self):
        call("mcopy", "-o", "-i", self.part, "::/grub/grubenv", str(self.dir / "grubenv"))

    def command(self, log):
        return ["qemu-system-i386", "-accel", "tcg", "-nodefaults", "-display", "none", "-m", "32", "-serial",
                f"file:{log}", "-drive", f"file={self.disk},format=raw,cache=writethrough", "-no-reboot"]


class Uboot(Machine):
    """The x86 build keeps no environment by itself: boot.scr reads and writes it on the disk, as a board's would.

    It cannot write a redundant one either. One page stands in for it: whoever ends the emulator in the middle of a
    write leaves that page old or new. A larger one was torn that way, and the script began with its defaults."""

    kind = "uboot"
    ENV_SECTOR, ENV_SIZE = 64, 0x1000

    def __init__(self, folder):
        super().__init__(folder)
        self.disk = folder / "disk.img"
        with open(self.disk, "wb") as disk:
            disk.truncate(16 << 20)
            disk.write(FAT_TABLE)
        part = f"{self.disk}@@1048576"
        call("mkfs.vfat", "-F", "16", "--offset", "2048", str(self.disk), str((16 << 10) - 1024))
        (folder / "fw_env.config").write_text(f"{self.disk} {self.ENV_SECTOR * 512:#x} {self.ENV_SIZE:#x}\n")
        (folder / "defaults").write_text("board=qemu\n")
        call("fw_setenv", "-c", str(folder / "fw_env.config"), "-f", str(folder / "defaults"), "other", "kept")
        where = f"0x2000000 {self.ENV_SECTOR:#x} {self.ENV_SIZE // 512:#x}"
        (folder / "boot.cmd").write_text(
            f"virtio read {where}\nenv import -c 0x2000000 {self.ENV_SIZE:#x}\n"
            f"setenv edgeferry_save 'env export -c -s {self.ENV_SIZE:#x} 0x2000000 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT "
            f"edgeferry_trial edgeferry_verity_A edgeferry_verity_B other && virtio write {where}'\n" + (CONF / "edgeferry.uboot").read_text() +
            "echo would start ${edgeferry_slot} with ${edgeferry_args} END\nsleep 30\n")
        call("mkimage", "-A", "x86", "-T", "script", "-C", "none", "-d", str(folder / "boot.cmd"),
             str(folder / "boot.scr"))
        call("mcopy", "-i", part, str(folder / "boot.scr"), "::/")
        rom = pathlib.Path("/usr/lib/u-boot/qemu-x86/u-boot.rom").read_bytes()
        (folder / "u-boot.rom").write_bytes(rom.replace(b"bootdelay=2", b"bootdelay=0"))

    def insert(self):
        pass

    eject = insert

    def command(self, log):
        return ["qemu-system-x86_64", "-accel", "tcg", "-M", "pc", "-m", "256", "-nodefaults", "-display", "none",
                "-serial", f"file:{log}", "-bios", str(self.dir / "u-boot.rom"),
                "-drive", f"file={self.disk},format=raw,if=none,id=d,cache=writethrough",
                "-device", "virtio-blk-pci,drive=d"]


def fresh(m):
    assert m.start() == "A"
    m.is_state(running="A", primary="A", trial="none", on_trial="no", marks="good,good")


def trial_used_once(m):
    m.is_state("try", "B", running="A", primary="A", trial="B")
    assert m.start() == "B"
    m.is_state(running="B", primary="A", trial="none", on_trial="yes")
    assert m.start() == "A", "a trial that nobody confirmed"
    m.is_state("up", running="A", on_trial="no", trial="none")
    assert m.start() == "A"
    m.do("up")


def confirmed(m):
    m.do("try", "B")
    assert m.start() == "B"
    m.is_state("good", "B", running="B", primary="B", on_trial="no", marks="good,good")
    for _ in range(4):
        assert m.start() == "B"
        m.is_state("up", running="B", primary="B", on_trial="no")


def bad(m):
    m.do("try", "A")
    m.is_state("bad", "A", primary="B", trial="none", marks="bad,good")
    assert m.start() == "B"
    m.is_state("up", marks="bad,good")


def root_hash(m):
    """Of the slot that is started, on its command line; of a slot without one nothing."""
    def handed():
        return re.findall(r"edgeferry\.(roothash=\S+|hashoffset=\S+)", (m.root / "proc/cmdline").read_text())
    m.do("verity", "A")
    m.do("try", "A")
    assert m.start() == "A"
    assert handed() == ["roothash=ab" + "00" * 31, "hashoffset=268435456"], handed()
    assert m.start() == "B"
    assert handed() == [], handed()
    m.do("up")
    m.do("plain", "A")
    m.do("try", "A")
    assert m.start() == "A"
    assert handed() == [], handed()
    assert m.start() == "B"
    m.do("up")


def cut_while_starting(m):
    """Power cuts during the start of a trial: old or tried, never tried twice, never nothing."""
    seed = int(os.environ.get("SEED", time.time_ns() % 1000000))
    rng = random.Random(seed)
    began = time.monotonic()
    m.do("up")
    assert m.start() == "B"
    at = 0.9 * (time.monotonic() - began)
    m.do("up")
    before = 0
    cuts = int(os.environ.get("CUTS", "8"))
    for _ in range(cuts):
        m.do("try", "A")
        started = m.start(cut_s=at)
        first = started or m.start()
        # the next one nearer to the moment at which the trial is taken away
        early = not started and first == "A"
        before += early
        at *= 1 + rng.uniform(0.02, 0.2) * (1 if early else -1)
        if first == "A":
            m.is_state(running="A", primary="B", trial="none", on_trial="yes")
            assert m.start() == "B", "tried twice"
        m.is_state("up", running="B", primary="B", trial="none", on_trial="no")
    print(f"# {m.kind}: {cuts} cuts, {before} of them came before the trial was used up, seed {seed}")


CASES = [fresh, trial_used_once, confirmed, bad, root_hash, cut_while_starting]


def main():
    print(f"1..{2 * len(CASES)}", flush=True)
    number, failed = 0, False
    for kind in (Grub, Uboot):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="ef-bootloader-"))
        try:
            machine = kind(folder)
            for case in CASES:
                number += 1
                try:
                    case(machine)
                    print(f"ok {number} - {machine.kind} {case.__name__}", flush=True)
                except AssertionError as e:
                    failed = True
                    print(f"not ok {number} - {machine.kind} {case.__name__}: {e}".replace("\n", "\n# "), flush=True)
        finally:
            shutil.rmtree(folder)
    return 1 if failed else 0


sys.exit(main())
