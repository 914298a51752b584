"""What every run is judged by, the same for all, on validation and test rows alike.

A *cell* is a (class, group), what Sagawa et al. 2020 call a group. Several labels, or
classes one against the rest, are averaged first, over those that every group left has
rows enough for; then the worst group, class or cell is taken. Floors are the audit's: a
part below them is left out and named, and where fewer than two are left, or a class of
the balanced accuracy is, the number is NOT_ESTIMABLE (NaN).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.audit import subjects
from equity_jax.audit.averages import common
from equity_jax.audit.resampling import estimates
from equity_jax.audit.resampling.measures import Given, Scored, labels_of
from equity_jax.audit.resampling.replicates import Replicates, resampled
from equity_jax.audit.statistics.floors import CLASS, OTHERS, PATIENTS
from equity_jax.audit.subjects import ALL, CROSS, UNRECORDED
from equity_jax.types import Dataset, Predictions

GROUP, TRUTH = "group", "class"
CELL = CROSS.join((TRUTH, GROUP))


class Metric(NamedTuple):
    """ranked: of scores, or of decisions; worst: the least of its parts, or a mean."""

    title: str
    ranked: bool
    parts: str = ""
    worst: bool = False


METRICS = {
    "auroc": Metric("AUROC", True),
    "worst_group_auroc": Metric("worst-group AUROC", True, GROUP, True),
    "worst_group_accuracy": Metric("worst-group accuracy", False, GROUP, True),
    "worst_cell_accuracy": Metric("worst-cell accuracy", False, CELL, True),
    "worst_class_accuracy": Metric("worst-class accuracy", False, TRUTH, True),
    "balanced_accuracy": Metric("balanced accuracy", False, TRUTH),
}
"""Every number that a method is told by; all are better when larger."""


class Measure(NamedTuple):
    """One metric of R runs in B replicates.

    value: float[R], NaN where it cannot be estimated; draws: float[R, B]; effective:
    effective number of patients of the scarcest part; lost: parts below the floor; why:
    the reason where it is not estimable, or "".
    """

    value: np.ndarray
    draws: np.ndarray
    effective: float
    lost: tuple[str, ...]
    why: str


class _Told(NamedTuple):
    """Answers by label: value float[R, P], draws float[R, P, B]; fine: bool[P],
    effective: float[P]; place: (attribute, part) -> which of P.
    """

    value: np.ndarray
    draws: np.ndarray
    fine: np.ndarray
    effective: np.ndarray
    place: Mapping[tuple[str, str], int]


def predictions(
    dataset: Dataset, rows: np.ndarray, prob: np.ndarray, split: int
) -> Predictions:
    """Predictions of R runs on the rows of one split.

    Args:
        dataset: whose rows they are.
        rows: int[n], numbers in the dataset.
        prob: float[R, n, C], as the task predicts.
        split: VALID or TEST.
    """
    mine = np.asarray(dataset.split)[rows] == split
    rows, spec = rows[mine], dataset.spec
    y = np.asarray(dataset.y)[rows].astype(float)
    return Predictions(
        prob[:, mine],
        np.where(y >= 0, y, np.nan),
        np.asarray(dataset.mask)[rows],
        {spec.group: np.asarray(dataset.attributes[spec.group]).astype(str)[rows]},
        dataset.id[rows],
        np.asarray(dataset.patient)[rows],
        [{"run": i} for i in range(len(prob))],
    )


def measured(
    p: Predictions,
    right: np.ndarray,
    classes: Sequence[str],
    replicates: int = 0,
    seed: int = 0,
    tick: Callable[[], object] = lambda: None,
) -> dict[str, Measure]:
    """Every metric of every run, with replicates of the patients that all runs share.

    Args:
        p: of `predictions`.
        right: float[R, n, K], of decisions.decided.
        classes: names of what y holds.
        replicates: how many; 0: values alone.
        seed: of the replicates.
        tick: called after every run and label.
    """
    (groups,) = p.attributes.values()
    blocks = len(np.unique(p.patient))
    drawn = resampled(blocks, replicates, seed, "bootstrap")
    ranked = [
        _told(p, Scored(*label, ranked=("auroc",)), {GROUP: groups}, drawn, tick)
        for label in labels_of(p)
    ]
    made, y = [], np.asarray(p.y, float)
    for k in range(right.shape[2]):
        use = np.isfinite(y[:, k]) & (np.asarray(p.mask)[:, k] > 0)
        codes = np.where(use, np.nan_to_num(y[:, k]), 0).astype(int)
        truth = np.where(use, np.array(classes)[codes], "")
        question = Given(
            "", "accuracy", right[:, :, k], np.ones_like(right[:, :, k]), use
        )
        made.append(_told(p, question, {TRUTH: truth, GROUP: groups}, drawn, tick))
    known = sorted(set(groups) - {""})
    parts = {"": [ALL], GROUP: known, TRUTH: classes}
    parts[CELL] = [CROSS.join((c, g)) for c in classes for g in known]
    return {
        name: _measure(metric, ranked if metric.ranked else made, parts[metric.parts])
        for name, metric in METRICS.items()
    }


def _told(
    p: Predictions,
    question: Scored | Given,
    attributes: Mapping[str, np.ndarray],
    drawn: Replicates,
    tick: Callable[[], object],
) -> _Told:
    """One label in all its parts."""
    known = {k: v for k, v in attributes.items() if np.any(v != "")}
    who = subjects.subjects_of(
        p._replace(attributes=known), tuple(known), {}, intersections=True
    )
    answer = estimates.answer(question, who, drawn, closed=False, tick=tick)[0]
    size = subjects.sizes_of(question.use, question.y, who)
    ranked = isinstance(question, Scored)
    rows = np.minimum(size.positives, size.negatives) if ranked else size.n
    # the same for every run that has scores
    effective = np.nan_to_num(answer.effective).max(axis=0)
    fine = (rows >= CLASS) & (effective >= (OTHERS if ranked else PATIENTS) - 1e-6)
    place = {("", ALL): 0}
    for g in who.groupings:
        named = zip(g.groups, g.place, strict=True)
        place |= {(g.attribute, n): i for n, i in named if n != UNRECORDED}
    return _Told(answer.value, answer.draws, fine, effective, place)


def _measure(metric: Metric, told: Sequence[_Told], names: Sequence[str]) -> Measure:
    """Labels averaged, then parts joined, in every replicate."""
    parts = [(metric.parts, name) for name in names]
    fine = np.array(
        [[p in t.place and t.fine[t.place[p]] for p in parts] for t in told]
    )
    labels, alive = common(fine.reshape(len(told), len(parts)))
    kept = [p for p, a in zip(parts, alive, strict=True) if a]
    lost = tuple(name for p, name in zip(parts, names, strict=True) if p not in kept)
    if metric.worst and len(kept) < 2:
        why = f"fewer than two of {metric.parts} have rows enough"
    elif not metric.worst and (lost or not kept):
        why = f"too few rows: {', '.join(lost)}"
    else:
        why = ""
    if why:
        none = (np.full_like(x[:, 0], np.nan) for x in told[0][:2])
        return Measure(*none, 0.0, lost, why)
    some, join = [told[k] for k in labels], np.min if metric.worst else np.mean
    value, draws = (
        join([sum(t[i][:, t.place[p]] for t in some) / len(some) for p in kept], axis=0)
        for i in (0, 1)
    )
    least = min(t.effective[t.place[p]] for t in some for p in kept)
    return Measure(value, draws, float(least), lost, "")
