"""The noun of this shelf, and the one head that all models share."""

from collections.abc import Collection
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from equity_jax.nouns import Model
from equity_jax.types import Array, Output


class Head(nn.Module):
    """Features to logits: a dense layer, and free logits that do not depend on x.

    outputs: logits that depend on x; constants: free ones, appended last (a count
    task's log dispersion). float[B, F] -> float[B, outputs + constants].
    """

    outputs: int
    constants: int = 0

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """See the class."""
        kernel = nn.initializers.normal(0.01)
        logits = nn.Dense(self.outputs, kernel_init=kernel, name="dense")(features)
        if not self.constants:
            return logits
        free = self.param("constant", nn.initializers.zeros, (self.constants,))
        rows = jnp.broadcast_to(free[None], (logits.shape[0], self.constants))
        return jnp.concatenate([logits, rows], axis=1)


def training(train: bool | Collection[str], block: str) -> bool:
    """Whether a block is in training mode; train: for all alike, or the names of some.

    Example:
        >>> training(True, "stem"), training(frozenset({"head"}), "stem")
        (True, False)
    """
    return train if isinstance(train, bool) else block in train


def functional(module: nn.Module, blocks: tuple[str, ...]) -> Model:
    """A linen module whose call is (x, train) -> Output, as pure functions.

    Statistics (batch norm) travel beside the parameters; dropout draws from `key`. An
    empty set of blocks in training is evaluation.

    Example:
        >>> model = functional(Mlp((8,), outputs=1), ("layer0", "head"))
        >>> params, stats = model.init(jax.random.key(0), jnp.ones((1, 3)))
    """

    def init(key: Array, x: Array) -> tuple[Any, Any]:
        variables = dict(module.init(key, x, False))
        return variables.pop("params"), variables

    def apply(
        params: Any, stats: Any, x: Array, train: bool | Collection[str], key: Array
    ) -> tuple[Output, Any]:
        variables = {"params": params, **stats}
        if not train or not stats:
            rngs = {"dropout": key} if train else None
            return module.apply(variables, x, train, rngs=rngs), stats
        output, updated = module.apply(
            variables, x, train, rngs={"dropout": key}, mutable=list(stats)
        )
        return output, dict(updated)

    return Model(init, apply, blocks)
