"""Multi-layer perceptrons of several shapes as one program.

Every lane has the layers of the deepest and the units of the widest of them. Units that
its own shape lacks have weights of 0: nothing comes of them, nothing flows back, and no
step ever moves them. Layers that it lacks are passed by, and dropout is a number. So a
lane is the plain `mlp` of its shape, drawn by the same key, in a larger array.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from equity_jax.models.base import Head, functional
from equity_jax.models.mlp import mlp
from equity_jax.nouns import Model
from equity_jax.registry import Registry
from equity_jax.types import Array, InputError, Output, PyTree


class Shape(NamedTuple):
    """Units of the hidden layers, and the share of them that training drops."""

    widths: tuple[int, ...]
    dropout: float = 0.0


class Shaped(nn.Module):
    """x float[B, F] -> logits float[B, O], features float[B, H], H = width.

    How many layers a lane has, and its dropout, are the statistics "shape".
    """

    width: int
    depth: int
    outputs: int
    constants: int = 0

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Output:
        """See the class."""
        layers = self.variable("shape", "layers", lambda: jnp.float32(self.depth))
        drops = self.variable("shape", "dropout", lambda: jnp.float32(0.0))
        taps: dict[str, Array] = {}
        for i in range(self.depth):
            new = nn.relu(nn.Dense(self.width, name=f"layer{i}")(x))
            if train:
                drawn = jax.random.uniform(self.make_rng("dropout"), new.shape)
                kept = drawn >= drops.value
                new = jnp.where(kept, new / (1 - drops.value), 0.0)
            x = jnp.where(layers.value > i, new, x) if i else new
            taps[f"layer{i}"] = x
        return Output(Head(self.outputs, self.constants, name="head")(x), x, taps)


def shaped(outputs: int, constants: int, shapes: Sequence[str]) -> Model:
    """A model that holds several shapes of `mlp`; `at(shape).init` draws one of them.

    shapes: registry strings such as "mlp(64)" or "mlp(128, 32, dropout=0.5)".

    Raises:
        InputError: a shape that is no mlp with a hidden layer, or a dropout outside
            [0, 1).

    Example:
        >>> model = shaped(1, 0, ("mlp(8)", "mlp(16, 4, dropout=0.5)"))
        >>> params, stats = model.at("mlp(8)").init(jax.random.key(0), jnp.ones((1, 3)))
        >>> params["layer0"]["kernel"].shape, float(stats["shape"]["layers"])
        ((3, 16), 1.0)
    """
    known = {shape: SHAPES.get(shape) for shape in shapes}
    width = max(max(shape.widths) for shape in known.values())
    depth = max(len(shape.widths) for shape in known.values())
    blocks = (*(f"layer{i}" for i in range(depth)), "head")
    whole = functional(Shaped(width, depth, outputs, constants), blocks)

    def at(text: str) -> Model:
        shape = known[text]
        plain = mlp(outputs, constants, *shape.widths, dropout=shape.dropout)

        def init(key: Array, x: Array) -> tuple[PyTree, PyTree]:
            larger, _ = jax.eval_shape(whole.init, key, x)
            numbers = len(shape.widths), shape.dropout
            names = "layers", "dropout"
            stats = dict(zip(names, map(jnp.float32, numbers), strict=True))
            return _padded(plain.init(key, x)[0], larger), {"shape": stats}

        return whole._replace(init=init)

    return whole._replace(at=at)


def _padded(tree: PyTree, larger: PyTree) -> PyTree:
    """Leaves in the first corner of the larger ones' shapes, zeros elsewhere."""

    def pad(leaf: Any, small: Array | None) -> Array:
        if small is None:
            return jnp.zeros(leaf.shape, leaf.dtype)
        ends = [(0, n - m) for n, m in zip(leaf.shape, small.shape, strict=True)]
        return jnp.pad(small, ends)

    empty = jax.tree.map(lambda _: None, larger)
    smaller = {block: tree.get(block, empty[block]) for block in larger}
    return jax.tree.map(pad, larger, smaller)


def _mlp(*widths: int, dropout: float = 0.0) -> Shape:
    if not widths or min(widths) < 1 or not 0 <= dropout < 1:
        raise InputError(
            f"mlp({', '.join(map(str, widths))}) with dropout {dropout}: expected at"
            " least one hidden layer, of 1 or more, and a dropout in [0, 1)"
        )
    return Shape(widths, dropout)


SHAPES = Registry("shape", {"mlp": _mlp})
"""What a shape may be."""
