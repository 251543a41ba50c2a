"""The losses of the original's `multi_digit` in float64: gradient descent from zero weights over all images at once.

usage: multi_digit.py FOLDER_OF_MNIST > multi_digit.txt
"""

import gzip
import pathlib
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])


def read(name: str, offset: int) -> np.ndarray:
    return np.frombuffer(gzip.open(folder / f"{name}.gz").read(), np.uint8, offset=offset)


pixels = read("train-images-idx3-ubyte", 16).reshape(60000, 784).astype(np.float64)
x = np.hstack([np.ones((60000, 1)), pixels])
y = np.eye(10)[read("train-labels-idx1-ubyte", 8)]
w = np.zeros((785, 10))
for _ in range(200):
    z = x @ w
    print(f"{(np.logaddexp(0, z) - y * z).sum() / len(x):.12f}")
    w -= 1e-5 * (x.T @ (1 / (1 + np.exp(-z)) - y)) / len(x)
