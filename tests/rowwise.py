"""Costs of single rows in float64 numpy, for tests of losses that weigh or move them.

A world is (task, batch, counts, features, logits), as `cells.rows` makes it.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from cells import start

from equity_jax.types import Output


def classes(world: tuple) -> np.ndarray:
    """int[B, K], -1 = unknown."""
    return np.asarray(world[0].class_of(world[1].y))


def costs(world: tuple, logits: np.ndarray) -> np.ndarray:
    """The nll of every row and label, float64[B, K]; an unknown label costs 0."""
    own = classes(world)
    if world[0].name.startswith("multiclass"):
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        found = -np.take_along_axis(log_p, np.maximum(own, 0), 1)
    else:
        found = np.log1p(np.exp(logits)) - own * logits
    return np.where(own >= 0, found, 0.0)


def mean(world: tuple, values: np.ndarray) -> float:
    """Over observed rows of each label, then over labels."""
    weight = world[1].mask * world[1].weight[:, None]
    return float(((values * weight).sum(0) / weight.sum(0)).mean())


def table_at(world: tuple, table: np.ndarray) -> np.ndarray:
    """Of float[K, C + 1, G + 1] each row's own, float[B, K]; -1 is the last slot."""
    own, group = classes(world), world[1].group
    return np.array(
        [
            [t[c, g] for t, c in zip(table, row, strict=True)]
            for row, g in zip(own, group, strict=True)
        ]
    )


def answers(texts: list[str], world: tuple) -> dict[str, tuple[float, np.ndarray]]:
    """Value and gradient in the logits of each method, in one program of float64."""
    task, batch, counts, features, logits = world
    with jax.enable_x64(True):
        begun = [start(text, counts) for text in texts]

        def one(method, aux, z):
            out = Output(z, jnp.asarray(features))
            return method.loss(aux, task, out, batch, jnp.float64(1.0))[0]

        def every(z):
            return [jax.value_and_grad(partial(one, *b))(z) for b in begun]

        found = jax.jit(every)(jnp.asarray(logits))
        pairs = zip(texts, found, strict=True)
        return {t: (float(value), np.asarray(slope)) for t, (value, slope) in pairs}
