r"""Metrics that are functions of sums over rows: Brier, log loss, ECE, calibration.

A bootstrap replicate needs the sums of its rows only, so a metric is written as two
parts: the columns to be summed, float[n, k], and the formula of the sums. All metrics'
columns stand side by side, and all replicates are one matrix product.

The calibration slope $b$ of $\text{logit}\,P(y) = a + b\,\text{logit}\,p$ and the
calibration in the large $a$ (with $b = 1$; Cox 1958, Van Calster et al. 2016) are found
by Newton's method; a replicate takes one Newton step from there with its own weights
(the one-step bootstrap, Shao & Tu 1995, section 3.3).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from equity_jax.metrics import ROWS, Confusion, sigmoid

BINS = 15


class Moment(NamedTuple):
    """columns: float[n, k], without weights; value: float[..., k] sums to float[...]"""

    columns: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]


Maker = Callable[[np.ndarray, np.ndarray, np.ndarray], Moment]


def quotient(num: np.ndarray, den: np.ndarray) -> Moment:
    """Sum over sum, never a mean of means.

    Example:
        >>> moment = quotient(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
        >>> float(moment.value(moment.columns.sum(axis=0)))
        0.5
    """
    return Moment(np.stack([num, den], axis=1), lambda s: s[..., 0] / s[..., 1])


def decided(decision: np.ndarray, y: np.ndarray) -> Moment:
    """The four counts of decisions float[n] in [0, 1], as `Confusion` of sums."""
    columns = [decision * y, decision * (1 - y), (1 - decision) * y]
    columns += [(1 - decision) * (1 - y)]
    return Moment(
        np.stack(columns, axis=1), lambda s: Confusion(*np.moveaxis(s, -1, 0))
    )


def _mean_of(name: str) -> Maker:
    def make(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Moment:
        return quotient(ROWS[name](score, y), np.ones(len(y)))

    return make


def equal_width(score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """int[n]: bins (0, 1/15], (1/15, 2/15], ...; 0 joins the first."""
    inner = np.arange(1, BINS) / BINS
    return np.searchsorted(inner, score, side="left")


def equal_mass(score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """int[n]: bins with a fifteenth of the rows each; ties stay together."""
    if not len(score):
        return np.zeros(0, int)
    inner = np.quantile(score, np.arange(1, BINS) / BINS)
    return np.searchsorted(inner, score, side="left")


def _ece(bins: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Maker:
    """Expected calibration error of P(y = 1): mean over rows of its bin's |p - y|."""

    def make(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Moment:
        columns = np.zeros((len(y), BINS + 1))
        if len(y):
            columns[np.arange(len(y)), bins(score, weight)] = score - y
        columns[:, BINS] = 1.0
        return Moment(
            columns, lambda s: np.abs(s[..., :BINS]).sum(axis=-1) / s[..., BINS]
        )

    return make


def logits(score: np.ndarray) -> np.ndarray:
    """float[n]: log odds of scores kept 1e-12 off 0 and 1."""
    p = np.clip(score, 1e-12, 1 - 1e-12)
    return np.log(p) - np.log1p(-p)


def slope(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Moment:
    """Calibration slope: 1 is right, below 1 the scores are too extreme."""
    x = np.stack([np.ones(len(y)), logits(score)], axis=1)
    beta = newton(x, y, weight, np.zeros(len(y)))
    p = sigmoid(x @ beta)
    spread = p * (1 - p)
    left = (y - p)[:, None] * x
    curved = spread[:, None] * np.stack([x[:, 0], x[:, 1], x[:, 1] ** 2], axis=1)

    def value(s: np.ndarray) -> np.ndarray:
        g0, g1, h00, h01, h11 = np.moveaxis(s, -1, 0)
        return beta[1] + (h00 * g1 - h01 * g0) / (h00 * h11 - h01**2)

    return Moment(np.concatenate([left, curved], axis=1), value)


def intercept(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Moment:
    """Calibration in the large: 0 is right, above 0 the risk is understated."""
    offset, ones = logits(score), np.ones((len(y), 1))
    shift = newton(ones, y, weight, offset)
    p = sigmoid(offset + shift[0])
    columns = np.stack([y - p, p * (1 - p)], axis=1)
    return Moment(columns, lambda s: shift[0] + s[..., 0] / s[..., 1])


def newton(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Maximum likelihood of a logistic regression float[n, k]; NaN if there is none.

    Steps that lower the likelihood are halved; labels that the scores separate
    perfectly have no maximum and give NaN.
    """
    beta = np.zeros(x.shape[1])

    def loss(at: np.ndarray) -> float:
        z = x @ at + offset
        return float(np.sum(weight * (np.logaddexp(0, z) - y * z)))

    now = loss(beta)
    for _ in range(60):
        p = sigmoid(x @ beta + offset)
        slope_ = x.T @ (weight * (y - p))
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x
        if not np.linalg.det(curve) > 1e-12 * max(weight.sum(), 1):
            return np.full(x.shape[1], np.nan)
        step = np.linalg.solve(curve, slope_)
        while loss(beta + step) > now + 1e-12 * abs(now) and np.abs(step).max() > 1e-14:
            step = step / 2
        beta, now = beta + step, loss(beta + step)
        if np.abs(step).max() < 1e-11:
            return beta
    return np.full(x.shape[1], np.nan)


MOMENTS: Mapping[str, Maker] = {
    **{name: _mean_of(name) for name in ROWS},
    "ece_width": _ece(equal_width),
    "ece_mass": _ece(equal_mass),
    "calibration_slope": slope,
    "calibration_intercept": intercept,
}
"""Name -> (score, y, weight, each float[n]) -> Moment."""


def block_sums(
    columns: np.ndarray, block: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """(int[b] blocks that occur, float[b, k] sums of float[n, k] in each of them)."""
    if weight is not None:
        columns = columns * weight[:, None]
    there, place = np.unique(block, return_inverse=True)
    if not columns.shape[1]:
        return there, np.empty((len(there), 0))
    if len(there) == len(block):
        sums = np.empty((len(there), columns.shape[1]))
        sums[place] = columns
        return there, sums
    sums = np.stack([np.bincount(place, c, len(there)) for c in columns.T], axis=1)
    return there, sums
