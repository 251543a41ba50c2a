#!/usr/bin/env python3
"""Trains a small network for 2,000 epochs and watches the memory of the process: after the first 100 epochs it may not
grow by more than 5 %.

usage: tests/soak.py [--epochs N] [PATH-OF-NEURAL]      (cargo build --release first; Linux)
"""

import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parent.parent

RECIPE = """
[data]
format = "table"
path = "{table}"
validation_fraction = 0.2
scale = "standardize-features"

[model]
layers = [{{ dense = 16 }}, "tanh", {{ dense = 2 }}]

[train]
loss = "softmax-cross-entropy"
optimizer = {{ adam = {{ learning_rate = 0.001 }} }}
batch_size = 32
checkpoint_seconds = 1
"""


def anonymous_memory(pid: int) -> int:
    """Kilobytes of memory that belong to no file."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status).group(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("neural", nargs="?", default=str(root / "target/release/neural"))
    parser.add_argument("--epochs", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table, recipe = pathlib.Path(folder, "table.csv"), pathlib.Path(folder, "soak.toml")
        rows = [(random.gauss(0, 1), random.gauss(0, 1)) for _ in range(1000)]
        table.write_text("x,y,class\n" + "".join(f"{x},{y},{'in' if x * x + y * y < 1 else 'out'}\n" for x, y in rows))
        recipe.write_text(RECIPE.format(table=table))
        command = [arguments.neural, "train", str(recipe), "--runs", folder, "--epochs", str(arguments.epochs), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        memory = []
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "epoch":
                memory.append(anonymous_memory(process.pid))
        if process.wait() != 0 or len(memory) != arguments.epochs:
            sys.exit(f"the run ended with code {process.returncode} after {len(memory)} epochs")
    settled = memory[min(100, len(memory) // 2)]
    worst = max(memory[min(100, len(memory) // 2):])
    print(f"{len(memory)} epochs, {settled} kB after the first 100, at most {worst} kB later: {worst / settled - 1:+.2%}")
    if worst > 1.05 * settled:
        sys.exit("the memory grew by more than 5 %")


main()
