"""Gradients of small nets: in float64, and the errors of PyTorch's autocast to bfloat16.

A net is written once, over channels-last tensors and parameters in `neural`'s layout, and differentiated in both
precisions, for some batches. Kept are the gradients in float64 and, for each parameter, the error of autocast relative to the length of
the gradient, `|g - g64| / |g64|`.
"""

import numpy as np
import torch
import torch.nn.functional as F

from layers import linear
from store import Family, generator, normal

CLASSES = 5
BATCHES = 2


class Net:
    """Layers as a recipe lists them, with the shapes of their parameters, and their function."""

    def __init__(self, sample):
        self.sample = sample
        self.layers = []
        self.shapes = {}
        self.steps = []

    def add(self, layer, step, **shapes):
        prefix = f"{len(self.layers)}."
        self.layers.append(layer)
        self.shapes |= {prefix + name.replace("__", "."): shape for name, shape in shapes.items()}
        self.steps.append((step, prefix))
        return self

    def __call__(self, x, p):
        for step, prefix in self.steps:
            own = {name.removeprefix(prefix): value for name, value in p.items() if name.startswith(prefix)}
            x = step(x, own)
        return x

    def dense(self, inputs, units):
        return self.add({"dense": units}, linear, weight=(units, inputs), bias=(units,))

    def conv(self, channels, filters, size, stride=1, groups=1, bias=True):
        def step(x, p):
            weight = p["weight"].permute(3, 2, 0, 1)
            return F.conv2d(x.movedim(-1, 1), weight, p.get("bias"), stride, groups=groups).movedim(1, -1)

        options = {"filters": filters, "kernel": [size, size], "stride": [stride, stride], "groups": groups}
        shapes = {"weight": (size, size, channels // groups, filters)} | ({"bias": (filters,)} if bias else {})
        return self.add({"conv": options | {"bias": bias}}, step, **shapes)

    def conv_1d(self, channels, filters, size):
        def step(x, p):
            weight = p["weight"].permute(2, 1, 0)
            return F.conv1d(x.movedim(-1, 1), weight, p["bias"]).movedim(1, -1)

        options = {"filters": filters, "kernel": [size]}
        return self.add({"conv": options}, step, weight=(size, channels, filters), bias=(filters,))

    def pool(self, kind, size, stride):
        pool = {"max-pool": F.max_pool2d, "avg-pool": F.avg_pool2d}[kind]
        step = lambda x, p: pool(x.movedim(-1, 1), size, stride).movedim(1, -1)
        return self.add({kind: {"size": [size, size], "stride": [stride, stride]}}, step)

    def global_pool(self, kind):
        reduce = {"global-max-pool": torch.amax, "global-avg-pool": torch.mean}[kind]
        return self.add(kind, lambda x, p: reduce(x, tuple(range(1, x.ndim - 1))))

    def flatten(self):
        return self.add("flatten", lambda x, p: x.flatten(1))

    def map(self, name, function):
        return self.add(name, lambda x, p: function(x))

    def batch_norm(self, channels):
        def step(x, p):
            y = F.batch_norm(x.movedim(-1, 1), None, None, p["weight"], p["bias"], training=True)
            return y.movedim(1, -1)

        return self.add("batch-norm", step, weight=(channels,), bias=(channels,))

    def layer_norm(self, features):
        step = lambda x, p: F.layer_norm(x, (features,), p["weight"], p["bias"])
        return self.add("layer-norm", step, weight=(features,), bias=(features,))

    def embedding(self, vocabulary, units):
        step = lambda x, p: F.embedding(x, p["weight"])
        return self.add({"embedding": {"vocabulary": vocabulary, "units": units}}, step, weight=(vocabulary, units))

    def module(self, layer, build, call):
        """A layer that is one of PyTorch's modules, with its names."""
        modules = {dtype: build(dtype) for dtype in (torch.float32, torch.float64)}
        shapes = {name: tuple(value.shape) for name, value in modules[torch.float64].named_parameters()}

        def step(x, p):
            module = modules[next(iter(p.values())).dtype]
            return call(lambda *arguments, **options: torch.func.functional_call(module, p, arguments, options), x)

        return self.add(layer, step, **{name.replace(".", "__"): shape for name, shape in shapes.items()})

    def attention(self, width, heads):
        return self.module(
            {"attention": heads},
            lambda dtype: torch.nn.MultiheadAttention(width, heads, batch_first=True, dtype=dtype),
            lambda module, x: module(x, x, x, need_weights=False)[0],
        )

    def recurrent(self, kind, inputs, units, sequences=False):
        cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
        return self.module(
            {kind: {"units": units, "sequences": sequences}},
            lambda dtype: cell(inputs, units, batch_first=True, dtype=dtype),
            lambda module, x: module(x)[0] if sequences else module(x)[0][:, -1],
        )

    def residual(self, inner):
        step = lambda x, p: x + inner(x, {name.removeprefix("layers."): value for name, value in p.items()})
        shapes = {f"layers.{name}".replace(".", "__"): shape for name, shape in inner.shapes.items()}
        return self.add({"residual": inner.layers}, step, **shapes)


def real(rng, *shape):
    return normal(rng, *shape)


def tokens(vocabulary):
    return lambda rng, *shape: rng.integers(0, vocabulary, shape).astype(np.int32)


def apart(rng, *shape):
    """Numbers of which no two in a row are as close as a rounding, so that the max stays at the same place."""
    size = int(np.prod(shape[1:]))
    return np.stack([(rng.permutation(size) - size // 2) / 32 for _ in range(shape[0])]).reshape(shape)


def nets():
    """The nets by their names, each with the rows of a batch and how its input is drawn.

    They have no relu: it rounds nothing, and where a rounding before it lets another number through, chance decides
    which gradient is more exact.
    """
    gelu, tanh, classes = ("gelu", F.gelu), ("tanh", torch.tanh), CLASSES
    average = "global-avg-pool"
    yield "dense", 32, real, Net((20,)).dense(20, 24).map(*gelu).dense(24, 24).map(*tanh).dense(24, classes)
    yield "conv", 4, real, Net((18, 18, 1)).conv(1, 6, 3).map(*tanh).global_pool(average).dense(6, classes)
    yield "conv-wide", 4, real, (
        Net((9, 9, 8)).conv(8, 8, 3).map(*gelu).conv(8, 8, 3, stride=2).map(*tanh).flatten().dense(72, classes)
    )
    yield "conv-groups", 4, real, (
        Net((8, 8, 8)).conv(8, 8, 3, groups=4).map(*tanh).global_pool(average).dense(8, classes)
    )
    yield "conv-1d", 4, real, (
        Net((60, 3)).conv_1d(3, 8, 5).map(*tanh).conv_1d(8, 8, 3).map(*gelu).global_pool(average).dense(8, classes)
    )
    yield "max-pool", 4, apart, (
        Net((12, 12, 1)).conv(1, 8, 1).pool("max-pool", 3, 2).conv(8, 8, 3).flatten().dense(72, classes)
    )
    yield "global-max-pool", 8, apart, Net((12, 12, 1)).conv(1, 8, 1).global_pool("global-max-pool").dense(8, classes)
    yield "avg-pool", 4, real, (
        Net((12, 12, 2)).conv(2, 8, 3).map(*gelu).pool("avg-pool", 3, 2).conv(8, 8, 3).flatten().dense(32, classes)
    )
    yield "batch-norm", 4, real, (
        Net((10, 10, 2)).conv(2, 8, 3, bias=False).batch_norm(8).map(*gelu).conv(8, 8, 3, bias=False).batch_norm(8)
        .map(*gelu).global_pool(average).dense(8, classes)
    )
    yield "layer-norm", 32, real, Net((20,)).dense(20, 32).layer_norm(32).map(*gelu).dense(32, classes)
    yield "attention", 4, real, (
        Net((20, 16)).attention(16, 4).layer_norm(16).global_pool(average).dense(16, classes)
    )
    yield "lstm", 8, real, Net((30, 4)).recurrent("lstm", 4, 12).dense(12, classes)
    yield "lstm-sequences", 8, real, (
        Net((30, 4)).recurrent("lstm", 4, 12, sequences=True).global_pool(average).dense(12, classes)
    )
    yield "gru", 8, real, Net((30, 4)).recurrent("gru", 4, 12).dense(12, classes)
    yield "embedding", 16, tokens(300), Net((24,)).embedding(300, 4).global_pool(average).dense(4, classes)
    # Few tokens, each of which gets the gradients of many places.
    yield "embedding-few", 16, tokens(3), Net((64,)).embedding(3, 8).global_pool(average).dense(8, classes)
    yield "residual", 32, real, (
        Net((20,)).dense(20, 16).residual(Net(None).dense(16, 16).map(*gelu).dense(16, 16)).map(*tanh).dense(16, classes)
    )
    block = Net(None).layer_norm(8).dense(8, 16).map(*gelu).dense(16, 8)
    yield "transformer", 4, tokens(260), (
        Net((12,)).embedding(260, 8).residual(Net(None).layer_norm(8).attention(8, 2)).residual(block)
        .layer_norm(8).global_pool(average).dense(8, classes)
    )


def gradients(net, params, x, targets, dtype, autocast):
    p = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in params.items()}
    x = torch.tensor(x) if np.issubdtype(x.dtype, np.integer) else torch.tensor(x, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = net(x, p)
    F.cross_entropy(output.to(dtype), torch.tensor(targets)).backward()
    return {name: tensor.grad.double().numpy() for name, tensor in p.items()}


def family():
    family = Family("mixed", real=np.float32)
    for name, rows, draw, net in nets():
        rng = generator(family.name, name)
        params = {}
        for parameter, shape in net.shapes.items():
            fan_in = max(int(np.prod(shape)) // max(shape), 1)
            params[parameter] = normal(rng, *shape, scale=fan_in**-0.5 if len(shape) > 1 else 0.5)
        tensors = {f"param.{parameter}": value for parameter, value in params.items()}
        for batch in range(BATCHES):
            x = draw(rng, rows, *net.sample)
            targets = rng.integers(0, CLASSES, rows)
            exact = gradients(net, params, x, targets, torch.float64, autocast=False)
            mixed = gradients(net, params, x, targets, torch.float32, autocast=True)
            tensors |= {f"{batch}.input": x, f"{batch}.targets": targets}
            for parameter, gradient in exact.items():
                off = np.linalg.norm(mixed[parameter] - gradient) / np.linalg.norm(gradient)
                tensors |= {f"{batch}.grad.{parameter}": gradient, f"{batch}.error.{parameter}": off}
        family.add(name, net.layers, tensors, batches=BATCHES)
    return family
