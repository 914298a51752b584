r"""Are groups that gave more training rows served better? One metric, G groups.

With $v_g$ a group's value and $n_g$ its training patients, the answer has four parts:

- Spearman's $\rho$ of v and n, and the slope of v on $\log_{10} n$: what a tenfold
  number of patients goes with.
- Their uncertainty for *these* groups, from other patients. The slope is linear in the
  values and takes the interval of its replicates. The rank correlation may not: noise
  shakes ranks that the sample had already shaken, and the percentile interval of the
  replicates covered 34 to 100 % of simulated worlds (4 to 8 groups, noise 0.1 to 2
  times the spread). The interval here is that of all orders of groups that agree with
  their simultaneous intervals (Klein, Wright & Wieczorek 2020; Mogstad, Romano, Shaikh
  & Wilhelm 2024): it holds at least its level (99 to 100 % in those worlds).
- Chance among so few groups: the share of all G! ways to hand the sizes out that give
  a $\rho$ at least as far from 0, and the smallest share that G groups can give. It is
  exact if sizes have nothing to do with the values.
- Attenuation: noise in the values pulls $\rho$ toward 0, by about the square root of
  the reliability (Spearman 1904), the share of the spread between values that is not
  sampling noise. The slope is not pulled, since the sizes are known; but the noise of
  small groups makes the extremes theirs.
"""

from itertools import permutations
from typing import NamedTuple

import numpy as np

from equity_jax.audit.statistics import bands, inference
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.keys import generator

LEAST, MOST = 4, 16  # groups: 3 have 6 orders; more than 16 too many to go through
EXACT, DRAWN = 8, 20_000  # groups up to which every order is tried; else so many
NONE = float("nan")


class Related(NamedTuple):
    """How a metric goes with the size of its groups; NaN where `why` is not "".

    groups: how many could be estimated; rho, low, high; slope, slope_low, slope_high:
    of the metric, a tenfold number of patients; p: two-sided, of rho; least: the
    smallest p that so many groups can give; reliability: 0..1.
    """

    groups: int
    rho: float = NONE
    low: float = NONE
    high: float = NONE
    slope: float = NONE
    slope_low: float = NONE
    slope_high: float = NONE
    p: float = NONE
    least: float = NONE
    reliability: float = NONE
    why: str = ""


def related(
    estimate: Estimate, size: np.ndarray, level: float = 0.95, seed: int = 0
) -> Related:
    """Rank correlation and slope of a metric on the size of its groups.

    Args:
        estimate: value float[G]; groups that are not ok, or have no size, are left out.
        size: float[G], training patients.
        level: of the two intervals, each by itself.
        seed: of the permutations, where there are more than EXACT groups.

    Example:
        >>> value = np.array([0.6, 0.7, 0.8, 0.9])
        >>> draws = value[:, None] + np.array([-0.01, 0.0, 0.01])
        >>> ok, many = np.ones(4, bool), np.full(4, 500.0)
        >>> sure = Estimate(value, value[:, None], draws, many, ok)
        >>> found = related(sure, np.array([1e1, 1e2, 1e3, 1e4]))
        >>> print(round(found.rho, 6), round(found.slope, 6), round(found.p, 4))
        1.0 0.1 0.0833
    """
    size = np.asarray(size, float)
    keep = np.flatnonzero(estimate.ok & (size > 0))
    count = len(keep)
    if count < LEAST:
        return Related(count, why=f"fewer than {LEAST} groups can be estimated")
    if count > MOST:
        return Related(count, why=f"more than {MOST} groups")
    part, size = inference.groups(estimate, keep), size[keep]
    if np.ptp(size) == 0 or np.ptp(part.value) == 0:
        return Related(count, why="all groups have the same size, or the same value")
    rho = float(spearman(part.value, size))
    low, high = attainable(*bands.bands(part, level), size)
    steep = slope(part, size)
    ends = inference.interval(steep, level)
    return Related(
        *(count, rho, min(low, rho), max(high, rho)),
        *(float(x) for x in (steep.value, *ends)),
        *chance(part.value, size, seed),
        reliability(part),
    )


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float[...]: rank correlation of a float[..., G] and b float[G]; ties share ranks.

    Spearman 1904.

    Example:
        >>> float(spearman(np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 9.0])))
        1.0
    """
    a, b = (x - x.mean(axis=-1, keepdims=True) for x in (_ranks(a), _ranks(b)))
    scale = np.sqrt(np.sum(a * a, axis=-1) * np.sum(b * b, axis=-1))
    product = np.sum(a * b, axis=-1)
    return np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)


def slope(estimate: Estimate, size: np.ndarray) -> Estimate:
    """The least-squares slope of value float[G] on log10 of size float[G].

    A sum of the values with known weights, so that its replicates are those of the
    values; effective blocks by Satterthwaite from the groups' own.
    """
    away = np.log10(size) - np.mean(np.log10(size))
    weight = away / np.sum(away**2)
    part = weight**2 * inference.sampling_variance(estimate)
    freedom = np.sum(part) ** 2 / np.sum(part**2 / (estimate.effective - 1))
    value, ok = np.asarray(weight @ estimate.value), np.asarray(True)
    seeds, draws = weight @ estimate.seeds, weight @ estimate.draws
    return Estimate(value, seeds, draws, np.asarray(freedom + 1), ok)


def chance(value: np.ndarray, size: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """(p, least): of rank correlation over permutations of the sizes, two-sided.

    All of them for up to EXACT groups; else DRAWN of them, the one found included
    (Phipson & Smyth 2010). least: the p of the most extreme order.
    """
    found = np.abs(spearman(value, size))
    if len(size) <= EXACT:
        orders = np.array(list(permutations(size)))
    else:
        rng = generator(seed, "representation")
        drawn = rng.permuted(np.tile(size, (DRAWN, 1)), axis=1)
        orders = np.concatenate([size[None], drawn])
    far = np.abs(spearman(orders, value)) + 1e-9
    return float(np.mean(far >= found)), float(np.mean(far >= far.max() - 1e-9))


def attainable(
    low: np.ndarray, high: np.ndarray, size: np.ndarray
) -> tuple[float, float]:
    """The least and the largest rho of orders of groups that intervals allow.

    Group g can only stand after those whose `high` lies below its `low`. Over sets of
    groups that stand first, the smallest sum of rank times place is found set by set
    (Held & Karp 1962), 2^G of them.

    Args:
        low: float[G], simultaneous intervals of the values.
        high: float[G].
        size: float[G].

    Example:
        >>> apart = np.array([1.0, 2.0, 3.0])
        >>> attainable(apart, apart + 0.5, apart)
        (1.0, 1.0)
        >>> attainable(apart, apart + 9.0, apart)
        (-1.0, 1.0)
    """
    rank = _ranks(np.asarray(size, float))
    before = (high[:, None] < low[None]).T @ (1 << np.arange(len(size)))
    least, most = (sign * _lowest(sign * rank, before) for sign in (1, -1))
    places = np.arange(1, len(size) + 1)
    middle = places.sum() * rank.mean()
    scale = np.sqrt(
        np.sum((places - places.mean()) ** 2) * np.sum((rank - rank.mean()) ** 2)
    )
    return float((least - middle) / scale), float((most - middle) / scale)


def reliability(estimate: Estimate) -> float:
    r"""$\tau^2 / (\tau^2 + \bar V)$: spread between the groups that is not noise.

    $\tau^2$ after DerSimonian & Laird (1986), $\bar V$ the mean sampling variance.
    """
    noise = inference.sampling_variance(estimate)
    weight = 1 / np.maximum(noise, 1e-300)
    away = estimate.value - np.sum(weight * estimate.value) / weight.sum()
    excess = np.sum(weight * away**2) - (len(noise) - 1)
    between = max(0.0, excess / (weight.sum() - np.sum(weight**2) / weight.sum()))
    total = between + noise.mean()
    return float(between / total) if total > 0 else 1.0


def _lowest(weight: np.ndarray, before: np.ndarray) -> float:
    """The smallest sum of weight x place over orders that keep `before`, bit sets."""
    count = len(weight)
    sets = np.arange(1 << count)
    size = np.bitwise_count(sets)
    best = np.where(sets == 0, 0.0, np.inf)
    for place in range(1, count + 1):
        for i in range(count):
            whole = sets[(size == place) & (sets >> i & 1 == 1)]
            rest = whole ^ (1 << i)
            fine = (before[i] & ~rest) == 0
            value = np.where(fine, best[rest] + place * weight[i], np.inf)
            best[whole] = np.minimum(best[whole], value)
    return float(best[-1])


def _ranks(x: np.ndarray) -> np.ndarray:
    """float[..., G]: ranks from 1, ties share their mean."""
    x = np.asarray(x)
    over, level = x[..., :, None] > x[..., None, :], x[..., :, None] == x[..., None, :]
    return over.sum(-1) + (level.sum(-1) + 1) / 2
