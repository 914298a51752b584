"""The linear model: a head on x itself."""

import flax.linen as nn

from equity_jax.models.base import Head, functional
from equity_jax.nouns import Model
from equity_jax.types import Array, Output


class Linear(nn.Module):
    """x float[B, F] -> logits float[B, O]; its features are x."""

    outputs: int
    constants: int = 0

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Output:
        """See the class."""
        return Output(Head(self.outputs, self.constants, name="head")(x), x)


def linear(outputs: int, constants: int = 0) -> Model:
    """A generalized linear model's linear predictor.

    Example:
        >>> linear(outputs=1).blocks
        ('head',)
    """
    return functional(Linear(outputs, constants), ("head",))
