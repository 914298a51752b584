"""Five ways to treat a suppressed cell, under the same count model.

One negative binomial linear model of deaths given an exposure (group, and the
covariates that are passed) is fitted with suppressed cells dropped, set to 0, set to 5,
dropped with the truncated likelihood of the rest, or kept as intervals. Intervals are
95 %, from the jackknife over blocks: with some hundred blocks of unequal size the
sandwich is up to a fifth too narrow (experiments.suppression measures it).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from equity_jax.solvers import GLM, glm
from equity_jax.types import Array, Counted, InputError

POLICIES = ("drop", "zero", "five", "truncated", "interval")
RATIO, RATE = "log rate ratio", "log rate per 100"
Z = float(stats.norm.ppf(0.975))
RIDGE = 1e-3  # holds an age group that a policy leaves without a death near -13


def treat(y: Counted, policy: str) -> tuple[Counted, np.ndarray]:
    """What a policy makes of suppressed cells: (Counted, kept bool), each [N].

    A cell is suppressed where low < high. Only "truncated" changes the likelihood of
    published cells, and only where the source suppresses: a table without one
    suppressed cell is taken to publish everything.

    Raises:
        InputError: an unknown policy.

    Example: under "five", [1, 9] becomes [5, 5].
    """
    if policy not in POLICIES:
        known = ", ".join(POLICIES)
        raise InputError(f"unknown policy {policy!r}; known: {known}")
    hidden = y.low < y.high
    if policy == "interval":
        return y, np.ones_like(hidden)
    number = {"zero": 0.0, "five": 5.0}.get(policy)
    filled = np.where(hidden, 0.0 if number is None else number, y.low)
    truncated = np.maximum(y.truncated, float(policy == "truncated" and hidden.any()))
    kept = ~hidden if number is None else np.ones_like(hidden)
    return Counted(filled, filled, y.exposure, truncated), kept


def compare(
    x: Array,
    y: Counted,
    group: Array,
    groups: Sequence[str],
    cluster: Array,
    policies: Sequence[str] = POLICIES,
    reference: str = "",
) -> pd.DataFrame:
    """The same linear model under each policy, group by group.

    x: float[N, F], covariates without groups and intercept; y: fields float[N] or
    float[N, 1]; group: int[N] (-1: left out); cluster: int[N] or str[N], the blocks;
    reference: a name of `groups` (default the first). Rows of unknown exposure or
    without deaths are left out of every fit.

    Returns:
        One row per policy, measure and group: value, low, high, n (rows used) and
        hidden (suppressed rows among the group's). "log rate ratio" is against the
        reference; "log rate per 100" is at the exposure-weighted average covariates.
        NaN where a group has no row or no death that the policy leaves.

    Example:
        >>> table = compare(x, y, group, ("A", "B"), block)  # doctest: +SKIP
        >>> table[table.policy == "interval"]  # doctest: +SKIP
    """
    y = Counted(*(np.asarray(a, np.float64).reshape(-1) for a in y))
    group, cluster = np.asarray(group), np.asarray(cluster)
    known = (y.exposure > 0) & np.isfinite(y.low + y.high) & (group >= 0)
    y = Counted(*(a[known] for a in y))
    x, group, cluster = np.asarray(x, np.float64)[known], group[known], cluster[known]
    base = list(groups).index(reference) if reference else 0
    design, contrasts = design_of(x, y.exposure, group, len(groups), base)
    options = {"family": "negbin", "intercept": False, "l2": RIDGE, "jackknife": True}
    tables = []
    for policy in policies:
        treated, kept = treat(y, policy)
        weight = kept.astype(float)
        made = glm(design, treated, weight=weight, cluster=cluster, **options)
        value, error = estimates(made, contrasts)
        n = np.bincount(group, weight, len(groups))
        deaths = np.bincount(group, weight * treated.high, len(groups))
        hidden = np.bincount(group, y.low < y.high, len(groups))
        empty = (deaths == 0) | ~np.isfinite(error) | ~made.converged
        empty[0] |= deaths[base] == 0
        value = np.where(empty, np.nan, value)
        parts = _frame(value, error, policy, groups, n, hidden)
        tables += [parts[0].drop(index=base), parts[1]]
    return pd.concat(tables, ignore_index=True)


def _frame(
    value: np.ndarray,
    error: np.ndarray,
    policy: str,
    groups: Sequence[str],
    n: np.ndarray,
    hidden: np.ndarray,
) -> list[pd.DataFrame]:
    rows = {"n": n.astype(int), "hidden": hidden.astype(int)}
    return [
        pd.DataFrame(
            {"policy": policy, "measure": measure, "group": groups, "value": v}
            | {"low": v - Z * e, "high": v + Z * e}
            | rows
        )
        for measure, v, e in zip((RATIO, RATE), value, error, strict=True)
    ]


def design_of(
    x: np.ndarray, exposure: np.ndarray, group: np.ndarray, groups: int, base: int
) -> tuple[np.ndarray, np.ndarray]:
    """Group indicators then centered covariates float[N, P]; contrasts float[2, G, P].

    x: float[N, F]; exposure: float[N], the weights of the average; group: int[N].

    Example: `design_of(x, exposure, group, 2, 0)[1][0]` takes group 0 from each.
    """
    center = np.average(x, axis=0, weights=exposure)
    design = np.concatenate([np.eye(groups)[group], x - center[None]], 1)
    rates = np.eye(groups, design.shape[1])
    return design, np.stack([rates - rates[base][None], rates])


def estimates(made: GLM, contrasts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and standard errors of the two measures, float[..., 2, G] each.

    contrasts: float[2, G, P], of a GLM whose `robust` is float[..., P + 1, P + 1].

    Example: `estimates(made, contrasts)[0][1]` are log rates per 100.
    """
    p = contrasts.shape[-1]
    covariance = np.asarray(made.robust)[..., :p, :p]
    value = np.asarray(made.coef)[..., 0, :] @ contrasts.reshape(-1, p).T
    flat = contrasts.reshape(-1, p)
    variance = np.einsum("...ij,ci,cj->...c", covariance, flat, flat)
    shape = value.shape[:-1] + contrasts.shape[:2]
    value = value.reshape(shape) + np.log([1.0, 100.0])[:, None]
    return value, np.sqrt(np.maximum(variance, 0)).reshape(shape)
