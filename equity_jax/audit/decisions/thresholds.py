r"""Thresholds from validation rows: rules in words, one threshold each, replicates.

A row is called positive where `score >= threshold`. The candidates are the distinct
scores of the rows that count, and +inf (nobody is called positive). With P positives,
N negatives and the counts TP and FP at a candidate:

    youden    largest TP / P - FP / N (Youden 1950)
    f1        largest 2 TP / (TP + FP + P)
    cost@c    smallest FP + c FN: one false negative costs as much as c false positives
    sens@q    the largest threshold with TP / P >= q
    spec@q    the smallest threshold with TN / N >= q
    0.27      a number, given from outside

Among candidates that are equally good, youden, f1 and cost take the smallest threshold:
where the rule does not care, nobody who is ill is missed.
Counts are compared, not rates (TP N - FP P for youden), so with whole weights ties are
exact and a threshold does not hang on rounding. A class without weight, or a score that
is not finite on a row that counts, gives NaN; a number stays itself.
"""

import math
import sys
from typing import NamedTuple

import numpy as np

from equity_jax.types import InputError

FORMS = "youden, f1, sens@0.9, spec@0.9, cost@5 or a number such as 0.27"
CHUNK_BYTES = 8 * 2**20  # of one array of prefix sums: larger ones leave the cache


class Rule(NamedTuple):
    """name: youden, f1, sens, spec, cost or fixed; value: its number, NaN if none."""

    name: str
    value: float = math.nan


class GroupThresholds(NamedTuple):
    """A threshold for every group, and the blind one for the others.

    value: float[G + 1]; the last is the blind threshold of all rows, which code -1
    reaches by itself. own: bool[G], False where a group has too few rows of a class and
    takes the blind one. draws: float[G + 1, R], the same in every replicate.
    """

    value: np.ndarray
    own: np.ndarray
    draws: np.ndarray


class _Ladder(NamedTuple):
    """candidates: float[D], falling from +inf; rows of a class by falling score, and
    how many of them each candidate calls positive, int[D].
    """

    candidates: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    positive_ends: np.ndarray
    negative_ends: np.ndarray


def parse(text: str) -> Rule:
    """The rule that the text names.

    Raises:
        InputError: anything else than the forms of this file; it lists them.

    Example:
        >>> parse("sens@0.9"), parse("0.27")
        (Rule(name='sens', value=0.9), Rule(name='fixed', value=0.27))
    """
    name, at, number = text.strip().partition("@")
    if name in ("youden", "f1") and not at:
        return Rule(name)
    try:
        value = float(number if at else name)
    except ValueError:
        value = math.nan
    most = {"sens": 1, "spec": 1, "cost": sys.float_info.max}
    if at and 0 < value <= most.get(name, 0):
        return Rule(name, value)
    if not at and math.isfinite(value):
        return Rule("fixed", value)
    raise InputError(f"threshold {text!r}: expected {FORMS}")


def pick(
    rule: Rule, score: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """The rule's threshold on these (validation) rows.

    Args:
        rule: of `parse`.
        score: float[N].
        y: float[N], 0 or 1.
        weight: float[N], 0 = left out; None = ones.

    Returns:
        A score, +inf (nobody is called positive), or NaN where a class is absent.

    Raises:
        InputError: arrays of different lengths, or a label that is not 0 or 1.

    Example:
        >>> pick(parse("youden"), np.array([0.1, 0.4, 0.6]), np.array([0, 1, 1]))
        0.4
    """
    weight = np.ones(len(score), np.uint8) if weight is None else np.asarray(weight)
    return float(replicate(rule, score, y, weight[None])[0])


def replicate(
    rule: Rule, score: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """`pick` for many weight vectors: one sort, then prefix sums, in bounded memory.

    Args:
        rule: of `parse`.
        score: float[N].
        y: float[N], 0 or 1.
        weights: uint8 or float[R, N], for instance how often each row was drawn.

    Returns:
        float[R], bit for bit what `pick` says of each vector.
    """
    score, y, weights = np.asarray(score, float), np.asarray(y), np.asarray(weights)
    if weights.ndim != 2 or not len(score) == len(y) == weights.shape[1]:
        raise InputError(f"{len(score)} scores, {len(y)} labels, {weights.shape}")
    if rule.name == "fixed":
        return np.full(len(weights), rule.value)
    broken = ~np.isfinite(score)
    if not np.isin(y[~broken & (weights > 0).any(axis=0)], (0, 1)).all():
        raise InputError("a threshold needs labels of 0 and 1")
    ladder = _ladder(score, y, ~broken)
    found = np.empty(len(weights))
    step = max(1, CHUNK_BYTES // (8 * max(len(score), 1)))
    for start in range(0, len(weights), step):
        part = weights[start : start + step]
        best = _best(rule, ladder, np.where(part > 0, part, 0).T.copy())
        best[(part[:, broken] > 0).any(axis=1)] = np.nan
        found[start : start + step] = best
    return found


def of_groups(
    rule: Rule,
    score: np.ndarray,
    y: np.ndarray,
    code: np.ndarray,
    groups: int,
    least: int = 10,
    weights: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> GroupThresholds:
    """One threshold a group (group-aware), from validation rows.

    Args:
        rule: of `parse`; a number is everybody's threshold.
        score: float[N].
        y: float[N], 0 or 1.
        code: int[N] in 0..groups-1, -1 = not recorded.
        groups: how many.
        least: a group with fewer positives or negatives falls back.
        weights: [R, N], the replicates' weights; None = no replicates.
        weight: float[N], of the point; None = ones.

    Example:
        >>> s, y = np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 1, 0, 1])
        >>> code = np.array([-1, -1, 0, 0])
        >>> found = of_groups(parse("youden"), s, y, code, 2, least=1)
        >>> found.value.tolist(), found.own.tolist()
        ([0.9, 0.2, 0.2], [True, False])
    """
    code, y = np.asarray(code), np.asarray(y)
    weight = np.ones(len(y), np.uint8) if weight is None else np.asarray(weight)
    if weights is None:
        weights = np.empty((0, len(y)), np.uint8)
    value = np.full(groups + 1, pick(rule, score, y, weight))
    draws = np.tile(replicate(rule, score, y, weights), (groups + 1, 1))
    own = np.zeros(groups, bool)
    for g in range(groups):
        rows = np.flatnonzero((code == g) & (weight > 0))
        positives = int(np.sum(y[rows] == 1))
        enough = min(positives, len(rows) - positives) >= max(least, 1)
        if rule.name == "fixed" or not enough:
            continue
        own[g] = True
        value[g] = pick(rule, score[rows], y[rows], weight[rows])
        draws[g] = replicate(rule, score[rows], y[rows], weights[:, rows])
    return GroupThresholds(value, own, draws)


def _ladder(score: np.ndarray, y: np.ndarray, use: np.ndarray) -> _Ladder:
    candidates = np.append(np.inf, np.unique(score[use])[::-1])
    rows, ends = [], []
    for member in (y == 1, y != 1):
        own = np.flatnonzero(use & member)
        own = own[np.argsort(-score[own], kind="stable")]
        rows.append(own)
        ends.append(np.searchsorted(-score[own], -candidates, side="right"))
    return _Ladder(candidates, *rows, *ends)


def _best(rule: Rule, ladder: _Ladder, weight: np.ndarray) -> np.ndarray:
    """float[R]: the best candidate under each column of weight [N, R]."""
    tp = _counted(weight, ladder.positive, ladder.positive_ends)
    fp = _counted(weight, ladder.negative, ladder.negative_ends)
    positives, negatives = tp[-1], fp[-1]
    with np.errstate(invalid="ignore"):  # 0 / 0 where a class is absent
        if rule.name == "sens":
            gain = tp / positives >= rule.value
        elif rule.name == "spec":
            gain = (negatives - fp) / negatives >= rule.value
        elif rule.name == "youden":
            gain = tp * negatives - fp * positives
        elif rule.name == "f1":
            gain = 2 * tp / (tp + fp + positives)
        else:
            gain = -(fp + rule.value * (positives - tp))
    if rule.name == "sens":
        place = np.argmax(gain, axis=0)  # the largest threshold
    else:
        place = len(gain) - 1 - np.argmax(gain[::-1], axis=0)  # the smallest
    found = ladder.candidates[_first_alike(tp + fp, place)]
    return np.where((positives > 0) & (negatives > 0), found, np.nan)


def _first_alike(called: np.ndarray, place: np.ndarray) -> np.ndarray:
    """int[R]: the first candidate that calls as many positive as `place`, by bisection.

    A later one has rows of weight 0 alone: no candidate. called: rising float[D, R].
    """
    column = np.arange(len(place))
    low, high, wanted = np.zeros_like(place), place, called[place, column]
    for _ in range(len(called).bit_length()):
        middle = (low + high) // 2
        enough = called[middle, column] >= wanted
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    return high


def _counted(weight: np.ndarray, rows: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """float[D, R]: the weight of a class at or above each candidate."""
    total = np.zeros((len(rows) + 1, weight.shape[1]))
    np.cumsum(weight[rows], axis=0, dtype=float, out=total[1:])
    return total[ends]
