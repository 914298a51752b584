"""DenseNet in PyTorch, with torchvision's state-dict names: the peer of the benchmark.

Huang et al., "Densely connected convolutional networks", CVPR 2017. Written here so
that the benchmark needs no torchvision; plain eager code, no checkpointing.
"""

from collections import OrderedDict

import torch
from torch import nn

LAYERS = {121: (6, 12, 24, 16), 201: (6, 12, 48, 32)}


class DenseLayer(nn.Module):
    """norm1, relu, conv1 (1x1), norm2, relu, conv2 (3x3): `growth` new channels."""

    def __init__(self, inputs: int, growth: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From [B, C, h, w] to [B, C + growth, h, w]."""
        new = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(new)))], 1)


class DenseNet(nn.Module):
    """`features` and `classifier`, as in torchvision; x [B, 3, h, w] -> [B, outputs].

    Example:
        >>> list(DenseNet((1, 1)).state_dict())[0]
        'features.conv0.weight'
    """

    def __init__(
        self,
        layers: tuple[int, ...] = LAYERS[121],
        outputs: int = 1000,
        growth: int = 32,
        channels: int = 3,
    ):
        super().__init__()
        width = 2 * growth
        parts: list[tuple[str, nn.Module]] = [
            ("conv0", nn.Conv2d(channels, width, 7, 2, 3, bias=False)),
            ("norm0", nn.BatchNorm2d(width)),
            ("relu0", nn.ReLU()),
            ("pool0", nn.MaxPool2d(3, 2, 1)),
        ]
        for i, n in enumerate(layers, 1):
            inside = OrderedDict()
            for j in range(n):
                inside[f"denselayer{j + 1}"] = DenseLayer(width + j * growth, growth)
            parts.append((f"denseblock{i}", nn.Sequential(inside)))
            width += n * growth
            if i < len(layers):
                parts.append((f"transition{i}", _transition(width)))
                width //= 2
        parts.append((f"norm{len(layers) + 1}", nn.BatchNorm2d(width)))
        self.features = nn.Sequential(OrderedDict(parts))
        self.classifier = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.classifier(torch.relu(self.features(x)).mean((2, 3)))


def _transition(width: int) -> nn.Sequential:
    parts = {
        "norm": nn.BatchNorm2d(width),
        "relu": nn.ReLU(),
        "conv": nn.Conv2d(width, width // 2, 1, bias=False),
        "pool": nn.AvgPool2d(2, 2),
    }
    return nn.Sequential(OrderedDict(parts))
