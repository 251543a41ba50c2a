"""Check that XLA has the functions whose place the glue takes; the glue would be called by nobody otherwise.

usage: replaced.py NAMES GLUE LIBRARY...

NAMES is a file with the beginning of a name a line, as the linker has it; # begins a comment. GLUE must define a function of
each, and one of the libraries the same one.
"""

import sys

from elf import Library


def main() -> None:
    names, glue, *libraries = sys.argv[1:]
    with open(names, "rb") as file:
        beginnings = [line.strip() for line in file if line.strip() and not line.startswith(b"#")]
    ours = Library(glue).defined()
    theirs = set().union(*(Library(path).defined() for path in libraries))
    for beginning in beginnings:
        taken = {name for name in ours if name.startswith(beginning)}
        if not taken:
            sys.exit(f"{glue} has no {beginning.decode()}")
        missing = sorted(name.decode() for name in taken - theirs)
        if missing:
            sys.exit(f"{libraries[0]} has no {', '.join(missing)}: another XLA than the glue was written for")


main()
