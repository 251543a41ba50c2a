"""The common parts of tests/kill.py and tests/power.py: a small run with everything that a checkpoint can hold, and the
results that are the same for two runs that went the same way."""

import json
import pathlib
import random

RECIPE = """
[data]
format = "table"
path = "{table}"
validation_fraction = 0.2
scale = "standardize-features"

[model]
layers = [{{ dense = 16 }}, "batch-norm", "tanh", {{ dropout = 0.2 }}, {{ dense = 2 }}]

[train]
loss = "softmax-cross-entropy"
optimizer = {{ adam = {{ learning_rate = 0.001 }} }}
batch_size = 32
epochs = {epochs}
steps_per_call = 7
checkpoint_seconds = 0.02
keep_checkpoints = 3
"""


def write(folder: pathlib.Path, epochs: int) -> pathlib.Path:
    """Writes a recipe and its data, points within and without a circle; returns the recipe's path."""
    rows = [(random.gauss(0, 1), random.gauss(0, 1)) for _ in range(500)]
    table, recipe = folder / "table.csv", folder / "circle.toml"
    table.write_text("x,y,class\n" + "".join(f"{x},{y},{'in' if x * x + y * y < 1 else 'out'}\n" for x, y in rows))
    recipe.write_text(RECIPE.format(table=table, epochs=epochs))
    return recipe


def tensors(path: pathlib.Path) -> dict:
    """The tensors of a safetensors file, except the epochs, which hold times."""
    contents = path.read_bytes()
    length = int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8 : 8 + length])
    data = contents[8 + length :]
    names = header.keys() - {"__metadata__", "neural.history"}
    return {name: data[slice(*header[name]["data_offsets"])] for name in names}


def outcome(run: pathlib.Path) -> tuple:
    """The results of a run: its epochs without their times and memory, as lines and as a table, and the tensors of
    its checkpoints."""
    lines = run.joinpath("history.jsonl").read_text().splitlines()
    epochs = [{k: v for k, v in json.loads(line).items() if "second" not in k and k != "peak_memory"} for line in lines]
    rows = len(run.joinpath("history.csv").read_text().splitlines())
    return epochs, rows, {path.name: tensors(path) for path in run.glob("*.safetensors")}
