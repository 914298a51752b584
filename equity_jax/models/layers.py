"""Layers as data: what a convolutional net consists of, in its order (see cnn.py)."""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from equity_jax.types import InputError

Size = int | tuple[int, int]


class Conv(NamedTuple):
    """A convolution; padding: pixels on every side, or "SAME" as Keras, or "VALID"."""

    features: int
    kernel: Size = 3
    strides: Size = 1
    padding: int | str = "SAME"
    bias: bool = True
    name: str = ""


class Norm(NamedTuple):
    """Batch norm."""

    epsilon: float = 1e-5
    name: str = ""


class Act(NamedTuple):
    """An activation, one of ACTS."""

    kind: str
    name: str = ""


class MaxPool(NamedTuple):
    """Maxima of windows."""

    window: Size = 2
    strides: Size = 2
    padding: int | str = "VALID"
    name: str = ""


class AvgPool(NamedTuple):
    """Means of windows; pixels outside do not count."""

    window: Size = 2
    strides: Size = 2
    padding: int | str = "VALID"
    name: str = ""


class GlobalMean(NamedTuple):
    """Means over all pixels."""

    name: str = ""


class GlobalMax(NamedTuple):
    """Maxima over all pixels."""

    name: str = ""


class Flatten(NamedTuple):
    """float[B, h, w, c] -> float[B, h w c], in this order, as Keras."""

    name: str = ""


class Dropout(NamedTuple):
    """Inputs are set to 0 with probability `rate` in training."""

    rate: float
    name: str = ""


class Dense(NamedTuple):
    """A dense layer."""

    features: int
    bias: bool = True
    name: str = ""


class Block(NamedTuple):
    """Layers under one name: one block of the model."""

    layers: tuple[Any, ...]
    name: str = ""


ACTS = {
    "linear": lambda x: x,
    "relu": nn.relu,
    "elu": nn.elu,
    "selu": nn.selu,
    "gelu": partial(nn.gelu, approximate=False),
    "silu": nn.silu,
    "sigmoid": nn.sigmoid,
    "softplus": nn.softplus,
    "tanh": jnp.tanh,
}


def named(layers: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same layers, each with a name.

    Example:
        >>> [layer.name for layer in named((Conv(8), Conv(8), Dense(3)))]
        ['conv1', 'conv2', 'dense1']
    """
    seen, counts = [], {}
    for spec in layers:
        kind = type(spec).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        spec = spec if spec.name else spec._replace(name=f"{kind}{counts[kind]}")
        if isinstance(spec, Act) and spec.kind not in ACTS:
            known = ", ".join(ACTS)
            raise InputError(f"activation {spec.kind!r}: expected one of {known}")
        if isinstance(spec, Block):
            spec = spec._replace(layers=named(spec.layers))
        if spec.name in {"head", *(s.name for s in seen)}:
            raise InputError(f"two layers have the name {spec.name!r}")
        seen.append(spec)
    return tuple(seen)
