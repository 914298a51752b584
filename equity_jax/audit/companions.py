"""Tables beside the long one: homogeneity tests, power, attribute-level summaries."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.audit.contrasts import Maker, gap_of
from equity_jax.audit.statistics import bands, homogeneity, inference, power
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.audit.status import NOT_ESTIMABLE, OK
from equity_jax.audit.table import shown

TESTS = tuple(
    "system label attribute metric groups statistic df p p_adjusted adjustment gap low"
    " high gap_corrected status".split()
)
POWER = tuple(
    "system label attribute metric group reference n detectable wanted rows_needed"
    " status".split()
)
SUMMARIES = {
    "demographic_parity_difference": ("selection_rate",),
    "demographic_parity_ratio": ("selection_rate",),
    "equalized_odds_difference": ("recall", "fpr"),
    "equalized_odds_ratio": ("recall", "fpr"),
    "equal_opportunity_difference": ("recall",),
}
"""Fairness measures -> the metrics whose largest gap (smallest ratio) they are."""


class Judged(NamedTuple):
    """One metric under one grouping, with "all" at place 0 of the estimate."""

    maker: Maker
    estimate: Estimate

    @property
    def label(self) -> str:
        """The label that it is about."""
        return self.maker.base["label"]

    @property
    def named(self) -> Estimate:
        """The estimate of the named groups."""
        return inference.groups(self.estimate, self.maker.named)


def tests(judged: Sequence[Judged], level: float, adjustment: str) -> pd.DataFrame:
    """Homogeneity over groups and the gap, per system, label, attribute and metric.

    p-values are adjusted over the metrics of one system, label and attribute.
    """
    rows = [row for one in judged for row in _tests(one, level)]
    table = pd.DataFrame.from_records(rows, columns=list(TESTS))
    table["adjustment"] = adjustment
    family = table.groupby(["system", "label", "attribute"], sort=False)
    for _, part in family:
        adjusted = homogeneity.adjust(part["p"].to_numpy(float), adjustment)
        table.loc[part.index, "p_adjusted"] = adjusted
    return table


def _tests(one: Judged, level: float) -> list[dict[str, Any]]:
    maker, named = one.maker, one.named
    gap = np.stack(gap_of(named, level, maker.shared), axis=-1)
    found = homogeneity.homogeneity(named, maker.shared)
    rows = []
    for m, cell in enumerate(maker.cells):
        known = int(named.ok[m].sum()) > 1
        row = {"system": cell.name, "label": one.label, "metric": maker.metric}
        row |= {"attribute": maker.grouping.attribute, "groups": int(found.groups[m])}
        row |= {"statistic": found.statistic[m], "df": found.df[m], "p": found.p[m]}
        if named.kind == "bounded":  # groups of unequal size differ by their biases
            row |= dict.fromkeys(("statistic", "df", "p"), np.nan)
        row |= {"status": OK if known else NOT_ESTIMABLE, "p_adjusted": np.nan}
        ends = dict(zip(("gap", "low", "high", "gap_corrected"), gap[m], strict=True))
        rows.append(row | ends)
    return rows


def powers(
    judged: Sequence[Judged], wanted: float, level: float, share: float = 0.8
) -> pd.DataFrame:
    """What each group could have shown: detectable differences, rows needed."""
    return pd.DataFrame.from_records(
        [row for one in judged for row in _powers(one, wanted, level, share)],
        columns=list(POWER),
    )


def _powers(
    one: Judged, wanted: float, level: float, share: float
) -> list[dict[str, Any]]:
    maker, rows = one.maker, []
    reference = int(maker.named[0]) if len(maker.named) else 0
    for place in maker.named[1:]:
        a, b = (
            inference.groups(one.estimate, np.array([i])) for i in (place, reference)
        )
        least = power.detectable(a, b, level, share)[:, 0]
        sizes = [maker.counted(int(i))["n"] for i in (place, reference)]
        needed = power.rows_needed(a, b, sizes[0], wanted, level, share)[:, 0]
        for m, cell in enumerate(maker.cells):
            known = bool(a.ok[m, 0] and b.ok[m, 0])
            row = {"system": cell.name, "label": one.label, "metric": maker.metric}
            row |= {"attribute": maker.grouping.attribute}
            row |= {"group": maker.grouping.groups[place - 1]}
            row |= {"reference": maker.grouping.groups[reference - 1]}
            row |= {"n": sizes[0] if sizes[0] >= 0 else pd.NA, "wanted": wanted}
            row |= {"detectable": least[m] if known else np.nan}
            row |= {"rows_needed": needed[m] if known else np.nan}
            rows.append(row | {"status": OK if known else NOT_ESTIMABLE})
    return rows


def summaries(judged: Sequence[Judged], level: float) -> list[dict[str, Any]]:
    """Demographic parity, equalized odds, equal opportunity, ES-AUC: table rows.

    The difference of two rates is the larger of their gaps, its interval made of
    bands at level 1 - alpha / 2 for each rate (Bonferroni), so that it holds for both.
    """
    found = []
    places: dict[tuple[str, str, str], dict[str, Judged]] = {}
    for one in judged:
        key = (
            one.label,
            one.maker.grouping.attribute,
            one.maker.base["threshold_source"],
        )
        places.setdefault(key, {})[one.maker.metric] = one
    for metrics in places.values():
        for name, parts in SUMMARIES.items():
            if all(part in metrics for part in parts):
                found += _summary(name, [metrics[part] for part in parts], level)
        if "auroc" in metrics:
            found += _scaled(metrics["auroc"], level)
    return found


def _summary(name: str, parts: list[Judged], level: float) -> list[dict[str, Any]]:
    each = 1 - (1 - level) / len(parts)
    ratio = name.endswith("ratio")
    ends = [
        (bands.ratio_gap if ratio else bands.gap)(p.named, each, p.maker.shared)[:3]
        for p in parts
    ]
    stacked = np.stack([np.stack(e) for e in ends])  # [parts, 3, M]
    known = np.isfinite(stacked[:, 0]).all(axis=0)
    worst = stacked.min(axis=0) if ratio else stacked.max(axis=0)
    how = parts[0].maker.how(parts[0].estimate, simultaneous=True)
    why = np.where(known, "", "fewer than two groups can be estimated")
    return _written(parts[0], name, worst, how, why)


def _scaled(one: Judged, level: float) -> list[dict[str, Any]]:
    r"""Equity-scaled AUC $A / (1 + \sum_g |A_g - A|)$ (Luo et al. 2024, FairCLIP)."""
    named, every = one.named, inference.groups(one.estimate, np.array([0]))

    def scaled(whole: np.ndarray, groups: np.ndarray) -> np.ndarray:
        return whole / (1 + np.abs(groups - whole[:, None]).sum(axis=1))

    known = named.ok.all(axis=1) & every.ok[:, 0]
    value = scaled(every.value[:, 0], named.value)
    draws = scaled(every.draws[:, 0], named.draws)
    effective = named.effective.min(axis=1)
    none = np.full((len(value), 1), np.nan)
    made = Estimate(value, none, draws, effective, known)
    low, high = inference.interval(made, level)
    why = np.where(known, "", "a group's AUROC cannot be estimated")
    how = f"bootstrap({one.maker.rules.unit})"
    return _written(one, "es_auc", np.stack([value, low, high]), how, why)


def _written(
    one: Judged, name: str, ends: np.ndarray, how: str, why: np.ndarray
) -> list[dict[str, Any]]:
    maker = one.maker
    rows = []
    for m, cell in enumerate(maker.cells):
        base = maker.named_row(cell) | {"contrast": "summary", "metric": name}
        base |= {"group": "", "reference": "", "threshold": maker.threshold[m, 0]}
        rows.append(base | maker.counted(0) | shown(ends[:, m], how, why[m]))
    return rows
