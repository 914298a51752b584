"""Fitted weights on rows: many models side by side, forward only."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.nouns import Model
from equity_jax.train.lanes import Weights
from equity_jax.train.sweep import parallel
from equity_jax.types import Array, PyTree


def score(
    model: Model, weights: Sequence[Weights], x: np.ndarray, width: int = 64
) -> np.ndarray:
    """Logits float32[R, N, O] of R fitted models on x float[N, F].

    width: models side by side on one device.

    Example:
        >>> score(model, [fitted.of(0)], dataset.x).shape
        (1, 28350, 2)
    """

    def one(params: PyTree, stats: PyTree, x: Array, key: Array) -> Array:
        return model.apply(params, stats, x, False, key)[0].logits

    many, x = parallel(one), jnp.asarray(x)
    wave = min(width, len(weights)) * jax.device_count()
    found = []
    for first in range(0, len(weights), wave):
        mine = list(weights[first : first + wave])
        mine += [mine[-1]] * (wave - len(mine))
        params, stats = jax.tree.map(lambda *a: np.stack(a), *mine)
        found.append(np.asarray(many(params, stats, x, jax.random.key(0))))
    return np.concatenate(found)[: len(weights)]
