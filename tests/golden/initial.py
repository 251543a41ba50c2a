"""The deviation of the initial weights of PyTorch's layers, over many draws. Run alone, it writes initial.json."""

import json
from pathlib import Path

import torch
from torch import nn

DRAWS = 100

# A layer in the form of a recipe, the sample that it reads, and the same layer in PyTorch.
LAYERS = {
    "dense": ({"dense": {"units": 80}}, [120], lambda: nn.Linear(120, 80)),
    "conv": ({"conv": {"filters": 40, "kernel": [3, 5]}}, [9, 9, 24], lambda: nn.Conv2d(24, 40, (3, 5))),
    "grouped": (
        {"conv": {"filters": 40, "kernel": [3, 5], "groups": 4}},
        [9, 9, 24],
        lambda: nn.Conv2d(24, 40, (3, 5), groups=4),
    ),
    "signal": ({"conv": {"filters": 40, "kernel": [7]}}, [20, 24], lambda: nn.Conv1d(24, 40, 7)),
}

INITIALISERS = {
    "glorot-uniform": nn.init.xavier_uniform_,
    "glorot-normal": nn.init.xavier_normal_,
    "he-uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "he-normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "lecun-normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear"),
}


def cases():
    torch.manual_seed(1)
    for name, (config, sample, layer) in LAYERS.items():
        ((kind, settings),) = config.items()
        weight = layer().weight.detach().double()
        for init, draw in INITIALISERS.items():
            # PyTorch counts the filters of all groups in a channel's fan-out; only its own group reads it.
            if name == "grouped" and init.startswith("glorot"):
                continue
            drawn = torch.stack([draw(weight).clone() for _ in range(DRAWS)])
            yield {
                "name": f"{name}, {init}",
                "layer": {kind: {**settings, "init": init}},
                "sample": sample,
                "deviation": round(drawn.std(correction=0).item(), 6),
            }


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(case) for case in cases())
    Path(__file__).with_name("initial.json").write_text(f"[\n{lines}\n]\n")
