"""Figures of models: scikit-learn's values, and NumPy's of the calibration error, which scikit-learn does not have."""

from importlib.metadata import version

import numpy as np
import sklearn.metrics as sk

AVERAGES = ["macro", "micro", "weighted"]


def defined(values):
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def ranking(positive, scores):
    """ROC AUC and average precision, where there are rows of both kinds."""
    if positive.all() or not positive.any():
        return None, None
    return sk.roc_auc_score(positive, scores), sk.average_precision_score(positive, scores)


def calibration_error(probabilities, predicted, labels, bins=15):
    confidence = probabilities[np.arange(len(predicted)), predicted]
    place = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    error = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            error += inside.mean() * abs((predicted == labels)[inside].mean() - confidence[inside].mean())
    return error


def averages(labels, predicted, kinds=AVERAGES):
    figures = {}
    for kind in kinds:
        p, r, f, _ = sk.precision_recall_fscore_support(labels, predicted, average=kind, zero_division=0)
        end = "" if kind == "binary" else f"-{kind}"
        figures |= {f"precision{end}": p, f"recall{end}": r, f"f1{end}": f}
    return figures


def classes(labels, probabilities):
    count = probabilities.shape[1]
    predicted = probabilities.argmax(1)
    each = [ranking(labels == c, probabilities[:, c]) for c in range(count)]
    if count == 2:
        each = each[1:]
    everything = np.arange(count)
    figures = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced-accuracy": sk.balanced_accuracy_score(labels, predicted),
        "roc-auc": defined([auc for auc, _ in each]),
        "average-precision": defined([ap for _, ap in each]),
        "log-loss": sk.log_loss(labels, probabilities, labels=everything),
        "brier": sk.brier_score_loss(labels, probabilities, labels=everything)
        if count > 2
        else sk.brier_score_loss(labels, probabilities[:, 1]),
        "calibration-error": calibration_error(probabilities, predicted, labels),
        **averages(labels, predicted),
    }
    if count == 2:
        figures |= averages(labels, predicted, ["binary"])
    # Of equal probabilities scikit-learn counts the later class as larger, where others count the earlier.
    elif all(len(set(row)) == count for row in probabilities.tolist()):
        figures["top-2-accuracy"] = sk.top_k_accuracy_score(labels, probabilities, k=2, labels=everything)
    return figures


def several(labels, probabilities, threshold):
    predicted = probabilities > threshold
    each = [ranking(labels[:, j], probabilities[:, j]) for j in range(labels.shape[1])]
    columns = range(labels.shape[1])
    return {
        "label-accuracy": 1 - sk.hamming_loss(labels, predicted),
        "exact-match": sk.accuracy_score(labels, predicted),
        "roc-auc": defined([auc for auc, _ in each]),
        "average-precision": defined([ap for _, ap in each]),
        "log-loss": np.mean([sk.log_loss(labels[:, j], probabilities[:, j], labels=[0, 1]) for j in columns]),
        "brier": np.mean([sk.brier_score_loss(labels[:, j], probabilities[:, j], pos_label=1) for j in columns]),
        **averages(labels, predicted),
    }


def values(targets, outputs):
    return {
        "rmse": sk.root_mean_squared_error(targets, outputs),
        "mse": sk.mean_squared_error(targets, outputs),
        "mae": sk.mean_absolute_error(targets, outputs),
        "median-absolute-error": sk.median_absolute_error(targets, outputs),
        "r2": sk.r2_score(targets, outputs),
    }


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def family():
    # Imported here, as it needs PyTorch, and tests/figures/check.py uses the functions above without it.
    from store import Family, generator

    family = Family("metrics")

    def add(name, config, figures, **tensors):
        figures = {key: None if value is None else float(value) for key, value in figures.items()}
        family.add(name, config, tensors, scikit_learn=version("scikit-learn"), figures=figures)

    def add_classes(name, labels, probabilities):
        figures = classes(labels, probabilities)
        add(name, {"task": "classes"}, figures, labels=labels, outputs=probabilities)

    for name, count, rows in [("two", 2, 40), ("five", 5, 60)]:
        rng = generator(family.name, name)
        labels = rng.integers(0, count, rows)
        logits = rng.standard_normal((rows, count)) + 1.5 * np.eye(count)[labels]
        add_classes(f"{name} classes", labels, softmax(logits))
        # One decimal, so that many scores are equal, except the max, so that no class is chosen by its place.
        tied = np.round(softmax(logits), 1) + 1e-3 * np.eye(count)[softmax(logits).argmax(1)]
        add_classes(f"{name} classes with ties", labels, tied / tied.sum(1, keepdims=True))

    rng = generator(family.name, "absent")
    labels = rng.choice([0, 2, 3], 30)
    # Class 1 is neither there nor predicted, class 4 is predicted only, class 3 is there only.
    logits = rng.standard_normal((30, 5)) + 2 * np.eye(5)[labels] - np.array([0, 50, 0, 6, 0])
    add_classes("absent classes", labels, softmax(logits))
    add_classes("one class only", np.ones(9, int), softmax(rng.standard_normal((9, 2))))
    certain = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    add_classes("certain", np.array([0, 1, 1, 0]), certain)

    rng = generator(family.name, "labels")
    labels = rng.integers(0, 2, (50, 4))
    labels[:, 3] = 0
    labels[4] = 0
    probabilities = 1 / (1 + np.exp(-(2 * labels - 1 + rng.standard_normal((50, 4)))))
    for threshold in [0.5, 0.3]:
        add(
            f"labels at {threshold}",
            {"task": "labels", "threshold": threshold},
            several(labels, probabilities, threshold),
            labels=labels,
            outputs=probabilities,
        )

    rng = generator(family.name, "values")
    for name, rows, width in [("one output", 31, 1), ("three outputs", 20, 3)]:
        targets = rng.standard_normal((rows, width)) * np.array([1.0, 100.0, 1e-3])[:width] + 5
        outputs = targets + rng.standard_normal((rows, width)) * np.array([0.3, 90.0, 1e-4])[:width]
        add(name, {"task": "values"}, values(targets, outputs), targets=targets, outputs=outputs)
    targets = np.array([[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    outputs = np.array([[2.0, 1.5], [2.0, 1.0], [2.0, 1.0]])
    add("targets that do not vary", {"task": "values"}, values(targets, outputs), targets=targets, outputs=outputs)
    return family
