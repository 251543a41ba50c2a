"""A model's layers, as JSON describes them, in PyTorch's own and in PyTorch's order of axes: pictures and signals have
their channels right after the batch, sequences their features last."""

import torch
from torch import nn
from torch.nn import functional as F

# Layers that need the channels directly after the batch, and layers that work on the last axis.
FIRST = {"conv", "max-pool", "avg-pool", "global-max-pool", "global-avg-pool", "batch-norm"}
FIRST |= {"conv-transpose", "depthwise-conv", "separable-conv", "upsample", "crop", "pad", "group-norm", "instance-norm"}
LAST = {"dense", "layer-norm", "lstm", "gru", "attention", "rms-norm", "position", "glu", "swiglu", "geglu", "reshape"}


def model(layers, sample):
    """The layers, and whether they take samples of shape `sample`, channels last, with the channels moved first."""
    spatial = any(name in {"conv", "max-pool", "avg-pool"} for name in names(layers))
    first = len(sample) > 2 or (len(sample) == 2 and spatial)
    x = torch.zeros([1, *sample])
    return sequential(layers, x.movedim(-1, 1) if first else x, first)[0], first


def names(layers):
    for layer in layers:
        name, settings = named(layer)
        yield name
        if name == "residual":
            yield from names(settings["layers"] + settings.get("shortcut", []))


def named(layer):
    return next(iter(layer.items())) if isinstance(layer, dict) else (layer, {})


def sequential(layers, x, first):
    """Layers for a tensor like `x`, and whether their result has its channels right after the batch."""
    built = []
    for layer in layers:
        name, settings = named(layer)
        hook = None
        if x.ndim > 2 and ((name in FIRST and not first) or (name in LAST and first)):
            to = (-1, 1) if name in FIRST else (1, -1)
            hook = lambda module, arguments, to=to: arguments[0].movedim(*to)
            x, first = hook(None, [x]), not first
        module = LAYERS[name](settings, x, first)
        module.eval()
        with torch.no_grad():
            x = module(x)
        if hook:
            module.register_forward_pre_hook(hook)
        first = first and x.ndim > 2 if name != "residual" else module.first
        built.append(module)
    return nn.Sequential(*built), first


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def padding(setting, x, size, stride, dilation):
    """Cells before and after each axis, the last axis first, as `F.pad` takes them."""
    pairs = setting if isinstance(setting, list) else [(0, 0)] * len(size)
    if setting == "same":
        totals = [
            max((-(-length // s) - 1) * s + (k - 1) * d + 1 - length, 0)
            for length, k, s, d in zip(x.shape[2:], size, stride, dilation)
        ]
        pairs = [(total // 2, total - total // 2) for total in totals]
    return [cells for pair in reversed(pairs) for cells in pair]


def conv(settings, x, first):
    size = settings["kernel"]
    ones = [1] * len(size)
    stride, dilation = settings.get("stride") or ones, settings.get("dilation") or ones
    base = {1: nn.Conv1d, 2: nn.Conv2d}[len(size)]
    pad = padding(settings["padding"], x, size, stride, dilation)

    class Conv(base):
        def forward(self, x):
            return super().forward(F.pad(x, pad))

    return Conv(
        x.shape[1],
        settings["filters"],
        size,
        stride,
        dilation=dilation,
        groups=settings["groups"],
        bias=settings["bias"],
    )


def conv_transpose(settings, x, first):
    size = settings["kernel"]
    ones = [1] * len(size)
    stride, dilation = settings.get("stride") or ones, settings.get("dilation") or ones
    added = settings.get("output_padding") or [0] * len(size)
    pairs = settings["padding"] if isinstance(settings["padding"], list) else [(0, 0)] * len(size)
    lengths = []
    for i, length in enumerate(x.shape[2:]):
        extent = (size[i] - 1) * dilation[i] + 1
        if settings["padding"] == "same":
            total = max(extent - stride[i], 0)
            pairs[i], result = (total // 2, total - total // 2), length * stride[i]
        else:
            result = (length - 1) * stride[i] + extent + added[i] - sum(pairs[i])
        lengths.append(result)
    base = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}[len(size)]

    class ConvTranspose(base):
        def forward(self, x):
            """Without the bias and the paddings, which are then applied by hand."""
            bias, self.bias = self.bias, None
            y = F.pad(super().forward(x), [0, 99] * len(size))
            self.bias = bias
            for axis, (low, _) in enumerate(pairs):
                y = y.narrow(2 + axis, low, lengths[axis])
            return y if bias is None else y + bias.reshape(-1, *ones)

    return ConvTranspose(
        x.shape[1],
        settings["filters"],
        size,
        stride,
        dilation=dilation,
        groups=settings["groups"],
        bias=settings["bias"],
    )


def depthwise_conv(settings, x, first):
    filters = x.shape[1] * settings["multiplier"]
    return conv(settings | {"filters": filters, "groups": x.shape[1]}, x, first)


class Separable(nn.Module):
    def __init__(self, settings, x, first):
        super().__init__()
        self.depthwise = depthwise_conv(settings | {"bias": False}, x, first)
        ones = [1] * len(settings["kernel"])
        own = {"kernel": ones, "padding": "valid", "groups": 1, "stride": [], "dilation": []}
        self.pointwise = conv(settings | own, self.depthwise(x), first)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


def upsample(settings, x, first):
    size = settings["size"]
    mode = {"nearest": "nearest", "bilinear": {1: "linear", 2: "bilinear"}[len(size)]}[settings["method"]]
    return Function(lambda x: F.interpolate(x, scale_factor=[float(n) for n in size], mode=mode))


def edges(sign):
    """Zeros around the axes after the channels, or cells taken away."""
    return lambda settings, x, first: Function(
        lambda x: F.pad(x, [sign * n for pair in reversed(settings["cells"]) for n in pair])
    )


class Position(nn.Module):
    def __init__(self, settings, x, first):
        super().__init__()
        length, features = x.shape[1:]
        if settings["kind"] == "learned":
            self.weight = nn.Parameter(torch.zeros(settings.get("length") or length, features))
        else:
            angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, features, 2) / features)
            self.waves = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :features]

    def forward(self, x):
        return x + (self.weight if hasattr(self, "weight") else self.waves)[: x.shape[1]]


class ClassToken(nn.Module):
    def __init__(self, settings, x, first):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(x.shape[-1]))

    def forward(self, x):
        return torch.cat([self.token.expand(len(x), 1, -1), x], 1)


def gated(activation):
    def build(settings, x, first):
        def gate(x):
            values, gates = x.chunk(2, -1)
            return values * activation(gates)

        return Function(gate)

    return build


def max_pool(settings, x, first):
    size, stride, pad = pool_window(settings, x)
    pool = {1: F.max_pool1d, 2: F.max_pool2d}[len(size)]
    return Function(lambda x: pool(F.pad(x, pad, value=float("-inf")), size, stride))


def avg_pool(settings, x, first):
    """The mean of the cells that are not padding."""
    size, stride, pad = pool_window(settings, x)
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d}[len(size)]
    total = lambda x: pool(F.pad(x, pad), size, stride)
    return Function(lambda x: total(x) / total(torch.ones_like(x)))


def pool_window(settings, x):
    size = settings["size"]
    stride = settings["stride"] or size
    return size, stride, padding(settings["padding"], x, size, stride, [1] * len(size))


def batch_norm(settings, x, first):
    norm = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[x.ndim]
    return norm(x.shape[1], eps=settings["epsilon"])


def embedding(settings, x, first):
    class Embedding(nn.Embedding):
        def forward(self, x):
            return super().forward(x.long().clamp(0, self.num_embeddings - 1))

    return Embedding(settings["vocabulary"], settings["units"])


def recurrent(base):
    def build(settings, x, first):
        class Recurrent(base):
            def forward(self, x):
                states, last = super().forward(x)
                last = last[0] if isinstance(last, tuple) else last
                ends = torch.cat([last[-2], last[-1]], -1) if self.bidirectional else last[-1]
                return states if settings["sequences"] else ends

        return Recurrent(
            x.shape[-1],
            settings["units"],
            settings.get("layers", 1),
            bidirectional=settings.get("bidirectional", False),
            batch_first=True,
        )

    return build


def attention(settings, x, first):
    length = x.shape[1]

    class Attention(nn.MultiheadAttention):
        def rotary(self, x):
            q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
            q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in (q, k, v))
            size = q.shape[-1]
            angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, size, 2) / size)
            turn = torch.polar(torch.ones_like(angle), angle)

            def turned(t):
                pairs = torch.complex(*t.contiguous().chunk(2, -1)) * turn
                return torch.cat([pairs.real, pairs.imag], -1)

            y = F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=settings["causal"])
            return self.out_proj(y.transpose(1, 2).flatten(2))

        def forward(self, x):
            if settings.get("rotary"):
                return self.rotary(x)
            later = torch.ones(length, length).triu(1).bool() if settings["causal"] else None
            return super().forward(x, x, x, attn_mask=later, need_weights=False)[0]

    return Attention(x.shape[-1], settings["heads"], batch_first=True)


class Residual(nn.Module):
    def __init__(self, settings, x, first):
        super().__init__()
        self.layers, self.first = sequential(settings["layers"], x, first)
        self.shortcut, shortcut_first = sequential(settings.get("shortcut", []), x, first)
        self.turn = {(True, False): (-1, 1), (False, True): (1, -1)}.get((self.first, shortcut_first))

    def forward(self, x):
        kept = self.shortcut(x)
        return self.layers(x) + (kept.movedim(*self.turn) if self.turn else kept)


def function(f):
    return lambda settings, x, first: Function(f)


def over_channels(base):
    return lambda settings, x, first: base(1 if first else -1)


LAYERS = {
    "dense": lambda s, x, first: nn.Linear(x.shape[-1], s["units"], bias=s["bias"]),
    "conv": conv,
    "conv-transpose": conv_transpose,
    "depthwise-conv": depthwise_conv,
    "separable-conv": Separable,
    "upsample": upsample,
    "crop": edges(-1),
    "pad": edges(1),
    "reshape": lambda s, x, first: Function(lambda x: x.reshape(x.shape[0], *s["shape"])),
    "permute": lambda s, x, first: Function(lambda x: x.permute(0, *s["axes"])),
    "repeat": lambda s, x, first: Function(lambda x: x[:, None].repeat(1, s["times"], 1)),
    "group-norm": lambda s, x, first: nn.GroupNorm(s["groups"], x.shape[1], s["epsilon"], s["affine"]),
    "instance-norm": lambda s, x, first: {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d}[x.ndim](
        x.shape[1], s["epsilon"], affine=s["affine"]
    ),
    "rms-norm": lambda s, x, first: nn.RMSNorm(x.shape[-1], s["epsilon"]),
    "position": Position,
    "class-token": ClassToken,
    "first-position": function(lambda x: x[:, 0]),
    "glu": gated(torch.sigmoid),
    "swiglu": gated(F.silu),
    "geglu": gated(F.gelu),
    "max-pool": max_pool,
    "avg-pool": avg_pool,
    "global-max-pool": function(lambda x: x.flatten(2).amax(-1)),
    "global-avg-pool": function(lambda x: x.flatten(2).mean(-1)),
    "flatten": lambda s, x, first: nn.Flatten(),
    "batch-norm": batch_norm,
    "layer-norm": lambda s, x, first: nn.LayerNorm(x.shape[-1], eps=s["epsilon"]),
    "dropout": lambda s, x, first: nn.Dropout(s["rate"]),
    "embedding": embedding,
    "residual": Residual,
    "attention": attention,
    "lstm": recurrent(nn.LSTM),
    "gru": recurrent(nn.GRU),
    "sigmoid": lambda s, x, first: nn.Sigmoid(),
    "tanh": lambda s, x, first: nn.Tanh(),
    "relu": lambda s, x, first: nn.ReLU(),
    "relu6": lambda s, x, first: nn.ReLU6(),
    "leaky-relu": lambda s, x, first: nn.LeakyReLU(s),
    "elu": lambda s, x, first: nn.ELU(s),
    "gelu": lambda s, x, first: nn.GELU(),
    "gelu-tanh": lambda s, x, first: nn.GELU("tanh"),
    "silu": lambda s, x, first: nn.SiLU(),
    "softplus": lambda s, x, first: nn.Softplus(),
    "softmax": over_channels(nn.Softmax),
    "log-softmax": over_channels(nn.LogSoftmax),
}
