"""Milliseconds a training step in PyTorch or JAX on the device that it chooses, for scripts/gpu_check.

usage: gpu_peers.py torch|torch-compile|jax|jax-step mlp|cnn|full [--precision tf32|f32|bf16] [--steps N] [--calls N]

mlp   784-128-10, sigmoid, batch 256
cnn   conv 3x3 32, relu, max-pool 2, conv 3x3 64, relu, max-pool 2, dense 64, dense 10, batch 256
full  784-200-10, sigmoid, all 60,000 images in each step

The data lie on the device. TF32 rounds the inputs of products; bf16 is PyTorch's autocast, and in JAX parameters and
images that are converted before the layers. PyTorch's pictures lie with their channels last. JAX runs the N steps of a call
as one program, as is done here, or one by one (jax-step); PyTorch runs step by step, as it does.
"""

import argparse
import json
import time

BATCH = {"mlp": 256, "cnn": 256, "full": 60_000}
HIDDEN = {"mlp": 128, "full": 200}
RATE = 0.01


def torch_calls(arguments):
    import torch
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = arguments.precision != "f32"
    autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=arguments.precision == "bf16")
    torch.manual_seed(0)
    batch = BATCH[arguments.job]
    if arguments.job == "cnn":
        model = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10),
        ).to(device, memory_format=torch.channels_last)
    else:
        hidden = HIDDEN[arguments.job]
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.Sigmoid(), nn.Linear(hidden, 10)).to(device)
    if arguments.peer == "torch-compile":
        model = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    criterion = nn.CrossEntropyLoss()
    batches = 1 if arguments.job == "full" else 8
    images = [torch.randn(batch, 1, 28, 28, device=device) for _ in range(batches)]
    if arguments.job == "cnn":
        images = [image.to(memory_format=torch.channels_last) for image in images]
    labels = torch.randint(0, 10, (batches, batch), device=device)

    def call():
        for step in range(arguments.steps):
            optimizer.zero_grad()
            with autocast:
                loss = criterion(model(images[step % batches]), labels[step % batches])
            loss.backward()
            optimizer.step()
        return loss.item()  # waits for the device

    return call, device


def jax_calls(arguments):
    import jax
    import jax.numpy as jnp

    if arguments.precision == "f32":
        jax.config.update("jax_default_matmul_precision", "highest")
    keys = iter(jax.random.split(jax.random.key(0), 16))
    batch = BATCH[arguments.job]

    def dense(inputs, outputs):
        return 0.05 * jax.random.normal(next(keys), (inputs, outputs)), jnp.zeros(outputs)

    def conv(channels, filters):
        return 0.05 * jax.random.normal(next(keys), (3, 3, channels, filters)), jnp.zeros(filters)

    def convolve(x, layer):
        y = jax.lax.conv_general_dilated(x, layer[0], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        y = jax.nn.relu(y + layer[1])
        return jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    if arguments.job == "cnn":
        parameters = [conv(1, 32), conv(32, 64), dense(1600, 64), dense(64, 10)]
    else:
        parameters = [dense(784, HIDDEN[arguments.job]), dense(HIDDEN[arguments.job], 10)]

    def logits(parameters, x):
        if arguments.precision == "bf16":
            parameters, x = jax.tree.map(lambda array: array.astype(jnp.bfloat16), (parameters, x))
        if arguments.job == "cnn":
            x = convolve(convolve(x, parameters[0]), parameters[1]).reshape(x.shape[0], -1)
            x = jax.nn.relu(x @ parameters[2][0] + parameters[2][1])
        else:
            x = jax.nn.sigmoid(x.reshape(x.shape[0], -1) @ parameters[0][0] + parameters[0][1])
        return x @ parameters[-1][0] + parameters[-1][1]

    def loss(parameters, x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(logits(parameters, x).astype(jnp.float32)), y[:, None], axis=1).mean()

    batches = 1 if arguments.job == "full" else 8
    images = jax.random.normal(next(keys), (batches, batch, 28, 28, 1))
    labels = jax.random.randint(next(keys), (batches, batch), 0, 10)

    def step(parameters, i):
        value, grads = jax.value_and_grad(loss)(parameters, images[i % batches], labels[i % batches])
        return jax.tree.map(lambda p, g: p - RATE * g, parameters, grads), value

    numbers = jnp.arange(arguments.steps)
    steps = jax.jit(lambda parameters: jax.lax.scan(step, parameters, numbers), donate_argnums=0)
    one = jax.jit(step, donate_argnums=0)

    def call():
        nonlocal parameters
        if arguments.peer == "jax":
            parameters, losses = steps(parameters)
        else:
            for i in range(arguments.steps):
                parameters, losses = one(parameters, i)
        return float(losses.reshape(-1)[-1])  # waits for the device

    return call, jax.devices()[0].platform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["torch", "torch-compile", "jax", "jax-step"])
    parser.add_argument("job", choices=list(BATCH))
    parser.add_argument("--precision", choices=["tf32", "f32", "bf16"], default="tf32")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--calls", type=int, default=5)
    arguments = parser.parse_args()
    call, device = jax_calls(arguments) if arguments.peer.startswith("jax") else torch_calls(arguments)
    started = time.perf_counter()
    call()
    first = time.perf_counter() - started
    times = []
    for _ in range(arguments.calls):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1e3 / arguments.steps)
    print(json.dumps({"ms": times, "first_s": first, "device": device}))


main()
