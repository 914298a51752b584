"""What is done with suppressed cells decides what is found for small groups.

    python -m experiments.suppression [--repeats=200]

One negative binomial linear model of COVID-19 deaths given all deaths (group, and the
covariates that are passed), fitted five ways to the same table: suppressed cells
dropped, set to 0, set to 5, dropped with the truncated likelihood of the rest, or kept
as the interval 1..9. Intervals are 95 %, from the sandwich clustered by region × month
block.

SIMULATED result, 200 twins of 12 months (about two minutes on 2 cores): see README.
"""

import sys
from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
import pandas as pd
from absl import flags
from scipy import stats

from equity_jax.config import Twin
from equity_jax.data import simulate
from equity_jax.data.deaths_names import NATION, UNKNOWN
from equity_jax.solvers import GLM, Rows, fit, glm, layout
from equity_jax.types import Array, Counted, InputError
from experiments.launch import exit_codes, parse, use_cache

POLICIES = ("drop", "zero", "five", "truncated", "interval")
SMALL_TWIN = Twin(months=14, slope=0.0)  # January and February 2020 have no deaths
RATIO, RATE = "log rate ratio", "log rate per 100"
Z = float(stats.norm.ppf(0.975))
KEYS = ("policy", "measure", "group")
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
    group = np.asarray(group)
    known = (y.exposure > 0) & np.isfinite(y.low + y.high) & (group >= 0)
    y = Counted(*(a[known] for a in y))
    x, group, cluster = np.asarray(x, np.float64)[known], group[known], cluster[known]
    base = list(groups).index(reference) if reference else 0
    design, contrasts = _design(x, y.exposure, group, len(groups), base)
    tables = []
    for policy in policies:
        treated, kept = treat(y, policy)
        weight = kept.astype(float)
        made = glm(
            *(design, treated),
            family="negbin",
            intercept=False,
            weight=weight,
            cluster=cluster,
            l2=RIDGE,
        )
        value, error = _estimates(made, contrasts)
        n = np.bincount(group, weight, len(groups))
        deaths = np.bincount(group, weight * treated.high, len(groups))
        hidden = np.bincount(group, y.low < y.high, len(groups))
        empty = (deaths == 0) | (deaths[base] == 0) | ~np.isfinite(error)
        empty |= not made.converged
        value = np.where(empty, np.nan, value)
        for i, measure in enumerate((RATIO, RATE)):
            half = Z * error[i]
            columns = {
                "value": value[i],
                "low": value[i] - half,
                "high": value[i] + half,
            }
            tables.append(
                pd.DataFrame({"policy": policy, "measure": measure, "group": groups})
                .assign(**columns, n=n.astype(int), hidden=hidden.astype(int))
                .drop(index=base if measure == RATIO else [])
            )
    return pd.concat(tables, ignore_index=True)


def _design(
    x: np.ndarray, exposure: np.ndarray, group: np.ndarray, groups: int, base: int
) -> tuple[np.ndarray, np.ndarray]:
    """Group indicators then centered covariates [N, P]; contrasts float[2, G, P]."""
    center = np.average(x, axis=0, weights=exposure)
    design = np.concatenate([np.eye(groups)[group], x - center[None]], 1)
    rates = np.eye(groups, design.shape[1])
    return design, np.stack([rates - rates[base][None], rates])


def _estimates(made: GLM, contrasts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and standard errors of the two measures, float[2, G] each."""
    p = contrasts.shape[-1]
    covariance = np.asarray(made.robust)[..., :p, :p]
    value = np.asarray(made.coef)[..., 0, :] @ contrasts.reshape(-1, p).T
    flat = contrasts.reshape(-1, p)
    variance = np.einsum("...ij,ci,cj->...c", covariance, flat, flat)
    shape = value.shape[:-1] + contrasts.shape[:2]
    value = value.reshape(shape) + np.log([1.0, 100.0])[:, None]
    return value, np.sqrt(np.maximum(variance, 0)).reshape(shape)


def coverage(
    repeats: int = 200,
    twin: Twin = SMALL_TWIN,
    policies: Sequence[str] = POLICIES,
    first: int = 0,
) -> pd.DataFrame:
    """SIMULATED: how often 95 % intervals hold each group's planted rate.

    repeats: draws `first`, `first` + 1, ... of one population, suppressed as CDC does.
    All draws and policies are one compiled program.

    Returns:
        One row per policy, measure and group: covered (share of the repeats), bias
        (mean of estimate minus truth), se (mean standard error), sd (of the estimates).

    Raises:
        InputError: fewer than one repeat; a twin with an age slope, which the linear
            model does not contain.

    Example: `coverage(200)` takes about two minutes on 2 cores.
    """
    if repeats < 1:
        raise InputError(f"--repeats={repeats}; expected 1 or more")
    if twin.slope:
        raise InputError(f"twin.slope={twin.slope}; the linear model has no age slopes")
    design, contrasts, cluster, truth, exposure, keep, groups = _population(twin)
    lows, highs = _draws(twin, range(first, first + repeats), keep)
    seen = Counted(lows, highs, exposure + 0 * lows, 0 * lows)
    rows = [treat(seen, policy) for policy in policies]
    ys = Counted(*(np.stack(a) for a in zip(*(y for y, _ in rows), strict=True)))
    kept = np.stack([k for _, k in rows]).astype(float)
    with jax.enable_x64(True):
        made = _fit_all(design, ys, kept, cluster, int(cluster.max()) + 1)
    value, error = _estimates(made, contrasts)  # [policies, repeats, 2, G]
    gap = value - truth[None, None]
    covered = (np.abs(gap) <= Z * error) & np.asarray(made.converged)[..., None, None]
    names = pd.MultiIndex.from_product([policies, (RATIO, RATE), groups], names=KEYS)
    columns = {"covered": covered.mean(1), "bias": gap.mean(1), "se": error.mean(1)}
    columns["sd"] = value.std(1, ddof=1) if repeats > 1 else np.full_like(truth, np.nan)
    flat = {
        k: np.broadcast_to(v, columns["se"].shape).ravel() for k, v in columns.items()
    }
    table = pd.DataFrame(flat, names).reset_index()
    return table[(table.measure == RATE) | (table.group != simulate.REFERENCE)]


@partial(jax.jit, static_argnums=4)
def _fit_all(
    design: Array, ys: Counted, kept: Array, cluster: Array, clusters: int
) -> GLM:
    lay = layout("negbin", design.shape[1], 1, False)
    offset = np.zeros(len(design))

    def one(row: tuple[Counted, Array]) -> GLM:
        rows = Rows(design, row[0], offset, row[1])
        return fit(rows, RIDGE, lay, cluster=cluster, clusters=clusters)[0]

    return jax.lax.map(lambda policy: jax.lax.map(one, policy), (ys, kept))


def _population(twin: Twin) -> tuple:
    """What all draws share: design, contrasts, blocks, truth, exposure, rows."""
    frame, truth = simulate.deaths(twin)
    race = frame["Race and Hispanic Origin Group"].to_numpy()
    region = frame["HHS Region"].to_numpy()
    keep = (region != NATION) & (race != UNKNOWN) & np.isfinite(truth.log_rate)
    keep &= (frame["Total Deaths"] != "").to_numpy() & (truth.total > 0)
    month = frame["Start Date"].to_numpy()
    names = [simulate.REFERENCE, *simulate.BY_SIZE]
    factors = [month[keep], region[keep], frame["Age Group"].to_numpy()[keep]]
    x = np.concatenate([_dummies(f) for f in factors], 1)
    exposure, group = truth.total[keep], pd.Index(names).get_indexer(race[keep])
    design, contrasts = _design(x, exposure, group, len(names), 0)
    ratio = np.array([truth.log_ratio[name] for name in names])
    # the planted rate at the same average of months, regions and ages
    level = np.average(truth.log_rate[keep] - ratio[group], weights=exposure)
    planted = np.stack([ratio - ratio[0], level + ratio + np.log(100.0)])
    block = pd.factorize(pd.Series(month[keep]) + "/" + region[keep])[0]
    return design, contrasts, block, planted, exposure, keep, names


def _dummies(values: np.ndarray) -> np.ndarray:
    codes, names = pd.factorize(values, sort=True)
    return np.eye(len(names))[codes][:, 1:]


def _draws(
    twin: Twin, draws: Sequence[int], keep: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of each cell's interval in each published table, float[repeats, N]."""
    published = []
    for draw in draws:
        frame, _ = simulate.deaths(twin, draw=draw)
        text = frame["COVID-19 Deaths"].to_numpy()[keep]
        published.append(np.where(text == "", "nan", text).astype(float))
    counts = np.stack(published)
    hidden = np.isnan(counts)
    return np.where(hidden, 1, counts), np.where(hidden, 9, counts)


def figures(table: pd.DataFrame) -> str:
    """Coverage as text, group by policy, one block a measure.

    Example: `print(figures(coverage(200)))`.
    """
    blocks = []
    for measure in (RATE, RATIO):
        part = table[table.measure == measure]
        wide = 100 * part.pivot(index="group", columns="policy", values="covered")
        order = part.group.drop_duplicates(), part.policy.drop_duplicates()
        title = f"SIMULATED: % of 95 % intervals that hold the planted {measure}"
        blocks.append(f"{title}\n{wide.loc[order[0], order[1]].round(1).to_string()}")
    return "\n\n".join(blocks)


def main(argv: Sequence[str]) -> None:
    """Reads the flags, prints both figures."""
    values = flags.FlagValues()
    flags.DEFINE_integer("repeats", 200, "simulated tables", flag_values=values)
    flags.DEFINE_integer("seed", 0, "of the population", flag_values=values)
    rest = parse(values, argv, __doc__)
    if rest:
        raise InputError(f"unexpected argument {rest[0]!r}; flags are --name=value")
    use_cache()
    twin = Twin(months=SMALL_TWIN.months, slope=0.0, seed=values.seed)
    print(figures(coverage(values.repeats, twin)))


if __name__ == "__main__":
    sys.exit(exit_codes(main))
