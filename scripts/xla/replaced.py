"""Check that XLA has the functions that the glue replaces; otherwise nobody would call the glue.

usage: replaced.py NAMES GLUE LIBRARY...

NAMES is a file with one prefix of a mangled name a line; # begins a comment. GLUE must define a function with each prefix, and
one of the libraries must define the same function.
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
