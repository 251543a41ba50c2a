"""Fifty training steps of a small convolutional network in PyTorch, in float32 and again in float64; with a short last
batch, and by Muon, in float64."""

import numpy as np
import torch
from torch import nn

from optimizers import newton_schulz
from store import Family, generator

BATCH, BATCHES, STEPS, CLASSES = 16, 5, 50, 3
# This number of rows leaves six for the last batch.
SHORT = BATCH * (BATCHES - 1) + 6

LAYERS = [
    {"conv": {"filters": 6, "kernel": [3, 3], "padding": "same"}},
    "batch-norm",
    "relu",
    {"max-pool": {"size": [2, 2], "stride": [2, 2], "padding": "valid"}},
    {"conv": {"filters": 8, "kernel": [3, 3], "padding": "valid"}},
    "batch-norm",
    "relu",
    "flatten",
    {"dense": 16},
    "relu",
    {"dense": CLASSES},
]


class ChannelsLastFlatten(nn.Module):
    """Flattens in the order of an NHWC image, so that the next layer's weight needs no reordering."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def network():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        ChannelsLastFlatten(),
        nn.Linear(3 * 3 * 8, 16),
        nn.ReLU(),
        nn.Linear(16, CLASSES),
    )


def initial(rng):
    """Parameters in PyTorch's layout: uniform within 1/sqrt(fan in), and batch norm's ones and zeros."""
    params = {}
    for name, value in network().named_parameters():
        if value.ndim > 1:
            bound = value[0].numel() ** -0.5
            params[name] = rng.uniform(-bound, bound, value.shape).astype(np.float32)
        else:
            fill = np.ones if name in ("1.weight", "5.weight") else np.zeros
            params[name] = fill(value.shape, np.float32)
    return params


class Muon(torch.optim.Optimizer):
    """Jordan et al.'s update of all parameters: a kernel as a matrix of a row for each filter, vectors unchanged."""

    def __init__(self, params, lr, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for param in group["params"]:
                mean = self.state[param].setdefault("momentum", torch.zeros_like(param))
                mean.lerp_(param.grad, 1 - momentum)
                update = param.grad.lerp(mean, momentum)
                if update.ndim > 1:
                    matrix = update.reshape(len(update), -1)
                    scale = max(1, matrix.size(0) / matrix.size(1)) ** 0.5
                    matrix = newton_schulz(matrix, (3.4445, -4.775, 2.0315), 5, 1e-7)
                    update = scale * matrix.reshape(update.shape)
                param.sub_(lr * update)


def adam(params):
    return torch.optim.Adam(params, lr=1e-3)


def train(params, inputs, targets, dtype, optimizer=adam):
    model = network().to(dtype)
    model.load_state_dict({name: torch.tensor(value) for name, value in params.items()}, strict=False)
    optimizer = optimizer(model.parameters())
    inputs = torch.tensor(inputs, dtype=dtype).permute(0, 3, 1, 2)
    targets = torch.tensor(targets)
    losses = []
    for step in range(STEPS):
        start = step % BATCHES * BATCH
        rows = slice(start, start + BATCH)
        loss = nn.functional.cross_entropy(model(inputs[rows]), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def family():
    family = Family("cnn")
    rng = generator(family.name)
    targets = rng.integers(0, CLASSES, BATCH * BATCHES)
    patterns = rng.standard_normal((CLASSES, 10, 10, 2))
    inputs = patterns[targets] + 1.5 * rng.standard_normal((BATCH * BATCHES, 10, 10, 2))
    inputs = inputs.astype(np.float32)
    params = initial(rng)

    losses = train(params, inputs, targets, torch.float32)
    exact = train(params, inputs, targets, torch.float64)
    np.testing.assert_allclose(losses, exact, rtol=1e-5)

    short = train(params, inputs[:SHORT], targets[:SHORT], torch.float64)
    muon = train(params, inputs, targets, torch.float64, lambda params: Muon(params, 0.02))
    rounded = train(params, inputs, targets, torch.float32, lambda params: Muon(params, 0.02))
    np.testing.assert_allclose(rounded, muon, rtol=1e-4, atol=1e-5)

    tensors = {"inputs": inputs, "targets": targets, "losses": losses, "losses_float64": exact}
    tensors |= {"losses_short": short, "losses_muon": muon}
    for name, value in params.items():
        tensors[f"param.{name}"] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    config = {
        "layers": LAYERS,
        "loss": "softmax-cross-entropy",
        "optimizer": {"adam": {"learning_rate": 0.001}},
        "batch_size": BATCH,
        "steps": STEPS,
    }
    family.add("cnn", config, tensors)
    return family
