"""Torch modules with torchvision's exact state-dict names, for parity (no torchvision).

DenseNet is the benchmark's own. `randomize` gives running statistics and scales that a
wrong epsilon, order or padding would show; `stages` runs a net and keeps what the taps
of our models show.
"""

import torch
from torch import nn

from scripts.benchmark.torch_densenet import LAYERS, DenseNet

VGG19 = (2, 2, 4, 4, 4)
STEPS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class Vgg(nn.Module):
    """`features.0.weight` .. `classifier.6.bias`: torchvision's vgg19, vgg19_bn."""

    def __init__(self, norm=False, outputs=1000, convs=VGG19, width=64, hidden=4096):
        super().__init__()
        layers, inputs = [], 3
        for i, n in enumerate(convs):
            out = width * min(2**i, 8)
            for _ in range(n):
                layers.append(nn.Conv2d(inputs, out, 3, padding=1))
                layers += [nn.BatchNorm2d(out)] if norm else []
                layers.append(nn.ReLU())
                inputs = out
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(inputs * 49, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, outputs),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _downsample(inputs, 4 * width, stride)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class Basic(nn.Module):
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(inputs, width, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    """`conv1.weight`, `layer1.0.bn3.running_var`, `fc.bias`, as in torchvision."""

    def __init__(self, steps=STEPS[50], outputs=1000, width=64, block=Bottleneck):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for i, n in enumerate(steps):
            blocks = []
            for j in range(n):
                stride = 2 if i and not j else 1
                blocks.append(block(inputs, width * 2**i, stride))
                inputs = width * 2**i * block.expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.stages = len(steps)
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


class CifarBasic(nn.Module):
    """Shortcut of option A: every other pixel, zeros for new channels."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.pad = stride, (width - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.pad:
            x = x[:, :, :: self.stride, :: self.stride]
            x = nn.functional.pad(x, (0, 0, 0, 0, self.pad, self.pad))
        return torch.relu(y + x)


class CifarResNet(nn.Module):
    """He et al. 2016, section 4.2: names of the public CIFAR checkpoints (`linear`)."""

    def __init__(self, steps=(3, 3, 3), outputs=10, width=16):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for i, n in enumerate(steps):
            blocks = []
            for j in range(n):
                blocks.append(CifarBasic(inputs, width * 2**i, 2 if i and not j else 1))
                inputs = width * 2**i
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.stages = len(steps)
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.linear(x.mean((2, 3)))


def build(arch, outputs=3):
    """A torchvision architecture by our name: "vgg19_bn", "resnet50", "densenet201"."""
    if arch.startswith("vgg19"):
        return Vgg(arch.endswith("bn"), outputs)
    if arch.startswith("resnet"):
        return ResNet(STEPS[int(arch.removeprefix("resnet"))], outputs)
    return DenseNet(LAYERS[int(arch.removeprefix("densenet"))], outputs)


def randomize(net, seed=0):
    """Random scales, shifts and running statistics; the weights stay as they are."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(like, low, high):
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.copy_(uniform(module.weight, 0.5, 1.5))
                module.bias.copy_(uniform(module.bias, -0.3, 0.3))
                module.running_mean.copy_(uniform(module.running_mean, -0.3, 0.3))
                module.running_var.copy_(uniform(module.running_var, 0.5, 1.5))
    return net.eval()


def stages(net, x, names):
    """Outputs of the named submodules ("layer1", "features.denseblock2"), NHWC numpy.

    x float[B, H, W, 3] -> (logits, name -> float[B, h, w, c]).
    """
    seen, hooks = {}, []
    for name in names:

        def keep(_, __, output, name=name):
            seen[name] = output.permute(0, 2, 3, 1).numpy().copy()

        hooks.append(net.get_submodule(name).register_forward_hook(keep))
    with torch.no_grad():
        logits = net(torch.as_tensor(x).permute(0, 3, 1, 2)).numpy()
    for hook in hooks:
        hook.remove()
    return logits, seen


def _downsample(inputs, width, stride):
    if stride == 1 and inputs == width:
        return None
    conv = nn.Conv2d(inputs, width, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width))
