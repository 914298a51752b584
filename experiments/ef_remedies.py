"""What each remedy does to the gap, in numbers: mitigation.csv.

The gap of a system is the reference group's number minus the mean of the smaller
groups' numbers: above 0 the reference is served better. Every remedy is judged on the
same test rows and in the same replicates of patients as the plain head, so the change
of the gap is paired.
"""

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK, asking, judging
from equity_jax.audit.judging import Court
from equity_jax.audit.options import Options
from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.run import Result
from equity_jax.systems import POOLED
from equity_jax.types import Predictions
from equity_jax.verdict import labels_of
from experiments.ef_groups import THRESHOLD, plain_systems, select
from experiments.ef_parts import remedy_name
from experiments.page_parts import plain_method

TITLES = {"auroc": "AUROC", "recall": "sensitivity at 90 % specificity"}
THRESHOLDS = {
    asking.AWARE: "plain, a threshold for each group",
    asking.ODDS: "plain, equalized odds by coin tosses",
}


def remedies(result: Result) -> pd.DataFrame:
    """mitigation.csv: metric, remedy, what, groups, value, low, high, status."""
    tested = result.test._replace(ratios={})
    plain, config = plain_method(result), result.config
    keep = [i for i, run in enumerate(tested.runs) if _shown(run, plain)]
    court = _court(result, select(tested, keep))
    judged, _ = judging.judge(court, [], lambda: None)
    parts = []
    for one in (j for j in judged if j.label == judged[0].label):
        names = [remedy_name(c.method, c.scheme, plain) for c in one.maker.cells]
        found = {name: _row(one.named, m) for m, name in enumerate(names)}
        if one.maker.metric == "recall":
            found |= _thresholds(result, tested)
        labels = np.array(one.maker.grouping.groups)[one.maker.grouping.named]
        parts.append(_frame(one.maker.metric, found, labels, config.audit.level))
    return pd.concat(parts, ignore_index=True)


def _row(e: Estimate, m: int) -> Estimate:
    return inference.cells(e, slice(m, m + 1))


def _frame(
    metric: str, found: dict[str, Estimate], labels: np.ndarray, level: float
) -> pd.DataFrame:
    """Rows of mitigation.csv of one metric; labels: the groups, the reference first.

    A group that one of the systems cannot estimate is left out for all.
    """
    every, names = _stack(list(found.values())), np.array(list(found))
    known = np.flatnonzero(every.ok[:, 1:].all(0)) + 1
    parts = []
    for what, estimate in _sides(every, known, list(found).index("plain")).items():
        low, high = inference.interval(estimate, level)
        ends = {"value": np.where(estimate.ok, estimate.value, np.nan)}
        ends |= {"low": low, "high": high}
        ends["status"] = np.where(estimate.ok, OK, NOT_ESTIMABLE)
        head = {"metric": metric, "remedy": names, "what": what}
        head["groups"] = ", ".join(labels[known])
        part = pd.DataFrame(head | ends)
        change = what.endswith("change")
        parts.append(part[part["remedy"] != "plain"] if change else part)
    return pd.concat(parts)


def _shown(run: dict, plain: str) -> bool:
    """The pooled systems of every method, and the plain method's group-wise ones."""
    scheme = run["scheme"]
    grouped = run["method"] == plain and (scheme == "alone" or "(" in scheme)
    return scheme == POOLED or grouped


def _court(result: Result, p: Predictions) -> Court:
    spec, config = result.dataset.spec, result.config
    options = Options(
        attributes=spec.group,
        reference=spec.reference,
        metrics=tuple(TITLES),
        threshold=THRESHOLD,
        replicates=config.audit.replicates,
        level=config.audit.level,
        min_rows=config.audit.min_rows,
        seed=config.seed,
    ).check()
    return judging.court_of(p, options, labels_of(result.dataset.spec), spec.unit)


def _thresholds(result: Result, tested: Predictions) -> dict[str, Estimate]:
    """Sensitivity by group of the plain head, thresholds by group and by coin."""
    p = select(tested, plain_systems(result))
    court = _court(result, p._replace(valid=p.valid._replace(ratios={})))
    grouping = court.subjects.groupings[0]
    first = asking.labels(court.predictions, court.wish)[0]
    args = first, court.wish, court.subjects, grouping
    found = {}
    for question in asking.policies(court.valid, *args):
        for one in judging.answered(court, question, only=grouping):
            source = one.maker.base["threshold_source"]
            if one.maker.metric == "recall" and source in THRESHOLDS:
                found.setdefault(THRESHOLDS[source], one.named)
    return found


def _stack(parts: list[Estimate]) -> Estimate:
    """Estimates of systems, one below the other: value float[M, G]."""
    names = ("value", "seeds", "draws", "effective", "ok")
    fields = [np.concatenate([getattr(p, name) for p in parts]) for name in names]
    return Estimate(*fields)


def _sides(every: Estimate, known: np.ndarray, plain: int) -> dict[str, Estimate]:
    """What -> Estimate of value float[M], from value float[M, G], reference first.

    known: which smaller groups enter the mean.
    """
    reference = inference.groups(every, 0)
    others = _mean(inference.groups(every, known))
    gap = inference.difference(reference, others)
    sides = {"gap": gap, "reference": reference, "smaller groups": others}
    changes = {
        name: inference.difference(e, inference.cells(e, [plain]))
        for name, e in sides.items()
    }
    return {
        "gap": gap,
        "change": changes["gap"],
        "reference": reference,
        "smaller groups": others,
        "reference's change": changes["reference"],
        "smaller groups' change": changes["smaller groups"],
    }


def _mean(e: Estimate) -> Estimate:
    """The mean over groups: value float[M, G] -> float[M]; not ok without a group."""
    if not e.value.shape[1]:
        none = np.full(len(e.value), np.nan)
        shape = (len(none), e.seeds.shape[-1]), (len(none), e.draws.shape[-1])
        seeds, draws = (np.full(s, np.nan) for s in shape)
        return Estimate(
            none, seeds, draws, np.zeros(len(none)), np.zeros(len(none)) > 0
        )
    return Estimate(
        e.value.mean(1),
        e.seeds.mean(1),
        e.draws.mean(1),
        e.effective.min(1),
        e.ok.all(1),
    )
