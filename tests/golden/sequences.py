"""Training on sequences of numbers of unlike lengths, in PyTorch: packed sequences, key padding masks, means over real
positions.

A case is one step of gradient descent at a rate of 1 on all rows: `param.*` before it, `after.*` after it, and the `loss`.
The sequences stand one after another in `numbers`; `lengths` has the length of each.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from store import Family, generator, leaf, normal

LENGTHS = [5, 1, 3, 7, 2, 4]
FEATURES, CLASSES = 3, 4


def recurrent(kind, x, lengths, p, path, **options):
    """The results of a packed sequence: of all steps, and the last states of each direction side by side."""
    layer = kind(FEATURES, 5, batch_first=True, dtype=torch.float64, **options)
    names = [name for name, _ in layer.named_parameters()]
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    steps, state = torch.func.functional_call(layer, {name: p[f"{path}.{name}"] for name in names}, (packed,))
    state = state[0] if isinstance(state, tuple) else state
    steps, _ = pad_packed_sequence(steps, batch_first=True)
    return steps, torch.cat(list(state), dim=-1)


def attention(x, real, p, path):
    features = x.shape[-1]
    out, _ = F.multi_head_attention_forward(
        *[x.transpose(0, 1)] * 3, features, 2, p[f"{path}.in_proj_weight"], p[f"{path}.in_proj_bias"], None, None,
        False, 0.0, p[f"{path}.out_proj.weight"], p[f"{path}.out_proj.bias"], key_padding_mask=~real,
    )
    return out.transpose(0, 1)


def dense(x, p, path):
    return F.linear(x, p[f"{path}.weight"], p[f"{path}.bias"])


def gates(count, inputs, suffix=""):
    """The shapes of a recurrent layer with 5 units."""
    sizes = {"weight_ih": (5 * count, inputs), "weight_hh": (5 * count, 5), "bias_ih": (5 * count,), "bias_hh": (5 * count,)}
    return {f"1.{name}_l0{suffix}": shape for name, shape in sizes.items()}


def family():
    family = Family("sequences")
    rng = generator(family.name)
    parts = [torch.tensor(normal(rng, length, FEATURES) * 2 + [3, -1, 0]) for length in LENGTHS]
    parts = [part.float().double() for part in parts]
    labels = rng.integers(0, CLASSES, len(LENGTHS))
    tags = rng.integers(0, CLASSES, (len(LENGTHS), max(LENGTHS)))
    # As `standardize-features` does: for each feature over the real positions.
    every = torch.cat(parts)
    scaled = (every - every.mean(0)) / every.std(0, correction=0)
    x = pad_sequence(list(scaled.split(LENGTHS)), batch_first=True)
    real = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]

    def case(name, layers, shapes, loss, **tensors):
        rng = generator(family.name, name)
        params = {name: normal(rng, *shape, scale=0.5) for name, shape in shapes.items()}
        p = {name: leaf(value) for name, value in params.items()}
        value = loss(p)
        value.backward()
        tensors |= {"numbers": every, "lengths": np.array(LENGTHS), "loss": value}
        tensors |= {f"param.{name}": value for name, value in params.items()}
        tensors |= {f"after.{name}": (value - value.grad) for name, value in p.items()}
        family.add(name, ["masking", *layers], tensors)

    linear = lambda path, outputs, inputs: {f"{path}.weight": (outputs, inputs), f"{path}.bias": (outputs,)}
    y, tagged = torch.tensor(labels), torch.tensor(tags)

    def lstm(p):
        _, state = recurrent(torch.nn.LSTM, x, LENGTHS, p, "1", bidirectional=True)
        return F.cross_entropy(dense(state, p, "2"), y)

    shapes = gates(4, FEATURES) | gates(4, FEATURES, "_reverse") | linear("2", CLASSES, 10)
    case("lstm", [{"lstm": {"units": 5, "bidirectional": True}}, {"dense": CLASSES}], shapes, lstm, labels=labels)

    def tagging(p):
        steps, _ = recurrent(torch.nn.GRU, x, LENGTHS, p, "1")
        return F.cross_entropy(dense(steps, p, "2")[real], tagged[real])

    shapes = gates(3, FEATURES) | linear("2", CLASSES, 5)
    case("tags", [{"gru": {"units": 5, "sequences": True}}, {"dense": CLASSES}], shapes, tagging, tags=tags)

    def pooled(pool):
        def loss(p):
            seen = attention(dense(x, p, "1"), real, p, "2")
            return F.cross_entropy(dense(pool(seen), p, "4"), y)

        return loss

    shapes = linear("1", 6, FEATURES) | linear("4", CLASSES, 6)
    shapes |= {"2.in_proj_weight": (18, 6), "2.in_proj_bias": (18,), "2.out_proj.weight": (6, 6), "2.out_proj.bias": (6,)}
    mean = lambda seen: (seen * real[..., None]).sum(1) / real.sum(1, keepdim=True)
    most = lambda seen: seen.masked_fill(~real[..., None], -torch.inf).amax(1)
    for kind, pool in [("avg", mean), ("max", most)]:
        layers = [{"dense": 6}, {"attention": 2}, f"global-{kind}-pool", {"dense": CLASSES}]
        case(f"attention-{kind}", layers, shapes, pooled(pool), labels=labels)

    def restored(p):
        return F.mse_loss(dense(torch.tanh(dense(x, p, "1")), p, "3")[real], x[real])

    case("autoencoder", [{"dense": 2}, "tanh", {"dense": FEATURES}], linear("1", 2, FEATURES) | linear("3", FEATURES, 2), restored)
    return family
