"""Writes pytorch_model.safetensors: the state of a small PyTorch model, inputs with the channels last, and its outputs.

    python pytorch_model.py
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

torch.manual_seed(3)
model = torch.nn.Sequential(
    torch.nn.Conv2d(2, 3, 3),
    torch.nn.BatchNorm2d(3),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(3 * 4 * 4, 4),
)
inputs = torch.randn(5, 2, 6, 6)
with torch.no_grad():
    # Running statistics other than the initial ones.
    for _ in range(5):
        model(2 * torch.randn(8, 2, 6, 6) + 1)
    model.eval()
    outputs = model(inputs)
tensors = {name: value for name, value in model.state_dict().items()}
tensors |= {"inputs": inputs.permute(0, 2, 3, 1).contiguous(), "outputs": outputs}
save_file(tensors, str(Path(__file__).with_name("pytorch_model.safetensors")))
