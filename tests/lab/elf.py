# SPDX-License-Identifier: Apache-2.0
"""As much of a 32-bit little-endian ELF file as tests of the boards' images need."""
import struct

SYMTAB, NOBITS, ALLOC, OBJECT, FUNCTION = 2, 8, 2, 1, 2
ARM, RISCV = 40, 243


class Symbol:
    def __init__(self, name, value, size, kind):
        self.name, self.value, self.size, self.kind = name, value, size, kind

    def is_called(self, name):
        """By its name in the source: the compiler adds suffixes to what it splits or specialises."""
        return self.name == name or self.name.startswith(name + ".")


class Elf:
    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.data = f.read()
        table, = struct.unpack_from("<I", self.data, 32)
        size, count = struct.unpack_from("<HH", self.data, 46)
        self.machine, = struct.unpack_from("<H", self.data, 18)
        self.sections = [struct.unpack_from("<10I", self.data, table + i * size) for i in range(count)]
        self.symbols = [s for section in self.sections if section[1] == SYMTAB for s in self._symbols(section)]

    def _symbols(self, section):
        strings = self.sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 16):
            string, value, size, info = struct.unpack_from("<IIIB", self.data, at)
            end = self.data.index(b"\0", strings + string)
            yield Symbol(self.data[strings + string:end].decode(), value, size, info & 15)

    def find(self, name, kind=None):
        return [s for s in self.symbols if s.is_called(name) and kind in (None, s.kind)]

    def value(self, name):
        """Of an absolute symbol of the linker script, or an address; the Thumb bit of a function is dropped."""
        for s in self.symbols:
            if s.name == name:
                return s.value & ~1 if s.kind == FUNCTION else s.value
        raise ValueError(f"{self.path}: no symbol {name}")

    def function(self, name):
        """The address of the one function of that name."""
        found = {s.value & ~1 for s in self.find(name, FUNCTION)}
        if len(found) != 1:
            raise ValueError(f"{self.path}: {len(found)} functions {name}")
        return found.pop()

    def read(self, address, size):
        for s in self.sections:
            if s[2] & ALLOC and s[1] != NOBITS and s[3] <= address and address + size <= s[3] + s[5]:
                at = s[4] + address - s[3]
                return self.data[at:at + size]
        raise ValueError(f"{self.path}: nothing at {address:#x}")

    def loaded(self):
        """(address, size) of what lies in flash."""
        return [(s[3], s[5]) for s in self.sections if s[2] & ALLOC and s[1] != NOBITS and s[5]]

    def word(self, address):
        return struct.unpack("<I", self.read(address, 4))[0]
