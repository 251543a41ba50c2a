#!/usr/bin/env python3
"""Trains on public data sets and computes every figure of `neural evaluate` again in scikit-learn, from the probabilities
or values that `neural predict` gives for the same rows. Prints a table, and fails where two differ by more than 1e-5.

usage: tests/figures/check.py [BINARY]      (cargo build --release first; needs NumPy and scikit-learn)
"""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import sklearn.metrics as sk
from sklearn import datasets
from sklearn.model_selection import train_test_split

root = pathlib.Path(__file__).resolve().parent.parent.parent
binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else root / "target/release/neural").resolve()
sys.path.insert(0, str(root / "tests/golden"))
import metrics as reference  # noqa: E402  (its functions only; it needs no PyTorch then)

TOLERANCE = 1e-5
RECIPE = """
[data]
format = "{format}"
path = "train.{ending}"
validation_fraction = 0.2
scale = "standardize-features"
{data}
[model]
layers = [{{ dense = 16 }}, "relu", {{ dense = {outputs} }}]

[train]
loss = "{loss}"
optimizer = {{ adam = {{ learning_rate = 0.01 }} }}
batch_size = 32
epochs = {epochs}
"""


def neural(folder, *arguments):
    done = subprocess.run([binary, *arguments, "--device", "cpu"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"neural {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def table(path, x, y):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"x{i}" for i in range(x.shape[1])] + ["target"])
        writer.writerows([*map(repr, row.tolist()), target] for row, target in zip(x, y.tolist()))


def run(name, x, y, loss, outputs, epochs, names=None, fraction=0.3):
    """The figures of evaluate for rows that were not trained on, and the answers of predict for them, with their
    targets."""
    halves = train_test_split(x.astype(np.float32), y, test_size=fraction, random_state=1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        is_table = y.ndim == 1
        for part, inputs, targets in [("train", halves[0], halves[2]), ("test", halves[1], halves[3])]:
            if is_table:
                table(folder / f"{part}.csv", inputs, np.array(names)[targets] if names else targets)
            else:
                np.savez(folder / f"{part}.npz", x=inputs, y=targets.astype(np.float32))
                np.save(folder / f"{part}.npy", inputs)
        form = dict(format="table", ending="csv", data='target = "target"') if is_table else dict(format="npy", ending="npz", data="")
        (folder / "r.toml").write_text(RECIPE.format(loss=loss, outputs=outputs, epochs=epochs, **form))
        neural(folder, "train", "r.toml", "--name", "run", "--quiet")
        ending = form["ending"]
        said = json.loads(neural(folder, "evaluate", "runs/run", "--data", f"test.{ending}", "--json"))
        rows = neural(folder, "predict", "runs/run", "test.csv" if is_table else "test.npy", "--json").splitlines()
    rows = [json.loads(row) for row in rows]
    if names:
        given = np.array([[row["probabilities"][name] for name in names] for row in rows])
    else:
        # The answer is named after its target: a table's column, or the array y.
        given = np.array([row.get("target", row.get("y")) for row in rows], dtype=float).reshape(len(rows), -1)
    return said, given, halves[3]


def check(name, said, expected):
    """Prints a line a figure, and returns the max error."""
    worst = 0.0
    for figure, value in expected.items():
        if figure == "top-2-accuracy":
            continue
        got = said[figure]
        difference = abs(got - value) / max(1.0, abs(value))
        worst = max(worst, difference)
        print(f"{name:<16}{figure:<24}{got:>16.9f}{value:>16.9f}{difference:>12.1e}")
    return worst


def main():
    print(f"{'data set':<16}{'figure':<24}{'neural':>16}{'scikit-learn':>16}{'difference':>12}")
    worst = 0.0
    softmax = "softmax-cross-entropy"
    for name, load, epochs in [
        ("breast cancer", datasets.load_breast_cancer, 15),
        ("wine", datasets.load_wine, 15),
        ("digits", datasets.load_digits, 15),
    ]:
        data = load()
        # Classes are numbered in the order of their names.
        names = sorted(f"c{target}" for target in data.target_names)
        order = {f"c{target}": names.index(f"c{target}") for target in data.target_names}
        y = np.array([order[f"c{data.target_names[target]}"] for target in data.target])
        said, p, truth = run(name, data.data, y, softmax, len(names), epochs, names)
        worst = max(worst, check(name, said, reference.classes(truth, p / p.sum(1, keepdims=True))))

    for name, load, epochs in [("diabetes", datasets.load_diabetes, 60), ("linnerud", datasets.load_linnerud, 200)]:
        data = load()
        y = data.target.astype(np.float32)
        said, outputs, truth = run(name, data.data, y, "mean-squared-error", 1 if y.ndim == 1 else y.shape[1], epochs)
        truth = truth.reshape(len(truth), -1).astype(float)
        worst = max(worst, check(name, said, reference.values(truth, outputs)))
        for output, each in enumerate(said["outputs"]):
            expected = sk.r2_score(truth[:, output], outputs[:, output])
            worst = max(worst, check(f"{name} {output}", {"r2": each["r2"]}, {"r2": expected}))

    x, y = datasets.make_multilabel_classification(500, n_features=20, n_classes=5, n_labels=2, random_state=3)
    said, p, truth = run("multilabel", x, y, "sigmoid-cross-entropy", 5, 20)
    worst = max(worst, check("multilabel", said, reference.several(truth.astype(int), p, 0.5)))
    print(f"\nlargest difference {worst:.1e}")
    sys.exit(worst > TOLERANCE)


main()
