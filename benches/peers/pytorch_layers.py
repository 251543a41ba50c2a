"""Times each layer of `cargo bench --bench parts` separately in PyTorch, forward without and backward with the graph
that it needs, in the faster of its layouts. Prints the median seconds of each by its name there as JSON.
"""

import json
import statistics
import time

import torch
from torch import nn

BATCH = 256
REPEATS = 15


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(64, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x, x, x, need_weights=False)[0]


class Last(nn.Module):
    """The last state of a recurrent layer."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)[0][:, -1]


class Residual(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x) + x


# The sample's shape, channels last as in the name.
FLAT = {
    "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky-relu": lambda: nn.LeakyReLU(0.1), "elu": nn.ELU,
    "gelu": nn.GELU, "gelu-tanh": lambda: nn.GELU("tanh"), "silu": nn.SiLU, "softplus": nn.Softplus,
    "softmax": lambda: nn.Softmax(-1), "log-softmax": lambda: nn.LogSoftmax(-1), "dropout": nn.Dropout,
    "batch-norm": lambda: nn.BatchNorm1d(1024), "layer-norm": lambda: nn.LayerNorm(1024), "residual": Residual,
}
LAYERS = {
    ("dense", (784,)): lambda: nn.Linear(784, 128),
    ("conv", (13, 13, 32)): lambda: nn.Conv2d(32, 64, 3),
    ("depthwise-conv", (13, 13, 32)): lambda: nn.Conv2d(32, 32, 3, groups=32),
    ("conv-transpose", (13, 13, 32)): lambda: nn.ConvTranspose2d(32, 16, 3),
    ("batch-norm", (13, 13, 32)): lambda: nn.BatchNorm2d(32),
    ("group-norm", (13, 13, 32)): lambda: nn.GroupNorm(4, 32),
    ("max-pool", (26, 26, 32)): lambda: nn.MaxPool2d(2),
    ("avg-pool", (26, 26, 32)): lambda: nn.AvgPool2d(2),
    ("global-max-pool", (26, 26, 32)): lambda: nn.AdaptiveMaxPool2d(1),
    ("global-avg-pool", (26, 26, 32)): lambda: nn.AdaptiveAvgPool2d(1),
    ("flatten", (26, 26, 32)): nn.Flatten,
    ("embedding", (32,)): lambda: nn.Embedding(1000, 64),
    ("attention", (32, 64)): Attention,
    ("lstm", (32, 64)): lambda: Last(nn.LSTM(64, 64, batch_first=True)),
    ("gru", (32, 64)): lambda: Last(nn.GRU(64, 64, batch_first=True)),
    **{(kind, (1024,)): make for kind, make in FLAT.items()},
}


def seconds(call) -> float:
    taken = []
    for _ in range(REPEATS + 3):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[3:])


def passes(make, kind: str, sample: tuple, channels_last: bool) -> tuple[float, float]:
    layer = make().train()
    if kind == "embedding":
        x = torch.randint(0, 7, (BATCH, *sample))
    elif len(sample) == 3:
        x = torch.randn(BATCH, sample[2], *sample[:2])
        if channels_last:
            x, layer = x.contiguous(memory_format=torch.channels_last), layer.to(memory_format=torch.channels_last)
    else:
        x = torch.randn(BATCH, *sample)
    if x.is_floating_point():
        x.requires_grad_()
    wanted = [t for t in (x, *layer.parameters()) if t.requires_grad]

    def forward():
        with torch.no_grad():
            layer(x)

    gradient = torch.randn_like(layer(x))
    return seconds(forward), seconds(lambda: torch.autograd.grad(layer(x), wanted, gradient))


torch.manual_seed(1)
times = {}
for (kind, sample), make in LAYERS.items():
    forms = [passes(make, kind, sample, form) for form in ([False, True] if len(sample) == 3 else [False])]
    for at, direction in enumerate(("forward", "backward")):
        times[f"{kind} {list(sample)} {direction}"] = min(form[at] for form in forms)
print(json.dumps(times))
