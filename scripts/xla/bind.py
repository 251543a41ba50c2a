"""Bind the names that XLA's libraries look up in themselves, which takes the loader 0.2 s at every start.

usage: bind.py LIBRARY...

The libraries are given in the order in which the loader searches them. A relocation that names a symbol is rewritten as
one relative to the library (ELF for x86-64, R_X86_64_RELATIVE) if the loader would find that symbol in the library
itself: the library defines it, and none before it does. Data that several files may define, of which a process must
have one, is still looked up: inline and static variables of templates. Functions, virtual tables and type infos are alike
wherever they are defined.

The entries of .rela.plt, which are looked up when first called, are joined with those of .rela.dyn, as most are relative
then and need no lookup.
"""

import mmap
import struct
import sys

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
PLT_SIZE, SIZE, RELATIVE_COUNT = 2, 8, 0x6FFFFFF9  # tags of the dynamic section
ALIKE = (b"_ZTV", b"_ZTT", b"_ZTI", b"_ZTS")


class Library:
    def __init__(self, path: str):
        self.path = path
        with open(path, "r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), 0)
        _, machine, _, _, _, sections, _, _, _, _, size, count, _ = HEADER.unpack_from(self.bytes)
        if self.bytes[:6] != b"\x7fELF\x02\x01" or machine != X86_64:
            sys.exit(f"{path} is not a library for x86-64")
        self.sections = [SECTION.unpack_from(self.bytes, sections + i * size) for i in range(count)]
        (symbols,) = self.of_kind(SYMBOLS)
        names = self.content(self.sections[symbols[6]])
        self.symbols = [
            (names[name:names.index(0, name)], info >> 4, info & 15, section in DEFINED, value)
            for name, info, _, section, value, _ in SYMBOL.iter_unpack(self.content(symbols))
        ]

    def of_kind(self, kind: int) -> list[tuple]:
        return sorted((s for s in self.sections if s[1] == kind), key=lambda section: section[4])

    def content(self, section: tuple) -> bytes:
        return self.bytes[section[4]:section[4] + section[5]]

    def defined(self) -> set[bytes]:
        return {name for name, binding, _, here, _ in self.symbols if here and binding in (GLOBAL, WEAK)}

    def bind(self, before: set[bytes]) -> None:
        """Bind all but the names that libraries `before` this one define."""
        own = {
            index: value
            for index, (name, binding, kind, here, value) in enumerate(self.symbols)
            if here and name not in before
            and (kind == FUNCTION or kind == OBJECT and (binding == GLOBAL or name.startswith(ALIKE)))
        }
        dyn, plt = self.of_kind(RELOCATIONS)
        if dyn[4] + dyn[5] != plt[4]:
            sys.exit(f"{self.path}: .rela.plt does not follow .rela.dyn, so that the loader cannot take them for one")
        relative, named = [], []
        for entry in RELOCATION.iter_unpack(self.content(dyn) + self.content(plt)):
            where, kind, symbol, addend = entry
            if kind == RELATIVE:
                relative.append(entry)
            elif kind in (ABSOLUTE, BY_GOT, BY_PLT) and symbol in own:
                relative.append((where, RELATIVE, 0, own[symbol] + (addend if kind == ABSOLUTE else 0)))
            else:
                named.append(entry)
        relative.sort()
        entries = b"".join(RELOCATION.pack(*entry) for entry in relative + named)
        self.bytes[dyn[4]:dyn[4] + len(entries)] = entries
        self.set_tags({SIZE: len(entries), PLT_SIZE: 0, RELATIVE_COUNT: len(relative)})

    def set_tags(self, values: dict[int, int]) -> None:
        (dynamic,) = self.of_kind(DYNAMIC)
        for at in range(dynamic[4], dynamic[4] + dynamic[5], TAG.size):
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
