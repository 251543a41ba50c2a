"""The common parts of the peers in Python: the command line, the data, and the output.

usage: job.py FOLDER    writes the rows of the job `table` there
"""

import argparse
import gzip
import json
import pathlib
import sys
from dataclasses import dataclass

import numpy as np


@dataclass
class Rows:
    inputs: np.ndarray
    labels: np.ndarray


@dataclass
class Job:
    name: str
    variant: str
    epochs: int
    batch: int
    width: int
    kernel: int
    stride: int
    train: Rows
    test: Rows

    @property
    def steps(self) -> int:
        return -(-len(self.train.labels) // self.batch)

    @property
    def flat(self) -> int:
        """The numbers left of an image after the two convolutions, each with its pool."""
        side = ((28 - self.kernel) // self.stride + 1) // 2
        return 2 * self.width * ((side - self.kernel + 1) // 2) ** 2

    def report(self, version: str, epoch_s: list[float], accuracy: float) -> None:
        print(json.dumps({"version": version, "epoch_s": epoch_s, "steps": self.steps, "accuracy": accuracy}))


def parse(variants: list[str]) -> Job:
    """The job that the command line asks for. Images are [n, height, width, channels]."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["mlp", "cnn", "table"])
    parser.add_argument("--variant", choices=variants, default=variants[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="the folder of the data")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, help="steps in an epoch, instead of one pass over all rows")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--width", type=int, help="units of the first dense layer, filters of the first convolution")
    parser.add_argument("--kernel", type=int, default=3, help="of both convolutions")
    parser.add_argument("--stride", type=int, default=1, help="of the first convolution")
    parser.add_argument("--channels", type=int, default=1, help="copies of the image, one beside the other")
    a = parser.parse_args()
    batch = a.batch or (512 if a.name == "table" else 256)
    width = a.width or (32 if a.name == "cnn" else 128)
    train, test = table(a.data) if a.name == "table" else digits(a.data, a.channels)
    if a.steps:
        train = Rows(train.inputs[: a.steps * batch], train.labels[: a.steps * batch])
    return Job(a.name, a.variant, a.epochs, batch, width, a.kernel, a.stride, train, test)


def digits(folder: pathlib.Path, channels: int) -> tuple[Rows, Rows]:
    """MNIST, standardized by the mean and the deviation of all its training pixels."""

    def read(name: str, header: int) -> np.ndarray:
        return np.frombuffer(gzip.open(folder / name).read(), np.uint8, offset=header)

    train, test = (read(f"{part}-images-idx3-ubyte.gz", 16) for part in ("train", "t10k"))
    labels = (read(f"{part}-labels-idx1-ubyte.gz", 8) for part in ("train", "t10k"))
    mean, deviation = train.mean(), train.std()

    def images(pixels: np.ndarray) -> np.ndarray:
        scaled = (pixels.astype(np.float32) - np.float32(mean)) / np.float32(deviation)
        return np.repeat(scaled.reshape(-1, 28, 28, 1), channels, axis=3)

    return tuple(Rows(images(x), y.astype(np.int32)) for x, y in zip((train, test), labels))


def table(folder: pathlib.Path) -> tuple[Rows, Rows]:
    read = lambda part: Rows(np.load(folder / f"{part}_inputs.npy"), np.load(folder / f"{part}_labels.npy"))
    return read("train"), read("test")


def write_table(folder: pathlib.Path) -> None:
    """Rows of 32 normal numbers; a random network with one hidden layer says which of 5 classes each is of."""
    random = np.random.default_rng(1)
    hidden, output = random.normal(size=(32, 16)) / 4, random.normal(size=(16, 5))
    for part, rows in (("train", 200_000), ("test", 20_000)):
        inputs = random.normal(size=(rows, 32)).astype(np.float32)
        labels = (np.tanh(inputs @ hidden) @ output).argmax(axis=1).astype(np.int32)
        np.save(folder / f"{part}_inputs.npy", inputs)
        np.save(folder / f"{part}_labels.npy", labels)


if __name__ == "__main__":
    write_table(pathlib.Path(sys.argv[1]))
