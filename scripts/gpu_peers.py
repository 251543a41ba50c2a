"""Milliseconds a training step in PyTorch or JAX on the device that it chooses, for scripts/gpu_check.

usage: gpu_peers.py torch|jax [--jobs mlp cnn fast full] [--precisions tf32 f32 bf16] [--steps N] [--calls N]

mlp   784-128-10, sigmoid, batch 256
cnn   conv 3x3 32, relu, max-pool 2, conv 3x3 64, relu, max-pool 2, dense 64, dense 10, batch 256
fast  conv 5x5 16, max-pool 2, batch-norm, relu, conv 3x3 32 and so on, dense 128, batch-norm, relu, dense 10, Adam, batch 256
full  784-200-10, sigmoid, all 60,000 images in each step

For each job and precision a line of JSON for each way to run it: JAX runs all steps of a call as one program
(lax.scan), as neural does; PyTorch runs step by step, eager and compiled. All jobs but `fast` train by plain gradient
descent.

The data are on the device. TF32 rounds the inputs of products; bf16 is PyTorch's autocast, and in JAX parameters and
images that are converted before the layers. PyTorch's images have their channels last.
"""

import argparse
import json
import time

BATCH = {"mlp": 256, "cnn": 256, "fast": 256, "full": 60_000}
HIDDEN = {"mlp": 128, "full": 200}
RATE = 0.01


def torch_ways(job, precision, steps):
    import torch
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
    batches = 1 if job == "full" else 8
    images = [torch.randn(BATCH[job], 1, 28, 28, device=device) for _ in range(batches)]
    if job in ("cnn", "fast"):
        images = [image.to(memory_format=torch.channels_last) for image in images]
    labels = torch.randint(0, 10, (batches, BATCH[job]), device=device)
    criterion = nn.CrossEntropyLoss()

    def way(compiled):
        torch.manual_seed(0)
        if job == "cnn":
            model = nn.Sequential(
                nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10),
            )
        elif job == "fast":
            model = nn.Sequential(
                nn.Conv2d(1, 16, 5, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU(),
                nn.Conv2d(16, 32, 3, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.ReLU(),
                nn.Flatten(), nn.Linear(800, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10),
            )
        else:
            model = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN[job]), nn.Sigmoid(), nn.Linear(HIDDEN[job], 10))
        model = model.to(device, memory_format=torch.channels_last) if job in ("cnn", "fast") else model.to(device)
        optimizer = (torch.optim.Adam if job == "fast" else torch.optim.SGD)(model.parameters(), lr=RATE)
        if compiled:
            model = torch.compile(model)

        def call():
            for step in range(steps):
                optimizer.zero_grad()
                with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
                    loss = criterion(model(images[step % batches]), labels[step % batches])
                loss.backward()
                optimizer.step()
            return loss.item()  # waits for the device

        return call

    yield "PyTorch, eager", way(False), device
    yield "PyTorch, compiled", way(True), device


def jax_ways(job, precision, steps):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_default_matmul_precision", "highest" if precision == "f32" else None)
    keys = iter(jax.random.split(jax.random.key(0), 16))

    def weights(*shape):
        return 0.05 * jax.random.normal(next(keys), shape)

    def dense(inputs, outputs):
        return weights(inputs, outputs), jnp.zeros(outputs)

    def conv(size, channels, filters):
        return weights(size, size, channels, filters), jnp.zeros(filters)

    def convolve(x, w):
        return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def pool(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def norm(x, scale, shift):
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.astype(jnp.float32).mean(axes), x.astype(jnp.float32).var(axes)
        return jax.nn.relu(((x - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + shift).astype(x.dtype)), (mean, variance)

    if job == "cnn":
        parameters = [conv(3, 1, 32), conv(3, 32, 64), dense(1600, 64), dense(64, 10)]
    elif job == "fast":
        scales = [(jnp.ones(n), jnp.zeros(n)) for n in (16, 32, 128)]
        parameters = [weights(5, 5, 1, 16), weights(3, 3, 16, 32), weights(800, 128), *scales, dense(128, 10)]
    else:
        parameters = [dense(784, HIDDEN[job]), dense(HIDDEN[job], 10)]
    running = [(jnp.zeros(n), jnp.ones(n)) for n in (16, 32, 128)] if job == "fast" else []

    def logits(parameters, x):
        moments = []
        if precision == "bf16":
            parameters, x = jax.tree.map(lambda array: array.astype(jnp.bfloat16), (parameters, x))
        if job == "fast":
            for i in range(3):
                x = pool(convolve(x, parameters[i])) if i < 2 else x.reshape(x.shape[0], -1) @ parameters[i]
                x, moment = norm(x, *parameters[3 + i])
                moments.append(moment)
        elif job == "cnn":
            for w, b in parameters[:2]:
                x = pool(jax.nn.relu(convolve(x, w) + b))
            x = jax.nn.relu(x.reshape(x.shape[0], -1) @ parameters[2][0] + parameters[2][1])
        else:
            x = jax.nn.sigmoid(x.reshape(x.shape[0], -1) @ parameters[0][0] + parameters[0][1])
        return x @ parameters[-1][0] + parameters[-1][1], moments

    def loss(parameters, x, y):
        scores, moments = logits(parameters, x)
        scores = jax.nn.log_softmax(scores.astype(jnp.float32))
        return -jnp.take_along_axis(scores, y[:, None], axis=1).mean(), moments

    batches = 1 if job == "full" else 8
    images = jax.random.normal(next(keys), (batches, BATCH[job], 28, 28, 1))
    labels = jax.random.randint(next(keys), (batches, BATCH[job]), 0, 10)

    def step(state, i):
        parameters, running, m, v = state
        (value, moments), grads = jax.value_and_grad(loss, has_aux=True)(parameters, images[i % batches], labels[i % batches])
        running = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, running, moments)
        if job == "fast":
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
            corrected = lambda p, m, v: p - RATE * m / (1 - 0.9 ** (i + 1)) / (jnp.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-8)
            parameters = jax.tree.map(corrected, parameters, m, v)
        else:
            parameters = jax.tree.map(lambda p, g: p - RATE * g, parameters, grads)
        return (parameters, running, m, v), value

    zeros = lambda: jax.tree.map(jnp.zeros_like, parameters) if job == "fast" else []
    state = (parameters, running, zeros(), zeros())
    all_steps = jax.jit(lambda state: jax.lax.scan(step, state, jnp.arange(steps)), donate_argnums=0)

    def call():
        nonlocal state
        state, losses = all_steps(state)
        return float(losses[-1])  # waits for the device

    yield "JAX, scan", call, jax.devices()[0].platform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", choices=["torch", "jax"])
    parser.add_argument("--jobs", nargs="+", choices=list(BATCH), default=["mlp"])
    parser.add_argument("--precisions", nargs="+", choices=["tf32", "f32", "bf16"], default=["tf32"])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--calls", type=int, default=5)
    arguments = parser.parse_args()
    ways = {"torch": torch_ways, "jax": jax_ways}[arguments.framework]
    for job in arguments.jobs:
        for precision in arguments.precisions:
            for peer, call, device in ways(job, precision, arguments.steps):
                started = time.perf_counter()
                call()
                first = time.perf_counter() - started
                times = []
                for _ in range(arguments.calls):
                    started = time.perf_counter()
                    call()
                    times.append((time.perf_counter() - started) * 1e3 / arguments.steps)
                said = {"peer": peer, "job": job, "precision": precision, "ms": times, "first_s": first, "device": device}
                print(json.dumps(said), flush=True)


main()
