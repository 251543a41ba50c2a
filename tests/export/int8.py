#!/usr/bin/env python3
"""Trains a dense and a convolutional network on the digits, exports each as ONNX in f32 and in eight bits, and compares their
accuracy over the 10,000 test images in onnxruntime, and their sizes. Fails where eight bits lose more than 0.5 %, or take
more than 0.3 of the size.

usage: tests/export/int8.py [--binary FILE] [--epochs N]
       (cargo build --release first; needs numpy, onnx and onnxruntime)
"""

import argparse
import gzip
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime

root = pathlib.Path(__file__).resolve().parent.parent.parent
arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", default=root / "target/release/neural", type=pathlib.Path)
arguments.add_argument("--epochs", default=2, type=int)
arguments = arguments.parse_args()
binary = arguments.binary.resolve()

CNN = """
data = { format = "idx", path = "%s", validation = "half-of-test", scale = "standardize" }
model.layers = [
  { conv = { filters = 16, kernel = [3, 3], padding = "same", bias = false } }, "batch-norm", "relu", { max-pool = [2, 2] },
  { residual = { layers = [{ conv = { filters = 16, kernel = [3, 3], padding = "same" } }, "relu"] } },
  { depthwise-conv = { kernel = [3, 3], padding = "same" } }, "batch-norm", "relu", { max-pool = [2, 2] },
  "flatten", { dense = 128 }, "relu", { dense = 10 },
]
train = { loss = "softmax-cross-entropy", optimizer = { adam = 0.002 }, batch_size = 256, epochs = 2 }
"""


def neural(folder, *words):
    done = subprocess.run([binary, *map(str, words)], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"neural {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def digits():
    def read(name, skipped):
        return np.frombuffer(gzip.open(root / f"data/mnist/t10k-{name}-ubyte.gz").read(), np.uint8)[skipped:]

    return read("images-idx3", 16).reshape(-1, 28, 28, 1), read("labels-idx1", 8)


def accuracy(path, images, labels):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    began = time.time()
    right = session.run(["output"], {"input": images})[0].argmax(1) == labels
    return right.mean(), time.time() - began


failed = False
images, labels = digits()
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "cnn.toml").write_text(CNN % (root / "data/mnist"))
    for name, recipe in [("dense", root / "scripts/recipes/mnist.toml"), ("cnn", folder / "cnn.toml")]:
        neural(folder, "train", recipe, "--name", name, "--epochs", arguments.epochs, "--quiet")
        files = [folder / "runs" / name / file for file in ("model.onnx", "model-int8.onnx")]
        neural(folder, "export", f"runs/{name}", "--to", "onnx")
        print(neural(folder, "export", f"runs/{name}", "--to", "onnx", "--int8").replace(str(folder), ""), end="")
        (f32, slow), (int8, fast) = (accuracy(file, images, labels) for file in files)
        part = files[1].stat().st_size / files[0].stat().st_size
        print(f"{name}: f32 {f32:.2%}, int8 {int8:.2%}, {part:.3f} of the size, {fast / slow:.2f} of the time")
        failed |= f32 - int8 > 0.005 or part > 0.3
sys.exit(failed)
