"""Milliseconds a training step in PyTorch, as its tutorials write it: eager, f32, channels first.

usage: pytorch.py mlp|cnn [BATCH]
"""

import json
import sys
import time

import torch
from torch import nn

job, batch = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 256
torch.manual_seed(0)
if job == "mlp":
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.Sigmoid(), nn.Linear(128, 10))
else:
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10),
    )
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
loss = nn.CrossEntropyLoss()
images = torch.randn(8 * batch, 1, 28, 28)
labels = torch.randint(0, 10, (8 * batch,))


def steps(count: int) -> float:
    """The mean milliseconds of `count` steps."""
    started = time.perf_counter()
    for step in range(count):
        at = step % 8 * batch
        optimizer.zero_grad()
        loss(model(images[at : at + batch]), labels[at : at + batch]).backward()
        optimizer.step()
    return (time.perf_counter() - started) * 1e3 / count


steps(16)
print(json.dumps({"ms": [steps(8) for _ in range(10)]}))
