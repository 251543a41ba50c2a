"""Optimizers: parameters after each of 40 steps on fixed gradients, in PyTorch or in optax (`source`)."""

from unittest import mock

import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch.optim import _muon, swa_utils

from store import Family, generator, leaf, normal

STEPS = 40
SHAPES = {"w": (3, 4), "b": (4,)}


def in_torch(optimizer, initial, grads, every=1):
    """Parameters after each gradient; the mean of `every` gradients makes one update."""
    params = {name: leaf(value) for name, value in initial.items()}
    optimizer = optimizer(params.values())
    history = {name: [] for name in params}
    for step in range(STEPS):
        if (step + 1) % every == 0:
            for name, param in params.items():
                param.grad = torch.tensor(grads[name][step + 1 - every : step + 1].mean(0))
            optimizer.step()
        for name, param in params.items():
            history[name].append(param.detach().numpy().copy())
    return {name: np.stack(values) for name, values in history.items()}


def in_optax(optimizer, initial, grads):
    params = {name: jnp.asarray(value) for name, value in initial.items()}
    state = optimizer.init(params)
    history = {name: [] for name in params}
    for step in range(STEPS):
        gradient = {name: jnp.asarray(value[step]) for name, value in grads.items()}
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        for name, value in params.items():
            history[name].append(np.asarray(value))
    return {name: np.stack(values) for name, values in history.items()}


def newton_schulz(gradient, coefficients, steps, epsilon):
    """PyTorch's Newton-Schulz iteration without its rounding to bfloat16."""
    a, b, c = coefficients
    tall = gradient.size(0) > gradient.size(1)
    x = gradient.T if tall else gradient
    x = x / x.norm().clamp(min=epsilon)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def check_newton_schulz():
    matrix, options = (
        torch.tensor(normal(generator("newton-schulz"), 5, 3)),
        ((3.4445, -4.775, 2.0315), 5, 1e-7),
    )
    rounded = _muon._zeropower_via_newtonschulz(matrix, *options)
    np.testing.assert_allclose(newton_schulz(matrix, *options), rounded.double(), atol=0.05)


MUON_NOTES = (
    "For a gradient G of shape [rows, columns], momentum m, learning rate r, with B starting at 0: "
    "B = m B + (1 - m) G; U = (1 - m) G + m B if nesterov, else U = B. "
    "X = U, transposed if rows > columns; X = X / max(|X|, 1e-7) in the Frobenius norm; "
    "`steps` times: A = X X^T; X = a X + (b A + c A A) X with a = 3.4445, b = -4.775, c = 2.0315; "
    "transposed back. "
    "W = W - r (sqrt(max(1, rows / columns)) X + weight_decay W). A kernel [height, width, in, out] is "
    "the matrix out x (height width in). "
    'This is torch.optim.Muon with adjust_lr_fn "original", but with the iteration in '
    "float64 where PyTorch rounds it to bfloat16."
)


def as_matrix(kernel):
    """A kernel [height, width, in, out], or a series of them, as out x (in height width), as PyTorch folds its own."""
    axes = range(kernel.ndim - 4)
    moved = kernel.transpose(*axes, *(len(axes) + axis for axis in (3, 2, 0, 1)))
    return moved.reshape(*moved.shape[: len(axes) + 1], -1)


def as_kernel(matrix, shape):
    """The inverse of `as_matrix` for a series of matrices."""
    height, width, inputs, outputs = shape
    return matrix.reshape(-1, outputs, inputs, height, width).transpose(0, 3, 4, 2, 1)


def gradients(case, shapes):
    """Standard normal, but w[0, 0] never has a gradient and the last column's are near the usual epsilon."""
    rng = generator("optimizers", case)
    initial = {name: normal(rng, *shape) for name, shape in shapes.items()}
    grads = {name: normal(rng, STEPS, *shape) for name, shape in shapes.items()}
    if "b" in shapes:
        grads["w"][:, 0, 0] = 0.0
        for value in grads.values():
            value[..., -1] = (1e-7 * value[..., -1]).astype(np.float32)
    return initial, grads


def family():
    family = Family("optimizers")

    def add(name, config, source, run, shapes=SHAPES, scale=None, **extra):
        """`run(initial, grads)` returns the parameters after each step, or these and their averages."""
        initial, grads = gradients(name, shapes)
        if scale is not None:
            grads = {name: scale(value) for name, value in grads.items()}
        result = run(initial, grads)
        params, average = result if isinstance(result, tuple) else (result, {})
        tensors = {f"initial.{name}": value for name, value in initial.items()}
        for what, values in [("grads", grads), ("params", params), ("average", average)]:
            tensors |= {f"{what}.{name}": value for name, value in values.items()}
        family.add(name, config, tensors, params=list(shapes), source=source, **extra)

    def with_torch(name, config, optimizer, peer=None, every=1):
        """Keeps PyTorch's parameters; `peer` is the same optimizer in optax, where it has one."""

        def run(initial, grads):
            history = in_torch(optimizer, initial, grads, every)
            if peer is not None:
                for key, value in in_optax(peer, initial, grads).items():
                    np.testing.assert_allclose(history[key], value, rtol=1e-9, atol=1e-12)
            return history

        add(name, config, "torch", run)

    def with_optax(name, config, optimizer, **options):
        add(name, config, "optax", lambda initial, grads: in_optax(optimizer, initial, grads), **options)

    sgd, adam = torch.optim.SGD, torch.optim.Adam

    config = {"learning_rate": 0.1}
    with_torch("sgd", {"sgd": dict(config)}, lambda p: sgd(p, 0.1), optax.sgd(0.1))
    config["momentum"] = 0.9
    with_torch("sgd-momentum", {"sgd": dict(config)}, lambda p: sgd(p, 0.1, 0.9), optax.sgd(0.1, 0.9))
    config["nesterov"] = True
    nesterov = lambda p: sgd(p, 0.1, 0.9, nesterov=True)
    with_torch("sgd-nesterov", {"sgd": dict(config)}, nesterov, optax.sgd(0.1, 0.9, nesterov=True))
    config["weight_decay"] = 0.01
    decayed = lambda p: sgd(p, 0.1, 0.9, nesterov=True, weight_decay=0.01)
    peer = optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.1, 0.9, nesterov=True))
    with_torch("sgd-nesterov-weight-decay", {"sgd": dict(config)}, decayed, peer)
    config = {"sgd": {"learning_rate": 0.1, "weight_decay": 0.01}}
    with_torch("sgd-weight-decay", config, lambda p: sgd(p, 0.1, weight_decay=0.01))

    for name, momentum in [("rmsprop", 0.0), ("rmsprop-momentum", 0.9)]:
        config = {"rmsprop": {"learning_rate": 0.01, "decay": 0.9, "epsilon": 1e-8, "momentum": momentum}}
        rmsprop = lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-8, momentum=momentum)
        with_torch(name, config, rmsprop)

    config = {"adagrad": {"learning_rate": 0.1, "epsilon": 1e-10}}
    with_torch("adagrad", config, lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-10))

    moments = {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    with_torch("adam", {"adam": moments}, lambda p: adam(p, 0.001, eps=1e-8), optax.adam(0.001))
    rooted = optax.adam(0.001, eps=1e-8, eps_root=1e-15)
    with_optax("adam-epsilon-root", {"adam": moments | {"epsilon_root": 1e-15}}, rooted)
    config = moments | {"weight_decay": 0.01}
    with_torch("adam-weight-decay", {"adam": config}, lambda p: adam(p, 0.001, eps=1e-8, weight_decay=0.01))
    adamw = lambda p: torch.optim.AdamW(p, 0.001, eps=1e-8, weight_decay=0.01)
    with_torch("adamw", {"adamw": config}, adamw, optax.adamw(0.001, weight_decay=0.01))

    config = {"lion": {"learning_rate": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1}}
    with_optax("lion", config, optax.lion(1e-4, 0.9, 0.99, weight_decay=0.1))

    def muon(initial, grads, nesterov=True, weight_decay=0.0):
        optimizer = lambda p: torch.optim.Muon(
            p, 0.02, weight_decay=weight_decay, momentum=0.95, nesterov=nesterov
        )
        with mock.patch.object(_muon, "_zeropower_via_newtonschulz", newton_schulz):
            return in_torch(optimizer, initial, grads)

    check_newton_schulz()
    for name, nesterov in [("muon", True), ("muon-heavy-ball", False)]:
        config = {"muon": {"learning_rate": 0.02, "momentum": 0.95, "nesterov": nesterov, "steps": 5}}
        run = lambda initial, grads: muon(initial, grads, nesterov)
        add(name, config, "torch", run, {"w": (3, 4), "m": (5, 3)}, notes=MUON_NOTES)

    def muon_kernels(initial, grads):
        """Kernels as matrices of a row for each output, checked against optax, which is told their axes."""
        shapes = {name: value.shape for name, value in initial.items()}
        fold = lambda values: {name: as_matrix(value) for name, value in values.items()}
        history = muon(fold(initial), fold(grads), False, 0.1)
        history = {name: as_kernel(value, shapes[name]) for name, value in history.items()}
        axes = {name: optax.contrib.MuonDimensionNumbers((0, 1, 2), 3) for name in shapes}
        peer = optax.contrib.muon(
            0.02, beta=0.95, nesterov=False, weight_decay=0.1, muon_weight_dimension_numbers=axes
        )
        for name, value in in_optax(peer, initial, grads).items():
            np.testing.assert_allclose(history[name], value, rtol=1e-6, atol=1e-6)
        return history

    config = {"muon": {"learning_rate": 0.02, "momentum": 0.95, "nesterov": False, "weight_decay": 0.1}}
    shapes = {"many": (2, 1, 2, 7), "few": (3, 3, 2, 4)}
    add("muon-kernels", config, "torch", muon_kernels, shapes, notes=MUON_NOTES)

    def some_small(grads):
        """Every third gradient is too small to be clipped."""
        grads = grads.copy()
        grads[::3] = (0.01 * grads[::3]).astype(np.float32)
        return grads

    clipped = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1))
    with_optax("clip-norm", {"sgd": {"learning_rate": 0.1}, "clip_norm": 0.5}, clipped, scale=some_small)
    clipped = optax.chain(optax.clip(0.1), optax.sgd(0.1))
    with_optax("clip-value", {"sgd": {"learning_rate": 0.1}, "clip_value": 0.1}, clipped, scale=some_small)

    config = {"sgd": {"learning_rate": 0.1, "momentum": 0.9}, "accumulate": 4}
    peer = optax.MultiSteps(optax.sgd(0.1, 0.9), 4, accumulator_dtype=jnp.float64)
    with_torch("accumulate", config, lambda p: sgd(p, 0.1, 0.9), peer, every=4)

    def averaged(initial, grads):
        """The weights' moving average, its start corrected, as optax's."""
        params = in_optax(optax.sgd(0.1), initial, grads)
        average = optax.ema(0.9, debias=True)
        state = average.init(initial)
        history = {name: [] for name in initial}
        for step in range(STEPS):
            now, state = average.update({name: value[step] for name, value in params.items()}, state)
            for name, value in now.items():
                history[name].append(np.asarray(value))
        return params, {name: np.stack(values) for name, values in history.items()}

    def averaged_from_the_first(initial, grads):
        """PyTorch's moving average of the weights, which begins as the first weights."""
        params = in_torch(lambda p: sgd(p, 0.1), initial, grads)
        model = torch.nn.ParameterDict({name: leaf(value) for name, value in initial.items()})
        average = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
        average.update_parameters(model)
        history = {name: [] for name in initial}
        for step in range(STEPS):
            with torch.no_grad():
                for name, param in model.items():
                    param.copy_(torch.tensor(params[name][step]))
            average.update_parameters(model)
            for name, value in average.module.items():
                history[name].append(value.detach().numpy().copy())
        return params, {name: np.stack(values) for name, values in history.items()}

    config = {"sgd": {"learning_rate": 0.1}, "average": 0.9}
    add("average", config, "optax", averaged)
    config = config | {"average": {"decay": 0.9, "debias": False}}
    add("average-from-the-first", config, "torch", averaged_from_the_first)

    # Rules with the settings around them.
    config = {"adagrad": {"learning_rate": 0.1, "weight_decay": 0.01}}
    with_torch("adagrad-weight-decay", config, lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-10, weight_decay=0.01))
    config = {"rmsprop": {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.01}}
    rmsprop = lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, momentum=0.9, weight_decay=0.01)
    with_torch("rmsprop-momentum-weight-decay", config, rmsprop)
    for name, bound, clip in [
        ("clip_norm", 0.5, optax.clip_by_global_norm(0.5)),
        ("clip_value", 0.1, optax.clip(0.1)),
    ]:
        config = {"adamw": {"learning_rate": 0.01, "weight_decay": 0.1}, name: bound}
        peer = optax.chain(clip, optax.adamw(0.01, weight_decay=0.1))
        with_optax(f"adamw-{name.replace('_', '-')}", config, peer, scale=some_small)
    config = {"lion": {"learning_rate": 1e-3, "weight_decay": 0.1}, "clip_norm": 0.5}
    peer = optax.chain(optax.clip_by_global_norm(0.5), optax.lion(1e-3, 0.9, 0.99, weight_decay=0.1))
    with_optax("lion-clip-norm", config, peer, scale=some_small)
    config = {"adam": {"learning_rate": 0.01, "weight_decay": 0.1}, "accumulate": 4}
    with_torch("adam-accumulate", config, lambda p: adam(p, 0.01, eps=1e-8, weight_decay=0.1), every=4)
    return family
