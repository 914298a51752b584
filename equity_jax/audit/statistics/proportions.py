r"""Ratios of sums and their standard error, with patients as the unit.

Every proportion of the audit is $p = \sum w x / \sum w d$ over rows: recall has x =
called positive and sick, d = sick. Its linearized, cluster-robust variance is
$\sum_b (\sum_{i \in b} w_i (x_i - p d_i))^2 / (\sum w d)^2$ over blocks b, without a
small-sample factor, so that single rows give exactly $p(1-p)/n$. The *effective size*
$p(1-p)/se^2$ is the number of independent rows that would be as sure (Korn & Graubard
1998); Wilson's interval with it is the one for clustered proportions (Dean & Pagano
2015).

The design effect $D = n\,se^2/(p(1-p))$ is learned from the patients who have an event,
and from those who have none. With e effective ones of the fewer, it is mixed with the
one of patients whose rows are all alike: $(e^2 D + D_1)/(e^2 + 1)$, $D_1$ = rows per
effective patient. Without it, intervals of rare events covered 87 %; with one row a
patient D and $D_1$ are both 1, and at e = 0 (p of 0 or 1) each patient counts once.
"""

import numpy as np

from equity_jax.audit.statistics.draws import effective_number


def ratio_error(
    num: np.ndarray,
    den: np.ndarray,
    block: np.ndarray,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(value, se, size), each float[k] or, for one column, a float.

    Args:
        num: float[N] or [N, k].
        den: of the same shape.
        block: int[N], 0 or more; the patient of each row.
        weight: float[N], sample weights; None is all 1.

    Returns:
        value NaN (and se, size) where the denominators sum to 0; size is at most the
        number of rows that count (den and weight not 0).

    Example:
        >>> called, sick = np.array([1, 1, 0, 0.0]), np.ones(4)
        >>> [round(float(x), 4) for x in ratio_error(called, sick, np.arange(4))]
        [0.5, 0.25, 4.0]
        >>> pairs = np.array([0, 0, 1, 1])
        >>> [round(float(x), 4) for x in ratio_error(called, sick, pairs)]
        [0.5, 0.3536, 2.0]
    """
    one = np.ndim(num) == 1
    num, den = (np.asarray(x, float) for x in (num, den))
    if one:
        num, den = num[:, None], den[:, None]
    if weight is not None:
        num, den = num * weight[:, None], den * weight[:, None]
    total = den.sum(axis=0)
    nan = np.full_like(total, np.nan)
    value = np.divide(num.sum(axis=0), total, out=nan.copy(), where=total != 0)
    hits, count = _by_block(num, block), _by_block(den, block)
    se = np.sqrt(np.sum((hits - value * count) ** 2, axis=0))
    se = se / np.abs(np.where(total == 0, np.nan, total))
    found = value, se, _size(value, se, den, hits, count)
    return tuple(x[0] for x in found) if one else found


def _size(
    value: np.ndarray,
    se: np.ndarray,
    den: np.ndarray,
    hits: np.ndarray,
    count: np.ndarray,
) -> np.ndarray:
    """float[k]: effective number of rows, from den [N, k], hits and count [B, k]."""
    rows = effective_number(den.T)
    alike = np.divide(rows, effective_number(count.T), where=rows > 0, out=rows * 0)
    flat = value * (1 - value)
    inside = (flat > 0) & (se > 0)
    found = np.divide(rows * se**2, flat, out=np.ones_like(se), where=inside)
    misses = effective_number(count.T - hits.T)
    events = np.where(inside, np.minimum(effective_number(hits.T), misses) ** 2, 0.0)
    design = (events * np.maximum(found, 1.0) + alike) / (events + 1)
    return np.where(np.isfinite(value), rows / np.maximum(design, 1.0), np.nan)


def _by_block(x: np.ndarray, block: np.ndarray) -> np.ndarray:
    """float[N, k] -> float[B, k]: sums of the rows of each block."""
    if not len(x):
        return np.zeros((1, x.shape[1]))
    order = np.argsort(block, kind="stable")
    starts = np.flatnonzero(np.diff(np.asarray(block)[order], prepend=-1))
    return np.add.reduceat(x[order], starts, axis=0)
