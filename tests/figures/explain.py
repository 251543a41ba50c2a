#!/usr/bin/env python3
"""Compares `neural explain` with other computations on the same models: partial dependence with scikit-learn's brute
force over the answers of `neural predict`, integrated gradients with the sum of their formula in NumPy, in f64, on the
run's weights.

usage: tests/figures/explain.py [--binary FILE]    (cargo build --release first; needs pandas, scikit-learn and safetensors)
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from sklearn import datasets
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.inspection import partial_dependence
from sklearn.model_selection import train_test_split

root = pathlib.Path(__file__).resolve().parent.parent.parent
arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", default=root / "target/release/neural", type=pathlib.Path)
binary = arguments.parse_args().binary.resolve()

RECIPE = """
data = {{ format = "table", path = "train.csv", test = "test.csv", target = "target", scale = "standardize-features" }}
model.layers = [{{ dense = 8 }}, "tanh", {{ dense = {outputs} }}]
train = {{ loss = "{loss}", optimizer = {{ adam = 0.02 }}, batch_size = 16, epochs = 20 }}
"""


def neural(folder, *words):
    done = subprocess.run([binary, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"neural {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


class Trained(BaseEstimator):
    """The run, as scikit-learn calls a model."""

    def __init__(self, folder=None, classes=None):
        self.folder, self.classes = folder, classes

    def fit(self, x=None, y=None):
        self.fitted_ = True
        self.classes_ = self.classes
        return self

    def answers(self, x):
        x.to_csv(self.folder / "asked.csv", index=False)
        return [json.loads(line) for line in neural(self.folder, "predict", "runs/run", "asked.csv", "--json").splitlines()]


class Classes(ClassifierMixin, Trained):
    def predict_proba(self, x):
        return np.array([[answer["probabilities"][name] for name in self.classes] for answer in self.answers(x)])

    def predict(self, x):
        return np.array(self.classes)[self.predict_proba(x).argmax(1)]


class Values(RegressorMixin, Trained):
    def predict(self, x):
        return np.array([answer["target"] for answer in self.answers(x)])


def attributions(weights, x, baseline, output, steps):
    """By the midpoints of `steps` parts of the path, on a network of two dense layers with tanh between."""
    w1, b1, w2, b2 = (weights[name].astype(np.float64) for name in ("0.weight", "0.bias", "2.weight", "2.bias"))
    mean, deviation = weights["mean"], weights["deviation"]
    points = baseline + (np.arange(steps)[:, None] + 0.5) / steps * (x - baseline)
    hidden = np.tanh((points - mean) / deviation @ w1.T + b1)
    scores = hidden @ w2.T + b2
    if len(b2) > 1:
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        of_scores = p[:, [output]] * (np.eye(len(b2))[output] - p)
    else:
        of_scores = np.ones_like(scores)
    gradients = ((of_scores @ w2) * (1 - hidden**2)) @ w1 / deviation
    return (x - baseline) * gradients.mean(0)


def check(name, data, loss):
    frame = data.frame.copy()
    is_class = loss.startswith("softmax")
    if is_class:
        frame["target"] = [str(data.target_names[i]) for i in data.target]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        train, test = train_test_split(frame, test_size=0.3, random_state=1)
        train.to_csv(folder / "train.csv", index=False)
        test.to_csv(folder / "test.csv", index=False)
        outputs = frame["target"].nunique() if is_class else 1
        (folder / "run.toml").write_text(RECIPE.format(outputs=outputs, loss=loss))
        neural(folder, "train", "run.toml", "--name", "run", "--quiet")
        found = json.loads(neural(folder, "explain", "runs/run", "--method", "gradients", "--samples", "6", "--steps", "300", "--json"))
        neural(folder, "export", "runs/run", "--to", "safetensors")
        path = folder / "runs/run/model.safetensors"
        weights = load_file(path)
        header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
        description = json.loads(header["__metadata__"]["neural.model"])
        columns = [column["name"] for column in description["columns"]]
        for key in ("mean", "deviation"):
            weights[key] = np.array(description["scaling"][key], np.float64)
        classes = description.get("classes")
        off, gap = 0, 0
        baseline = train[columns].to_numpy(np.float64).mean(0)
        for sample in found["samples"]:
            x = test[columns].to_numpy(np.float64)[sample["row"] - len(train)]
            output = classes.index(sample["answer"]) if is_class else 0
            expected = attributions(weights, x, baseline, output, 300)
            parts = {part["column"]: part["part"] for part in sample["columns"]}
            parts = np.array([parts[column] for column in columns])
            scale = max(1.0, np.abs(expected).max())
            off = max(off, np.abs(parts - expected).max() / scale)
            gap = max(gap, abs(parts.sum() - (sample["figure"] - sample["baseline"])) / scale)
        print(f"{name}: integrated gradients off by {off:.1e}, their sum by {gap:.1e} of the difference")
        assert off < 2e-5 and gap < 1e-3, name

        model = (Classes if is_class else Values)(folder, classes).fit()
        explained = json.loads(neural(folder, "explain", "runs/run", "--method", "dependence", "--grid", "12", "--json", *sum((["--column", c] for c in columns[:3]), [])))
        assert explained["rows"] == len(test)
        x = test[columns]
        off = 0
        for one in explained["columns"]:
            theirs = partial_dependence(
                model, x, [one["column"]], grid_resolution=12, method="brute", kind="average", response_method="auto"
            )
            assert np.allclose(theirs["grid_values"][0], one["values"], rtol=1e-6), (one["column"], theirs["grid_values"][0], one["values"])
            means = np.array(one["means"]).T
            scale = max(1.0, np.abs(means).max())
            off = max(off, np.abs(theirs["average"] - means).max() / scale)
        print(f"{name}: partial dependence off by {off:.1e}")
        assert off < 1e-6, name


check("wine", datasets.load_wine(as_frame=True), "softmax-cross-entropy")
check("diabetes", datasets.load_diabetes(as_frame=True), "mean-squared-error")
