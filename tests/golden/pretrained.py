"""A small convolutional PyTorch network, as its users save one: `pretrained.safetensors` beside this file."""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU()
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 3))

    def forward(self, x):
        return self.classifier(self.features(x))


if __name__ == "__main__":
    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = Net()
    # Statistics other than the initial ones.
    net.features[1].running_mean += torch.randn(4)
    net.features[1].running_var += torch.rand(4)
    net.eval()
    x = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        y = net(x)
    tensors = {f"net.{name}": value.numpy() for name, value in net.state_dict().items()}
    tensors["input"] = np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())
    tensors["output"] = y.numpy()
    (Path(__file__).parent / "pretrained.safetensors").write_bytes(save(tensors))
