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

LIBRARIES = [
    f"tensorflow/libtensorflow_{part}.{ending}" for part in ("cc", "framework") for ending in ("so.2", "2.dylib")
]
INCLUDE = "tensorflow/include/"
# Header roots of XLA's own dependencies: each is merged into include/.
ROOTS = [
    "external/highwayhash/",
    "external/farmhash_archive/src/",
    "external/llvm-project/mlir/include/",
    "external/com_github_grpc_grpc/include/",
]
# Parts of the wheel that the crate never includes.
UNUSED = ("external/", "tensorflow/", "xla/mlir_hlo/")
# The parts of LLVM and MLIR that it includes; most of the rest is dialects and code generators.
INCLUDED = {
    "llvm": {"ADT", "Config", "Support"},
    "mlir": {"Bytecode", "IR", "Interfaces", "Support"},
}
# The crate's one C++ file includes these, and the glue the first two. They need at most one declaration from each. Laid out
# short, they save almost half of the time that the crate's file takes to compile, and a third of the glue's.
SHORTENED = {
    "xla/service/buffer_assignment.h": """
namespace xla {
class BufferAllocation;
}
""",
    "xla/service/compiler.h": """
#include "xla/service/gpu_topology.h"
""",
    "xla/client/client_library.h": "",
    "xla/pjrt/gpu/gpu_helpers.h": "",
    "xla/pjrt/pjrt_stream_executor_client.h": "",
    "xla/pjrt/gpu/se_gpu_pjrt_client.h": """
#include "xla/pjrt/pjrt_client.h"
#include "xla/pjrt/plugin/xla_gpu/xla_gpu_client_options.h"

namespace xla {
absl::StatusOr<std::unique_ptr<PjRtClient>> GetStreamExecutorGpuClient(const GpuClientOptions& options);
}
""",
}


def header(path: str) -> str:
    """Where a header of the XLA wheel belongs below include/."""
    for root in ROOTS:
        if path.startswith(root):
            return path[len(root):]
    return path


def included(path: str) -> str | None:
    """Where a header lies in the tree, if it is needed."""
    if path.startswith(UNUSED):
        return None
    library, _, rest = path.partition("/")
    if library in INCLUDED and rest.partition("/")[0] not in INCLUDED[library]:
        return None
    return "include/" + path


def place_xla(name: str) -> str | None:
    if name in LIBRARIES:
        return "lib/" + name.rpartition("/")[2]
    return included(header(name[len(INCLUDE):])) if name.startswith(INCLUDE) else None


def place_llvm(name: str) -> str | None:
    return included(name[len("llvm/include/"):]) if name.startswith("llvm/include/") else None


def place_clang(name: str) -> str | None:
    _, native, library = name.rpartition("/native/")
    return "clang/" + library if native and library in ("libclang.so", "libclang.dylib") else None


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
    for path, text in SHORTENED.items():
        (tree / "include" / path).write_text("#pragma once\n" + text)


main()
