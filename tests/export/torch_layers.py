"""A model's layers, as JSON describes them, in PyTorch's own: channels last outside, channels first within."""

import torch
from torch import nn
from torch.nn import functional as F


def sequential(layers, sample):
    """`sample` is the shape of one sample; layers are built for what the layers before them give."""
    x = torch.zeros([1, *sample])
    built = []
    for layer in layers:
        name, settings = next(iter(layer.items())) if isinstance(layer, dict) else (layer, {})
        module = LAYERS[name](settings, x)
        module.eval()
        with torch.no_grad():
            x = module(x)
        built.append(module)
    return nn.Sequential(*built)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def channels_first(x, function):
    """Applies a function of PyTorch's order of axes."""
    return function(x.movedim(-1, 1)).movedim(1, -1)


def padding(setting, x, size, stride, dilation):
    """Cells before and after each axis, the last axis first, as `F.pad` takes them."""
    pairs = setting if isinstance(setting, list) else [(0, 0)] * len(size)
    if setting == "same":
        totals = [
            max((-(-length // s) - 1) * s + (k - 1) * d + 1 - length, 0)
            for length, k, s, d in zip(x.shape[1:-1], size, stride, dilation)
        ]
        pairs = [(total // 2, total - total // 2) for total in totals]
    return [cells for pair in reversed(pairs) for cells in pair]


def conv(settings, x):
    size = settings["kernel"]
    ones = [1] * len(size)
    stride, dilation = settings.get("stride") or ones, settings.get("dilation") or ones
    base = {1: nn.Conv1d, 2: nn.Conv2d}[len(size)]
    pad = padding(settings["padding"], x, size, stride, dilation)

    class Conv(base):
        def forward(self, x):
            return channels_first(x, lambda x: super(Conv, self).forward(F.pad(x, pad)))

    return Conv(
        x.shape[-1],
        settings["filters"],
        size,
        stride,
        dilation=dilation,
        groups=settings["groups"],
        bias=settings["bias"],
    )


def max_pool(settings, x):
    size, stride, pad = pool_window(settings, x)
    pool = {1: F.max_pool1d, 2: F.max_pool2d}[len(size)]
    return Function(
        lambda x: channels_first(x, lambda x: pool(F.pad(x, pad, value=float("-inf")), size, stride))
    )


def avg_pool(settings, x):
    """The mean of the cells that are not padding."""
    size, stride, pad = pool_window(settings, x)
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d}[len(size)]
    mean = lambda x: pool(F.pad(x, pad), size, stride) / pool(F.pad(torch.ones_like(x), pad), size, stride)
    return Function(lambda x: channels_first(x, mean))


def pool_window(settings, x):
    size = settings["size"]
    stride = settings["stride"] or size
    return size, stride, padding(settings["padding"], x, size, stride, [1] * len(size))


def batch_norm(settings, x):
    class BatchNorm(nn.modules.batchnorm._BatchNorm):
        def _check_input_dim(self, x):
            pass

        def forward(self, x):
            return channels_first(x, super().forward)

    return BatchNorm(x.shape[-1], eps=settings["epsilon"])


def embedding(settings, x):
    class Embedding(nn.Embedding):
        def forward(self, x):
            return super().forward(x.long().clamp(0, self.num_embeddings - 1))

    return Embedding(settings["vocabulary"], settings["units"])


def recurrent(base):
    def build(settings, x):
        class Recurrent(base):
            def forward(self, x):
                states, _ = super().forward(x)
                return states if settings["sequences"] else states[:, -1]

        return Recurrent(x.shape[-1], settings["units"], batch_first=True)

    return build


def attention(settings, x):
    length = x.shape[1]

    class Attention(nn.MultiheadAttention):
        def forward(self, x):
            later = torch.ones(length, length).triu(1).bool() if settings["causal"] else None
            return super().forward(x, x, x, attn_mask=later, need_weights=False)[0]

    return Attention(x.shape[-1], settings["heads"], batch_first=True)


class Residual(nn.Module):
    def __init__(self, settings, x):
        super().__init__()
        self.layers = sequential(settings["layers"], x.shape[1:])
        self.shortcut = sequential(settings.get("shortcut", []), x.shape[1:])

    def forward(self, x):
        return self.layers(x) + self.shortcut(x)


def function(f):
    return lambda settings, x: Function(f)


LAYERS = {
    "dense": lambda s, x: nn.Linear(x.shape[-1], s["units"], bias=s["bias"]),
    "conv": conv,
    "max-pool": max_pool,
    "avg-pool": avg_pool,
    "global-max-pool": function(lambda x: x.flatten(1, -2).amax(1)),
    "global-avg-pool": function(lambda x: x.flatten(1, -2).mean(1)),
    "flatten": lambda s, x: nn.Flatten(),
    "batch-norm": batch_norm,
    "layer-norm": lambda s, x: nn.LayerNorm(x.shape[-1], eps=s["epsilon"]),
    "dropout": lambda s, x: nn.Dropout(s["rate"]),
    "embedding": embedding,
    "residual": Residual,
    "attention": attention,
    "lstm": recurrent(nn.LSTM),
    "gru": recurrent(nn.GRU),
    "sigmoid": lambda s, x: nn.Sigmoid(),
    "tanh": lambda s, x: nn.Tanh(),
    "relu": lambda s, x: nn.ReLU(),
    "leaky-relu": lambda s, x: nn.LeakyReLU(s),
    "elu": lambda s, x: nn.ELU(s),
    "gelu": lambda s, x: nn.GELU(),
    "gelu-tanh": lambda s, x: nn.GELU("tanh"),
    "silu": lambda s, x: nn.SiLU(),
    "softplus": lambda s, x: nn.Softplus(),
    "softmax": lambda s, x: nn.Softmax(-1),
    "log-softmax": lambda s, x: nn.LogSoftmax(-1),
}
