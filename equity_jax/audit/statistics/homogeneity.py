r"""Are the groups alike? One test over all of them, and adjustment over many tests.

The statistic is Cochran's $Q = \sum_g (\theta_g - \bar\theta)^2 / V_g$, on a scale
where it holds its size in small groups, against chi-square with G - 1 degrees of
freedom:

- proportions of rows that are their own patients: $V_g = \bar p (1 - \bar p) / n_g$
  with the pooled proportion: Pearson's chi-square. With several rows a patient: the
  logit scale, half a row added to each side (Anscombe 1956), and effective sizes.
- AUROC: the logit scale. Bootstrapped numbers: the scale of their kind.

Each deviate is first brought from Student's to the normal distribution (Alexander &
Govern 1994), but Pearson's.

Groups that share blocks or seeds have Wald's statistic with the full covariance
instead, brought from Hotelling's to the chi-square distribution by its p-value.

Measured size at 5 % (2, 3 and 8 equal groups; see inference.py for the worlds): AUROC
3.2 to 6.8 %, accuracy, recall, FPR and selection rate 3 to 7 %, Brier, log loss, AUPRC
and balanced accuracy 2 to 8 %. Below 3 %, so that differences are missed but none is
made up: rare events (NPV of 0.98: 0 to 4 %), F1 and Brier with about ten positives
(0 to 2 %), clustered precision and NPV of few events (0 to 4 %).
"""

from typing import NamedTuple

import numpy as np
from scipy import special, stats

from equity_jax.audit.statistics import inference, intervals
from equity_jax.audit.statistics.inference import Estimate

FAR = 38.0  # normal deviate, about as far as a double goes


class Test(NamedTuple):
    """statistic, df, p: float[...], NaN with fewer than two groups; groups: int[...].

    p is the chi-square tail of statistic with df degrees of freedom.
    """

    __test__ = False  # not a test of pytest
    statistic: np.ndarray
    df: np.ndarray
    p: np.ndarray
    groups: np.ndarray


def homogeneity(estimate: Estimate, shared: bool = False) -> Test:
    """Tests that all groups that can be estimated have one value.

    Groups that share blocks need more blocks than there are groups: the smallest is
    left out until they have them (`groups` counts those that were tested).

    Args:
        estimate: value float[..., G].
        shared: whether rows of one block can lie in several groups.
    """
    together = shared or bool(np.any(inference.seeded(estimate)))
    shape = estimate.value.shape[:-1]
    statistic = np.full(shape, np.nan)
    count = np.zeros(shape, int)
    for cell in np.ndindex(shape):
        ok = np.flatnonzero(estimate.ok[cell])
        blocks = estimate.effective[cell]
        while together and len(ok) > 2 and blocks[ok].min() <= len(ok) + 1:
            ok = np.delete(ok, np.argmin(blocks[ok]))
        count[cell] = len(ok)
        if len(ok) > 1:
            part = inference.groups(inference.cells(estimate, cell), ok)
            statistic[cell] = _wald(part) if together else _cochran(part)
    df = np.where(count > 1, count - 1.0, np.nan)
    return Test(statistic, df, stats.chi2.sf(statistic, df), count)


def adjust(p: np.ndarray, how: str) -> np.ndarray:
    """p-values adjusted for their number; NaN stays NaN and does not count.

    Args:
        p: float[...]; all entries are one family.
        how: "holm" (Holm 1979: the chance of any false alarm) or "bh" (Benjamini &
            Hochberg 1995: the share of alarms that are false).

    Example:
        >>> adjust(np.array([0.01, np.nan, 0.04]), "holm").tolist()
        [0.02, nan, 0.04]
    """
    found = np.full(np.shape(p), np.nan)
    known = np.isfinite(p)
    order = np.argsort(np.asarray(p)[known])
    ranked = np.asarray(p)[known][order]
    count = len(ranked)
    places = np.arange(count)
    if how == "holm":
        made = np.maximum.accumulate(ranked * (count - places))
    elif how == "bh":
        made = ranked * count / (places + 1)
        made = np.minimum.accumulate(made[::-1])[::-1]
    else:
        raise ValueError(f"unknown adjustment {how!r}: expected holm or bh")
    back = np.empty(count)
    back[order] = np.minimum(made, 1.0)
    found[known] = back
    return found


def _cochran(estimate: Estimate) -> float:
    """Q of groups that are independent of each other."""
    value, spread, freedom = _scale(estimate)
    if not np.all(spread > 0):
        return np.nan if np.ptp(value) > 0 else 0.0
    mean = np.sum(value / spread) / np.sum(1 / spread)
    t = np.abs(value - mean) / np.sqrt(spread)
    z = np.where(np.isinf(freedom), t, stats.norm.isf(stats.t.sf(t, freedom)))
    return float(np.sum(np.minimum(z, FAR) ** 2))


def _scale(estimate: Estimate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(value, variance, freedom), each float[G], on the scale of the test."""
    value, blocks = estimate.value, np.maximum(estimate.effective, 2.0)
    spread, freedom = inference.variance(estimate)
    known = bool(np.all(inference.closed(estimate)))
    if estimate.kind == "wilson" and known:
        return _share(estimate, blocks)
    if estimate.kind == "delong" and known:
        # A perfect ranking of few is not certain: as if half a pair of them were lost.
        value = np.clip(value, 0.5 / blocks, 1 - 0.5 / blocks)
        spread = np.where(spread > 0, spread, value * (1 - value) / blocks)
    inside = np.all((value > 0) & (value < 1))
    if estimate.kind in ("delong", "logit") and inside:
        return special.logit(value), spread / (value * (1 - value)) ** 2, freedom
    if estimate.kind == "log" and np.all(value > 0):
        return np.log(value), spread / value**2, freedom
    return value, spread, freedom


def _share(
    estimate: Estimate, blocks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of proportions: Pearson's, or on the logit scale."""
    value, size = estimate.value, estimate.size
    if np.all(size <= blocks * (1 + 1e-9)):
        pooled = np.sum(size * value) / np.sum(size)
        return value, pooled * (1 - pooled) / size, np.full(value.shape, np.inf)
    n = size * (1 - 1 / blocks) / (1 - 1 / np.maximum(size, blocks))
    p = (n * value + 0.5) / (n + 1)
    return special.logit(p), 1 / ((n + 1) * p * (1 - p)), blocks - 1


def _wald(estimate: Estimate) -> float:
    value, spread, freedom = _scale(estimate)
    if not np.all(np.isfinite(value) & np.isfinite(spread) & (spread > 0)):
        return np.nan
    rho = intervals.correlation(estimate.draws[:, None], estimate.draws[None])
    scale = np.sqrt(spread)
    cov = rho * scale[:, None] * scale
    np.fill_diagonal(cov, spread)
    against = np.eye(len(value))[1:] - np.eye(len(value))[:1]
    away, cov = against @ value, against @ cov @ against.T
    # The covariance was learned from blocks, and from a number of replicates.
    replicates = max(estimate.draws.shape[-1], 2)
    q, nu = len(away), 1 / (np.max(1 / freedom) + 1 / (replicates - 1))
    if nu < q or np.linalg.matrix_rank(cov) < q:
        return np.nan
    wald = float(away @ np.linalg.solve(cov, away))
    p = stats.f.sf(wald * (nu - q + 1) / (nu * q), q, nu - q + 1)
    return float(stats.chi2.isf(p, q))
