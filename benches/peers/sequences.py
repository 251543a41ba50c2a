"""The jobs of benches/sequences in PyTorch and JAX, each as its documentation writes it.

usage: sequences.py KIND VARIANT BATCH LENGTH FEATURES LAYERS STEPS EPOCHS

With `data:FOLDER` as the variant, writes the rows there.
"""

import json
import pathlib
import sys
import time

import numpy as np

kind, variant, *numbers = sys.argv[1:]
batch, length, features, depth, steps, epochs = map(int, numbers)
random = np.random.default_rng(1)
rows = steps * batch
if kind == "causal":
    tokens = random.integers(0, features, (rows, length))
    inputs, labels = tokens[:, :-1], tokens[:, 1:]
else:
    inputs = random.normal(size=(rows, length, features)).astype(np.float32)
    labels = random.integers(0, 10, rows)


def torch_epochs() -> list[float]:
    import torch
    from torch import nn

    torch.manual_seed(1)

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            cell = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
            self.cell = cell(features, 128, num_layers=depth, batch_first=True)
            self.head = nn.Linear(128, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(x)[0][:, -1])

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            causal = kind == "causal"
            self.first = nn.Embedding(features, 64) if causal else nn.Linear(features, 64)
            self.position = nn.Parameter(0.02 * torch.randn(length, 64))
            layer = nn.TransformerEncoderLayer(
                64, 4, 256, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(64), enable_nested_tensor=False)
            self.head = nn.Linear(64, features if causal else 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x) + self.position[: x.shape[1]]
            if kind == "encoder":
                return self.head(self.encoder(x).mean(dim=1))
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return self.head(self.encoder(x, mask=mask, is_causal=True)).flatten(0, 1)

    model = Recurrent() if kind in ("lstm", "gru") else Transformer()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    if variant == "compile":
        model = torch.compile(model)
    loss_fn = nn.CrossEntropyLoss()
    x, y = torch.tensor(inputs), torch.tensor(labels)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        for chosen in torch.randperm(rows).split(batch):
            loss = loss_fn(model(x[chosen]), y[chosen].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds


def jax_epochs() -> list[float]:
    import jax
    import jax.numpy as jnp
    import optax

    gates = {"lstm": 4, "gru": 3}[kind]
    keys = iter(jax.random.split(jax.random.key(1), 1 + 4 * depth))
    uniform = lambda *shape: jax.random.uniform(next(keys), shape, minval=-1 / 128**0.5, maxval=1 / 128**0.5)
    sizes = [features] + [128] * depth
    params = {
        "layers": [
            {"wx": uniform(size, gates * 128), "wh": uniform(128, gates * 128), "b": uniform(gates * 128), "bh": uniform(128)}
            for size in sizes[:depth]
        ],
        "head": uniform(128, 10),
    }

    def lstm(p, carry, xs):
        h, c = carry
        i, f, g, o = jnp.split(xs + h @ p["wh"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(p, carry, xs):
        (h,) = carry
        (xr, xz, xn), (hr, hz, hn) = jnp.split(xs, 3, axis=-1), jnp.split(h @ p["wh"], 3, axis=-1)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + r * (hn + p["bh"]))
        h = n + z * (h - n)
        return (h,), h

    cell, carries = {"lstm": (lstm, 2), "gru": (gru, 1)}[kind]

    def loss_fn(params, x, y):
        xs = x.transpose(1, 0, 2)
        for p in params["layers"]:
            zeros = (jnp.zeros((x.shape[0], 128)),) * carries
            last, xs = jax.lax.scan(lambda carry, xs: cell(p, carry, xs), zeros, xs @ p["wx"] + p["b"])
        return optax.softmax_cross_entropy_with_integer_labels(last[0] @ params["head"], y).mean()

    optimizer = optax.adam(1e-3)
    state = optimizer.init(params)

    @jax.jit
    def epoch(params, state, x, y, order):
        def step(carry, chosen):
            params, state = carry
            loss, grads = jax.value_and_grad(loss_fn)(params, x[chosen], y[chosen])
            updates, state = optimizer.update(grads, state)
            return (optax.apply_updates(params, updates), state), loss

        return jax.lax.scan(step, (params, state), order)

    x, y = jnp.asarray(inputs), jnp.asarray(labels)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        order = jnp.asarray(random.permutation(rows).reshape(steps, batch))
        (params, state), losses = epoch(params, state, x, y, order)
        losses.block_until_ready()
        seconds.append(time.perf_counter() - started)
    return seconds


if variant.startswith("data:"):
    folder = pathlib.Path(variant.removeprefix("data:"))
    if kind == "causal":
        np.save(folder / "x.npy", tokens.astype(np.int32))
    else:
        np.save(folder / "x.npy", inputs)
        np.save(folder / "y.npy", labels.astype(np.int32))
    print(json.dumps({"epoch_s": []}))
else:
    print(json.dumps({"epoch_s": jax_epochs() if variant == "jax" else torch_epochs()}))
