"""Generates the golden files beside it from PyTorch, JAX and optax; see README.md."""

from pathlib import Path

import jax
import torch

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")
torch.set_num_threads(1)

import cnn
import layers
import metrics
import mixed
import optimizers
import pointwise
import positions
import schedules
import sequences

FAMILIES = [
    layers.family,
    pointwise.activations,
    pointwise.losses,
    positions.family,
    optimizers.family,
    schedules.family,
    cnn.family,
    metrics.family,
    mixed.family,
    sequences.family,
]

if __name__ == "__main__":
    folder = Path(__file__).parent
    for build in FAMILIES:
        family = build()
        family.write(folder)
        family.check(folder)
        size = (folder / f"{family.name}.safetensors").stat().st_size
        print(
            f"{family.name}: {len(family.cases)} cases, {len(family.tensors)} tensors, {size / 1024:.0f} KiB"
        )
