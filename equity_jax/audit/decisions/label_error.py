r"""Bounds of metrics if some labels of a group are wrong, and the tipping point.

If at most k labels of a group are wrong, whichever they are, its metrics
lie between the bounds given here: no model of the error, the worst case and the best.
A wrong label moves a row between TP and FP or between FN and TN; the decision stays.
With d more TP and e more FN, |d| + |e| <= k, every metric of METRICS rises with d and
falls with e or the other way round. So its extremes lie where d is at one end and e
at the other, and trying each way to spend k flips on the two finds them.

For the AUROC let a of N negatives and b of P positives be flipped. Best are the highest
negatives and the lowest positives (an exchange can only help), and the pairs won are

    U(a, b) = U + f(b) + g(a) + a b,    AUROC = U(a, b) / ((P + a - b) (N - a + b)),

with f and g by prefix sums. For a fixed a - b, flipping one more of each helps until
the classes are perfectly ranked. So the maximum is 1 if k flips rank them perfectly,
and else it lies at a + b = k or k - 1: O(n log n). The minimum is 1 - that of -score.

Bounds hold over the labelings for which the metric is defined. They speak of the rows
at hand and hold no sampling error. Error rates that are known (Rogan & Gladen 1978)
would narrow them; they are not asked for.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from equity_jax.audit.decisions.curves import confusion
from equity_jax.metrics import CONFUSION, Confusion
from equity_jax.types import InputError

METRICS = (
    "recall fnr specificity fpr precision npv accuracy balanced_accuracy f1 "
    "selection_rate"
).split()

Bounds = tuple[float, float]
Limits = Callable[[float], Bounds]


class Rows(NamedTuple):
    """Rows of one label and system: score float[n], y float[n], decision bool[n]."""

    score: np.ndarray
    y: np.ndarray
    decision: np.ndarray | None


def bounds(tp: int, fp: int, fn: int, tn: int, share: float) -> dict[str, Bounds]:
    """Metric -> (low, high) when at most floor(share * n) labels are wrong.

    Args:
        tp: true positives, a whole number of rows; fp, fn, tn alike.
        fp: false positives.
        fn: false negatives.
        tn: true negatives.
        share: of the group's labels that may be wrong, in 0..1.

    Returns:
        Every metric of METRICS; NaN where no labeling defines it.

    Example:
        >>> bounds(8, 0, 2, 10, 0.05)["recall"]  # one label of twenty
        (0.7272727272727273, 0.8888888888888888)
    """
    return {name: _of_counts(name, (tp, fp, fn, tn), share) for name in METRICS}


def auroc_bounds(score: np.ndarray, y: np.ndarray, share: float) -> Bounds:
    """(low, high) of the AUROC when at most floor(share * n) labels are wrong; exact.

    Args:
        score: float[n].
        y: float[n], 0 or 1.
        share: of the labels that may be wrong, in 0..1.

    Example:
        >>> low, high = auroc_bounds(np.arange(4), np.array([0, 1, 0, 1]), 0.25)
        >>> round(low, 3), high
        (0.333, 1.0)
    """
    return _of_ranks(score, y)(share)


def gap_bounds(
    group: Mapping[str, Bounds], reference: Mapping[str, Bounds]
) -> dict[str, Bounds]:
    """Bounds of group minus reference: the errors of the two are not tied.

    Args:
        group: metric -> (low, high) at the group's own share of wrong labels.
        reference: the same of the reference, at its own share.

    Example:
        >>> gap_bounds({"recall": (0.5, 0.75)}, {"recall": (0.75, 1.0)})
        {'recall': (-0.5, 0.0)}
    """
    return {
        name: (low - reference[name][1], high - reference[name][0])
        for name, (low, high) in group.items()
    }


def tipping(limits: Limits, reference: float, rows: int) -> float:
    """The smallest share of wrong labels at which the group could equal the reference.

    The reference's labels are held right. Bounds only widen, so bisection finds the
    exact number of labels.

    Args:
        limits: share -> (low, high) of the group, as `limits_of` gives.
        reference: the reference's value.
        rows: of the group.

    Returns:
        Labels over rows, or NaN if no labeling closes the difference.

    Example:
        >>> tipping(lambda s: bounds(8, 0, 2, 10, s)["recall"], 0.9, 20)
        0.1
    """

    def open_at(labels: int) -> bool:
        low, high = limits(labels / rows)
        return not low - 1e-12 <= reference <= high + 1e-12

    fewest, most = 0, rows
    if open_at(most):
        return float("nan")
    while fewest < most:
        middle = (fewest + most) // 2
        fewest, most = (middle + 1, most) if open_at(middle) else (fewest, middle)
    return fewest / rows


def limits_of(metric: str, rows: Rows) -> Limits:
    """Share of wrong labels -> bounds of a metric of METRICS, or "auroc"."""
    if metric == "auroc":
        return _of_ranks(rows.score, rows.y)
    if metric not in METRICS or rows.decision is None:
        raise InputError(f"no bounds under label error for metric {metric!r}")
    counts = confusion(rows.y, rows.decision)
    return lambda share: _of_counts(metric, counts, share)


def _flips(share: float, n: int) -> int:
    """Wrong labels: floor(share * n), where 0.29 * 100 is 29."""
    if not 0 <= share <= 1:
        raise InputError(f"a share of wrong labels lies in 0..1, found {share!r}")
    return int(np.floor(share * n + 1e-9))


def _of_counts(metric: str, counts: tuple[int, int, int, int], share: float) -> Bounds:
    tp, fp, fn, tn = counts
    k = _flips(share, sum(counts))
    first = np.arange(k + 1)  # flips spent on rows called positive; the rest: negative
    d = np.concatenate([np.minimum(first, fp), -np.minimum(first, tp)])
    e = np.concatenate([-np.minimum(k - first, fn), np.minimum(k - first, tn)])
    with np.errstate(invalid="ignore"):  # 0 / 0 where the metric is not defined
        found = CONFUSION[metric](Confusion(tp + d, fp - d, fn + e, tn - e))
    return _ends(found)


def _ends(found: np.ndarray) -> Bounds:
    known = found[~np.isnan(found)]
    return (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)


def _of_ranks(score: np.ndarray, y: np.ndarray) -> Limits:
    score, y = np.asarray(score, float), np.asarray(y)
    positive, negative = np.sort(score[y == 1]), np.sort(score[y != 1])
    highest = _best_auroc(positive, negative)
    # With the signs turned, ranking well is ranking badly.
    lowest = _best_auroc(-positive[::-1], -negative[::-1])

    def limits(share: float) -> Bounds:
        k = _flips(share, len(score))
        return 1 - lowest(k), highest(k)

    return limits


def _best_auroc(p: np.ndarray, n: np.ndarray) -> Callable[[int], float]:
    """Flips -> the best AUROC of sorted scores of positives and negatives."""
    wins = float(_wins(p, n).sum())
    f, g = _change(p, n), _change(-n[::-1], -p[::-1])
    cuts = np.unique(np.concatenate([p, n]))[1:]
    wrong = np.searchsorted(p, cuts) + len(n) - np.searchsorted(n, cuts)
    fewest = wrong.min(initial=len(p) + len(n) + 1)  # flips to a perfect ranking

    def best(k: int) -> float:
        if fewest <= k:
            return 1.0
        spent = np.concatenate([np.arange(k + 1), np.arange(k)])
        left = np.repeat([k, max(k - 1, 0)], [k + 1, k]) - spent
        a, b = np.minimum(spent, len(n)), np.minimum(left, len(p))
        pairs = (len(p) + a - b) * (len(n) - a + b)
        some = pairs > 0
        a, b, pairs = a[some], b[some], pairs[some]
        found = (wins + f[b] + g[a] + a * b) / pairs
        return float(found.max()) if len(found) else np.nan

    return best


def _wins(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """float[n]: for each of `own`, how many of `other` lie below; ties one half."""
    left, right = (np.searchsorted(other, own, side=s) for s in ("left", "right"))
    return (left + right) / 2


def _change(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """float[len(own) + 1]: the change of U when the m lowest of `own` change class."""
    m = np.arange(len(own) + 1)
    lost = np.append(0.0, np.cumsum(_wins(own, other)))
    # Those who stay win against those who leave; a tie across the cut counts one half.
    edge = np.append(own, np.nan)[m]
    before = m - np.searchsorted(own, edge, side="left")
    after = np.searchsorted(own, edge, side="right") - m
    tied = np.where(m < len(own), before * after, 0)
    return m * (len(own) - m) - tied / 2 - lost
