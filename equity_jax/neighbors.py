"""The nearest rows of a table to each query, exactly: one product, then a ranking.

A chunk of queries meets all rows in one matrix product on the device; the nearest by
that, and some more, are ranked again by distances that are computed directly, so that
rounding of the product does not choose among neighbors that are alike.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from equity_jax.glm_rows import table_of
from equity_jax.types import Array, InputError

METRICS = ("euclidean", "cosine")
MORE = 8  # candidates beyond k that are ranked again
ENTRIES = 1 << 24  # of one chunk's table of queries against rows


class Near(NamedTuple):
    """The k nearest rows of each of Q queries, the nearest first.

    distance: float32[Q, k]; index: int[Q, k], rows of the table.
    """

    distance: np.ndarray
    index: np.ndarray


def nearest(x: Array, queries: Array, k: int, metric: str = "euclidean") -> Near:
    """The k rows of x that are nearest to each query; a query of x finds itself.

    Args:
        x: float[N, F].
        queries: float[Q, F].
        k: at most N.
        metric: "euclidean", or "cosine": 1 - the cosine of the angle, which for a row
            of zeros is taken as 0.

    Raises:
        InputError: an unknown metric, shapes or k that do not fit.

    Example:
        >>> nearest(np.eye(3), np.array([[0.9, 0.1, 0]]), 2).index
        array([[0, 1]])
    """
    x, queries = _checked(x, queries, k, (metric,))
    many, everyone = min(k + MORE, len(x)), np.ones((1, len(x)), bool)
    if metric == "cosine":
        x, queries = _unit(x), _unit(queries)
    made = [Near(np.zeros((0, k), np.float32), np.zeros((0, k), int))]
    for part, found in _found(x, queries, many, everyone, (metric,)):
        made.append(_ranked(x, part, found[0, 0], k, metric))
    return Near(*(np.concatenate(each) for each in zip(*made, strict=True)))


def among(
    x: Array,
    queries: Array,
    k: int,
    subsets: np.ndarray,
    metrics: Sequence[str] = METRICS,
) -> np.ndarray:
    """int[D, A, Q, k]: the nearest rows by D metrics in each of A subsets of the table.

    One product serves them all. Rows whose distances differ by no more than the
    rounding of float32 may change places; `nearest` tells them apart.

    subsets: bool[A, N], each of at least k rows; the rest as `nearest`.

    Raises:
        InputError: as `nearest`.

    Example: `among(x, q, 5, women[None])[0, 0]` are the nearest women to each query.
    """
    x, queries = _checked(x, queries, k, metrics)
    if k > subsets.sum(axis=1).min():
        raise InputError(f"k={k}: a subset has {subsets.sum(axis=1).min()} rows")
    parts = [found for _, found in _found(x, queries, k, subsets, metrics)]
    none = np.zeros((len(metrics), len(subsets), 0, k), int)
    return np.concatenate([none, *parts], axis=2)


def shares(index: np.ndarray, labels: np.ndarray, classes: int, k: int) -> np.ndarray:
    """float[Q, C]: share of each class among the first k neighbors.

    index: int[Q, K] as in Near, K at least k; labels: int[N] of the rows, 0..C-1.

    Example:
        >>> shares(np.array([[0, 2]]), np.array([1, 0, 0]), 2, 2)
        array([[0.5, 0.5]])
    """
    told = labels[index[:, :k]]
    return np.stack([(told == c).mean(axis=1) for c in range(classes)], axis=1)


def _checked(
    x: Array, queries: Array, k: int, metrics: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    for metric in metrics:
        if metric not in METRICS:
            raise InputError(f"metric={metric!r}; expected {' or '.join(METRICS)}")
    x, queries = table_of(x, np.float32), table_of(queries, np.float32)
    if x.shape[1] != queries.shape[1] or not 1 <= k <= len(x):
        raise InputError(
            f"queries {queries.shape}, k={k}: expected {x.shape[1]} columns and k of"
            f" 1..{len(x)}"
        )
    return x, queries


def _found(
    x: np.ndarray,
    queries: np.ndarray,
    many: int,
    subsets: np.ndarray,
    metrics: Sequence[str],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Chunks of queries, each with int[D, A, chunk, many], rows near to them."""
    size = max(1, min(len(queries), ENTRIES // len(x)))
    rows = jnp.asarray(x)
    square = jnp.einsum("nf,nf->n", rows, rows, precision="highest")
    keep = jnp.asarray(subsets)
    for first in range(0, len(queries), size):
        part = queries[first : first + size]
        yield part, np.asarray(_near(rows, square, part, keep, many, tuple(metrics)))


@partial(jax.jit, static_argnums=(4, 5))
def _near(
    x: Array,
    square: Array,
    queries: Array,
    subsets: Array,
    many: int,
    metrics: tuple[str, ...],
) -> Array:
    """The smallest |x|^2 - 2 q'x, or the largest q'x / |x|, of each subset."""
    product = jnp.matmul(queries, x.T, precision="highest")
    root = jnp.where(square > 0, square, 1.0) ** -0.5
    scores = {"euclidean": 2 * product - square[None], "cosine": product * root[None]}

    def best(score: Array) -> Array:
        def one(keep: Array) -> Array:
            return lax.top_k(jnp.where(keep[None], score, -jnp.inf), many)[1]

        return lax.map(one, subsets)

    return jnp.stack([best(scores[metric]) for metric in metrics])


def _ranked(
    x: np.ndarray, queries: np.ndarray, found: np.ndarray, k: int, metric: str
) -> Near:
    """The best k of the candidates, by distances computed directly."""
    found = np.sort(found, axis=1)  # of equal distances the first row comes first
    far = np.empty(found.shape, np.float32)
    for q, (query, rows) in enumerate(zip(queries, found, strict=True)):
        if metric == "cosine":
            far[q] = np.maximum(1 - x[rows] @ query, 0)
        else:
            far[q] = np.linalg.norm(x[rows] - query, axis=1)
    order = np.argsort(far, axis=1, kind="stable")[:, :k]
    best = (np.take_along_axis(a, order, axis=1) for a in (far, found))
    return Near(*best)


def _unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)
