"""Check that XLA has the functions whose place the glue takes; the glue would be called by nobody otherwise.

usage: replaced.py NAMES GLUE LIBRARY...

NAMES is a file with a name a line, as the linker has it; # begins a comment. GLUE and one of the libraries must each define
it.
"""

import sys

from elf import Library


def main() -> None:
    names, glue, *libraries = sys.argv[1:]
    with open(names, "rb") as file:
        meant = {line.strip() for line in file if line.strip() and not line.startswith(b"#")}
    theirs = set().union(*(Library(path).defined() for path in libraries))
    for where, defined in [(glue, Library(glue).defined()), (libraries[0], theirs)]:
        missing = sorted(name.decode() for name in meant - defined)
        if missing:
            sys.exit(f"{where} has no {', '.join(missing)}: another XLA than the glue was written for")


main()
