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


def record(
    family, case, config, layer, input_shape, shapes, input=None, peer=None, extra=None, given=None
):
    """Runs `layer(input, params)` and keeps its output and gradients; `peer` is the same layer in JAX.

    `extra(input, params)` returns further tensors to keep. `given` are the further inputs of the layer:
    `positions`, 1 where a sequence is not padding, or `memory`, another sequence to attend to.
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

    tensors = {"input": input} | (given or {}) | {f"param.{name}": value for name, value in params.items()}
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

    real = torch.tensor(MASK == 1)

    def padded(x, p):
        """Normalised by the statistics of the positions that are not padding."""
        variance, mean = torch.var_mean(x[real], 0, correction=0)
        y = (x - mean) / torch.sqrt(variance + epsilon) * p["weight"] + p["bias"]
        # On these positions alone, as rows, it equals PyTorch's own.
        np.testing.assert_allclose(y[real].detach(), batch_norm(x[real], p).detach(), rtol=1e-12, atol=1e-12)
        return y

    def running(rng, x, p, counted=lambda x: x):
        """The running statistics, with the biased variance, and the output in evaluation with them."""
        values = counted(x)
        before = normal(rng, 3, scale=0.5), rng.uniform(0.5, 2.0, 3).astype(np.float32).astype(np.float64)
        axes = tuple(range(values.ndim - 1))
        batch = values.mean(axes).numpy(), values.var(axes, correction=0).numpy()
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
    of_real = lambda rng, x, p: running(rng, x, p, lambda x: x[real])
    given = {"positions": MASK}
    record(family, "batch-norm-padded", config, padded, (3, 5, 3), shapes, extra=of_real, given=given)

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


def transposed_convolution(family):
    def case(
        name, shape, filters, kernel, stride=1, padding="valid", added=0, dilation=1, groups=1, bias=True
    ):
        axes = len(kernel)
        stride, dilation, added = [stride] * axes, [dilation] * axes, [added] * axes
        options = {"filters": filters, "kernel": kernel, "stride": stride, "padding": padding}
        options |= {"output_padding": added, "dilation": dilation, "groups": groups, "bias": bias}
        extents = [(size - 1) * step + 1 for size, step in zip(kernel, dilation)]

        def layer(x, p):
            convolve = {1: F.conv_transpose1d, 2: F.conv_transpose2d}[axes]
            weight = p["weight"].permute(axes + 1, axes, *range(axes))
            y = convolve(x.movedim(-1, 1), weight, None, stride, dilation=dilation, groups=groups)
            for axis, (length, step, extent) in enumerate(zip(shape[1:-1], stride, extents)):
                total = max(extent - step, 0)
                if padding == "same":
                    low, result = total // 2, length * step
                else:
                    low, high = (0, 0) if padding == "valid" else padding[axis]
                    result = (length - 1) * step + extent + added[axis] - low - high
                y = pad(y, [(0, 99) if i == axis else (0, 0) for i in range(axes)])
                y = y.narrow(2 + axis, low, result)
            y = y.movedim(1, -1)
            return y + p["bias"] if bias else y

        # Where PyTorch's own padding can express the same, it is used.
        if isinstance(padding, list) and all(low == high for low, high in padding):
            rng = generator("conv-transpose", name)
            x, weight = (torch.tensor(normal(rng, *s)) for s in [shape, (*kernel, filters // groups, shape[-1])])
            convolve = {1: F.conv_transpose1d, 2: F.conv_transpose2d}[axes]
            own = convolve(
                x.movedim(-1, 1),
                weight.permute(axes + 1, axes, *range(axes)),
                torch.zeros(filters, dtype=torch.float64),
                stride,
                [low for low, _ in padding],
                added,
                groups,
                dilation,
            )
            here = layer(x, {"weight": weight, "bias": torch.zeros(filters, dtype=torch.float64)})
            np.testing.assert_allclose(here, own.movedim(1, -1), rtol=1e-12, atol=1e-12)

        shapes = {"weight": (*kernel, filters // groups, shape[-1])} | ({"bias": (filters,)} if bias else {})
        record(family, name, {"conv-transpose": options}, layer, shape, shapes)

    image, sequence = (2, 3, 4, 3), (2, 5, 3)
    case("conv-transpose", image, 2, [3, 3])
    case("conv-transpose-stride-2", image, 2, [3, 2], stride=2, bias=False)
    case("conv-transpose-same", image, 2, [3, 3], stride=2, padding="same")
    case("conv-transpose-same-wide-stride", image, 2, [2, 2], stride=3, padding="same")
    case("conv-transpose-padding", image, 2, [3, 3], stride=2, padding=[[1, 1], [1, 1]], added=1)
    case("conv-transpose-padding-asymmetric", image, 2, [4, 3], stride=2, padding=[[2, 0], [0, 1]])
    case("conv-transpose-dilation", image, 2, [3, 2], dilation=2)
    case("conv-transpose-groups", (2, 3, 4, 4), 6, [3, 3], stride=2, groups=2)
    case("conv-transpose-1d", sequence, 4, [4], stride=2, padding=[[1, 1]])


def separable(family):
    image = (2, 5, 6, 3)

    def depthwise(x, p, multiplier, weight="weight", bias="bias"):
        kernel = p[weight].permute(3, 2, 0, 1)
        return F.conv2d(x.movedim(-1, 1), kernel, p.get(bias), padding=1, groups=3).movedim(1, -1)

    config = {"depthwise-conv": {"kernel": [3, 3], "multiplier": 2, "padding": "same"}}
    shapes = {"weight": (3, 3, 1, 6), "bias": (6,)}
    record(family, "depthwise-conv", config, lambda x, p: depthwise(x, p, 2), image, shapes)

    def layer(x, p):
        y = depthwise(x, p, 1, "depthwise.weight", None)
        return y @ p["pointwise.weight"][0, 0] + p["pointwise.bias"]

    config = {"separable-conv": {"filters": 4, "kernel": [3, 3], "padding": "same"}}
    shapes = {"depthwise.weight": (3, 3, 1, 3), "pointwise.weight": (1, 1, 3, 4), "pointwise.bias": (4,)}
    record(family, "separable-conv", config, layer, image, shapes)


def upsampling(family):
    def case(name, shape, size, method):
        def layer(x, p):
            mode = {"nearest": "nearest", "bilinear": {1: "linear", 2: "bilinear"}[len(size)]}[method]
            factors = [float(n) for n in size]
            return F.interpolate(x.movedim(-1, 1), scale_factor=factors, mode=mode).movedim(1, -1)

        record(family, name, {"upsample": {"size": size, "method": method}}, layer, shape, {})

    image, sequence = (2, 3, 4, 2), (2, 5, 3)
    case("upsample-nearest", image, [2, 3], "nearest")
    case("upsample-bilinear", image, [2, 3], "bilinear")
    case("upsample-bilinear-one-cell", (1, 1, 4, 2), [4, 2], "bilinear")
    case("upsample-nearest-1d", sequence, [2], "nearest")
    case("upsample-linear-1d", sequence, [4], "bilinear")


def moving(family):
    shape = (2, 3, 4, 2)
    record(family, "reshape", {"reshape": [2, -1, 3]}, lambda x, p: x.reshape(2, 2, 4, 3), shape, {})
    record(family, "permute", {"permute": [3, 1, 2]}, lambda x, p: x.permute(0, 3, 1, 2), shape, {})
    record(family, "repeat", {"repeat": 3}, lambda x, p: x[:, None].repeat(1, 3, 1), (2, 4), {})
    record(family, "crop", {"crop": [[1, 0], [1, 2]]}, lambda x, p: x[:, 1:, 1:2], shape, {})
    zeros = lambda x, p: F.pad(x, [0, 0, 0, 3, 1, 2])
    record(family, "pad", {"pad": [[1, 2], [0, 3]]}, zeros, shape, {})


def sample_normalization(family):
    def layer(norm):
        return lambda x, p: norm(x.movedim(-1, 1), p).movedim(1, -1)

    shapes = {"weight": (6,), "bias": (6,)}
    grouped = layer(lambda x, p: F.group_norm(x, 3, p["weight"], p["bias"], 1e-3))
    config = {"group-norm": {"groups": 3, "epsilon": 1e-3}}
    record(family, "group-norm", config, grouped, (2, 3, 4, 6), shapes)
    record(family, "group-norm-vectors", config, grouped, (3, 6), shapes)
    config = {"group-norm": {"groups": 2, "affine": False}}
    record(family, "group-norm-plain", config, layer(lambda x, p: F.group_norm(x, 2)), (2, 5, 6), {})
    instance = layer(lambda x, p: F.instance_norm(x, weight=p["weight"], bias=p["bias"]))
    record(family, "instance-norm", "instance-norm", instance, (2, 3, 4, 6), shapes)
    record(family, "instance-norm-1d", "instance-norm", instance, (2, 5, 6), shapes)
    root = lambda x, p: F.rms_norm(x, (6,), p["weight"], 1e-6)
    record(family, "rms-norm", "rms-norm", root, (2, 4, 6), {"weight": (6,)})


def gates(family):
    activations = {"glu": torch.sigmoid, "swiglu": F.silu, "geglu": F.gelu}
    for name, activation in activations.items():

        def layer(x, p):
            values, gates = x.chunk(2, -1)
            return values * activation(gates)

        record(family, name, name, layer, (2, 3, 6), {})


def positions(family):
    learned = lambda x, p: x + p["weight"][:5]
    config = {"position": {"kind": "learned", "length": 7}}
    record(family, "position-learned", config, learned, (2, 5, 6), {"weight": (7, 6)})

    def waves(length, features):
        """As in PyTorch's tutorial on its transformer."""
        position = torch.arange(length, dtype=torch.float64)[:, None]
        pace = torch.exp(
            torch.arange(0, features, 2, dtype=torch.float64) * (-np.log(10000.0) / features)
        )
        table = torch.zeros(length, features, dtype=torch.float64)
        table[:, 0::2] = torch.sin(position * pace)
        table[:, 1::2] = torch.cos(position * pace)[:, : features // 2]
        return table

    for name, features in [("position-sinusoidal", 6), ("position-sinusoidal-odd", 5)]:
        layer = lambda x, p: x + waves(x.shape[1], x.shape[2])
        record(family, name, {"position": "sinusoidal"}, layer, (2, 5, features), {})


MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]], np.int32)


def attending(family):
    """Attention with rotary positions, padding, and another sequence."""
    length, width, heads = 5, 8, 2
    size = width // heads
    shapes = {"in_proj_weight": (3 * width, width), "in_proj_bias": (3 * width,)}
    shapes |= {"out_proj.weight": (width, width), "out_proj.bias": (width,)}
    module = torch.nn.MultiheadAttention(width, heads, batch_first=True, dtype=torch.float64)

    def padded(x, p):
        options = {"key_padding_mask": torch.tensor(MASK == 0), "need_weights": False}
        return torch.func.functional_call(module, p, (x, x, x), options)[0]

    shape, given = (3, length, width), {"positions": MASK}
    record(family, "attention-padded", {"attention": heads}, padded, shape, shapes, given=given)

    memory = normal(generator("attention", "memory"), 3, length, width)

    def cross(x, p):
        other = torch.tensor(memory)
        options = {"key_padding_mask": torch.tensor(MASK == 0), "need_weights": False}
        return torch.func.functional_call(module, p, (x, other, other), options)[0]

    given = {"positions": MASK, "memory": memory}
    record(family, "attention-cross", {"attention": heads}, cross, (3, 4, width), shapes, given=given)

    def rotary(x, p):
        """By complex numbers: a pair of features is turned by multiplying with e^(i p / 10000^(2i/d))."""
        q, k, v = (x @ p["in_proj_weight"].T + p["in_proj_bias"]).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (heads, size)).transpose(1, 2) for t in (q, k, v))
        pace = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angle = torch.arange(length, dtype=torch.float64)[:, None] * pace
        turn = torch.polar(torch.ones_like(angle), angle)

        def turned(t):
            a, b = t.chunk(2, -1)
            pairs = torch.complex(a, b) * turn
            return torch.cat([pairs.real, pairs.imag], -1)

        y = F.scaled_dot_product_attention(turned(q), turned(k), v)
        y = y.transpose(1, 2).flatten(2)
        return y @ p["out_proj.weight"].T + p["out_proj.bias"]

    config = {"attention": {"heads": heads, "rotary": True}}
    record(family, "attention-rotary", config, rotary, (2, length, width), shapes)


def padded(family):
    """Layers that leave padding out."""
    mask = torch.tensor(MASK, dtype=torch.float64)[..., None]
    given = {"positions": MASK}
    mean = lambda x, p: (x * mask).sum(1) / mask.sum(1)
    record(family, "global-avg-pool-padded", "global-avg-pool", mean, (3, 5, 4), {}, given=given)
    most = lambda x, p: torch.where(mask > 0, x, -torch.inf).amax(1)
    record(family, "global-max-pool-padded", "global-max-pool", most, (3, 5, 4), {}, given=given)

    def ids(rng):
        return rng.integers(0, 4, (3, 5)).astype(np.int32)

    config = {"embedding": {"vocabulary": 6, "units": 4, "padding": 0}}

    def embedding(x, p):
        return F.embedding(x, p["weight"]) * (x != 0)[..., None]

    record(family, "embedding-padded", config, embedding, None, {"weight": (6, 4)}, ids)


def deep_recurrence(family):
    """Several layers, both directions, and padding, which PyTorch packs away."""
    inputs, units = 3, 4

    def case(name, kind, sequences, layers, bidirectional, mask=None):
        cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
        options = {"batch_first": True, "dtype": torch.float64, "bidirectional": bidirectional}
        module = cell(inputs, units, layers, **options)
        shapes = {name: tuple(value.shape) for name, value in module.named_parameters()}

        def layer(x, p):
            if mask is not None:
                pack = torch.nn.utils.rnn.pack_padded_sequence
                x = pack(x, torch.tensor(mask.sum(1)), batch_first=True, enforce_sorted=False)
            output, state = torch.func.functional_call(module, p, (x,))
            if sequences:
                unpack = torch.nn.utils.rnn.pad_packed_sequence
                return output if mask is None else unpack(output, batch_first=True)[0]
            state = state[0] if kind == "lstm" else state
            return torch.cat([state[-2], state[-1]], -1) if bidirectional else state[-1]

        config = {"units": units, "sequences": sequences, "layers": layers, "bidirectional": bidirectional}
        given = None if mask is None else {"positions": mask}
        record(family, name, {kind: config}, layer, (3, 5, inputs), shapes, given=given)

    for kind in ["lstm", "gru"]:
        case(f"{kind}-bidirectional", kind, False, 1, True)
        case(f"{kind}-stacked", kind, False, 2, False)
        case(f"{kind}-stacked-bidirectional-sequences", kind, True, 2, True)
        case(f"{kind}-padded", kind, False, 1, False, MASK)
        case(f"{kind}-padded-bidirectional", kind, False, 2, True, MASK)
        case(f"{kind}-padded-sequences", kind, True, 1, True, MASK)


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
    parts += [transposed_convolution, separable, upsampling, moving, sample_normalization, gates, positions]
    parts += [attending, padded, deep_recurrence]
    for part in parts:
        part(family)
    return family
