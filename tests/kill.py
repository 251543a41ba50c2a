#!/usr/bin/env python3
"""Kills a training run (SIGKILL) at random moments, resumes it each time, and compares what it ends with to a run that
was never killed: history and weights must be the same to the last bit.

usage: tests/kill.py [--kills N] [--seed N] [PATH-OF-NEURAL]      (cargo build --release first; Linux)
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parent.parent

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
"""


def history(folder: pathlib.Path) -> list:
    """The epochs without their times."""
    lines = folder.joinpath("history.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if "second" not in k} for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("neural", nargs="?", default=str(root / "target/release/neural"))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2000, help="epochs of a run; each is killed again and again until it ends")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        table, recipe = folder / "table.csv", folder / "kill.toml"
        rows = [(random.gauss(0, 1), random.gauss(0, 1)) for _ in range(500)]
        table.write_text("x,y,class\n" + "".join(f"{x},{y},{'in' if x * x + y * y < 1 else 'out'}\n" for x, y in rows))
        recipe.write_text(RECIPE.format(table=table, epochs=arguments.epochs))

        def start(name: str) -> list:
            if folder.joinpath(name, "recipe.toml").exists():
                return [arguments.neural, "train", "--resume", str(folder / name), "--quiet"]
            return [arguments.neural, "train", str(recipe), "--runs", temporary, "--name", name, "--quiet"]

        began = time.monotonic()
        subprocess.run(start("whole"), check=True, stdout=subprocess.DEVNULL)
        lasted = time.monotonic() - began
        kills, runs = 0, 0
        while kills < arguments.kills:
            runs += 1
            name = f"killed-{runs}"
            patience = lasted / 2
            while True:
                process = subprocess.Popen(start(name), stdout=subprocess.DEVNULL, start_new_session=True)
                try:
                    code = process.wait(timeout=random.uniform(0.0, patience))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                    # On a machine that has become slower no try would get anywhere.
                    patience *= 1.1
            if code != 0:
                sys.exit(f"{name} ended with code {code} after {kills} kills")
            same = folder.joinpath("whole/last.safetensors").read_bytes() == (folder / name / "last.safetensors").read_bytes()
            if not same or history(folder / "whole") != history(folder / name):
                sys.exit(f"{name} is not the run that was never killed")
            print(f"{kills} kills, {runs} runs, every one ended with the same bits", flush=True)


main()
