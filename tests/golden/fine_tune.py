"""A PyTorch network whose first layers are frozen for two epochs and then trained at a tenth of the rate of the last
one: `fine_tune.safetensors` beside this file. All in float64, with the parameters after each of five epochs."""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn
from torch.nn import functional as F

ROWS, BATCH, EPOCHS, FROZEN, LIMIT = 12, 4, 5, 2, 0.3


def network():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    net[1].running_mean += 0.2 * torch.randn(6)
    net[1].running_var += torch.rand(6)
    return net.float().double()


def optimizer(name, groups):
    if name == "sgd":
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.01)
    return torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((ROWS, 3)).astype(np.float32)
    labels = rng.integers(0, 3, ROWS).astype(np.int32)
    tensors = {"inputs": inputs, "labels": labels}
    for name, value in network().state_dict().items():
        if not name.endswith("num_batches_tracked"):
            tensors[f"initial.{name}"] = value.numpy().astype(np.float32)
    x, y = torch.tensor(inputs).double(), torch.tensor(labels).long()
    for name in ["sgd", "adamw"]:
        net = network()
        first = [*net[0].parameters(), *net[1].parameters()]
        rate = 0.1 if name == "sgd" else 0.01
        update = optimizer(name, [{"params": first, "lr": 0.1 * rate}, {"params": net[3].parameters()}])
        for epoch in range(EPOCHS):
            net.train()
            net[1].train(epoch >= FROZEN)
            for parameter in first:
                parameter.requires_grad_(epoch >= FROZEN)
            for at in range(0, ROWS, BATCH):
                update.zero_grad()
                F.cross_entropy(net(x[at : at + BATCH]), y[at : at + BATCH]).backward()
                grads = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
                norm = torch.sqrt(sum((grad**2).sum() for grad in grads))
                for grad in grads:
                    grad *= min(1.0, LIMIT / norm)
                update.step()
            for parameter, value in net.named_parameters():
                tensors[f"{name}.{epoch}.{parameter}"] = value.detach().numpy().copy()
    (Path(__file__).parent / "fine_tune.safetensors").write_bytes(save(tensors))
