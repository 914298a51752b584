"""The companions of the long table: curves, confusion, policies, xAUC, sensitivity."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit import asking, companions, judging
from equity_jax.audit.asking import AWARE, BLIND, ODDS, Label
from equity_jax.audit.companions import Judged
from equity_jax.audit.decisions import curves, sensitivity
from equity_jax.audit.judging import Court
from equity_jax.audit.resampling.measures import Scored
from equity_jax.audit.status import OK, SUPPRESSED
from equity_jax.audit.subjects import ALL, Grouping
from equity_jax.audit.table import shown
from equity_jax.audit.xauc import crossed
from equity_jax.types import Predictions

CURVES = ("kind", "system", "label", "attribute", "group", *"x y low high n".split())
CONFUSION = ("system", "label", "attribute", "group", "threshold")
CONFUSION += ("tp", "fp", "fn", "tn", "status")
POLICIES = ("system", "label", "attribute", "group", "policy", "threshold", "metric")
POLICIES += ("value", "low", "high", "n", "status")


def make(
    court: Court,
    judged: list[Judged],
    recorded: Predictions,
    tick: Callable[[], object],
) -> dict[str, Any]:
    """Every companion; "records" are further rows of the long table."""
    options = court.options
    labels = asking.labels(court.predictions, court.wish)
    threshold = thresholds_of(judged)
    return {
        "power": companions.powers(judged, options.wanted, options.level),
        "curves": frame(CURVES, drawn(court, labels)),
        "confusion": frame(CONFUSION, confusions(court, labels, threshold)),
        "policies": frame(POLICIES, policies(court, labels, judged, tick)),
        "sensitivity": sensitivities(court, recorded, threshold),
        "records": [
            *companions.summaries(judged, options.level),
            *crossed(court, labels, judged),
        ],
    }


def frame(columns: tuple[str, ...], rows: Iterator[dict]) -> pd.DataFrame:
    """A table of these columns; whole counts are Int64, so that NA can be told."""
    table = pd.DataFrame.from_records(list(rows), columns=list(columns))
    for name in {"n", "tp", "fp", "fn", "tn"} & set(columns):
        table[name] = table[name].astype("Int64")
    return table


def thresholds_of(judged: list[Judged]) -> dict[tuple[str, int], float]:
    """(label, cell) -> the threshold that decisions were made at."""
    found = {}
    for one in judged:
        source = one.maker.base["threshold_source"]
        if source == "fixed" or source.startswith("validation"):
            for m, value in enumerate(one.maker.threshold[:, 0]):
                found.setdefault((one.label, m), float(value))
    return found


def alone(court: Court) -> Iterator[tuple[int, Any, int]]:
    """(number, cell, system) of the cells of one system: curves are of one model."""
    for m, cell in enumerate(court.cells):
        yield m, cell, int(cell.systems[0])


def parts(
    court: Court, label: Label, grouping: Grouping
) -> Iterator[tuple[str, np.ndarray]]:
    """(group, its used rows int[n]), "all" first."""
    use, who = label.test[2], court.subjects
    for name, place in ((ALL, 0), *zip(grouping.groups, grouping.place, strict=True)):
        rows = who.parts[place]
        yield name, rows[use[rows]]


def single(court: Court) -> list[Grouping]:
    """The groupings of one attribute."""
    return [g for g in court.subjects.groupings if len(g.names) == 1]


def drawn(court: Court, labels: list[Label]) -> Iterator[dict]:
    """Points of the ROC and calibration curves of every large enough group."""
    least, weight = court.options.min_rows, court.predictions.weight
    for label in labels:
        for _, cell, s in alone(court):
            for grouping in single(court):
                for group, rows in parts(court, label, grouping):
                    base = {"system": cell.name, "label": label.name, "group": group}
                    base |= {"attribute": grouping.attribute}
                    score, y = label.test[0][s, rows], label.test[1][rows]
                    if min(y.sum(), len(y) - y.sum()) < least:
                        continue
                    w = None if weight is None else weight[rows]
                    for x, up in zip(*curves.roc(score, y, w), strict=True):
                        yield base | {"kind": "roc", "x": x, "y": up, "n": len(rows)}
                    block = court.subjects.block[rows]
                    bins = curves.calibration(score, y, block, min_rows=least)
                    for point in bins.to_dict("records"):
                        yield base | {"kind": "calibration"} | point


def confusions(
    court: Court, labels: list[Label], threshold: dict[tuple[str, int], float]
) -> Iterator[dict]:
    """The four counts of every group at the threshold; counts that are small are NA."""
    least = court.options.min_rows
    for label in labels:
        for m, cell, s in alone(court):
            if (label.name, m) not in threshold:
                continue
            t = threshold[label.name, m]
            for grouping in court.subjects.groupings:
                for group, rows in parts(court, label, grouping):
                    base = {"system": cell.name, "label": label.name, "group": group}
                    base |= {"attribute": grouping.attribute, "threshold": t}
                    called = label.test[0][s, rows] >= t
                    counts = curves.confusion(label.test[1][rows], called)
                    named = dict(zip(("tp", "fp", "fn", "tn"), counts, strict=True))
                    small = len(rows) < least
                    for pair in (("tp", "fn"), ("fp", "tn")):
                        # of two that add up to a known total, both are hidden
                        few = any(0 < named[name] < least for name in pair)
                        for name in pair:
                            base[name] = pd.NA if small or few else int(named[name])
                    yield base | {"status": SUPPRESSED if small else OK}


def sensitivities(
    court: Court, recorded: Predictions, threshold: dict[tuple[str, int], float]
) -> pd.DataFrame:
    """Bounds under label error that differs by group, and other conflict policies."""
    options, parts = court.options, []
    every = {g.attribute: g.groups[0] for g in single(court)}
    patients = court.rules.unit == "patient"
    for label in asking.labels(recorded, court.wish):
        score, y, use = label.test
        attributes = {
            name: np.asarray(recorded.attributes[name]).astype(str) for name in every
        }
        # a reference without a row of this label leaves nothing to compare to
        references = {k: v for k, v in every.items() if v in attributes[k][use]}
        for m, cell, s in alone(court):
            t = threshold.get((label.name, m))
            called = None if t is None else score[s, use] >= t
            parts.append(
                sensitivity.table(
                    sensitivity.Rows(score[s, use], y[use], called),
                    {k: attributes[k][use] for k in references},
                    references,
                    np.asarray(recorded.patient)[use] if patients else None,
                    system=cell.name,
                    label=label.name,
                    min_rows=options.min_rows,
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def policies(
    court: Court,
    labels: list[Label],
    judged: list[Judged],
    tick: Callable[[], object],
) -> Iterator[dict]:
    """One threshold for all, one for each group, and equalized odds, side by side."""
    if court.valid is None:
        return
    for label in labels:
        for grouping in single(court):
            blind = [
                one
                for one in judged
                if one.label == label.name
                and one.maker.grouping is grouping
                and one.maker.metric in asking.POLICY_METRICS
            ]
            for one in blind:
                yield from _policy(one, BLIND, every=True)
            if not blind:
                continue
            args = (label, court.wish, court.subjects, grouping)
            for question in asking.policies(court.valid, *args):
                scored = isinstance(question, Scored)
                for one in judging.answered(court, question, tick, grouping):
                    source = one.maker.base["threshold_source"]
                    if scored:
                        yield from _policy(one, AWARE, every=False)
                    elif source == AWARE:
                        yield from _policy(one, AWARE, every=None)
                    else:
                        yield from _policy(one, ODDS, every=True)


def _policy(one: Judged, policy: str, every: bool | None) -> Iterator[dict]:
    """every: all places; False: the groups; None: "all" only."""
    maker = one.maker
    block = maker.values(one.estimate)
    for m, cell in enumerate(maker.cells):
        for j, group in enumerate(block.group[m]):
            if (every is False and j == 0) or (every is None and j > 0):
                continue
            ends = block.value[m, j], block.low[m, j], block.high[m, j]
            told = shown(ends, "", block.why[m, j])
            n = maker.counted(j)["n"]
            yield {
                "system": cell.name,
                "label": one.label,
                "attribute": maker.grouping.attribute,
                "group": group,
                "policy": policy,
                "threshold": maker.threshold[m, j],
                "metric": maker.metric,
                "n": pd.NA if n < 0 else n,
                **{k: told[k] for k in ("value", "low", "high", "status")},
            }
