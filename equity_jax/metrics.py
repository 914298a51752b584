"""Metrics for one group of rows, as pure functions of arrays; vmap does the rest.

Every metric takes rows and a weight per row: 0 leaves a row out, 3 counts it three
times. What a weight of 0 hides may be NaN. What is not defined (one class only, an
empty group) is NaN, and so is a metric of rows whose score is NaN. For many groups,
systems or bootstrap replicates, `jax.vmap` over the weight: `by_group` is the example.

Precision is that of the input. Under `jax.enable_x64()` the values equal
scikit-learn's to 1e-9.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.types import Array, InputError

Metric = Callable[[Array, Array, Array], Array]


class Fact(NamedTuple):
    """What a number means: its title, when it is worse, and where it can lie.

    worse: "lower", "higher", "far" (from `nominal`) or "far_log" (|log(x / nominal)|).
    """

    title: str
    worse: str
    nominal: float = math.nan
    low: float = -math.inf
    high: float = math.inf


FACTS: Mapping[str, Fact] = {
    "auroc": Fact("AUROC", "lower", low=0, high=1),
    "accuracy": Fact("accuracy", "lower", low=0, high=1),
    "brier": Fact("Brier score", "higher", low=0, high=1),
    "log_loss": Fact("log loss", "higher", low=0),
    "deviance": Fact("mean deviance", "higher", low=0),
    "nll": Fact("negative log-likelihood", "higher", low=0),
    "absolute_error": Fact("mean absolute error", "higher", low=0),
    "observed_expected": Fact("observed / expected", "far_log", 1.0, low=0),
    "coverage50": Fact("coverage of the 50 % interval", "far", 0.50, 0, 1),
    "coverage80": Fact("coverage of the 80 % interval", "far", 0.80, 0, 1),
    "coverage90": Fact("coverage of the 90 % interval", "far", 0.90, 0, 1),
    "coverage95": Fact("coverage of the 95 % interval", "far", 0.95, 0, 1),
}
"""Which direction is worse: the one table that gaps, worst groups and pages read."""


def badness(metric: str, value: Array) -> np.ndarray:
    """How badly a group is served, float[...]: larger is worse, NaN stays NaN.

    Args:
        metric: a key of FACTS.
        value: float[...].

    Raises:
        InputError: a metric that FACTS does not hold.

    Example:
        >>> badness("observed_expected", [0.5, 2.0, 1.0]).round(2).tolist()
        [0.69, 0.69, 0.0]
    """
    if metric not in FACTS:
        raise InputError(
            f"unknown metric {metric!r}; known: {', '.join(sorted(FACTS))}"
        )
    fact, value = FACTS[metric], np.asarray(value, float)
    if fact.worse == "far_log":
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(np.log(value / fact.nominal))
    if fact.worse == "far":
        return np.abs(value - fact.nominal)
    return -value if fact.worse == "lower" else value


class Ranks(NamedTuple):
    """Scores sorted once: order int[N]; first, last int[N], each row's run of ties.

    Row `order[i]` ties with the sorted positions first[i] .. last[i] - 1. `broken`:
    bool[N], where the score was NaN (in the order of the rows).
    """

    order: Array
    first: Array
    last: Array
    broken: Array


def presort(score: Array) -> Ranks:
    """Sorts float[N] once, for any number of calls of `auroc_presorted`."""
    broken = jnp.isnan(score)
    score = jnp.where(broken, jnp.inf, score)
    order = jnp.argsort(score)
    ranked = score[order]
    first = jnp.searchsorted(ranked, ranked, side="left")
    last = jnp.searchsorted(ranked, ranked, side="right")
    return Ranks(order, first, last, broken)


def auroc_presorted(ranks: Ranks, y: Array, weight: Array) -> Array:
    r"""Area under the ROC curve by prefix sums, given the order of the scores.

    $\sum_{i: y_i = 1} w_i (W^-(s_i) + \tfrac12 W^=(s_i)) / (W_+ W_-)$, where $W^-(s)$
    is the weight of negatives scored below $s$ and $W^=(s)$ that of negatives tied
    with it (midranks; DeLong et al. 1988). No sort: one vmap over `weight` serves all
    bootstrap replicates.

    Args:
        ranks: of float[N] scores.
        y: float[N], 0 or 1.
        weight: float[N], integers or reals.

    Returns:
        float[], NaN where a class has no weight or a counted score is NaN.
    """
    weight = jnp.where(weight > 0, weight, 0.0)
    sick = jnp.where(weight > 0, y, 0.0)[ranks.order]
    sorted_weight = weight[ranks.order]
    positive = sorted_weight * sick
    negative = sorted_weight - positive
    below = jnp.concatenate([jnp.zeros(1, negative.dtype), jnp.cumsum(negative)])
    midrank = 0.5 * (below[ranks.first] + below[ranks.last])
    pairs = jnp.sum(positive) * jnp.sum(negative)
    defined = (pairs > 0) & ~jnp.any(ranks.broken & (weight > 0))
    area = jnp.sum(positive * midrank) / jnp.where(pairs > 0, pairs, 1.0)
    return jnp.where(defined, area, jnp.nan)


def auroc(score: Array, y: Array, weight: Array) -> Array:
    """Area under the ROC curve of one group, ties counted one half.

    Args:
        score: float[N], higher means more likely positive.
        y: float[N], 0 or 1.
        weight: float[N], 0 = left out.

    Returns:
        float[], NaN where one class is absent.

    Example:
        >>> one = jnp.ones(4)
        >>> float(auroc(jnp.array([0.1, 0.4, 0.4, 0.8]), jnp.array([0, 0, 1, 1]), one))
        0.875
    """
    return auroc_presorted(presort(score), y, weight)


def ratio(num: Array, den: Array, weight: Array) -> Array:
    r"""Sum over sum: $\sum w n / \sum w d$, never a mean of means.

    Args:
        num: float[N].
        den: float[N].
        weight: float[N], 0 = left out.

    Returns:
        float[], NaN where the weighted denominators sum to 0.

    Example:
        >>> float(ratio(jnp.array([1.0, 2.0]), jnp.array([2.0, 4.0]), jnp.ones(2)))
        0.5
    """
    num = jnp.sum(jnp.where(weight > 0, weight * num, 0.0))
    den = jnp.sum(jnp.where(weight > 0, weight * den, 0.0))
    return jnp.where(den == 0, jnp.nan, num / jnp.where(den == 0, 1.0, den))


def correct(score: Array, y: Array, threshold: float = 0.5) -> Array:
    """float[N]: 1 where `score >= threshold` agrees with y; NaN where score is NaN."""
    right = ((score >= threshold) == (y > 0.5)).astype(score.dtype)
    return jnp.where(jnp.isnan(score), jnp.nan, right)


def squared_error(score: Array, y: Array) -> Array:
    r"""float[N]: $(p - y)^2$, the terms of Brier (1950)."""
    return jnp.square(score - y)


def surprisal(score: Array, y: Array) -> Array:
    r"""float[N]: $-y\log p-(1-y)\log(1-p)$ in nats, p kept one epsilon off 0 and 1."""
    tiny = jnp.finfo(score.dtype).eps
    p = jnp.clip(score, tiny, 1 - tiny)
    return -y * jnp.log(p) - (1 - y) * jnp.log1p(-p)


def accuracy(score: Array, y: Array, weight: Array, threshold: float = 0.5) -> Array:
    """Weighted share of rows that `score >= threshold` gets right; float[]."""
    return ratio(correct(score, y, threshold), jnp.ones_like(score), weight)


def brier(score: Array, y: Array, weight: Array) -> Array:
    """Weighted mean squared error of the probability (Brier 1950); float[]."""
    return ratio(squared_error(score, y), jnp.ones_like(score), weight)


def log_loss(score: Array, y: Array, weight: Array) -> Array:
    """Weighted mean negative log-likelihood in nats; float[]."""
    return ratio(surprisal(score, y), jnp.ones_like(score), weight)


METRICS: Mapping[str, Metric] = {
    "auroc": auroc,
    "accuracy": accuracy,
    "brier": brier,
    "log_loss": log_loss,
}
"""Metrics of binary scores: (score, y, weight), each float[N], to float[]."""

ROWS: Mapping[str, Callable[[Array, Array], Array]] = {
    "accuracy": correct,
    "brier": squared_error,
    "log_loss": surprisal,
}
"""The metrics above that are means over rows: (score, y) -> float[N], their terms."""


def by_group(
    metric: Metric, score: Array, y: Array, weight: Array, group: Array, groups: int
) -> Array:
    """One metric in every group.

    Args:
        metric: written for one group.
        score: float[N].
        y: float[N].
        weight: float[N].
        group: int[N] in 0..groups-1; -1 (not recorded) joins no group.
        groups: how many groups, static.

    Returns:
        float[G].

    Example:
        >>> s, y = jnp.array([0.2, 0.9, 0.9, 0.1]), jnp.array([0.0, 1.0, 0.0, 1.0])
        >>> by_group(accuracy, s, y, jnp.ones(4), jnp.array([0, 0, 1, 1]), 2).tolist()
        [1.0, 0.0]
    """

    def one(code: Array) -> Array:
        return metric(score, y, jnp.where(group == code, weight, 0.0))

    return jax.vmap(one)(jnp.arange(groups))
