# SPDX-License-Identifier: Apache-2.0
"""
Crash states (K-02): what a disk may hold after a power cut, from a log of what programs did to files (write-log.c).

The rules are those that POSIX leaves: nothing is there for sure but what was flushed. fsync and fdatasync of a file
make its bytes and its length certain, not its name; fsync of a folder makes names in it certain. Of all else any writes
may be there, in part (sectors of 512 bytes), in any order; changes of names and lengths are there in the order in which
they were made, up to some point, as a journalling file system keeps them.
"""
import os

SECTOR = 512


class File:
    """Bytes without a name: those that are certain, and those that programs see."""

    def __init__(self, data=b""):
        self.sure, self.seen = bytearray(data), bytearray(data)


class Op:
    """One change that is not certain yet. name: of names or lengths, which keep their order."""

    def __init__(self, kind, path, file=None, args=()):
        self.kind, self.path, self.file, self.args = kind, path, file, args
        self.keeps_order = kind != "W"

    def change(self, data, sectors=None):
        """Of the bytes of its file."""
        if self.kind == "W":
            offset, new = self.args
            for at in range(0, len(new), SECTOR):
                if sectors is None or at // SECTOR in sectors:
                    put(data, offset + at, new[at:at + SECTOR])
        elif self.kind == "T":
            size, = self.args
            del data[size:]
            data.extend(bytes(size - len(data)))
        elif self.kind == "A":
            data.extend(bytes(max(0, self.args[0] - len(data))))
        elif self.kind == "Z":
            put(data, self.args[0], bytes(max(0, min(self.args[1], len(data) - self.args[0]))))

    def rename(self, names):
        if self.kind == "O":
            names[self.path] = self.file
        elif self.kind == "U":
            names.pop(self.path, None)
        elif self.kind == "R" and self.path in names:
            names[self.args[0]] = names.pop(self.path)

    def sectors(self):
        return -(-len(self.args[1]) // SECTOR) if self.kind == "W" else 0


def put(data, offset, new):
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset:offset + len(new)] = new


class Disk:
    """Files below a folder, and what is not certain of them."""

    def __init__(self, folder, parts):
        """parts: names in the folder that are on the disk."""
        self.folder, self.parts = folder, parts
        self.sure, self.seen, self.pending, self.begun = {}, {}, [], {}
        for part in parts:
            for path in files_below(f"{folder}/{part}"):
                with open(path, "rb") as f:
                    self.seen[path] = self.sure[path] = File(f.read())

    def ours(self, path):
        return any(path == f"{self.folder}/{p}" or path.startswith(f"{self.folder}/{p}/") for p in self.parts)

    # ---- what programs did ----
    def did(self, kind, path, *args):
        if kind == "O":
            truncates, = args
            if path not in self.seen:
                self._add(Op("O", path, File()))
            elif truncates:
                self._add(Op("T", path, self.seen[path], (0,)))
        elif kind in "UR":
            self._add(Op(kind, path, None, args))
        elif kind == "B":
            self.begun.setdefault(path, []).append(len(self.pending))
        elif kind == "S":
            self._flushed(path, self.begun[path].pop(0))
        elif kind in "WTAZ":
            self._add(Op(kind, path, self.seen[path], args))

    def _add(self, op):
        self.pending.append(op)
        op.rename(self.seen)
        if op.file:
            op.change(op.file.seen)

    def _flushed(self, path, before):
        """What was done to the file or folder before the flush began is certain."""
        file, left = self.seen.get(path), []
        for i, op in enumerate(self.pending):
            if i < before and file and op.file is file and op.kind != "O":
                op.change(file.sure)
            elif i < before and not file and op.kind in "OUR" and os.path.dirname(op.path) == path:
                op.rename(self.sure)
            else:
                left.append(op)
        gone = len(self.pending) - len(left)
        self.begun = {p: [max(0, n - gone) for n in at] for p, at in self.begun.items()}
        self.pending = left

    def sync(self):
        """All is certain, as after an orderly end."""
        for file in self.seen.values():
            file.sure = bytearray(file.seen)
        self.sure, self.pending, self.begun = dict(self.seen), [], {}

    # ---- what may be there ----
    def state(self, ordered, writes):
        """{path: bytes} with so many of the changes that keep their order, and {index of a write: sectors or None}."""
        names, data = dict(self.sure), {}
        for i, op in enumerate(self.pending):
            if op.keeps_order:
                ordered -= 1
                if ordered < 0:
                    continue
            elif i not in writes:
                continue
            op.rename(names)
            if op.file:
                op.change(data.setdefault(op.file, bytearray(op.file.sure)), writes.get(i))
        return {path: bytes(data.get(file, file.sure)) for path, file in names.items()}

    def choices(self, rng, torn=4):
        """The states to be tried: arguments of state()."""
        ordered = sum(op.keeps_order for op in self.pending)
        writes = [i for i, op in enumerate(self.pending) if op.kind == "W"]
        for n in range(len(self.pending) + 1):      # all that was done up to some moment; none and all among them
            first = self.pending[:n]
            yield sum(op.keeps_order for op in first), {i: None for i, op in enumerate(first) if op.kind == "W"}
        for i in writes:                            # all but one
            yield ordered, {j: None for j in writes if j != i}
        for _ in range(torn if writes else 0):      # any of them, some in part
            some = {}
            for i in writes:
                if rng.random() < 0.6:
                    all_of_it = range(self.pending[i].sectors())
                    some[i] = {s for s in all_of_it if rng.random() < 0.7} if rng.random() < 0.5 else set(all_of_it)
            yield rng.randint(0, ordered), some


def files_below(path):
    if os.path.isfile(path):
        yield path
    for folder, _, names in os.walk(path):
        yield from (f"{folder}/{n}" for n in names)


def records(path):
    """(kind, words, bytes or None) of a log."""
    with open(path, "rb") as f:
        while line := f.readline():
            kind, *words = line.decode().rstrip("\n").split(" ")
            data = None
            if kind in "WNF":
                data = f.read(int(words[-1]))
                f.read(1)
            yield kind, words, data


def replay(disk, log):
    """Yields ("B", "P" or "E") with the disk as it is then, and the content of BESIDE: before a flush, before the machine
    starts anew (its firmware's files, F, follow), at the end."""
    beside = None
    for kind, words, data in records(log):
        if kind == "N":
            beside = data
        elif kind == "P":
            if beside:      # not the very first start
                yield "P", beside
            disk.sync()
        elif kind == "F":
            disk.seen[words[0]] = disk.sure[words[0]] = File(data)
        elif kind == "D":
            disk.seen.pop(words[0], None)
            disk.sure.pop(words[0], None)
        elif kind == "X" and disk.ours(words[1]):
            raise AssertionError(f"{words[0]} of {words[1]} is not understood")
        elif kind in "MX" or not disk.ours(words[0]):
            continue
        else:
            if kind == "B":
                yield "B", beside
            args = words[1:] if kind == "R" else [int(w) for w in words[1:]]
            disk.did(kind, words[0], *((args[0], data) if kind == "W" else args))
    yield "E", beside
