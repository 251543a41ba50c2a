"""Layers: outputs and gradients in PyTorch; convolution and pooling are checked against JAX on the way.

A layer is a function of the input and of parameters in `neural`'s layout. The change to PyTorch's layout is
part of that function, so the gradients come back in `neural`'s layout.
"""

import jax
import numpy as np
import torch
import torch.nn.functional as F
from jax import lax

from store import Family, generator, leaf, normal


def record(family, case, config, layer, input_shape, shapes, input=None, peer=None, extra=None):
    """Runs `layer(input, params)` and keeps its output and gradients; `peer` is the same layer in JAX.

    `extra(input, params)` returns further tensors to keep.
    """
    rng = generator(family.name, case)
    input = normal(rng, *input_shape) if input is None else input(rng)
    params = {name: normal(rng, *shape, scale=0.5) for name, shape in shapes.items()}
    discrete = np.issubdtype(input.dtype, np.integer)

    x = torch.tensor(input) if discrete else leaf(input)
    p = {name: leaf(value) for name, value in params.items()}
    output = layer(x, p)
    cotangent = normal(rng, *output.shape)
    (output * torch.tensor(cotangent)).sum().backward()
    gradients = {} if discrete else {"grad.input": x.grad}
    gradients |= {f"grad.{name}": tensor.grad for name, tensor in p.items()}

    if peer is not None:
        expected, pullback = jax.vjp(peer, input, params)
        grad_input, grad_params = pullback(jax.numpy.asarray(cotangent))
        np.testing.assert_allclose(output.detach(), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(x.grad, grad_input, rtol=1e-12, atol=1e-12)
        for name, value in grad_params.items():
            np.testing.assert_allclose(p[name].grad, value, rtol=1e-12, atol=1e-12)

    tensors = {"input": input} | {f"param.{name}": value for name, value in params.items()}
    tensors |= {"output": output, "cotangent": cotangent} | gradients
    if extra is not None:
        tensors |= extra(rng, x.detach(), {name: tensor.detach() for name, tensor in p.items()})
    family.add(case, config, tensors)


def linear(x, p, prefix=""):
    return F.linear(x, p[f"{prefix}weight"], p.get(f"{prefix}bias"))


def dense(family):
    shapes = {"weight": (4, 5), "bias": (4,)}
    record(family, "dense", {"dense": 4}, linear, (3, 5), shapes)
    record(family, "dense-sequence", {"dense": 4}, linear, (2, 3, 5), shapes)
    config = {"dense": {"units": 4, "bias": False}}
    record(family, "dense-without-bias", config, linear, (3, 5), {"weight": (4, 5)})


def pads(padding, spatial, window, stride):
    """Explicit (low, high) pairs; "same" is JAX's and TensorFlow's: the odd cell goes to the high end."""
    return (
        lax.padtype_to_pads(spatial, window, stride, padding.upper()) if isinstance(padding, str) else padding
    )


def pad(x, pairs, value=0.0):
    """Pads the spatial axes of a channels-first tensor; PyTorch lists the last axis first."""
    return F.pad(x, [end for pair in reversed(pairs) for end in pair], value=value)


def convolution(family):
    def case(name, shape, filters, kernel, stride=1, padding="valid", dilation=1, groups=1, bias=True):
        axes = len(kernel)
        stride = [stride] * axes if isinstance(stride, int) else stride
        dilation = [dilation] * axes
        options = {"filters": filters, "kernel": kernel, "stride": stride, "padding": padding}
        options |= {"dilation": dilation, "groups": groups, "bias": bias}
        window = [(size - 1) * step + 1 for size, step in zip(kernel, dilation)]
        pairs = pads(padding, shape[1:-1], window, stride)

        def layer(x, p):
            convolve = {1: F.conv1d, 2: F.conv2d}[axes]
            weight = p["weight"].permute(axes + 1, axes, *range(axes))
            x = pad(x.movedim(-1, 1), pairs)
            x = convolve(x, weight, p.get("bias"), stride, dilation=dilation, groups=groups)
            return x.movedim(1, -1)

        def peer(x, p):
            numbers = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}[axes]
            form = padding.upper() if isinstance(padding, str) else padding
            y = lax.conv_general_dilated(
                x, p["weight"], stride, form, None, dilation, numbers, feature_group_count=groups
            )
            return y + p["bias"] if bias else y

        shapes = {"weight": (*kernel, shape[-1] // groups, filters)} | ({"bias": (filters,)} if bias else {})
        record(family, name, {"conv": options}, layer, shape, shapes, peer=peer)

    image, wide, sequence = (2, 5, 7, 3), (2, 5, 7, 4), (2, 9, 3)
    case("conv-valid", image, 4, [3, 3])
    case("conv-without-bias", image, 4, [3, 3], bias=False)
    case("conv-same", image, 4, [3, 3], padding="same")
    case("conv-same-stride-2", image, 4, [3, 3], stride=2, padding="same")
    case("conv-same-stride-2-even-image", (2, 6, 4, 3), 4, [3, 3], stride=2, padding="same")
    case("conv-same-dilation-2", image, 4, [3, 3], padding="same", dilation=2)
    case("conv-explicit-padding", image, 4, [3, 3], padding=[[1, 2], [0, 1]])
    case("conv-explicit-padding-stride-2", image, 4, [3, 3], stride=2, padding=[[1, 2], [0, 1]])
    case("conv-dilation-2", image, 4, [3, 3], dilation=2)
    case("conv-groups-2", wide, 6, [3, 3], groups=2)
    case("conv-groups-2-same-stride-2", wide, 6, [3, 3], stride=2, padding="same", groups=2)
    case("conv-depthwise", image, 3, [3, 3], padding="same", groups=3)
    case("conv-depthwise-multiplier-2", image, 6, [3, 3], groups=3)
    case("conv-kernel-2x2-same", image, 4, [2, 2], padding="same")
    case("conv-kernel-4x3", image, 4, [4, 3])
    case("conv-kernel-4x3-same", image, 4, [4, 3], padding="same")
    case("conv-stride-2x3", image, 4, [3, 3], stride=[2, 3])
    case("conv-stride-2x3-same", image, 4, [2, 2], stride=[2, 3], padding="same")
    case("conv-stride-over-kernel", image, 4, [2, 2], stride=3)
    case("conv-1x1", image, 4, [1, 1])
    case("conv-1x1-stride-2", image, 4, [1, 1], stride=2)
    case("conv-kernel-5x5", image, 4, [5, 5])
    case("conv-kernel-5x5-same", image, 4, [5, 5], padding="same")
    case("conv-1d-valid", sequence, 4, [3])
    case("conv-1d-same-stride-2", (2, 8, 3), 4, [3], stride=2, padding="same")
    case("conv-1d-explicit-padding-dilation-2", sequence, 4, [3], padding=[[3, 1]], dilation=2)
    case("conv-1d-groups-2", (2, 9, 4), 6, [4], groups=2)


def pooling(family):
    def functions(kind, size, stride, pairs):
        axes = len(size)

        def layer(x, p):
            x = x.movedim(-1, 1)
            if kind == "max-pool":
                pool = {1: F.max_pool1d, 2: F.max_pool2d}[axes]
                y = pool(pad(x, pairs, -torch.inf), size, stride)
            else:
                pool = {1: F.avg_pool1d, 2: F.avg_pool2d}[axes]
                inside = pool(pad(torch.ones_like(x), pairs), size, stride)
                y = pool(pad(x, pairs), size, stride) / inside
            return y.movedim(1, -1)

        def peer(x, p):
            window, step = (1, *size, 1), (1, *stride, 1)
            ends = [(0, 0), *pairs, (0, 0)]
            if kind == "max-pool":
                return lax.reduce_window(x, -np.inf, lax.max, window, step, ends)
            total = lax.reduce_window(x, 0.0, lax.add, window, step, ends)
            return total / lax.reduce_window(np.ones(x.shape), 0.0, lax.add, window, step, ends)

        return layer, peer

    def case(name, shape, size, stride, padding="valid", kinds=("max-pool", "avg-pool"), input=None):
        for kind in kinds:
            config = {kind: {"size": size, "stride": stride, "padding": padding}}
            layer, peer = functions(kind, size, stride, pads(padding, shape[1:-1], size, stride))
            record(family, f"{kind}-{name}", config, layer, shape, {}, input=input, peer=peer)

    image, sequence = (2, 5, 7, 3), (2, 9, 3)
    case("2x2", image, [2, 2], [2, 2])
    case("overlapping", image, [3, 3], [2, 2])
    case("stride-over-size", (2, 7, 8, 3), [2, 2], [3, 3])
    case("size-2x3-stride-1x2", image, [2, 3], [1, 2])
    case("same", image, [2, 2], [2, 2], padding="same")
    case("same-overlapping", (2, 6, 7, 3), [3, 3], [2, 2], padding="same")
    case("explicit-padding", image, [3, 3], [2, 2], padding=[[1, 1], [1, 1]])
    case("explicit-padding-asymmetric", image, [3, 3], [2, 2], padding=[[0, 2], [1, 0]])
    case("1d", sequence, [2], [2])
    case("1d-overlapping-same", sequence, [3], [2], padding="same")
    case("1d-explicit-padding", sequence, [3], [2], padding=[[1, 1]])

    def ties(shape):
        return lambda rng: rng.integers(-1, 2, shape).astype(np.float64)

    case("ties", image, [2, 2], [2, 2], kinds=["max-pool"], input=ties(image))
    case("ties-overlapping", image, [3, 3], [2, 2], [[1, 1], [1, 1]], kinds=["max-pool"], input=ties(image))

    for name, shape in [("", (2, 5, 7, 3)), ("-1d", (2, 9, 3))]:
        spatial = tuple(range(1, len(shape) - 1))
        record(family, f"global-max-pool{name}", "global-max-pool", lambda x, p: x.amax(spatial), shape, {})
        record(family, f"global-avg-pool{name}", "global-avg-pool", lambda x, p: x.mean(spatial), shape, {})


def flatten(family):
    record(family, "flatten", "flatten", lambda x, p: x.flatten(1), (2, 3, 4, 2), {})
    record(family, "flatten-sequence", "flatten", lambda x, p: x.flatten(1), (2, 3, 5), {})


def normalization(family):
    momentum, epsilon = 0.9, 1e-5

    def batch_norm(x, p):
        x = x.movedim(-1, 1)
        y = F.batch_norm(x, None, None, p["weight"], p["bias"], training=True, eps=epsilon)
        return y.movedim(1, -1)

    def running(rng, x, p):
        """The running statistics, with the biased variance, and the output in evaluation with them."""
        before = normal(rng, 3, scale=0.5), rng.uniform(0.5, 2.0, 3).astype(np.float32).astype(np.float64)
        axes = tuple(range(x.ndim - 1))
        batch = x.mean(axes).numpy(), x.var(axes, correction=0).numpy()
        after = [momentum * old + (1 - momentum) * new for old, new in zip(before, batch)]

        def evaluate(mean, variance):
            statistics = torch.tensor(mean), torch.tensor(variance)
            y = F.batch_norm(
                x.movedim(-1, 1), *statistics, p["weight"], p["bias"], training=False, eps=epsilon
            )
            return y.movedim(1, -1)

        tensors = {"output_eval": evaluate(*after), "output_eval_before": evaluate(*before)}
        for name, old, new in zip(["running_mean", "running_var"], before, after):
            tensors |= {f"state_in.{name}": old, f"state.{name}": new}
        return tensors

    config = {"batch-norm": {"momentum": momentum, "epsilon": epsilon}}
    shapes = {"weight": (3,), "bias": (3,)}
    for name, shape in [
        ("batch-norm", (6, 3)),
        ("batch-norm-1d", (2, 5, 3)),
        ("batch-norm-2d", (2, 5, 7, 3)),
    ]:
        record(family, name, config, batch_norm, shape, shapes, extra=running)

    def layer_norm(x, p):
        return F.layer_norm(x, x.shape[-1:], p["weight"], p["bias"], epsilon)

    config = {"layer-norm": {"epsilon": epsilon}}
    shapes = {"weight": (5,), "bias": (5,)}
    record(family, "layer-norm", config, layer_norm, (3, 5), shapes)
    record(family, "layer-norm-sequence", config, layer_norm, (2, 3, 5), shapes)


def embedding(family):
    config = {"embedding": {"vocabulary": 11, "units": 4}}

    def indices(rng):
        index = rng.integers(0, 11, (3, 6)).astype(np.int32)
        index[0, :3] = [7, 7, 0]
        index[2, 5] = 10
        return index

    record(
        family,
        "embedding",
        config,
        lambda x, p: F.embedding(x, p["weight"]),
        None,
        {"weight": (11, 4)},
        indices,
    )


def attention(family):
    length, width, heads = 5, 6, 2
    shapes = {"in_proj_weight": (3 * width, width), "in_proj_bias": (3 * width,)}
    shapes |= {"out_proj.weight": (width, width), "out_proj.bias": (width,)}
    module = torch.nn.MultiheadAttention(width, heads, batch_first=True, dtype=torch.float64)

    def layer(causal):
        mask = (
            torch.nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.float64)
            if causal
            else None
        )
        options = {"attn_mask": mask, "need_weights": False}
        return lambda x, p: torch.func.functional_call(module, p, (x, x, x), options)[0]

    record(family, "attention", {"attention": {"heads": heads}}, layer(False), (2, length, width), shapes)
    config = {"attention": {"heads": heads, "causal": True}}
    record(family, "attention-causal", config, layer(True), (2, length, width), shapes)


def recurrence(family):
    inputs, units = 3, 4
    for kind, gates in [("lstm", 4), ("gru", 3)]:
        cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
        module = cell(inputs, units, batch_first=True, dtype=torch.float64)
        shapes = {name: tuple(value.shape) for name, value in module.named_parameters()}
        assert shapes["weight_ih_l0"] == (gates * units, inputs)
        for sequences in [True, False]:

            def layer(x, p):
                output = torch.func.functional_call(module, p, (x,))[0]
                return output if sequences else output[:, -1]

            config = {kind: {"units": units, "sequences": sequences}}
            name = f"{kind}-sequences" if sequences else kind
            record(family, name, config, layer, (2, 5, inputs), shapes)


def residual(family):
    def plain(x, p):
        return x + linear(torch.tanh(linear(x, p, "layers.0.")), p, "layers.2.")

    config = {"residual": [{"dense": 5}, "tanh", {"dense": 5}]}
    shapes = {
        f"layers.{i}.{name}": shape for i in (0, 2) for name, shape in [("weight", (5, 5)), ("bias", (5,))]
    }
    record(family, "residual", config, plain, (3, 5), shapes)

    def projected(x, p):
        return linear(x, p, "shortcut.0.") + torch.relu(linear(x, p, "layers.0."))

    config = {"residual": {"layers": [{"dense": 4}, "relu"], "shortcut": [{"dense": 4}]}}
    prefixes = ["layers.0", "shortcut.0"]
    shapes = {
        f"{prefix}.{name}": shape
        for prefix in prefixes
        for name, shape in [("weight", (4, 5)), ("bias", (4,))]
    }
    record(family, "residual-projection", config, projected, (3, 5), shapes)


def family():
    family = Family("layers")
    parts = [dense, convolution, pooling, flatten, normalization, embedding, attention, recurrence, residual]
    for part in parts:
        part(family)
    return family
