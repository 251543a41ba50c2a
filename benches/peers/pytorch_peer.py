"""The jobs in PyTorch, as its tutorials write them: eager, under torch.compile, and with channels last."""

import time

import torch
from torch import nn

from job import parse

job = parse(["eager", "compile", "channels-last"])
torch.manual_seed(1)
width = job.width
if job.name == "mlp":
    model = nn.Sequential(nn.Flatten(), nn.Linear(job.train.inputs[0].size, width), nn.Sigmoid(), nn.Linear(width, 10))
elif job.name == "cnn":
    model = nn.Sequential(
        nn.Conv2d(job.train.inputs.shape[3], width, job.kernel, job.stride), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, job.kernel), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(job.flat, 64), nn.ReLU(), nn.Linear(64, 10),
    )
else:
    model = nn.Sequential(
        nn.Linear(32, width), nn.ReLU(), nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, 5),
    )
if job.name == "table":
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
else:
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0 if job.name == "mlp" else 0.1)
loss_fn = nn.CrossEntropyLoss()


def tensors(rows) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = torch.from_numpy(rows.inputs), torch.from_numpy(rows.labels).long()
    if job.name == "cnn":
        x = x.permute(0, 3, 1, 2).contiguous()
        if job.variant == "channels-last":
            x = x.contiguous(memory_format=torch.channels_last)
    return x, y


if job.variant == "channels-last":
    model = model.to(memory_format=torch.channels_last)
if job.variant == "compile":
    model = torch.compile(model)

inputs, labels = tensors(job.train)
epoch_s = []
model.train()
for _ in range(job.epochs):
    started = time.perf_counter()
    for rows in torch.randperm(len(labels)).split(job.batch):
        loss = loss_fn(model(inputs[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    epoch_s.append(time.perf_counter() - started)

model.eval()
inputs, labels = tensors(job.test)
with torch.no_grad():
    right = sum((model(x).argmax(1) == y).sum().item() for x, y in zip(inputs.split(1000), labels.split(1000)))
job.report(torch.__version__, epoch_s, right / len(labels))
