r"""Sums of squares of a wide table, and ridge regressions at many strengths from them.

Everything is centered and in float64, summed over chunks of rows, so that a table of
float32 (perhaps a memory map) is never copied. With $X=V\Lambda V^\top$ the centered
$\sum_i x_ix_i^\top$, a ridge regression of y on x (Hoerl & Kennard 1970) is
$$\beta_\lambda = V(\Lambda+\lambda)^{-1}V^\top\textstyle\sum_i x_iy_i^\top,$$
so that one decomposition serves all strengths and all targets on the same rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import linalg

from equity_jax.types import Array

CHUNK = 4096  # rows of one product


class Moments(NamedTuple):
    """Of n rows: means x float64[F], y float64[K]; sums of products of what is left,
    xx float64[F, F], xy float64[F, K].
    """

    n: int
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray


def moments(x: Array, y: Array, rows: Array | None = None) -> Moments:
    """Means and sums of products of some rows.

    Args:
        x: float[N, F].
        y: float[N, K].
        rows: int[n], which rows; None: all.

    Example: `m = moments(x, y); m.xx / m.n` is the covariance of x.
    """
    rows = np.arange(len(x)) if rows is None else np.asarray(rows)
    starts = range(0, len(rows), CHUNK)
    parts = [rows[i : i + CHUNK] for i in starts]
    mean = sum(x[p].sum(0, dtype=np.float64) for p in parts) / len(rows)
    middle = np.mean(y[rows], axis=0, dtype=np.float64)
    xx, xy = np.zeros((len(mean), len(mean))), np.zeros((len(mean), len(middle)))
    for part in parts:
        left = x[part] - mean[None]
        xx += left.T @ left
        xy += left.T @ (y[part] - middle[None])
    return Moments(len(rows), mean, middle, xx, xy)


def ridge(m: Moments, l2s: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients float64[L, F, K] and intercepts float64[L, K] of L strengths.

    Minimizes the sum of squared errors and l2 times that of the coefficients.

    Example: `coef, base = ridge(moments(x, y), [1.0]); x @ coef[0] + base[0]`.
    """
    values, axes = linalg.eigh(m.xx)
    inner = axes.T @ m.xy
    scale = np.asarray(l2s, float)[:, None] + np.maximum(values, 0.0)[None]
    coef = axes[None] @ (inner[None] / scale[:, :, None])
    return coef, m.y[None] - np.einsum("f,lfk->lk", m.x, coef)
