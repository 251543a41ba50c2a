"""Bind the names that XLA's libraries look up in themselves, which takes the loader a while at every start.

usage: bind.py LIBRARY...

The libraries are given in the order in which the loader searches them. A relocation that names a symbol is rewritten as
one relative to the library (ELF for x86-64, R_X86_64_RELATIVE) if the loader would find that symbol in the library
itself: the library defines it, and none before it does. Data that several files may define, of which a process must
have one, is still looked up: inline and static variables of templates. Functions, virtual tables and type infos are alike
wherever they are defined.

The names of functions that are looked up when first called have a table of their own. It is joined with the other, as
most of its entries are relative then.
"""

import mmap
import struct
import sys
from typing import NamedTuple

HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QIIq")
TAG = struct.Struct("<qQ")

X86_64 = 62
RELOCATIONS, DYNAMIC, SYMBOLS = 4, 6, 11  # kinds of sections
ABSOLUTE, BY_GOT, BY_PLT, RELATIVE = 1, 6, 7, 8  # kinds of relocations
OBJECT, FUNCTION = 1, 2  # kinds of symbols
GLOBAL, WEAK = 1, 2
DEFINED = range(1, 0xFF00)  # the numbers of sections
PLT_SIZE, TABLE, SIZE, RELATIVE_COUNT = 2, 7, 8, 0x6FFFFFF9  # tags of the dynamic section
ALIKE = (b"_ZTV", b"_ZTT", b"_ZTI", b"_ZTS")


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
        _, machine, _, _, _, sections, _, _, _, _, size, count, _ = HEADER.unpack_from(self.bytes)
        if self.bytes[:6] != b"\x7fELF\x02\x01" or machine != X86_64:
            sys.exit(f"{path} is not a library for x86-64")
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

    def bind(self, before: set[bytes]) -> None:
        """Bind all but the names that libraries `before` this one define."""
        own = {
            number: symbol.value
            for number, symbol in enumerate(self.symbols)
            if symbol.defined and symbol.name not in before
            and (symbol.kind == FUNCTION or symbol.kind == OBJECT
                 and (symbol.binding == GLOBAL or symbol.name.startswith(ALIKE)))
        }
        tables = self.of_kind(RELOCATIONS)
        if any(table.end != after.start for table, after in zip(tables, tables[1:])):
            sys.exit(f"{self.path}: its tables of relocations do not lie side by side, so they cannot be made one")
        relative, named = [], []
        for entry in RELOCATION.iter_unpack(b"".join(map(self.content, tables))):
            where, kind, number, addend = entry
            if kind == RELATIVE:
                relative.append(entry)
            elif kind in (ABSOLUTE, BY_GOT, BY_PLT) and number in own:
                relative.append((where, RELATIVE, 0, own[number] + (addend if kind == ABSOLUTE else 0)))
            else:
                named.append(entry)
        relative.sort()
        entries = b"".join(RELOCATION.pack(*entry) for entry in relative + named)
        self.bytes[tables[0].start:tables[0].start + len(entries)] = entries
        self.tag({TABLE: tables[0].address, SIZE: len(entries), PLT_SIZE: 0, RELATIVE_COUNT: len(relative)})

    def tag(self, values: dict[int, int]) -> None:
        """Set tags of the dynamic section, where it has them."""
        (dynamic,) = self.of_kind(DYNAMIC)
        for at in range(dynamic.start, dynamic.end, TAG.size):
            tag, _ = TAG.unpack_from(self.bytes, at)
            if tag in values:
                TAG.pack_into(self.bytes, at, tag, values[tag])


def main() -> None:
    before: set[bytes] = set()
    for path in sys.argv[1:]:
        library = Library(path)
        defined = library.defined()
        library.bind(before)
        before |= defined


main()
