r"""The formulas behind the intervals, on plain arrays: nothing here knows an Estimate.

Each takes the critical value `t` (of the normal or of Student's distribution), so that
the callers decide on degrees of freedom and on simultaneous levels.
"""

import numpy as np
from scipy import special, stats

Ends = tuple[np.ndarray, np.ndarray, np.ndarray]  # value, low, high

RESOLVED = 10  # replicates beyond a quantile, below which it is not read off them


def wilson(
    p: np.ndarray, n: np.ndarray, t: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    r"""(low, high), float[...]: Wilson's score interval of a proportion.

    All P with $|p - P| \le t \sqrt{P(1-P)/n}$ (Wilson 1927); n may be an effective
    number of rows, and need not be whole.

    Example:
        >>> low, high = wilson(np.array(0.0), np.array(10.0), 1.96)
        >>> print(abs(low.round(3)), high.round(3))
        0.0 0.278
    """
    center = (p + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * np.sqrt(p * (1 - p) / n + t**2 / (4 * n**2))
    return np.minimum(center - half, p), np.maximum(center + half, p)


def jeffreys(
    p: np.ndarray, n: np.ndarray, level: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), float[...]: equal-tailed interval of a Beta(k + 1/2, n - k + 1/2).

    Brown, Cai & DasGupta (2001); 0 and 1 are ends where p is 0 or 1.
    """
    tail = (1 - level) / 2
    a, b = n * p + 0.5, n * (1 - p) + 0.5
    low, high = stats.beta.ppf(tail, a, b), stats.beta.isf(tail, a, b)
    return np.where(p > 0, low, 0.0), np.where(p < 1, high, 1.0)


def logit(
    p: np.ndarray, se: np.ndarray, t: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    r"""(low, high), float[...]: $\mathrm{expit}(\mathrm{logit}\,p \pm t\,se/(p(1-p)))$.

    For 0 < p < 1; it stays inside, and is longer toward one half.
    """
    center, half = special.logit(p), t * se / (p * (1 - p))
    return special.expit(center - half), special.expit(center + half)


def log(
    value: np.ndarray, se: np.ndarray, t: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    r"""(low, high), float[...]: $v \exp(\pm t\,se/v)$, for v > 0.

    Where the standard error says nothing, the ends are 0 and infinity.
    """
    with np.errstate(over="ignore"):
        half = np.exp(t * se / value)
    return value / half, value * half


def percentile(
    value: np.ndarray, draws: np.ndarray, tail: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """(below, above), float[...]: how far the bootstrap's quantiles lie from the point.

    A tail that holds fewer than RESOLVED replicates is not read off them: the
    quantiles that they can tell are moved out as those of a normal distribution are.
    A biased statistic's quantiles can lie on one side of the point: then 0.

    Args:
        value: float[...].
        draws: float[..., R], NaN where undefined.
        tail: share beyond each end, float or float[...].
    """
    count = np.sum(np.isfinite(draws), axis=-1)
    seen = np.clip(RESOLVED / np.maximum(count, 1), tail, np.maximum(tail, 0.25))
    ranked = np.sort(draws, axis=-1)
    below = value - quantile(ranked, seen)
    above = quantile(ranked, 1 - seen) - value
    out = special.ndtri(tail) / special.ndtri(seen)
    return np.maximum(below, 0) * out, np.maximum(above, 0) * out


def mover(
    a: np.ndarray,
    of_a: tuple[np.ndarray, np.ndarray],
    b: np.ndarray,
    of_b: tuple[np.ndarray, np.ndarray],
    rho: np.ndarray | float = 0.0,
) -> Ends:
    r"""(value, low, high) of a - b, from the intervals of a and b (Zou & Donner 2008).

    $L = a - b - \sqrt{(a-l_a)^2 + (u_b-b)^2 - 2\rho (a-l_a)(u_b-b)}$; rho is the
    correlation of the two estimates, 0 when independent.
    """
    below = _join(a - of_a[0], of_b[1] - b, rho)
    above = _join(of_a[1] - a, b - of_b[0], rho)
    value = np.where(np.isnan(below), np.nan, a - b)
    return value, value - below, value + above


def mover_ratio(
    a: np.ndarray,
    of_a: tuple[np.ndarray, np.ndarray],
    b: np.ndarray,
    of_b: tuple[np.ndarray, np.ndarray],
    rho: np.ndarray | float = 0.0,
) -> Ends:
    r"""(value, low, high) of a / b for a, b of 0 or more (Donner & Zou 2012).

    All R for which MOVER does not tell $a - Rb$ from 0; high is infinite where the
    interval of b reaches 0.
    """
    (la, ua), (lb, ub) = ((np.maximum(x, 0.0) for x in ends) for ends in (of_a, of_b))
    low_mid = a * b - rho * (a - la) * (ub - b)
    high_mid = a * b - rho * (ua - a) * (b - lb)
    low_in, high_in = la * (2 * a - la), ua * (2 * a - ua)
    low_out, high_out = ub * (2 * b - ub), lb * (2 * b - lb)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = a / b
        # The root that stays finite when low_out changes sign.
        low = low_in / (low_mid + _root(low_mid**2 - low_in * low_out))
        high = (high_mid + _root(high_mid**2 - high_in * high_out)) / high_out
    known = (b > 0) & ~np.isnan(la + lb)
    low, high = np.where(la > 0, low, 0.0), np.where(high_out > 0, high, np.inf)
    return tuple(np.where(known, x, np.nan) for x in (value, low, high))


def quantile(ranked: np.ndarray, q: float | np.ndarray) -> np.ndarray:
    """Linear quantile over the last axis of sorted values; NaN (last) is ignored."""
    if ranked.shape[-1] == 0:
        return np.full(ranked.shape[:-1], np.nan)
    count = np.sum(~np.isnan(ranked), axis=-1)
    place = q * np.maximum(count - 1, 0)
    lower = np.floor(place).astype(int)
    upper = np.minimum(lower + 1, np.maximum(count - 1, 0))
    pick = [
        np.take_along_axis(ranked, i[..., None], -1)[..., 0] for i in (lower, upper)
    ]
    return pick[0] + (place - lower) * (pick[1] - pick[0])


def spread(x: np.ndarray) -> np.ndarray:
    """Variance over the last axis of what is finite; 0 where nothing is."""
    known = np.isfinite(x)
    count = np.maximum(np.sum(known, axis=-1), 1)
    mean = np.sum(np.where(known, x, 0.0), axis=-1) / count
    away = np.where(known, x - mean[..., None], 0.0)
    return np.sum(away**2, axis=-1) / count


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """float[...]: of draws float[..., R]; those undefined in either are left out."""
    known = np.isfinite(x) & np.isfinite(y)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    x, y = (np.where(known, v, 0.0) for v in (x, y))
    x, y = (np.where(known, v - v.sum(-1, keepdims=True) / count, 0.0) for v in (x, y))
    scale = np.sqrt(np.sum(x * x, axis=-1) * np.sum(y * y, axis=-1))
    product = np.sum(x * y, axis=-1)
    return np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)


def _join(x: np.ndarray, y: np.ndarray, rho: np.ndarray | float) -> np.ndarray:
    return _root(x**2 + y**2 - 2 * rho * x * y)


def _root(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(x, 0.0))
