#!/usr/bin/env python3
"""Random search and tree-structured Parzen estimators: `neural sweep --search random|tpe --trials N` on three sets that
scikit-learn brings. Shows the validation loss of the best of the first trials, and the number of seeds for which tpe
has the lower one; then the best trial's score on rows that no search saw, and the seconds that a search took.

usage: tests/figures/search.py [--binary FILE] [--trials N] [--seeds N] [--only NAME] [--jobs N]
       (cargo build --release first; needs pandas and scikit-learn)

The first ten trials of a seed are the same in both searches.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn import datasets

root = pathlib.Path(__file__).resolve().parent.parent.parent
arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", default=root / "target/release/neural", type=pathlib.Path)
arguments.add_argument("--trials", type=int, default=40)
arguments.add_argument("--seeds", type=int, default=10)
arguments.add_argument("--jobs", default="1")
arguments.add_argument("--only")
arguments = arguments.parse_args()
binary = arguments.binary.resolve()

# For each set: its loader, the outputs, the loss, and the figure of the test rows.
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
    """The lowest validation loss so far after each trial, the best trial's test scores, and the seconds."""
    over = [word for key in OVER for word in ("--over", key)]
    count = ["--trials", str(arguments.trials), "--seed", str(seed), "--jobs", arguments.jobs]
    words = [binary, "sweep", "recipe.toml", "--search", how, *count, *over, "--device", "cpu", "--json"]
    began = time.monotonic()
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    trials = json.loads(done.stdout.splitlines()[-1])["trials"]
    losses = np.full(arguments.trials, np.inf)
    for trial in trials:
        losses[int(re.search(r"(\d+)$", trial["run"])[1]) - 1] = trial["best"]["validation"]["loss"]
    return np.minimum.accumulate(losses), trials[0]["scores"]["test"], time.monotonic() - began


print(f"{arguments.seeds} seeds: medians, and in how many seeds tpe has the lower loss or the higher one")
print(f"{'':14} {'trials':>7} {'random':>10} {'tpe':>10} {'lower':>6} {'higher':>6}")
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
        losses = {how: np.array([one[0] for one in all]) for how, all in found.items()}
        for trials in sorted({n for n in (20, 30, 40, arguments.trials) if n <= arguments.trials}):
            random, tpe = (losses[how][:, trials - 1] for how in ("random", "tpe"))
            print(
                f"{name:14} {trials:7} {np.median(random):10.4f} {np.median(tpe):10.4f} "
                f"{(tpe < random).sum():6} {(tpe > random).sum():6}"
            )
        tests = (f"{how} {statistics.median(one[1][figure] for one in all):.4f}" for how, all in found.items())
        seconds = (f"{how} {statistics.median(one[2] for one in all):.1f}" for how, all in found.items())
        print(f"{'':14} test {figure}: {', '.join(tests)}; seconds: {', '.join(seconds)}", flush=True)
