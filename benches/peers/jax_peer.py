"""The jobs in JAX: an epoch as one `lax.scan`, one call with donated arguments a step, and the scan again with the
convolutions written as slices and one product, which XLA runs faster on a CPU than its own inside a loop."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from job import parse

job = parse(["scan", "step", "patches"])
width = job.width


def initial(key: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
    if job.name == "mlp":
        shapes = [(job.train.inputs[0].size, width), (width, 10)]
    elif job.name == "table":
        shapes = [(32, width), (width, width // 2), (width // 2, 5)]
    else:
        k = job.kernel
        shapes = [(k, k, job.train.inputs.shape[3], width), (k, k, width, 2 * width), (job.flat, 64), (64, 10)]
    glorot = jax.nn.initializers.glorot_uniform()
    return [(glorot(k, shape), jnp.zeros(shape[-1])) for k, shape in zip(jax.random.split(key, len(shapes)), shapes)]


def conv(x: jax.Array, w: jax.Array, stride: int) -> jax.Array:
    if job.variant != "patches":
        return lax.conv_general_dilated(x, w, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    k, side = w.shape[0], (x.shape[1] - w.shape[0]) // stride + 1
    span = stride * (side - 1) + 1
    slices = [x[:, i : i + span : stride, j : j + span : stride] for i in range(k) for j in range(k)]
    return jnp.concatenate(slices, 3) @ w.reshape(-1, w.shape[3])


def max_pool(x: jax.Array) -> jax.Array:
    if job.variant != "patches":
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    side = x.shape[1] // 2 * 2
    corners = [x[:, i:side:2, j:side:2] for i in (0, 1) for j in (0, 1)]
    return jnp.maximum(jnp.maximum(*corners[:2]), jnp.maximum(*corners[2:]))


def logits(params, x: jax.Array) -> jax.Array:
    if job.name == "cnn":
        for (w, b), stride in zip(params[:2], (job.stride, 1)):
            x = max_pool(jax.nn.relu(conv(x, w, stride) + b))
        params = params[2:]
    x = x.reshape(len(x), -1)
    for w, b in params[:-1]:
        x = (jax.nn.sigmoid if job.name == "mlp" else jax.nn.relu)(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def loss(params, x: jax.Array, y: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()


optimizer = optax.adam(1e-3) if job.name == "table" else optax.sgd(1.0 if job.name == "mlp" else 0.1)
inputs, labels = jnp.asarray(job.train.inputs), jnp.asarray(job.train.labels)


def update(state, inputs, labels, rows):
    params, moments = state
    gradients = jax.grad(loss)(params, inputs[rows], labels[rows])
    updates, moments = optimizer.update(gradients, moments)
    return optax.apply_updates(params, updates), moments


@partial(jax.jit, donate_argnums=0)
def epoch(state, inputs, labels, order):
    full = len(order) // job.batch * job.batch
    state, _ = lax.scan(
        lambda state, rows: (update(state, inputs, labels, rows), None), state, order[:full].reshape(-1, job.batch)
    )
    return update(state, inputs, labels, order[full:]) if full < len(order) else state


step = jax.jit(update, donate_argnums=0)
permutation = jax.jit(jax.random.permutation, static_argnums=1)
key, first = jax.random.split(jax.random.key(1))
params = initial(first)
state = params, optimizer.init(params)
epoch_s = []
for _ in range(job.epochs):
    started = time.perf_counter()
    key, next_key = jax.random.split(key)
    order = permutation(next_key, len(labels))
    if job.variant == "step":
        order = np.asarray(order)
        for at in range(0, len(order), job.batch):
            state = step(state, inputs, labels, order[at : at + job.batch])
    else:
        state = epoch(state, inputs, labels, order)
    jax.block_until_ready(state)
    epoch_s.append(time.perf_counter() - started)

predict = jax.jit(lambda params, x: logits(params, x).argmax(1))
batches = range(0, len(job.test.labels), 1000)
right = sum(
    int((predict(state[0], job.test.inputs[at : at + 1000]) == job.test.labels[at : at + 1000]).sum()) for at in batches
)
job.report(jax.__version__, epoch_s, right / len(job.test.labels))
