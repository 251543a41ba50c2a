"""Activations and losses: values and gradients in PyTorch."""

import numpy as np
import torch
import torch.nn.functional as F

from store import Family, generator, leaf, normal

ACTIVATIONS = [
    ("sigmoid", "sigmoid", torch.sigmoid),
    ("tanh", "tanh", torch.tanh),
    ("relu", "relu", torch.relu),
    ("leaky-relu", {"leaky-relu": 0.01}, lambda x: F.leaky_relu(x, 0.01)),
    ("elu", {"elu": 1.0}, lambda x: F.elu(x, 1.0)),
    ("gelu", "gelu", F.gelu),
    ("gelu-tanh", "gelu-tanh", lambda x: F.gelu(x, approximate="tanh")),
    ("silu", "silu", F.silu),
    # PyTorch returns x above the threshold, by default where the two still differ in float64.
    ("softplus", "softplus", lambda x: F.softplus(x, threshold=100.0)),
    ("softmax", "softmax", lambda x: F.softmax(x, -1)),
    ("log-softmax", "log-softmax", lambda x: F.log_softmax(x, -1)),
]


def activations():
    family = Family("activations")
    for name, config, function in ACTIVATIONS:
        rng = generator(family.name, name)
        input = normal(rng, 4, 7)
        input[0, :4] = [1e3, -1e3, 0.0, 50.0]
        input[1, :3] = [50.0, -50.0, 0.0]
        input[2] = np.float32([0.0, 1e-30, -1e-30, 1e-4, -1e-4, 5.0, -5.0])
        cotangent = normal(rng, 4, 7)
        x = leaf(input)
        output = function(x)
        (output * torch.tensor(cotangent)).sum().backward()
        tensors = {"input": input, "output": output, "cotangent": cotangent, "grad.input": x.grad}
        family.add(name, config, tensors)
    return family


ROWS, CLASSES = 6, 5
WEIGHTS = [0.5, 2.0, 1.0, 0.25, 1.5]


def classes(rng):
    return rng.integers(0, CLASSES, ROWS).astype(np.int64)


def values(rng):
    return normal(rng, ROWS, CLASSES)


def bits(rng):
    return rng.integers(0, 2, (ROWS, CLASSES)).astype(np.float64)


def probabilities(rng):
    return rng.random((ROWS, CLASSES)).astype(np.float32).astype(np.float64)


def distributions(rng):
    powers = np.exp(rng.standard_normal((ROWS, CLASSES)))
    rounded = (powers / powers.sum(-1, keepdims=True)).astype(np.float32).astype(np.float64)
    rounded[0] = np.eye(CLASSES)[1]
    return rounded


def weighted_distributions(x, y):
    """The mean is divided by the weights under the targets, so that a one-hot row counts as its class does."""
    weighted = y * torch.tensor(WEIGHTS, dtype=torch.float64)
    return -(weighted * F.log_softmax(x, -1)).sum() / weighted.sum()


def weighted_labels(x, y):
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    each = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    return ((each * weights).sum(-1) / weights.sum()).mean()


def weighted_classes(x, y):
    rows = torch.tensor(WEIGHTS, dtype=torch.float64)[y]
    each = F.binary_cross_entropy_with_logits(x, F.one_hot(y, CLASSES).double(), reduction="none").mean(-1)
    return (each * rows).sum() / rows.sum()


def cross_entropy(**options):
    return lambda x, y: F.cross_entropy(x, y, **options)


def sum_outputs(x, y):
    return F.binary_cross_entropy_with_logits(x, y, reduction="none").sum(-1).mean()


def hinge(x, y):
    """Weston and Watkins; PyTorch divides it by the number of classes."""
    return x.shape[-1] * F.multi_margin_loss(x, y)


def losses():
    family = Family("losses")

    def case(name, config, function, targets, logits=values):
        rng = generator(family.name, name)
        x, y = logits(rng), targets(rng)
        mask = rng.permutation([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
        tensors = {"logits": x, "targets": y, "mask": mask}
        for suffix, rows in [("", np.full(ROWS, True)), ("_masked", mask == 1.0)]:
            leaves = leaf(x)
            loss = function(leaves[torch.tensor(rows)], torch.tensor(y[rows]))
            loss.backward()
            tensors |= {f"loss{suffix}": loss, f"grad{suffix}.logits": leaves.grad}
        family.add(name, config, tensors)

    def extreme(rng):
        """Logits of 200 and -200; in some rows one class holds all of the probability, in others they tie."""
        return rng.choice([-200.0, 200.0], (ROWS, CLASSES))

    name = "softmax-cross-entropy"
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    case(name, name, cross_entropy(), classes)
    case(f"{name}-extreme", name, cross_entropy(), classes, extreme)
    case(f"{name}-smoothing", {name: {"label_smoothing": 0.1}}, cross_entropy(label_smoothing=0.1), classes)
    case(f"{name}-weights", {name: {"class_weights": WEIGHTS}}, cross_entropy(weight=weights), classes)
    both = {name: {"label_smoothing": 0.1, "class_weights": WEIGHTS}}
    case(f"{name}-smoothing-weights", both, cross_entropy(label_smoothing=0.1, weight=weights), classes)
    case(
        f"{name}-smoothing-weights-extreme",
        both,
        cross_entropy(label_smoothing=0.1, weight=weights),
        classes,
        extreme,
    )

    case(f"{name}-distributions", name, cross_entropy(), distributions)
    config = {name: {"class_weights": WEIGHTS}}
    case(f"{name}-distributions-weights", config, weighted_distributions, distributions)

    name = "sigmoid-cross-entropy"
    mean = F.binary_cross_entropy_with_logits
    case(name, name, mean, bits)
    case(f"{name}-probabilities", name, mean, probabilities)
    case(f"{name}-extreme", name, mean, bits, extreme)
    case(f"{name}-sum-outputs", {name: {"sum_outputs": True}}, sum_outputs, bits)
    case(f"{name}-sum-outputs-extreme", {name: {"sum_outputs": True}}, sum_outputs, bits, extreme)

    for end, logits in [("", values), ("-extreme", extreme)]:
        one = lambda x, y: mean(x, y, pos_weight=torch.tensor(3.0, dtype=torch.float64))
        each = lambda x, y: mean(x, y, pos_weight=weights)
        case(f"{name}-positive-weight{end}", {name: {"positive_weight": 3.0}}, one, bits, logits)
        case(f"{name}-positive-weights{end}", {name: {"positive_weight": WEIGHTS}}, each, bits, logits)
    case(f"{name}-label-weights", {name: {"class_weights": WEIGHTS}}, weighted_labels, bits)
    case(f"{name}-class-weights", {name: {"class_weights": WEIGHTS}}, weighted_classes, classes)

    case("mean-squared-error", "mean-squared-error", F.mse_loss, values)
    case("mean-absolute-error", "mean-absolute-error", F.l1_loss, values)
    huber = lambda x, y: F.huber_loss(x, y, delta=0.7)
    case("huber", {"huber": {"delta": 0.7}}, huber, values)
    case("huber-extreme", {"huber": {"delta": 0.7}}, huber, values, extreme)
    case("hinge", "hinge", hinge, classes)
    case("hinge-extreme", "hinge", hinge, classes, extreme)
    return family
