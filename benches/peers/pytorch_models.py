"""The models of benches/models in PyTorch, as its documentation writes them: eager, with channels last (pictures only;
others stay eager), and under torch.compile. Prints the seconds of each epoch as JSON.

usage: pytorch_models.py MODEL FOLDER VARIANT EPOCHS BATCH
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

name, folder, variant, epochs, batch = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
torch.manual_seed(1)


def conv(channels: int, filters: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(filters)]


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


class Block(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.layers = nn.Sequential(*conv(channels, filters, 3, stride), nn.ReLU(), *conv(filters, filters))
        same = stride == 1 and channels == filters
        self.shortcut = nn.Identity() if same else nn.Sequential(*conv(channels, filters, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.layers(x) + self.shortcut(x))


def resnet(widths: list[int]) -> nn.Module:
    layers, channels = [*conv(3, widths[0]), nn.ReLU()], widths[0]
    for stage, width in enumerate(widths):
        layers += [Block(channels, width, 2 if stage else 1), Block(width, width, 1)]
        channels = width
    return nn.Sequential(*layers, *head(channels))


def depthwise() -> nn.Module:
    layers = [*conv(3, 32), nn.ReLU()]
    for channels, filters, stride in [(32, 64, 1), (64, 128, 2), (128, 128, 1)]:
        layers += [*conv(channels, channels, 3, stride, channels), nn.ReLU(), *conv(channels, filters, 1), nn.ReLU()]
    return nn.Sequential(*layers, *head(128))


def grouped() -> nn.Module:
    parts = [conv(3, 32), conv(32, 64, 3, 1, 4), conv(64, 64, 3, 2, 4)]
    return nn.Sequential(*(layer for part in parts for layer in [*part, nn.ReLU()]), *head(64))


def conv1d() -> nn.Module:
    layers, channels = [], 16
    for filters, dilation in [(64, 1), (64, 2), (128, 4), (128, 8)]:
        layers += [nn.Conv1d(channels, filters, 5, dilation=dilation, padding=2 * dilation), nn.ReLU()]
        channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(channels, 10))


def autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 3, 4, 2, 1),
    )


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10)
    )


MODELS = {
    "depthwise": depthwise, "grouped": grouped, "conv1d": conv1d, "autoencoder": autoencoder, "mlp": mlp,
    "resnet": lambda: resnet([16, 32, 64]), "resnet18": lambda: resnet([64, 128, 256, 512]),
}

x = torch.from_numpy(np.load(pathlib.Path(folder) / "x.npy"))
y = torch.from_numpy(np.load(pathlib.Path(folder) / "y.npy")).long()
if x.ndim > 2:
    x = x.movedim(-1, 1).contiguous()
model = MODELS[name]()
if variant == "channels-last" and x.ndim == 4:
    model = model.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
elif variant == "compile":
    model = torch.compile(model)
if name in ("conv1d", "autoencoder", "mlp"):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
else:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
seconds = []
for _ in range(epochs):
    started = time.perf_counter()
    for rows in torch.randperm(len(x)).split(batch):
        output, target = model(x[rows]), y[rows]
        loss = F.mse_loss(output, x[rows]) if name == "autoencoder" else F.cross_entropy(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds.append(time.perf_counter() - started)
print(json.dumps({"version": torch.__version__, "seconds": seconds}))
