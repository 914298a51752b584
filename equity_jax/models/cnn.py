"""Convolutional nets as data: a tuple of layer specs, and two presets from scratch.

Layers run in their order. Those with parameters are blocks of the model, under their
own names (where a name is empty: the kind and a running number, "conv1", "norm1",
"dense1"); a `Block` holds several under one name. The head follows the last layer;
maps that are left are averaged over their pixels.
"""

from functools import partial
from typing import Any

import flax.linen as nn

from equity_jax.models import convs, norms
from equity_jax.models.images import Network, image_model
from equity_jax.models.layers import (
    ACTS,
    Act,
    AvgPool,
    Block,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalMax,
    GlobalMean,
    MaxPool,
    Norm,
    named,
)
from equity_jax.nouns import Model
from equity_jax.types import Array

LEARNED = Conv, Norm, Dense, Block
QUIET = (MaxPool, AvgPool, Dropout)  # no taps: the maps before them say more


class Plain(nn.Module):
    """A layer without parameters."""

    spec: Any

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Whatever the spec says."""
        match self.spec:
            case Act(kind):
                return ACTS[kind](x)
            case MaxPool(window, strides, padding):
                return convs.max_pool(x, window, strides, padding)
            case AvgPool(window, strides, padding):
                return convs.average_pool(x, window, strides, padding)
            case GlobalMean():
                return x.mean((1, 2))
            case GlobalMax():
                return x.max((1, 2))
            case Flatten():
                return x.reshape(x.shape[0], -1)
            case Dropout(rate):
                return nn.Dropout(rate, deterministic=not train)(x)


class Affine(nn.Module):
    """A dense layer that is called like the others."""

    features: int
    bias: bool

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, f] -> float[B, features]; parameters kernel and bias."""
        dense = nn.Dense(self.features, self.bias, dtype=x.dtype)
        nn.share_scope(self, dense)
        return dense(x)


class Layers(nn.Module):
    """Layers in their order."""

    specs: tuple[Any, ...]

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """The last layer's output."""
        for spec in self.specs:
            x = _module(spec, name=spec.name)(x, train)
        return x


def cnn(
    outputs: int,
    constants: int = 0,
    *,
    layers: tuple[Any, ...],
    normalize: str = "unit",
    channels: int = 1,
    dtype: str = "float32",
    remat: bool = False,
) -> Model:
    """The net that the specs describe; remat: of each `Block`.

    Raises:
        InputError: two layers of one name, or an unknown activation.

    Example:
        >>> cnn(3, layers=(Conv(8), Act("relu"), Flatten(), Dense(4))).blocks
        ('conv1', 'dense1', 'head')
    """
    specs = named(layers)
    steps = tuple((s.name, partial(_module, s, remat)) for s in specs)
    taps = tuple(s.name for s in specs if not isinstance(s, QUIET))
    net = Network(steps, outputs, constants, normalize, channels, dtype, taps=taps)
    blocks = tuple(s.name for s in specs if isinstance(s, LEARNED))
    return image_model(net)._replace(blocks=(*blocks, "head"))


def cnn_small(outputs: int, constants: int = 0, **options: Any) -> Model:
    """Four convolutions with batch norm, 32 to 256 wide; options as in `cnn`.

    Example:
        >>> cnn_small(3).blocks
        ('block1', 'block2', 'block3', 'block4', 'head')
    """
    return cnn(outputs, constants, layers=_stages(1, (32, 64, 128, 256)), **options)


def cnn_deep(outputs: int, constants: int = 0, **options: Any) -> Model:
    """Ten convolutions with batch norm, 32 to 256 wide; options as in `cnn`."""
    layers = _stages(2, (32, 64, 128, 256, 256))
    return cnn(outputs, constants, layers=layers, **options)


def _stages(depth: int, widths: tuple[int, ...]) -> tuple[Block, ...]:
    def unit(width: int) -> tuple[Any, ...]:
        return Conv(width, padding=1, bias=False), Norm(), Act("relu")

    pools = [() if i == 0 else (MaxPool(),) for i in range(len(widths))]
    return tuple(Block(p + unit(w) * depth) for p, w in zip(pools, widths, strict=True))


def _module(spec: Any, remat: bool = False, *, name: str) -> nn.Module:
    match spec:
        case Conv(features, kernel, strides, padding, bias):
            return convs.Conv(features, kernel, strides, padding, bias, name=name)
        case Norm(epsilon):
            return norms.Norm(epsilon, relu=False, name=name)
        case Dense(features, bias):
            return Affine(features, bias, name=name)
        case Block(layers):
            kind = nn.remat(Layers, static_argnums=(2,)) if remat else Layers
            return kind(layers, name=name)
    return Plain(spec, name=name)
