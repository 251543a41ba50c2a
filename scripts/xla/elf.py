"""Shared libraries as ELF lays them out, for machines of 64 bits."""

import mmap
import struct
import sys
from typing import NamedTuple

HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")

SYMBOLS = 11  # a kind of sections
GLOBAL, WEAK = 1, 2
DEFINED = range(1, 0xFF00)  # the numbers of sections


class Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    start: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int

    @property
    def end(self) -> int:
        return self.start + self.size


class Symbol(NamedTuple):
    name: bytes
    binding: int
    kind: int
    defined: bool
    value: int


class Library:
    def __init__(self, path: str):
        self.path = path
        with open(path, "r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), 0)
        _, self.machine, _, _, _, sections, _, _, _, _, size, count, _ = HEADER.unpack_from(self.bytes)
        if self.bytes[:6] != b"\x7fELF\x02\x01":
            sys.exit(f"{path} is not a library for a machine of 64 bits")
        self.sections = [Section(*SECTION.unpack_from(self.bytes, sections + i * size)) for i in range(count)]
        (symbols,) = self.of_kind(SYMBOLS)
        names = self.content(self.sections[symbols.link])
        self.symbols = [
            Symbol(names[name:names.index(0, name)], info >> 4, info & 15, section in DEFINED, value)
            for name, info, _, section, value, _ in SYMBOL.iter_unpack(self.content(symbols))
        ]

    def of_kind(self, kind: int) -> list[Section]:
        return sorted((s for s in self.sections if s.kind == kind), key=lambda section: section.start)

    def content(self, section: Section) -> bytes:
        return self.bytes[section.start:section.end]

    def defined(self) -> set[bytes]:
        return {s.name for s in self.symbols if s.defined and s.binding in (GLOBAL, WEAK)}
