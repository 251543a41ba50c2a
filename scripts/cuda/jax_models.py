"""The models of the recipes in JAX, as programs for a GPU: StableHLO for scripts/cuda/ahead, without one.

usage: jax_models.py FOLDER [NAME ...]

Each file trains as its recipe does, all steps of an epoch in one lax.scan that donates its state, as ours do. Batches lie
in order: the gather of rows, which ours makes in each step, is left out.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

STEPS = 40


# Only shapes matter: the parameters' values are not part of a program.
def zeros(*shape):
    return np.zeros(shape, np.float32)


def dense(inputs, outputs):
    return {"w": zeros(inputs, outputs), "b": zeros(outputs)}


def apply_dense(p, x):
    return x @ p["w"] + p["b"] if "b" in p else x @ p["w"]


def conv(size, channels, filters, groups=1, bias=True):
    w = {"w": zeros(size, size, channels // groups, filters)}
    return w | {"b": zeros(filters)} if bias else w


def apply_conv(p, x, stride=1, padding="VALID", groups=1):
    y = lax.conv_general_dilated(
        x, p["w"], (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )
    return y + p["b"] if "b" in p else y


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def avg_pool(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4


def norm(features):
    return {"scale": zeros(features), "shift": zeros(features)}


def batch_norm(p, running, x):
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    y = (x - mean) * lax.rsqrt(variance + 1e-5) * p["scale"] + p["shift"]
    moved = {"mean": 0.9 * running["mean"] + 0.1 * mean, "variance": 0.9 * running["variance"] + 0.1 * variance}
    return y, lax.stop_gradient(moved)


def layer_norm(p, x):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * p["scale"] + p["shift"]


def statistics(features):
    return {"mean": zeros(features), "variance": zeros(features)}


def dropout(key, x, rate=0.5):
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0.0)


def attention(p, x, heads, causal=False):
    n, length, features = x.shape
    q, k, v = (apply_dense(p[i], x).reshape(n, length, heads, -1) for i in range(3))
    scores = jnp.einsum("nqhd,nkhd->nhqk", q, k) / (features // heads) ** 0.5
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
    return apply_dense(p[3], jnp.einsum("nhqk,nkhd->nqhd", jax.nn.softmax(scores), v).reshape(n, length, features))


def mlp(*widths):
    def model(p, s, x, key):
        x = x.reshape(x.shape[0], -1)
        for layer in p[:-1]:
            x = jax.nn.sigmoid(apply_dense(layer, x))
        return apply_dense(p[-1], x), s

    return [dense(a, b) for a, b in zip(widths, widths[1:])], [], model


def fast():
    """conv, max-pool, batch-norm, relu twice; dense, batch-norm, relu, dense."""

    def model(p, s, x, key):
        s = list(s)
        for i in range(2):
            x, s[i] = batch_norm(p[f"norm{i}"], s[i], max_pool(apply_conv(p[f"conv{i}"], x)))
            x = jax.nn.relu(x)
        x, s[2] = batch_norm(p["norm2"], s[2], apply_dense(p["dense0"], x.reshape(x.shape[0], -1)))
        return apply_dense(p["dense1"], jax.nn.relu(x)), s

    p = {"conv0": conv(5, 1, 16, bias=False), "conv1": conv(3, 16, 32, bias=False), "norm0": norm(16), "norm1": norm(32), "norm2": norm(128)}
    return p | {"dense0": {"w": zeros(800, 128)}, "dense1": dense(128, 10)}, [statistics(n) for n in (16, 32, 128)], model


def cnn(side, channels, filters, units):
    """conv, relu, batch-norm, dropout, and so with dense ones."""

    def model(p, s, x, key):
        s, n = list(s), len(filters)
        for i in range(len(filters) + len(units)):
            if i == n:
                x = x.reshape(x.shape[0], -1)
            x = jax.nn.relu((apply_conv if i < n else apply_dense)(p["layers"][i], x))
            x, s[i] = batch_norm(p["norms"][i], s[i], x)
            x = dropout(jax.random.fold_in(key, i), x)
        return apply_dense(p["last"], x), s

    sizes = [channels, *filters]
    layers = [conv(3, a, b) for a, b in zip(sizes, filters)]
    flat = [(side - 2 * len(filters)) ** 2 * filters[-1], *units]
    layers += [dense(a, b) for a, b in zip(flat, units)]
    widths = [*filters, *units]
    return {"layers": layers, "norms": [norm(n) for n in widths], "last": dense(units[-1], 10)}, [statistics(n) for n in widths], model


def recurrent(gates):
    units = 128

    def model(p, s, x, key):
        inputs = x.transpose(1, 0, 2) @ p["wi"] + p["bi"]

        def lstm(carry, gates):
            h, c = carry
            i, f, g, o = jnp.split(gates + h @ p["wh"] + p["bh"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), None

        def gru(carry, gates):
            (h,) = carry
            a, b = jnp.split(gates, 3, axis=-1), jnp.split(h @ p["wh"] + p["bh"], 3, axis=-1)
            r, z = jax.nn.sigmoid(a[0] + b[0]), jax.nn.sigmoid(a[1] + b[1])
            return ((1 - z) * jnp.tanh(a[2] + r * b[2]) + z * h,), None

        start = jnp.zeros((x.shape[0], units))
        (h, *_), _ = lax.scan(lstm if gates == 4 else gru, (start,) * (2 if gates == 4 else 1), inputs)
        return apply_dense(p["last"], h), s

    width = gates * units
    p = {"wi": zeros(28, width), "wh": zeros(units, width), "bi": zeros(width), "bh": zeros(width)}
    return p | {"last": dense(units, 10)}, [], model


def attending():
    def model(p, s, x, key):
        x = layer_norm(p["norm0"], apply_dense(p["first"], x))
        x = layer_norm(p["norm1"], attention(p["attention"], x, 4))
        return apply_dense(p["last"], x.reshape(x.shape[0], -1)), s

    p = {"first": dense(28, 64), "attention": [dense(64, 64) for _ in range(4)], "norm0": norm(64), "norm1": norm(64)}
    return p | {"last": dense(28 * 64, 10)}, [], model


def embedding():
    def model(p, s, x, key):
        x = attention(p["attention"], p["table"][x], 4, causal=True)
        return apply_dense(p["last"], x.reshape(x.shape[0], -1)), s

    p = {"table": zeros(5000, 64), "attention": [dense(64, 64) for _ in range(4)]}
    return p | {"last": dense(64 * 64, 10)}, [], model


def pooled():
    def model(p, s, x, key):
        for layer in p[:2]:
            x = max_pool(jax.nn.relu(apply_conv(layer, x)))
        x = jax.nn.relu(apply_dense(p[2], x.reshape(x.shape[0], -1)))
        return apply_dense(p[3], x), s

    return [conv(3, 1, 32), conv(3, 32, 64), dense(5 * 5 * 64, 64), dense(64, 10)], [], model


def strided():
    def model(p, s, x, key):
        x = jax.nn.relu(apply_conv(p[0], x))
        x = jax.nn.relu(apply_conv(p[1], x, 2, "SAME"))
        x = avg_pool(jax.nn.relu(apply_conv(p[2], x, 1, "SAME", 4)))
        return apply_dense(p[3], x.reshape(x.shape[0], -1)), s

    return [conv(3, 1, 32), conv(3, 32, 64), conv(3, 64, 64, 4), dense(6 * 6 * 64, 10)], [], model


def sgd(rate):
    return lambda p: (), lambda grads, state, p, step: (jax.tree.map(lambda p, g: p - rate * g, p, grads), state)


def adam(rate, b1=0.9, b2=0.999):
    init = lambda p: (jax.tree.map(np.zeros_like, p), jax.tree.map(np.zeros_like, p))

    def update(grads, state, p, step):
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state[0], grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state[1], grads)
        c1, c2 = 1 - b1 ** (step + 1), 1 - b2 ** (step + 1)
        return jax.tree.map(lambda p, m, v: p - rate * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), p, m, v), (m, v)

    return init, update


PICTURES, SEQUENCES = ((28, 28, 1), jnp.float32), ((28, 28), jnp.float32)
# The name of the recipe: the model, the optimizer, the shape of an input and the size of a batch.
MODELS = {
    "mnist": (lambda: mlp(784, 128, 10), sgd(1.0), PICTURES, 256),
    "mnist_4layer": (lambda: mlp(784, 256, 64, 10), sgd(1.0), PICTURES, 256),
    "mnist_adam": (lambda: mlp(784, 128, 10), adam(1e-3), PICTURES, 256),
    "mnist_fast": (fast, adam(1e-2, 0.7, 0.9), PICTURES, 256),
    "mnist_cnn": (lambda: cnn(28, 1, [16, 32], [512, 128]), adam(1e-3), PICTURES, 32),
    "cifar10": (lambda: cnn(32, 3, [16, 32], [1000, 512]), adam(1e-3), ((32, 32, 3), jnp.float32), 32),
    "lstm": (lambda: recurrent(4), adam(1e-3), SEQUENCES, 128),
    "gru": (lambda: recurrent(3), adam(1e-3), SEQUENCES, 128),
    "attention": (attending, adam(1e-3), SEQUENCES, 128),
    "embedding": (embedding, adam(1e-3), ((64,), jnp.int32), 128),
    "cnn": (pooled, adam(1e-3), PICTURES, 128),
    "strided": (strided, adam(1e-3), PICTURES, 128),
}


def program(build, optimizer, image, batch):
    parameters, running, model = build()
    init, update = optimizer

    def epoch(state, key, xs, ys):
        def step(state, given):
            parameters, running, moments, number = state
            x, y = given

            def loss(parameters):
                logits, after = model(parameters, running, x, jax.random.fold_in(key, number))
                one = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean()
                return one, (after, (logits.argmax(-1) == y).sum())

            (value, (after, right)), grads = jax.value_and_grad(loss, has_aux=True)(parameters)
            parameters, moments = update(grads, moments, parameters, number)
            return (parameters, after, moments, number + 1), (value, right)

        return lax.scan(step, state, (xs, ys))

    state = (parameters, running, init(parameters), np.int32(0))
    xs = jax.ShapeDtypeStruct((STEPS, batch, *image[0]), image[1])
    ys = jax.ShapeDtypeStruct((STEPS, batch), jnp.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    traced = jax.jit(epoch, donate_argnums=0).trace(state, key, xs, ys)
    return traced.lower(lowering_platforms=("cuda",)).as_text()


def main() -> None:
    folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
    for name, parts in MODELS.items():
        if not names or name in names:
            (folder / f"{name}.mlir").write_text(program(*parts))


main()
