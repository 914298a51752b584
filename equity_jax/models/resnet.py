"""ResNet: blocks that add to what they were given.

He et al., "Deep residual learning for image recognition", CVPR 2016. style="torch" is
torchvision's (v1.5: the stride lies on the 3x3 convolution, no biases, eps 1e-5),
style="keras" is Keras Applications' (v1: stride on the first 1x1, biases, eps
1.001e-5). `block="basic"` with `stem="small"` and `shortcut="A"` is the paper's network
for CIFAR (section 4.2).
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from equity_jax.models.convs import Conv, max_pool
from equity_jax.models.images import Network, image_model
from equity_jax.models.norms import Norm
from equity_jax.nouns import Model
from equity_jax.types import Array, InputError

EPS = {"torch": 1e-5, "keras": 1.001e-5}


class Stem(nn.Module):
    """7x7 of stride 2 (small: 3x3 of stride 1), norm, relu."""

    width: int
    style: str
    small: bool

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, H, W, c] -> float[B, h, w, width]."""
        size, stride = (3, 1) if self.small else (7, 2)
        bias = self.style == "keras"
        x = Conv(self.width, size, stride, size // 2, bias, name="conv")(x)
        return Norm(EPS[self.style], name="norm")(x, train)


class Block(nn.Module):
    """One residual block: bottleneck (1x1, 3x3, 1x1 to 4 width) or basic (3x3, 3x3).

    shortcut "B": a 1x1 projection where the shape changes; "A": zeros for new
    channels, half on each side, and no parameters.
    """

    width: int
    stride: int
    style: str
    basic: bool
    shortcut: str

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, h, w, c] -> float[B, h/stride, w/stride, width or 4 width]."""
        bias, eps = self.style == "keras", EPS[self.style]
        sizes = (3, 3) if self.basic else (1, 3, 1)
        strided = 0 if self.basic or self.style == "keras" else 1
        out, y = self.width * (1 if self.basic else 4), x
        for i, size in enumerate(sizes):
            last = i == len(sizes) - 1
            stride = self.stride if i == strided else 1
            width = out if last else self.width
            y = Conv(width, size, stride, size // 2, bias, name=f"conv{i + 1}")(y)
            y = Norm(eps, relu=not last, name=f"norm{i + 1}")(y, train)
        if self.stride == 1 and x.shape[-1] == out:
            return nn.relu(y + x)
        if self.shortcut == "A":
            side = (out - x.shape[-1]) // 2
            x = x[:, :: self.stride, :: self.stride]
            x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (side, side)))
            return nn.relu(y + x)
        x = Conv(out, 1, self.stride, 0, bias, name="proj")(x)
        return nn.relu(y + Norm(eps, relu=False, name="proj_norm")(x, train))


class Stage(nn.Module):
    """Residual blocks of one width; the first has the stride."""

    blocks: int
    width: int
    stride: int
    style: str
    basic: bool
    shortcut: str
    remat: bool = False
    pool: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, h, w, c] -> float[B, h', w', c']."""
        x = max_pool(x, 3, 2, 1) if self.pool else x
        kind = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
        for i in range(self.blocks):
            args = (self.style, self.basic, self.shortcut)
            stride = 1 if i else self.stride
            x = kind(self.width, stride, *args, name=f"block{i + 1}")(x, train)
        return x


def resnet(
    outputs: int,
    constants: int = 0,
    *,
    stages: tuple[int, ...] = (3, 4, 6, 3),
    width: int = 64,
    style: str = "torch",
    block: str = "bottleneck",
    shortcut: str = "B",
    stem: str = "usual",
    normalize: str = "imagenet",
    channels: int = 1,
    dtype: str = "float32",
    remat: bool = False,
) -> Model:
    """A ResNet of any depth; stages: residual blocks of each.

    normalize, channels: as in `images.prepare`; dtype: of the arithmetic, "float32" or
    "bfloat16"; remat: activations of a block are computed again in the backward pass.

    Raises:
        InputError: style, block, shortcut or stem is unknown.

    Example:
        >>> resnet(3, stages=(1, 1), width=8).blocks
        ('stem', 'stage1', 'stage2', 'head')
    """
    _known("style", style, "torch", "keras")
    _known("block", block, "bottleneck", "basic")
    _known("shortcut", shortcut, "A", "B")
    _known("stem", stem, "usual", "small")
    small, rest = stem == "small", (style, block == "basic", shortcut, remat)
    steps = [("stem", partial(Stem, width, style, small))]
    for i, n in enumerate(stages):
        sizes = n, width * 2**i, 2 if i else 1
        stage = partial(Stage, *sizes, *rest, pool=not i and not small)
        steps.append((f"stage{i + 1}", stage))
    net = Network(tuple(steps), outputs, constants, normalize, channels, dtype)
    return image_model(net)


def _known(name: str, value: str, *known: str) -> None:
    if value not in known:
        raise InputError(f"{name}={value!r}: expected one of {', '.join(known)}")


resnet50 = partial(resnet, stages=(3, 4, 6, 3))
resnet101 = partial(resnet, stages=(3, 4, 23, 3))
