#!/usr/bin/env python3
"""Random search and tree-structured Parzen estimators at equal time: `neural sweep --search random|tpe --hours H` on three sets
that scikit-learn brings. Shows the validation loss of the best trial of each, over several seeds, and what the best trial
reaches on rows that no search saw.

usage: tests/figures/search.py [--binary FILE] [--seconds N] [--seeds N] [--only NAME] [--jobs N]
       (cargo build --release first; needs pandas and scikit-learn)

The two searches of a seed run one after the other, each in its turn first.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
from sklearn import datasets

root = pathlib.Path(__file__).resolve().parent.parent.parent
arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", default=root / "target/release/neural", type=pathlib.Path)
arguments.add_argument("--seconds", type=float, default=60)
arguments.add_argument("--seeds", type=int, default=5)
arguments.add_argument("--jobs", default="1")
arguments.add_argument("--only")
arguments = arguments.parse_args()
binary = arguments.binary.resolve()

# Of each set: its loader, the outputs, the loss, and the figure of the test rows.
SETS = {
    "digits": (datasets.load_digits, 10, "softmax-cross-entropy", "accuracy"),
    "breast cancer": (datasets.load_breast_cancer, 2, "softmax-cross-entropy", "accuracy"),
    "diabetes": (datasets.load_diabetes, 1, "mean-squared-error", "r2"),
}
OVER = [
    "train.optimizer.adamw.learning_rate=1e-6..1",
    "train.optimizer.adamw.weight_decay=1e-6..10",
    "train.optimizer.adamw.beta1=0..0.99",
    "model.layers.1=relu,tanh,sigmoid",
]


def recipe(path, outputs, loss):
    scale = 'scale_target = "standardize"' if outputs == 1 else ""
    return f"""
[data]
format = "table"
path = "{path}"
target = "target"
test_fraction = 0.25
validation_fraction = 0.25
scale = "standardize-features"
{scale}

[model]
layers = [{{ dense = 32 }}, "relu", {{ dense = {outputs} }}]

[train]
loss = "{loss}"
optimizer = {{ adamw = {{ learning_rate = 0.001 }} }}
batch_size = 32
epochs = 10
"""


def search(folder, how, seed):
    """The validation loss of the best trial, its test scores, and how many trials there were."""
    over = [word for key in OVER for word in ("--over", key)]
    hours = ["--hours", str(arguments.seconds / 3600), "--seed", str(seed), "--jobs", arguments.jobs]
    words = [binary, "sweep", "recipe.toml", "--search", how, *hours, *over, "--device", "cpu", "--json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    trials = json.loads(done.stdout.splitlines()[-1])["trials"]
    best = trials[0]
    return best["best"]["validation"]["loss"], best["scores"]["test"], len(trials)


print(f"{arguments.seconds:g} s a search, {arguments.seeds} seeds: medians, and in how many seeds tpe has the lower loss")
print(f"{'':14} {'random':>10} {'tpe':>10} {'tpe lower':>10}   {'test, random':>12} {'test, tpe':>10}   trials")
for name, (load, outputs, loss, figure) in SETS.items():
    if arguments.only not in (None, name):
        continue
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        frame = load(as_frame=True).frame
        if outputs > 1:
            frame["target"] = frame["target"].map(lambda label: f"class {label}")
        frame.to_csv(folder / "data.csv", index=False)
        (folder / "recipe.toml").write_text(recipe("data.csv", outputs, loss))
        found = {"random": [], "tpe": []}
        for seed in range(1, arguments.seeds + 1):
            for how in ["random", "tpe"] if seed % 2 else ["tpe", "random"]:
                found[how].append(search(folder, how, seed))
        losses = {how: [one[0] for one in all] for how, all in found.items()}
        tests = {how: statistics.median(one[1][figure] for one in all) for how, all in found.items()}
        lower = int(np.sum(np.array(losses["tpe"]) < np.array(losses["random"])))
        medians = {how: statistics.median(values) for how, values in losses.items()}
        trials = " ".join(f"{how} {min(t[2] for t in all)}-{max(t[2] for t in all)}" for how, all in found.items())
        print(
            f"{name:14} {medians['random']:10.4f} {medians['tpe']:10.4f} {lower:7} of {arguments.seeds}"
            f"   {tests['random']:12.4f} {tests['tpe']:10.4f}   {trials}",
            flush=True,
        )
