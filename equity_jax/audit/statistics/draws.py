"""Estimates: a number, its bootstrap replicates, and what is made of two of them.

A *block* is the resampling unit (a patient, a region × month); all groups, methods
and schemes share the same replicates, so that their differences are paired. With
several seeds the bootstrap is crossed: blocks and seeds are drawn anew, each by
itself, in every replicate (the pigeonhole bootstrap of Owen 2007, which errs on the
wide side). It treats blocks as independent of each other.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from equity_jax.audit.statistics import intervals
from equity_jax.keys import generator

CLOSED = ("wilson", "delong", "bounded")  # kinds with a standard error of their own


class Estimate(NamedTuple):
    """A number and how it moves when the data are drawn again.

    value: float[...]; seeds: float[..., S], the value of each seed alone (NaN where a
    seed is absent); draws: float[..., R], bootstrap replicates (R of them, NaN where
    undefined); effective: float[...], effective number of blocks (of the scarcer class
    for an AUROC); ok: bool[...], False where it cannot be estimated; se: float[...],
    closed-form standard error that allows for blocks (NaN: none); size: float[...],
    effective number of rows of a proportion, or the debiased value of a bounded number
    (NaN: none); kind: how the interval is made.
    """

    value: np.ndarray
    seeds: np.ndarray
    draws: np.ndarray
    effective: np.ndarray
    ok: np.ndarray
    se: np.ndarray | None = None
    size: np.ndarray | None = None
    kind: str = "bootstrap"


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
    size = np.asarray(size, float)
    square = np.sum(np.square(size), axis=-1)
    total = np.square(np.sum(size, axis=-1))
    return np.divide(total, square, out=np.zeros_like(total), where=square > 0)


def groups(estimate: Estimate, index: np.ndarray) -> Estimate:
    """The groups at `index` of an estimate whose value is float[..., G]."""
    plain = {"value", "effective", "ok", "se", "size"}
    return _each(
        estimate,
        lambda name, x: x[..., index] if name in plain else x[..., index, :],
    )


def cells(estimate: Estimate, index: object) -> Estimate:
    """The cells at `index` of the first axis (an int, a slice or int[...])."""
    return _each(estimate, lambda _, x: x[index])


def _each(
    estimate: Estimate, pick: Callable[[str, np.ndarray], np.ndarray]
) -> Estimate:
    fields = estimate._asdict()
    kind = fields.pop("kind")
    done = {k: None if v is None else pick(k, v) for k, v in fields.items()}
    return Estimate(**done, kind=kind)


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
    value = np.where(np.isfinite(value), value, np.nan)
    draws = np.where(np.isfinite(draws), draws, np.nan)
    return Estimate(value, seeds, draws, np.minimum(a.effective, b.effective), ok)


def variance(estimate: Estimate) -> tuple[np.ndarray, np.ndarray]:
    r"""(variance, degrees of freedom) of the value, each float[...], as kind says.

    In closed form where there is one. Of the bootstrap, with block variance $V_b$ and
    seed variance $V_s$, effective blocks n and seeds S: $V_b n/(n-1) + V_s S/(S-1)$,
    with the degrees of freedom of Satterthwaite.
    """
    n = np.maximum(estimate.effective, 2.0)
    known = closed(estimate)
    if np.all(known):
        return np.square(estimate.se), n - 1
    count = np.sum(np.isfinite(estimate.seeds), axis=-1)
    several = np.maximum(count, 2)
    total = intervals.spread(estimate.draws)
    seeds = np.where(count > 1, intervals.spread(estimate.seeds) / several, 0.0)
    seeds = np.minimum(seeds, total)
    a, b = (total - seeds) * n / (n - 1), seeds * several / (several - 1)
    square = a**2 / (n - 1) + b**2 / (several - 1)
    freedom = np.divide((a + b) ** 2, square, out=np.ones_like(a), where=square > 0)
    se = np.nan if estimate.se is None else estimate.se
    return np.where(known, np.square(se), a + b), np.where(known, n - 1, freedom)


def closed(estimate: Estimate) -> np.ndarray:
    """bool[...]: where `kind` has a closed form: a finite se, and no several seeds."""
    if estimate.kind not in CLOSED or estimate.se is None:
        return np.zeros(estimate.value.shape, bool)
    return np.isfinite(estimate.se) & ~seeded(estimate)


def seeded(estimate: Estimate) -> np.ndarray:
    """bool[...]: where the value is a mean over several seeds."""
    return np.sum(np.isfinite(estimate.seeds), axis=-1) > 1
