"""The architectures of `model.zoo` as PyTorch modules with torchvision's and timm's names: `zoo.json` beside this file.

For each: the names and shapes of its tensors at full size, and the outputs of a small form whose tensors are derived
from their names alone, so that the test makes the same."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def conv(channels, filters, kernel, stride=1, groups=1):
    return nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(channels, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = conv(filters, filters, 3), nn.BatchNorm2d(filters)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(conv(channels, filters, 1, stride), nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self, outputs=1000, width=64):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        channels = width
        for stage, times in enumerate([1, 2, 4, 8]):
            filters = width * times
            blocks = [BasicBlock(channels, filters, 2 if stage else 1), BasicBlock(filters, filters, 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            channels = filters
        self.fc = nn.Linear(channels, outputs)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def convolve(channels, filters, kernel, stride=1, groups=1):
    return nn.Sequential(conv(channels, filters, kernel, stride, groups), nn.BatchNorm2d(filters), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, channels, filters, stride, widened):
        super().__init__()
        wide = channels * widened
        layers = [convolve(channels, wide, 1)] if widened > 1 else []
        layers += [convolve(wide, wide, 3, stride, wide), conv(wide, filters, 1), nn.BatchNorm2d(filters)]
        self.conv = nn.Sequential(*layers)
        self.is_residual = stride == 1 and channels == filters

    def forward(self, x):
        return x + self.conv(x) if self.is_residual else self.conv(x)


class MobileNetV2(nn.Module):
    BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def __init__(self, outputs=1000, width=1.0):
        super().__init__()

        def divisible(channels):
            nearest = max(8, int(channels + 4) // 8 * 8)
            return nearest + 8 if nearest < 0.9 * channels else nearest

        channels = divisible(32 * width)
        features = [convolve(3, channels, 3, 2)]
        for widened, filters, times, stride in self.BLOCKS:
            filters = divisible(filters * width)
            for i in range(times):
                features.append(InvertedResidual(channels, filters, 1 if i else stride, widened))
                channels = filters
        last = divisible(1280 * max(1.0, width))
        self.features = nn.Sequential(*features, convolve(channels, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, outputs))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, units, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(units, 3 * units), nn.Linear(units, units)

    def forward(self, x):
        n, length, units = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, units // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, units))


class Block(nn.Module):
    def __init__(self, units, heads):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(units, eps=1e-6), Attention(units, heads)
        self.norm2, self.mlp = nn.LayerNorm(units, eps=1e-6), nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(units, 4 * units), nn.Linear(4 * units, units)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x))))


class VitTiny(nn.Module):
    def __init__(self, outputs=1000, patch=16, units=192, depth=12, heads=3, side=224):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, units))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (side // patch) ** 2, units))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, units, patch, patch)
        self.blocks = nn.Sequential(*(Block(units, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(units, eps=1e-6), nn.Linear(units, outputs)

    def forward(self, x):
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class Lstm(nn.Module):
    def __init__(self, outputs, units, layers, vocabulary, embedding):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, units, layers, batch_first=True)
        self.fc = nn.Linear(units, outputs)

    def forward(self, x):
        return self.fc(self.lstm(self.embedding(x))[0][:, -1])


def mlp(inputs, hidden, outputs):
    layers = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.0)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs), nn.Dropout(0.0))


def numbers(name, shape):
    """Numbers from -1 to below 1 that look random and depend on the name alone (the last mixer of MurmurHash3)."""
    x = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint32) * np.uint32(0x9E3779B9)
    x = x + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in [(16, 0x85EBCA6B), (13, 0xC2B2AE35)]:
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    x = x ^ (x >> np.uint32(16))
    return (x / 2**31 - 1).reshape(shape)


def value(name, shape):
    x = numbers(name, shape)
    if len(shape) > 1:
        x = x * np.sqrt(3 / np.prod(shape[1:]))
    elif name.endswith("running_var"):
        x = 1 + 0.5 * x
    else:
        x = 0.2 * x + name.endswith("weight")
    return torch.tensor(x.astype(np.float32))


def tensors(net):
    return [[name, list(tensor.shape)] for name, tensor in net.state_dict().items()]


def case(config, sample, small, full=None):
    state = {
        name: tensor if name.endswith("num_batches_tracked") else value(name, list(tensor.shape))
        for name, tensor in small.state_dict().items()
    }
    small.load_state_dict(state)
    small.double().eval()
    x = numbers("input", [2, *sample])
    if len(sample) == 1 and "vocabulary" in config:
        x = torch.tensor(((x + 1) / 2 * small.embedding.num_embeddings).astype(np.int64))
    else:
        x = torch.tensor(x.astype(np.float32)).double()
        x = x.permute(0, 3, 1, 2) if len(sample) == 3 else x
    with torch.no_grad():
        outputs = small(x)
    made = {"config": config, "sample": sample, "tensors": tensors(small), "outputs": outputs.tolist()}
    return made | ({"full": tensors(full)} if full else {})


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases = [
        case("{ resnet18 = { outputs = 5, width = 4 } }", [32, 40, 3], ResNet18(5, 4), ResNet18()),
        case("{ mobilenet-v2 = { outputs = 5, width = 0.3 } }", [32, 40, 3], MobileNetV2(5, 0.3), MobileNetV2()),
        case(
            "{ vit-tiny = { outputs = 5, patch = 4, units = 12, depth = 2, heads = 3 } }",
            [12, 12, 3],
            VitTiny(5, 4, 12, 2, 3, 12),
            VitTiny(),
        ),
        case("{ mlp = { outputs = 3, hidden = [6, 4], dropout = 0.1 } }", [5], mlp(5, [6, 4], 3)),
        case(
            "{ lstm = { outputs = 3, units = 4, layers = 2, vocabulary = 9, embedding = 5 } }", [7], Lstm(3, 4, 2, 9, 5)
        ),
    ]
    lines = ",\n".join("  " + json.dumps(made) for made in cases)
    (Path(__file__).parent / "zoo.json").write_text(f"[\n{lines}\n]\n")
