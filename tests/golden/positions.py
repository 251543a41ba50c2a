"""Losses at every position of a sequence or pixel of a picture, in PyTorch: classes of -1 and unknown values do not count."""

import numpy as np
import torch
import torch.nn.functional as F

from store import Family, generator, leaf, normal

WEIGHTS = [0.5, 2.0, 1.0, 0.25]
CLASSES = len(WEIGHTS)
SEQUENCES, PICTURES = (5, 6), (3, 4, 2)


def classes(rng, shape):
    labels = rng.integers(0, CLASSES, shape)
    # Padding: the rows end at different positions.
    if len(shape) == 2:
        lengths = rng.integers(1, shape[1] + 1, shape[0])
        labels[np.arange(shape[1]) >= lengths[:, None]] = -1
    else:
        labels[rng.random(shape) < 0.2] = -1
    return labels


def cross_entropy(**options):
    return lambda x, y: F.cross_entropy(x.movedim(-1, 1), y, ignore_index=-1, **options)


def family():
    family = Family("positions")

    def case(name, config, function, shape, targets, width=CLASSES, gaps=False):
        rng = generator(family.name, name)
        x, y = normal(rng, *shape, width), targets(rng)
        rows = np.array([1.0] * (shape[0] - 1) + [0.0])
        tensors = {"logits": x, "targets": y, "rows": rows}
        known = None
        if gaps:
            # Padding of some sequences, and single outputs.
            known = (rng.random(y.shape) < 0.8) & (rng.random((*shape, 1)) < 0.7)
            tensors["known"] = known.astype(np.int32)
        # All rows, and all but the last.
        for suffix, count in [("", shape[0]), ("_masked", shape[0] - 1)]:
            leaves = leaf(x)
            outputs, goals = leaves[:count], torch.tensor(y[:count])
            if gaps:
                outputs, goals = outputs[known[:count]], goals[known[:count]]
            loss = function(outputs, goals)
            loss.backward()
            tensors |= {f"loss{suffix}": loss, f"grad{suffix}.logits": leaves.grad}
        family.add(name, config, tensors)

    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    name = "softmax-cross-entropy"
    for kind, shape in [("sequences", SEQUENCES), ("pictures", PICTURES)]:
        labels = lambda rng: classes(rng, shape)
        values = lambda rng: normal(rng, *shape, CLASSES)
        case(f"{name}-{kind}", name, cross_entropy(), shape, labels)
        config = {name: {"label_smoothing": 0.1}}
        case(f"{name}-{kind}-smoothing", config, cross_entropy(label_smoothing=0.1), shape, labels)
        config = {name: {"class_weights": WEIGHTS}}
        case(f"{name}-{kind}-weights", config, cross_entropy(weight=weights), shape, labels)

        bits = lambda rng: rng.integers(0, 2, (*shape, 2)).astype(np.float64)
        case(
            f"sigmoid-{kind}",
            "sigmoid-cross-entropy",
            F.binary_cross_entropy_with_logits,
            shape,
            bits,
            width=2,
        )
        case(f"squared-{kind}", "mean-squared-error", F.mse_loss, shape, values)
        case(f"absolute-{kind}", "mean-absolute-error", F.l1_loss, shape, values)
        huber = lambda x, y: F.huber_loss(x, y, delta=0.7)
        case(f"huber-{kind}", {"huber": {"delta": 0.7}}, huber, shape, values)

        case(f"squared-{kind}-gaps", "mean-squared-error", F.mse_loss, shape, values, gaps=True)
        case(f"absolute-{kind}-gaps", "mean-absolute-error", F.l1_loss, shape, values, gaps=True)
        case(f"huber-{kind}-gaps", {"huber": {"delta": 0.7}}, huber, shape, values, gaps=True)
        case(
            f"sigmoid-{kind}-gaps",
            "sigmoid-cross-entropy",
            F.binary_cross_entropy_with_logits,
            shape,
            bits,
            width=2,
            gaps=True,
        )
    return family
