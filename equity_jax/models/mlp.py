"""Multi-layer perceptrons for tables and embeddings."""

import flax.linen as nn

from equity_jax.models.base import Head, functional
from equity_jax.nouns import Model
from equity_jax.types import Array, Output


class Mlp(nn.Module):
    """Dense layers with ReLU and dropout; features are the last hidden layer.

    x float[B, F] -> logits float[B, O], features float[B, widths[-1]].
    """

    widths: tuple[int, ...]
    outputs: int
    constants: int = 0
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Output:
        """See the class."""
        taps = {}
        for i, width in enumerate(self.widths):
            x = nn.relu(nn.Dense(width, name=f"layer{i}")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            taps[f"layer{i}"] = x
        return Output(Head(self.outputs, self.constants, name="head")(x), x, taps)


def mlp(outputs: int, constants: int, *widths: int, dropout: float = 0.0) -> Model:
    """`mlp(64, 64)` in a config: two hidden layers of 64.

    Example:
        >>> mlp(1, 0, 64, 64).blocks
        ('layer0', 'layer1', 'head')
    """
    blocks = (*(f"layer{i}" for i in range(len(widths))), "head")
    return functional(Mlp(tuple(widths), outputs, constants, dropout), blocks)
