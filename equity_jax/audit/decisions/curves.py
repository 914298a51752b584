r"""Curves and small tables by group: ROC, calibration, confusion, and the bias of ECE.

The plug-in ECE, $\sum_b (n_b / n) |\bar y_b - \bar s_b|$, of a perfectly calibrated
model is not 0 but the mean absolute noise of its bins, which is larger the fewer the
rows: a raw gap of ECE penalizes small groups. `ece_floor` says how much that is, and
`ece_debiased` takes it off.
"""

import numpy as np
import pandas as pd
from scipy import special, stats

from equity_jax.audit.statistics.intervals import wilson
from equity_jax.audit.statistics.proportions import ratio_error
from equity_jax.metrics import Confusion


def roc(
    score: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None = None,
    points: int = 200,
) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve, thinned for drawing: the points kept are exact.

    From (0, 0) to (1, 1), about evenly spaced along FPR + TPR, both ends kept.

    Args:
        score: float[N].
        y: float[N], 0 or 1.
        weight: float[N], None = ones.
        points: at most.

    Returns:
        (fpr, tpr), each float[p]; empty where a class is absent.

    Example:
        >>> [x.tolist() for x in roc(np.array([0.1, 0.8]), np.array([0, 1]))]
        [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    score, y = np.asarray(score, float), np.asarray(y)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    rows = np.flatnonzero(weight > 0)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    last = np.flatnonzero(np.diff(score[rows], append=np.nan) != 0)
    counts = (np.cumsum(weight[rows] * (y[rows] == c))[last] for c in (0, 1))
    fp, tp = (np.append(0.0, count) for count in counts)
    if not (fp[-1] > 0 and tp[-1] > 0):
        return np.empty(0), np.empty(0)
    fpr, tpr = fp / fp[-1], tp / tp[-1]
    if len(fpr) > points:
        kept = np.unique(np.searchsorted(fpr + tpr, np.linspace(0, 2, points)))
        fpr, tpr = fpr[kept], tpr[kept]
    return fpr, tpr


def calibration(
    score: np.ndarray,
    y: np.ndarray,
    block: np.ndarray,
    bins: int = 10,
    min_rows: int = 10,
    level: float = 0.95,
) -> pd.DataFrame:
    """Observed share against mean score in bins of equal mass, with Wilson intervals.

    Ties stay in one bin. A bin of fewer than `min_rows` rows joins the next one, the
    last joins the one before it. The intervals count patients, not rows: Wilson's with
    the effective number of rows that the blocks leave (proportions.ratio_error).

    Args:
        score: float[N].
        y: float[N], 0 or 1.
        block: int[N], 0 or more, the patient of each row.
        bins: of about N / bins rows.
        min_rows: of a bin that may be shown; fewer in all give no bin.
        level: of each interval by itself.

    Returns:
        Columns x (mean score), y (observed share), low, high, n (rows).

    Example:
        >>> s, y = np.repeat([0.2, 0.8], 10), np.tile([0, 1], 10)
        >>> calibration(s, y, np.arange(20), 2)[["y", "n"]].values.tolist()
        [[0.5, 10], [0.5, 10]]
    """
    score, y, block = np.asarray(score, float), np.asarray(y), np.asarray(block)
    order = np.argsort(score, kind="stable")
    t = stats.norm.ppf((1 + level) / 2)
    found = []
    for start, end in _cuts(score[order], bins, max(min_rows, 1)):
        rows = order[start:end]
        share, _, size = ratio_error(y[rows], np.ones(len(rows)), block[rows])
        low, high = wilson(share, size, t)
        found.append((score[rows].mean(), share, low, high, len(rows)))
    columns = {"x": float, "y": float, "low": float, "high": float, "n": "Int64"}
    return pd.DataFrame.from_records(found, columns=list(columns)).astype(columns)


def confusion(
    y: np.ndarray, decision: np.ndarray, weight: np.ndarray | None = None
) -> Confusion:
    """Confusion(tp, fp, fn, tn) of labels float[N] and decisions bool[N].

    Whole numbers without weight float[N], else floats.

    Example:
        >>> tuple(confusion(np.array([1, 1, 0]), np.array([True, False, True])))
        (1, 1, 1, 0)
    """
    sick, called = np.asarray(y) > 0.5, np.asarray(decision, bool)
    cells = (sick & called, ~sick & called, sick & ~called, ~sick & ~called)
    if weight is None:
        return Confusion(*(int(cell.sum()) for cell in cells))
    return Confusion(*(float(np.sum(weight, where=cell)) for cell in cells))


def ece_floor(
    score: np.ndarray, y: np.ndarray, bins: np.ndarray, block: np.ndarray | None = None
) -> float:
    r"""The ECE that a perfectly calibrated model with these scores has on average.

    $\sum_b E|\sum_{i \in b} (Y_i - s_i)| / n$ with $Y_i$ drawn from $s_i$. For equal
    scores in a bin that is the mean absolute deviation of a binomial, in closed form
    (De Moivre; Diaconis & Zabell 1991); for others it is that of the binomial of their
    mean, times the ratio of the standard deviations. Blocks widen it by the covariance
    of rows of one patient.

    Args:
        score: float[N] in [0, 1].
        y: float[N], 0 or 1; used with `block` only.
        bins: int[N], the bin of each row, such as moments.equal_mass gives.
        block: int[N], 0 or more, the patient of each row; None = independent rows.

    Returns:
        NaN where there are no rows.

    Example:
        >>> round(ece_floor(np.full(4, 0.5), np.ones(4), np.zeros(4, int)), 4)
        0.1875
    """
    if len(score) == 0:
        return np.nan
    n, total, _, variance = _bins(score, y, bins, block)
    p = total / n
    noisy = (p > 0) & (p < 1)
    n, p, variance = n[noisy], p[noisy], variance[noisy]
    k = np.floor(n * p) + 1
    binomial = 2 * k * (1 - p) * stats.binom.pmf(k, n, p)
    noise = binomial * np.sqrt(variance / (n * p * (1 - p)))
    return float(np.sum(noise) / len(score))


def ece_debiased(
    score: np.ndarray, y: np.ndarray, bins: np.ndarray, block: np.ndarray | None = None
) -> float:
    r"""ECE without its upward bias: 0 on average for a perfectly calibrated model.

    The bias comes from $|d_b|$, $d_b = \bar y_b - \bar s_b$, which takes the sign of
    the noise for that of the error. Taking the sign from one random half of the rows
    and the value from the other half removes it. The mean over all halves is, by the
    normal approximation of Kumar, Liang & Ma (2019), with $\sigma_b$ the noise of $d_b$
    under calibration, $|d|(2\Phi(|d|/\sigma)-1) - 2\sigma\phi(d/\sigma)$.

    Its mean is $|\delta|(2\Phi(|\delta|/\sqrt2\sigma)-1)$ for a true $\delta$: equal at
    0, half of it at $\sigma$, 84 % at $2\sigma$, 97 % at $3\sigma$. So on average the
    truth lies between this number, which may be negative, and the plug-in ECE. (Kumar's
    own correction, of the bootstrap's bias, leaves 59 % of the bias at calibration; no
    estimator is free of bias at both ends.)

    Args:
        score: float[N] in [0, 1].
        y: float[N], 0 or 1.
        bins: int[N], the bin of each row.
        block: int[N], 0 or more, the patient of each row; None = independent rows.

    Returns:
        NaN where there are no rows.

    Example:
        >>> s, y = np.full(100, 0.5), np.tile([0, 1], 50)
        >>> round(ece_debiased(s, y, np.zeros(100, int)), 3)
        -0.04
    """
    if len(score) == 0:
        return np.nan
    _, _, away, variance = _bins(score, y, bins, block)
    sigma, away = np.sqrt(variance), np.abs(away)
    z = np.divide(away, sigma, out=np.full_like(away, 40.0), where=sigma > away / 40)
    value = away * (2 * special.ndtr(z) - 1) - 2 * sigma * stats.norm.pdf(z)
    return float(np.sum(value) / len(score))


def _cuts(ranked: np.ndarray, bins: int, least: int) -> list[tuple[int, int]]:
    """(start, end) of bins of sorted scores: runs of ties kept whole, `least` rows."""
    if len(ranked) < least:
        return []
    wanted = np.arange(1, bins) * len(ranked) // bins
    kept = [0]
    for end in np.searchsorted(ranked, ranked[wanted], side="left").tolist():
        if end - kept[-1] >= least and len(ranked) - end >= least:
            kept.append(end)
    return list(zip(kept, [*kept[1:], len(ranked)], strict=True))


def _bins(
    score: np.ndarray, y: np.ndarray, bins: np.ndarray, block: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    """Per bin with rows: n, sum of s, sum of y - s and its variance if calibrated."""
    score, y = np.asarray(score, float), np.asarray(y, float)
    _, place, n = np.unique(bins, return_inverse=True, return_counts=True)
    total, away, variance = (
        np.bincount(place, x, len(n)) for x in (score, y - score, score * (1 - score))
    )
    if block is None:
        return n, total, away, variance
    error = y - score - (away / n)[place]
    cell = place * (np.max(block) + 1) + block
    cells, cell = np.unique(cell, return_inverse=True)
    shared = np.bincount(cell, error) ** 2 - np.bincount(cell, error**2)
    more = np.bincount(cells // (np.max(block) + 1), shared, len(n))
    return n, total, away, variance + np.maximum(more, 0)
