"""Collects golden values and writes them: one `FAMILY.safetensors` and `FAMILY.json` a family."""

import json
import platform
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save

PACKAGES = ["torch", "jax", "jaxlib", "optax", "numpy", "safetensors"]


def generator(*names):
    """A separate random generator for each case, so that adding one leaves the others unchanged."""
    return np.random.default_rng(zlib.crc32("/".join(names).encode()))


def normal(rng, *shape, scale=1.0):
    """Normal values that float32 holds exactly, so that a float32 engine starts from the same numbers."""
    return (scale * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)


def leaf(array):
    """A float64 tensor that collects its gradient."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


class Family:
    """The cases of one family and their tensors, named `<case>/<what>`."""

    def __init__(self, name, real=np.float64):
        self.name = name
        self.real = real
        self.cases = []
        self.tensors = {}

    def add(self, case, config, tensors, **extra):
        assert all(known["name"] != case for known in self.cases), f"{case} is there already"
        self.cases.append({"name": case, "config": config, **extra})
        for what, value in tensors.items():
            if isinstance(value, torch.Tensor):
                value = value.detach().numpy()
            value = np.asarray(value)
            kind = np.int32 if np.issubdtype(value.dtype, np.integer) else self.real
            assert np.isfinite(value).all(), f"{case}/{what} is not finite"
            self.tensors[f"{case}/{what}"] = np.array(value, dtype=kind, order="C")

    def write(self, folder: Path):
        (folder / f"{self.name}.safetensors").write_bytes(save(self.tensors))
        versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
        cases = ",\n".join("    " + json.dumps(case) for case in self.cases)
        text = f'{{\n  "versions": {json.dumps(versions)},\n  "cases": [\n{cases}\n  ]\n}}\n'
        (folder / f"{self.name}.json").write_text(text)

    def check(self, folder: Path):
        """Reads both files back and compares them with the values written."""
        read = load_file(folder / f"{self.name}.safetensors")
        assert read.keys() == self.tensors.keys()
        for name, value in self.tensors.items():
            assert read[name].dtype == value.dtype and np.array_equal(read[name], value), name
        assert json.loads((folder / f"{self.name}.json").read_text())["cases"] == self.cases
