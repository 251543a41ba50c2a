"""Lay the wheels of requirements.txt out as the folder that the `xla` crate expects.

usage: unpack.py WHEELS TREE

TREE/include  XLA's headers and those of everything they include, merged into one root
TREE/lib      XLA's two libraries
TREE/clang    libclang for bindgen
"""

import pathlib
import shutil
import sys
import zipfile

INCLUDE = "tensorflow/include/"
# Header roots of XLA's own dependencies: each is merged into include/.
ROOTS = [
    "external/highwayhash/",
    "external/farmhash_archive/src/",
    "external/llvm-project/mlir/include/",
    "external/com_github_grpc_grpc/include/",
]
STABLEHLO = "external/stablehlo/_virtual_includes/"
# Parts of the wheel that the crate never includes.
UNUSED = ("external/", "tensorflow/")


def header(name: str) -> str | None:
    """Where a member of the XLA wheel belongs below include/, if anywhere."""
    if not name.startswith(INCLUDE):
        return None
    path = name[len(INCLUDE):]
    for root in ROOTS:
        if path.startswith(root):
            return path[len(root):]
    if path.startswith(STABLEHLO):
        return path[len(STABLEHLO):].partition("/")[2]
    return None if path.startswith(UNUSED) else path


def place_xla(name: str) -> str | None:
    if name in ("tensorflow/libtensorflow_cc.so.2", "tensorflow/libtensorflow_framework.so.2"):
        return "lib/" + name.rpartition("/")[2]
    path = header(name)
    return path and "include/" + path


def place_llvm(name: str) -> str | None:
    return name[len("llvm/"):] if name.startswith("llvm/include/") else None


def place_clang(name: str) -> str | None:
    return "clang/libclang.so" if name.endswith("/native/libclang.so") else None


def unpack(wheel: pathlib.Path, tree: pathlib.Path, place) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = place(member.filename)
            if not path or member.is_dir():
                continue
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def main() -> None:
    wheels, tree = map(pathlib.Path, sys.argv[1:])
    for pattern, place in [
        ("tensorflow*-*.whl", place_xla),
        ("xtc_llvm_dev-*.whl", place_llvm),
        ("libclang-*.whl", place_clang),
    ]:
        unpack(next(wheels.glob(pattern)), tree, place)


main()
