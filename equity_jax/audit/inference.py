r"""Bootstrap intervals over resampled blocks and seeds, as pure functions of numpy.

A *block* is the resampling unit (a patient, a region × month); all groups, methods
and schemes share the same replicates, so that their differences are paired. With
several seeds the bootstrap is crossed: blocks and seeds are drawn anew, each by
itself, in every replicate (the pigeonhole bootstrap of Owen 2007, which errs on the
wide side). It treats blocks as independent of each other.

An `Estimate` holds point and replicates of any shape [...]; contrasts of estimates
are estimates again, and one `interval` serves all of them.

The interval is the *expanded percentile* interval (Hesterberg 2015): the distances
from the point to the bootstrap quantiles are stretched, because a bootstrap of n
blocks has the variance of n - 1 and normal tails. Here n is Kish's effective number
of blocks, $(\sum d)^2 / \sum d^2$ with d the denominators of the blocks, since one
large block among small ones leaves fewer to learn from; seeds are treated alike and
the two are joined by Satterthwaite's degrees of freedom. tests/test_inference.py
prints its coverage. Known to fall short of 95 %: blocks whose sizes and effects both
have heavy tails (88 % at 60 blocks). A number that no replicate moves, such as a
proportion of exactly 1, has no interval: it is NOT_ESTIMABLE.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from equity_jax.keys import generator


class Estimate(NamedTuple):
    """A number and how it moves when the data are drawn again.

    value: float[...]; seeds: float[..., S], the value of each seed alone (NaN where a
    seed is absent); draws: float[..., R], bootstrap replicates (R of them, NaN where
    undefined); effective: float[...], effective number of blocks; ok: bool[...],
    False where it cannot be estimated.
    """

    value: np.ndarray
    seeds: np.ndarray
    draws: np.ndarray
    effective: np.ndarray
    ok: np.ndarray


def resample(units: int, replicates: int, seed: int, purpose: str) -> np.ndarray:
    """uint8[replicates, units]: how often each unit was drawn; rows sum to `units`.

    Example:
        >>> resample(4, 2, 0, "bootstrap").sum(axis=1).tolist()
        [4, 4]
    """
    rng = generator(seed, purpose)
    weights = np.empty((replicates, units), np.uint8)
    for row in weights:
        row[:] = np.bincount(rng.integers(0, units, units), minlength=units)
    return weights


def effective_number(size: np.ndarray) -> np.ndarray:
    r"""Kish's effective number of blocks: float[..., B] -> float[...]."""
    square = np.sum(np.square(size), axis=-1)
    total = np.square(np.sum(size, axis=-1))
    return np.divide(total, square, out=np.zeros_like(total), where=square > 0)


def groups(estimate: Estimate, index: np.ndarray) -> Estimate:
    """The groups at `index` of an estimate whose value is float[..., G]."""
    value, seeds, draws, effective, ok = estimate
    return Estimate(
        value[..., index],
        seeds[..., index, :],
        draws[..., index, :],
        effective[..., index],
        ok[..., index],
    )


def difference(a: Estimate, b: Estimate) -> Estimate:
    """First minus second, replicate by replicate and seed by seed."""
    return Estimate(
        a.value - b.value,
        a.seeds - b.seeds,
        a.draws - b.draws,
        np.minimum(a.effective, b.effective),
        a.ok & b.ok,
    )


def quotient(a: Estimate, b: Estimate) -> Estimate:
    """First over second, by replicate; seeds by linearization about the point."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value, draws = a.value / b.value, a.draws / b.draws
        seeds = value[..., None] * (
            1 + a.seeds / a.value[..., None] - b.seeds / b.value[..., None]
        )
    ok = a.ok & b.ok & np.isfinite(value)
    draws = np.where(np.isfinite(draws), draws, np.nan)
    return Estimate(value, seeds, draws, np.minimum(a.effective, b.effective), ok)


def stretch(estimate: Estimate, level: float | np.ndarray = 0.95) -> np.ndarray:
    r"""How much wider than the bootstrap's quantiles an interval must be; float[...].

    With block variance $V_b$ and seed variance $V_s$ of the bootstrap, effective
    blocks n and seeds S: $\sqrt{(V_b n/(n-1) + V_s S/(S-1)) / (V_b + V_s)}$ times
    $t_\nu / z$, with $\nu$ of Satterthwaite.
    """
    tail = (1 + level) / 2
    n = np.maximum(estimate.effective, 2.0)
    count = np.sum(np.isfinite(estimate.seeds), axis=-1)
    several = np.maximum(count, 2)
    total = _variance(estimate.draws)
    seeds = np.where(count > 1, _variance(estimate.seeds) / several, 0.0)
    seeds = np.minimum(seeds, total)
    a, b = (total - seeds) * n / (n - 1), seeds * several / (several - 1)
    square = a**2 / (n - 1) + b**2 / (several - 1)
    moves = square > 0
    freedom = np.divide((a + b) ** 2, square, out=np.ones_like(a), where=moves)
    grown = np.divide(a + b, total, out=np.ones_like(a), where=moves)
    return np.sqrt(grown) * stats.t.ppf(tail, freedom) / stats.norm.ppf(tail)


def interval(estimate: Estimate, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), each float[...]: the expanded percentile interval of each estimate.

    NaN where `ok` is False. Not clipped: that needs to know the metric.
    """
    tail = (1 - level) / 2
    k = stretch(estimate, level)
    ranked = np.sort(estimate.draws, axis=-1)
    low = estimate.value - k * (estimate.value - _quantile(ranked, tail))
    high = estimate.value + k * (_quantile(ranked, 1 - tail) - estimate.value)
    # A biased statistic's quantiles can lie on one side of the point.
    low, high = np.minimum(low, estimate.value), np.maximum(high, estimate.value)
    return np.where(estimate.ok, low, np.nan), np.where(estimate.ok, high, np.nan)


def bands(estimate: Estimate, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    r"""Simultaneous intervals over the last axis P of value float[..., P].

    The critical value is the `level` quantile of $\max_p |t_p|$ over the replicates
    (single-step max-t; Westfall & Young 1993), so that all P hold at once; each is
    stretched as an interval of the level that this value has by itself.
    """
    spread = np.where(estimate.ok, np.sqrt(_variance(estimate.draws)), 0.0)
    moves = (spread > 0)[..., None]
    away = np.abs(estimate.draws - estimate.value[..., None])
    t = np.divide(away, spread[..., None], out=np.zeros_like(away), where=moves)
    worst = np.max(np.where(np.isfinite(t), t, 0.0), axis=-2)
    critical = _quantile(np.sort(worst, axis=-1), level)
    critical = np.clip(critical, 0.1, 8.0)[..., None]  # z = 8: as far as a double goes
    single = 2 * stats.norm.cdf(critical) - 1  # the level of each band by itself
    half = critical * spread * stretch(estimate, single)
    low, high = estimate.value - half, estimate.value + half
    return np.where(estimate.ok, low, np.nan), np.where(estimate.ok, high, np.nan)


def gap(estimate: Estimate, level: float = 0.95) -> tuple[np.ndarray, ...]:
    """Largest minus smallest value of the groups that can be estimated.

    The percentile bootstrap of a maximum minus a minimum never contains 0. This one
    does: from simultaneous bands over all pairs of groups, low = max(0, the largest
    lower end), high = the largest upper end (methods.md 23).

    Args:
        estimate: value float[..., G].
        level: of the simultaneous bands.

    Returns:
        (value, low, high), each float[...]; NaN where fewer than two groups are ok.
    """
    first, second = np.triu_indices(estimate.value.shape[-1], k=1)
    if first.size == 0:
        empty = np.full(estimate.value.shape[:-1], np.nan)
        return empty, empty, empty
    pairs = difference(groups(estimate, first), groups(estimate, second))
    low, high = bands(pairs, level)
    ends = np.concatenate([low, -high], axis=-1), np.concatenate([high, -low], axis=-1)
    known = np.any(pairs.ok, axis=-1)
    value = _most(np.where(pairs.ok, np.abs(pairs.value), np.nan))
    low = np.maximum(_most(ends[0]), 0.0)
    return tuple(np.where(known, x, np.nan) for x in (value, low, _most(ends[1])))


def _most(x: np.ndarray) -> np.ndarray:
    """The maximum over the last axis, NaN ignored; -inf where all are NaN."""
    return np.max(np.where(np.isnan(x), -np.inf, x), axis=-1)


def _variance(x: np.ndarray) -> np.ndarray:
    """Variance over the last axis of what is finite; 0 where nothing is."""
    known = np.isfinite(x)
    count = np.maximum(np.sum(known, axis=-1), 1)
    mean = np.sum(np.where(known, x, 0.0), axis=-1) / count
    away = np.where(known, x - mean[..., None], 0.0)
    return np.sum(away**2, axis=-1) / count


def _quantile(ranked: np.ndarray, q: float) -> np.ndarray:
    """Linear quantile over the last axis of sorted values; NaN (last) is ignored."""
    count = np.sum(~np.isnan(ranked), axis=-1)
    place = q * np.maximum(count - 1, 0)
    lower = np.floor(place).astype(int)
    upper = np.minimum(lower + 1, np.maximum(count - 1, 0))
    pick = [
        np.take_along_axis(ranked, i[..., None], -1)[..., 0] for i in (lower, upper)
    ]
    return pick[0] + (place - lower) * (pick[1] - pick[0])
