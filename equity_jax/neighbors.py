"""The nearest rows of a table to each query, exactly: one product, then a ranking.

A block of rows goes to the device and meets a chunk of queries in one matrix product,
of which only the best are kept, so that beside the two tables little memory is needed.
The nearest by that, and some more, are ranked again by distances that are computed
directly, so that rounding of the product does not choose among neighbors that are
alike.
"""

from collections.abc import Sequence
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
QUERIES, ROWS = 1024, 4096  # of one product
GROUP = 16  # rows of which the best one is looked at first


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
        queries = _unit(queries)
    found = _found(x, queries, many, everyone, (metric,))[0, 0]
    return _ranked(x, queries, found, k, metric)


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
    return _found(x, queries, k, subsets, metrics)


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
) -> np.ndarray:
    """int[D, A, Q, many], rows near to each query."""
    n, size = len(x), min(len(x), max(ROWS, many))
    none = np.zeros((len(metrics), len(subsets), len(queries), many))
    cuts = [slice(i, i + QUERIES) for i in range(0, len(queries), QUERIES)]
    chunks = [jnp.asarray(queries[cut]) for cut in cuts]
    held = [Near(none[:, :, c] - np.inf, none[:, :, c].astype(np.int32)) for c in cuts]
    for start in range(0, n, size):
        first = min(start, n - size)  # the last block overlaps
        keep = subsets[:, first : first + size] & (
            np.arange(first, first + size) >= start
        )
        block = jnp.asarray(x[first : first + size]), keep, first
        held = [
            _nearer(*block, chunk, best, tuple(metrics))
            for chunk, best in zip(chunks, held, strict=True)
        ]
        jax.block_until_ready(held)  # blocks must not queue up in memory
    return np.concatenate([none[:, :, :0].astype(int), *(b.index for b in held)], 2)


@partial(jax.jit, static_argnums=5)
def _nearer(
    rows: Array,
    keep: Array,
    first: Array,
    queries: Array,
    held: Near,
    metrics: tuple[str, ...],
) -> Near:
    """The best so far, with those of one more block in each subset.

    The distance is in reverse: 2 q'x - |x|^2, or q'x / |x|; index: int[D, A, Q, k].
    """
    product = jnp.matmul(queries, rows.T, precision="highest")
    square = jnp.einsum("nf,nf->n", rows, rows, precision="highest")
    lines = {
        "euclidean": (jnp.full_like(square, 2), -square),
        "cosine": _upright(square),
    }
    many = held.index.shape[-1]

    def best(metric: str) -> tuple[Array, Array]:
        slope, shift = lines[metric]

        def one(keep: Array) -> tuple[Array, Array]:
            return _top(product, slope, jnp.where(keep, shift, -jnp.inf), many)

        return lax.map(one, keep)

    found = [best(metric) for metric in metrics]
    score, index = (jnp.stack(each) for each in zip(*found, strict=True))
    pairs = zip(held, (score, index + first), strict=True)
    score, index = (jnp.concatenate(pair, -1) for pair in pairs)
    score, at = lax.top_k(score, many)
    return Near(score, jnp.take_along_axis(index, at, -1))


def _upright(square: Array) -> tuple[Array, Array]:
    """1 / |x| and 0; a row of zeros is at a right angle to all."""
    return jnp.where(square > 0, square, 1.0) ** -0.5, 0 * square


def _top(product: Array, slope: Array, shift: Array, many: int) -> tuple[Array, Array]:
    """The largest of slope * product + shift, float[Q, many], and where.

    product: float[Q, n]; slope, shift: float[n]. The largest lie in the groups that
    have the largest maxima, of as many groups: the others are not looked at.
    """
    q, n = product.shape
    groups = n // GROUP
    score = product * slope[None] + shift[None]
    if n % GROUP or groups < many:
        return lax.top_k(score, min(many, n))
    group = lax.top_k(score.reshape(q, GROUP, groups).max(1), many)[1]
    rows = group[:, None] + groups * jnp.arange(GROUP)[None, :, None]
    rows = rows.reshape(q, -1)
    score = jnp.take_along_axis(product, rows, 1) * slope[rows] + shift[rows]
    best, at = lax.top_k(score, many)
    return best, jnp.take_along_axis(rows, at, 1)


def _ranked(
    x: np.ndarray, queries: np.ndarray, found: np.ndarray, k: int, metric: str
) -> Near:
    """The best k of the candidates, by distances computed directly."""
    found = np.sort(found, axis=1)  # of equal distances the first row comes first
    far = np.empty(found.shape, np.float32)
    for q, (query, rows) in enumerate(zip(queries, found, strict=True)):
        near = x[rows]
        if metric == "cosine":
            far[q] = np.maximum(1 - _unit(near) @ query, 0)
        else:
            near -= query
            far[q] = np.einsum("nf,nf->n", near, near)
    order = np.argsort(far, axis=1, kind="stable")[:, :k]
    far, found = (np.take_along_axis(a, order, axis=1) for a in (far, found))
    return Near(far if metric == "cosine" else np.sqrt(far), found)


def _unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)
