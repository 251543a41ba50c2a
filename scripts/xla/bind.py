"""Bind the names that XLA's libraries look up in themselves, which takes the loader a while at every start.

usage: bind.py LIBRARY...

The libraries are given in the order in which the loader searches them. A relocation that names a symbol is rewritten as
one relative to the library if the loader would find that symbol in the library itself: the library defines it, and none
before it does. Data that several files may define, of which a process must have one, is still looked up: inline and static
variables of templates. Functions, virtual tables and type infos are alike wherever they are defined.

The names of functions that are looked up when first called have a table of their own. It is joined with the other, as
most of its entries are relative then.
"""

import struct
import sys
from typing import NamedTuple

from elf import GLOBAL, Library

RELOCATION = struct.Struct("<QIIq")
TAG = struct.Struct("<qQ")
RELOCATIONS, DYNAMIC = 4, 6  # kinds of sections
OBJECT, FUNCTION = 1, 2  # kinds of symbols
PLT_SIZE, TABLE, SIZE, RELATIVE_COUNT = 2, 7, 8, 0x6FFFFFF9  # tags of the dynamic section
ALIKE = (b"_ZTV", b"_ZTT", b"_ZTI", b"_ZTS")


class Kinds(NamedTuple):
    """The kinds of relocations of a machine."""

    absolute: int
    by_got: int
    by_plt: int
    relative: int


KINDS = {62: Kinds(1, 6, 7, 8), 183: Kinds(257, 1025, 1026, 1027)}  # x86-64 and 64-bit Arm


def bind(library: Library, before: set[bytes]) -> None:
    """Bind all but the names that libraries `before` this one define."""
    kinds = KINDS.get(library.machine)
    if kinds is None:
        sys.exit(f"{library.path} is a library for a machine that is not known here ({library.machine})")
    own = {
        number: symbol.value
        for number, symbol in enumerate(library.symbols)
        if symbol.defined and symbol.name not in before
        and (symbol.kind == FUNCTION or symbol.kind == OBJECT
             and (symbol.binding == GLOBAL or symbol.name.startswith(ALIKE)))
    }
    tables = library.of_kind(RELOCATIONS)
    if any(table.end != after.start for table, after in zip(tables, tables[1:])):
        sys.exit(f"{library.path}: its tables of relocations do not lie side by side, so they cannot be made one")
    relative, named = [], []
    for entry in RELOCATION.iter_unpack(b"".join(map(library.content, tables))):
        where, kind, number, addend = entry
        if kind == kinds.relative:
            relative.append(entry)
        elif kind in (kinds.absolute, kinds.by_got, kinds.by_plt) and number in own:
            relative.append((where, kinds.relative, 0, own[number] + (addend if kind == kinds.absolute else 0)))
        else:
            named.append(entry)
    relative.sort()
    entries = b"".join(RELOCATION.pack(*entry) for entry in relative + named)
    library.bytes[tables[0].start:tables[0].start + len(entries)] = entries
    tag(library, {TABLE: tables[0].address, SIZE: len(entries), PLT_SIZE: 0, RELATIVE_COUNT: len(relative)})


def tag(library: Library, values: dict[int, int]) -> None:
    """Set tags of the dynamic section, where it has them."""
    (dynamic,) = library.of_kind(DYNAMIC)
    for at in range(dynamic.start, dynamic.end, TAG.size):
        tag, _ = TAG.unpack_from(library.bytes, at)
        if tag in values:
            TAG.pack_into(library.bytes, at, tag, values[tag])


def main() -> None:
    before: set[bytes] = set()
    for path in sys.argv[1:]:
        library = Library(path)
        defined = library.defined()
        bind(library, before)
        before |= defined


main()
