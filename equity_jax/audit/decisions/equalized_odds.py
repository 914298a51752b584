r"""Equalized odds by post-processing the score (Hardt, Price & Srebro 2016).

Every group's rows of validation give an ROC curve, and random choice between two
thresholds reaches every point of its convex hull. The point (FPR, TPR) that all groups
can reach, under the lowest hull, with the best accuracy on a grid of FPR, becomes the
rates of all of them. A group realizes it so:

    P(positive | s) = m x + (1 - m) (p0 [s >= t0] + p1 [s >= t1])

t0 and t1 are the corners of its hull beside the target's FPR x, p0 + p1 = 1, and m
pulls a group whose hull lies above the target down to it, by a coin that is positive
with probability x whatever the score: FPR stays x, TPR falls to the target.

The rule needs the group of every new row, and its decisions are random. Rows whose
group is not recorded, and groups with too few positives or negatives to be fitted, get
the one threshold that is best for all validation rows together: they are not part of
the promise of equal rates, and `fitted` says who is.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from equity_jax.keys import generator
from equity_jax.types import InputError

OBJECTIVES: Mapping[str, Callable] = {
    "accuracy": lambda fpr, tpr, share: share * tpr + (1 - share) * (1 - fpr),
    "balanced_accuracy": lambda fpr, tpr, share: (tpr + 1 - fpr) / 2,
}
"""What is maximized: (fpr, tpr, share of positives) to float[...]."""


class EqualizedOdds(NamedTuple):
    """The rule. Each array is float[G + 1]; the last, the blind rule, is for code -1.

    A row of score s is positive with probability
    p_ignore * constant + (1 - p_ignore) * (p0 * (s >= t0) + p1 * (s >= t1)).
    fpr, tpr: the rates of every fitted group on the validation rows; fitted: bool[G].
    """

    p0: np.ndarray
    t0: np.ndarray
    p1: np.ndarray
    t1: np.ndarray
    p_ignore: np.ndarray
    constant: np.ndarray
    fpr: float
    tpr: float
    fitted: np.ndarray


class _Hull(NamedTuple):
    """Corners of an ROC curve's upper hull: fpr, tpr, threshold, each float[V]."""

    fpr: np.ndarray
    tpr: np.ndarray
    threshold: np.ndarray


def fit(
    score: np.ndarray,
    y: np.ndarray,
    code: np.ndarray,
    groups: int,
    weight: np.ndarray | None = None,
    objective: str = "accuracy",
    grid: int = 1000,
    least: int = 10,
) -> EqualizedOdds:
    """The best rule with equal rates on these rows: validation rows, never test rows.

    Args:
        score: float[N].
        y: float[N], 0 or 1.
        code: int[N] in 0..groups-1, -1 = not recorded.
        groups: how many.
        weight: float[N], None = ones.
        objective: a key of OBJECTIVES; accuracy is that of the fitted groups' rows.
        grid: steps of FPR between 0 and 1.
        least: a group with fewer positives or negatives is not fitted.

    Raises:
        InputError: an unknown objective; a score that is not finite; one class only.

    Example:
        >>> s, y = np.array([0.1, 0.9, 0.2, 0.3]), np.array([0, 1, 0, 1])
        >>> rule = fit(s, y, np.array([0, 0, 1, 1]), 2, least=1)
        >>> rule.fpr, rule.tpr, rule.t0.tolist()
        (0.0, 1.0, [0.9, 0.3, 0.3])
    """
    score, y, code = np.asarray(score, float), np.asarray(y), np.asarray(code)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    _check(score, y, weight, objective)
    used = [(code == g) & (weight > 0) for g in range(groups)]
    fewest = [min(np.sum(u & (y == 1)), np.sum(u & (y == 0))) for u in used]
    fitted = np.array(fewest, int) >= max(least, 1)
    hulls = [_hull(score, y, weight * used[g]) for g in np.flatnonzero(fitted)]
    x = np.linspace(0, 1, grid + 1)
    rule = np.tile(_blind(score, y, weight, objective), (groups + 1, 1))
    fpr = tpr = np.nan
    if hulls:
        inside = weight * np.isin(code, np.flatnonzero(fitted))
        share = inside @ (y == 1) / inside.sum()
        lowest = np.min([np.interp(x, h.fpr, h.tpr) for h in hulls], axis=0)
        # Rounded: equal optima must not be told apart by the last bit.
        best = np.argmax(np.round(OBJECTIVES[objective](x, lowest, share), 12))
        fpr, tpr = float(x[best]), float(lowest[best])
        for g, hull in zip(np.flatnonzero(fitted), hulls, strict=True):
            rule[g] = _realize(hull, fpr, tpr)
    return EqualizedOdds(*rule.T, fpr, tpr, fitted)


def positive_probability(
    fitted: EqualizedOdds, score: np.ndarray, code: np.ndarray
) -> np.ndarray:
    """float[N]: the chance of being called positive, row by row.

    Args:
        fitted: of `fit`.
        score: float[N].
        code: int[N]; -1 (not recorded) takes the blind threshold.
    """
    score = np.asarray(score, float)
    p0, t0, p1, t1, ignore, constant = (a[np.asarray(code)] for a in fitted[:6])
    mixed = p0 * (score >= t0) + p1 * (score >= t1)
    return ignore * constant + (1 - ignore) * mixed


def decide(
    fitted: EqualizedOdds,
    score: np.ndarray,
    code: np.ndarray,
    id: np.ndarray,
    seed: int,
) -> np.ndarray:
    """bool[N]: one draw of the random decisions, each tied to the id of its row.

    The uniform number of a row is a keyed hash (BLAKE2b) of its id, the key drawn from
    the seed: the same id has the same number in any order, among any other rows and on
    any machine. Patient ids treat all rows of a patient by one number. Rows of chance 0
    or 1 need no draw and are not hashed.

    Args:
        fitted: of `fit`.
        score: float[N].
        code: int[N].
        id: str[N].
        seed: of the draw.
    """
    chance = positive_probability(fitted, score, code)
    random = np.flatnonzero((chance > 0) & (chance < 1))
    decision = chance >= 1
    decision[random] = uniform(np.asarray(id)[random], seed) < chance[random]
    return decision


def uniform(id: np.ndarray, seed: int) -> np.ndarray:
    """float[N] in [0, 1): 53 bits of a keyed hash of each id.

    Example:
        >>> bool(uniform(np.array(["b", "a"]), 0)[1] == uniform(np.array(["a"]), 0)[0])
        True
    """
    key = generator(seed, "equalized odds").bytes(16)
    names = np.asarray(id).astype(str).tolist()
    raw = b"".join(
        hashlib.blake2b(name.encode(), digest_size=8, key=key).digest()
        for name in names
    )
    return (np.frombuffer(raw, "<u8") >> np.uint64(11)) * 2.0**-53


def _check(
    score: np.ndarray, y: np.ndarray, weight: np.ndarray, objective: str
) -> None:
    if objective not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        raise InputError(f"unknown objective {objective!r}; known: {known}")
    used = weight > 0
    if not np.isfinite(score[used]).all():
        raise InputError("equalized odds: a score is not finite")
    if not np.isin(y[used], (0, 1)).all() or len(np.unique(y[used])) < 2:
        raise InputError("equalized odds needs labels of 0 and 1, and both of them")


def _roc(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> _Hull:
    """All points of the ROC curve, from (0, 0) to (1, 1)."""
    rows = np.flatnonzero(weight > 0)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    ranked = score[rows]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    counts = (np.cumsum(weight[rows] * (y[rows] == c))[last] for c in (0, 1))
    fpr, tpr = (np.append(0.0, n / n[-1]) for n in counts)
    return _Hull(fpr, tpr, np.append(np.inf, ranked[last]))


def _hull(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> _Hull:
    """The upper convex hull (Andrew's monotone chain), corners only."""
    roc = _roc(score, y, weight)
    x, h = roc.fpr.tolist(), roc.tpr.tolist()
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2:]
            turn = (x[b] - x[a]) * (h[i] - h[a]) - (h[b] - h[a]) * (x[i] - x[a])
            if turn < 0:  # b lies above the line from a to i
                break
            kept.pop()
        kept.append(i)
    # A vertical first edge: the upper of the two points with FPR 0 is the corner.
    if len(kept) > 1 and x[kept[1]] == 0:
        kept = kept[1:]
    return _Hull(*(column[kept] for column in roc))


def _blind(
    score: np.ndarray, y: np.ndarray, weight: np.ndarray, objective: str
) -> np.ndarray:
    """float[6]: the one threshold that is best for all rows, as a rule."""
    roc = _roc(score, y, weight)
    share = weight @ (y == 1) / weight.sum()
    best = np.argmax(np.round(OBJECTIVES[objective](roc.fpr, roc.tpr, share), 12))
    return np.array([1.0, roc.threshold[best], 0.0, roc.threshold[best], 0.0, 0.0])


def _realize(hull: _Hull, fpr: float, tpr: float) -> np.ndarray:
    """float[6]: p0, t0, p1, t1, p_ignore, constant, which reach (fpr, tpr)."""
    right = int(np.clip(np.searchsorted(hull.fpr, fpr), 0, len(hull.fpr) - 1))
    left = max(right - 1, 0)
    p1 = 1.0 if left == right else 0.0
    if left != right:
        p1 = (fpr - hull.fpr[left]) / (hull.fpr[right] - hull.fpr[left])
    height = hull.tpr[left] + p1 * (hull.tpr[right] - hull.tpr[left])
    # On the diagonal nothing is to be pulled down, and nothing could be.
    ignore = (height - tpr) / (height - fpr) if height > max(fpr, tpr) else 0.0
    thresholds = hull.threshold[left], hull.threshold[right]
    return np.array([1 - p1, thresholds[0], p1, thresholds[1], ignore, fpr])
