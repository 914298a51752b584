"""Fitted weights on rows, forward only: tables many models at a time, images one."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.nouns import Model
from equity_jax.train.feed import mesh_of, padded, pixels, place
from equity_jax.train.leaves import Weights
from equity_jax.train.sweep import parallel
from equity_jax.types import Array, Output, PyTree


def score(
    model: Model, weights: Sequence[Weights], x: np.ndarray, width: int = 64
) -> np.ndarray:
    """Logits float32[R, N, O] of R fitted models on x.

    x: float[N, F], or images [N, H, W, 1] in memory or as a stream; width: models side
    by side on one device, or images in a batch.

    Example:
        >>> score(model, [fitted.of(0)], dataset.x).shape
        (1, 28350, 2)
    """
    if x.ndim > 2:
        return np.stack([features(model, one, x, width)[0] for one in weights])

    found = _waves(model, weights, x, width, lambda out: out.logits)
    return np.concatenate(list(found))[: len(weights)]


def seen(
    model: Model, weights: Sequence[Weights], x: np.ndarray, width: int = 16
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits float32[N, O] and features float32[N, F] of each fitted model on a table.

    x, width: as of `score`; models are run as they are asked for, a wave at a time.

    Example:
        >>> next(seen(model, [fitted.of(0)], dataset.x))[1].shape  # doctest: +SKIP
        (28350, 64)
    """
    both = _waves(model, weights, x, width, lambda out: (out.logits, out.features))
    each = (pair for wave in both for pair in zip(*wave, strict=True))
    return islice(each, len(weights))


def _waves(
    model: Model,
    weights: Sequence[Weights],
    x: np.ndarray,
    width: int,
    pick: Callable[[Output], PyTree],
) -> Iterator[PyTree]:
    """What `pick` takes of each Output, models side by side; the last ones repeated."""

    def one(params: PyTree, stats: PyTree, x: Array, key: Array) -> PyTree:
        return pick(model.apply(params, stats, x, False, key)[0])

    many, x = parallel(one), jnp.asarray(x)
    wave = min(width, len(weights)) * jax.device_count()
    for first in range(0, len(weights), wave):
        mine = list(weights[first : first + wave])
        mine += [mine[-1]] * (wave - len(mine))
        params, stats = jax.tree.map(lambda *a: np.stack(a), *mine)
        made = many(params, stats, x, jax.random.key(0))
        yield jax.tree.map(np.asarray, made)


def features(
    model: Model, weights: Weights, x: Any, batch: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32[N, O] and features float32[N, F] of one model on N images.

    x: [N, H, W, C] in memory or a stream; read in batches of a fixed size.

    Example:
        >>> features(model, fitted.of(0), dataset.x)[1].shape  # doctest: +SKIP
        (1420, 1024)
    """
    mesh = mesh_of(batch)
    index, _ = padded(np.arange(len(x)), batch)
    run, (params, stats) = forward(model), place(weights, mesh)
    found = [
        jax.tree.map(np.asarray, run(params, stats, part))
        for part in pixels(x, index, mesh)
    ]
    logits, seen = (
        np.concatenate(parts)[: len(x)] for parts in zip(*found, strict=True)
    )
    return logits, seen


@lru_cache(maxsize=8)
def forward(
    model: Model, taps: tuple[str, ...] = ()
) -> Callable[..., tuple[Array, ...]]:
    """(params, stats, x) -> logits, features, and the means of taps over their places.

    Compiled, in evaluation mode; float[B, O], float[B, F] and float32[B, c] a tap.

    Example:
        >>> forward(model, ("dense1",))(*weights, x)[2].shape  # doctest: +SKIP
        (32, 256)
    """

    @jax.jit
    def run(params: PyTree, stats: PyTree, x: Array) -> tuple[Array, ...]:
        out, _ = model.apply(params, stats, x, False, jax.random.key(0))
        means = (out.taps[t].mean((1, 2), dtype=jnp.float32) for t in taps)
        return out.logits, out.features, *means

    return run
