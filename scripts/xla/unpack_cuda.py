"""Unpack the wheels of requirements-cuda.txt into one folder, as pip would into site-packages.

usage: unpack_cuda.py WHEELS TREE

TREE/jax_plugins  XLA's CUDA plugin, which looks for NVIDIA's libraries in ../../nvidia
TREE/nvidia       NVIDIA's libraries, ptxas and libdevice
TREE/*.dist-info  the version of each package

Headers and static libraries are left out.
"""

import pathlib
import shutil
import sys
import zipfile


def wanted(name: str) -> bool:
    if name.startswith("nvidia/"):
        return "/include/" not in name and not name.endswith((".a", ".h", ".py"))
    return name.startswith("jax_plugins/") or name.endswith(".dist-info/METADATA")


def main() -> None:
    wheels, tree = map(pathlib.Path, sys.argv[1:])
    for wheel in sorted(wheels.glob("*.whl")):
        print(f"       {wheel.name.split('-')[0]}", flush=True)
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if member.is_dir() or not wanted(member.filename):
                    continue
                target = tree / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                # ptxas must stay a program.
                target.chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)


main()
