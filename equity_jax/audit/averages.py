r"""The mean over several labels: one number for a network with fourteen findings.

$$\text{macro AUROC} = \frac1K\sum_k \text{AUROC}_k,$$
averaged again in every replicate of the patients, so that the labels' covariance is
kept, and its interval is Student's t on the logit scale, as in multiclass.py. All
groups of an attribute are averaged over the same labels: those with rows enough in
every one of them (the column `label` says how many). Where there is no such label, the
group with the fewest is left out, and so on. Over all rows the labels are those with
rows enough there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from equity_jax.audit import judging, subjects, table
from equity_jax.audit.judging import Court
from equity_jax.audit.multiclass import macro
from equity_jax.audit.options import Options
from equity_jax.audit.resampling import estimates
from equity_jax.audit.resampling.measures import Question, Scored, labels_of
from equity_jax.audit.statistics.floors import CLASS, OTHERS
from equity_jax.audit.subjects import Grouping, Pair, Sizes
from equity_jax.types import InputError, Predictions

FEW = "no label has rows enough of both kinds"


def averaged(
    predictions: Predictions,
    questions: Sequence[Question],
    *,
    attribute: str = "",
    reference: str = "",
    against: Mapping[str, str] | None = None,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    min_rows: int = 10,
    unit: str = "patient",
) -> pd.DataFrame:
    """The mean over labels of every system, over all rows and in every group.

    Args:
        predictions: whose systems and rows the questions are about.
        questions: one a label, each asking for the same metrics; see `aurocs`.
        attribute: of predictions.attributes, whose groups are compared; "": none.
        reference: the group that others are compared with; "": the largest.
        against: system ("method/scheme") -> the one it is compared with, paired.
        replicates: of the patients; all systems, labels and groups share them.
        seed: of the replicates.
        level: of the intervals.
        min_rows: a group with fewer rows is SUPPRESSED.
        unit: what predictions.patient counts.

    Returns:
        DataFrame of table.COLUMNS, metrics "macro_auroc" and their like; label: "mean
        of 9", how many labels; a paired comparison has contrast "difference" and the
        other system's name as `reference`.

    Raises:
        InputError: an unknown system or attribute.

    Example:
        >>> found = averaged(p, aurocs(p), attribute="race", against={"dann/3": "erm"})
        >>> view(found, metric="macro_auroc", contrast="worst")  # doctest: +SKIP
    """
    names = (attribute,) if attribute else ()
    told = Options(
        names, reference, replicates=replicates, level=level, min_rows=min_rows,
        seed=seed,
    )  # fmt: skip
    court = judging.court_of(predictions, told, (), unit)
    who = court.subjects
    everyone = Grouping((), (), who.block * 0, np.zeros(0, int), False)
    pairs = _pairs(court, against or {})
    each = [_answers(court, question) for question in questions]
    used = np.any([question.use for question in questions], axis=0)
    size = subjects.sizes_of(used, None, who)
    records = []
    for grouping in (everyone, *who.groupings):
        kept, few = _kept(questions, each, court, grouping)
        why = np.full((len(court.cells), len(who.parts)), "", object)
        why[:, few] = FEW
        for answers in zip(*(each[k] for k in kept or range(len(each))), strict=True):
            label = f"mean of {len(kept)}"
            for one in judging.ruled(court, macro(answers), label, size, why, grouping):
                records += one.maker.records(one.estimate, pairs)
    return table.frame(records)


def aurocs(predictions: Predictions, names: Sequence[str] = ()) -> list[Scored]:
    """The AUROC of every label, or of every class against the rest.

    Example: `averaged(p, aurocs(p))` is the macro AUROC of every system.
    """
    asked = labels_of(predictions, names)
    return [Scored(*label, ranked=("auroc",)) for label in asked]


def common(fine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over which labels groups can be averaged, where not every one has rows enough.

    Args:
        fine: bool[K, P], whether a label has rows enough in a group.

    Returns:
        (labels int[k], groups bool[P]): the groups that are left, and the labels that
        every one of them has; the group with the fewest labels is left out until there
        is such a label.

    Example:
        >>> common(np.array([[True, False, True], [False, False, True]]))
        (array([0]), array([ True, False,  True]))
    """
    alive = fine.any(axis=0)
    while alive.any() and not fine[:, alive].all(axis=1).any():
        alive[np.argmin(np.where(alive, fine.sum(axis=0), len(fine) + 1))] = False
    return np.flatnonzero(fine[:, alive].all(axis=1) & alive.any()), alive


def _answers(court: Court, question: Question) -> list[estimates.Answer]:
    args = question, court.subjects, court.replicates, court.predictions.weight
    return estimates.answer(*args, closed=False)


def _kept(
    questions: Sequence[Question],
    each: Sequence[Sequence[estimates.Answer]],
    court: Court,
    grouping: Grouping,
) -> tuple[list[int], list[int]]:
    """Labels to average over, and the places of groups that have too few rows of all.

    place 0 is everyone, who counts where there are no groups.
    """
    places = grouping.place[grouping.named] if len(grouping.groups) else np.array([0])
    fine = np.zeros((len(questions), len(places)), bool)
    for k, (question, answers) in enumerate(zip(questions, each, strict=True)):
        size: Sizes = subjects.sizes_of(question.use, question.y, court.subjects)
        rows = np.minimum(size.positives, size.negatives)[places]
        sure = np.min([a.effective[:, places].min(0) for a in answers], axis=0)
        fine[k] = (rows >= CLASS) & (sure >= OTHERS - 1e-6)
    kept, alive = common(fine)
    return list(kept), list(places[~alive])


def _pairs(court: Court, against: Mapping[str, str]) -> list[Pair]:
    place = {cell.name: i for i, cell in enumerate(court.cells)}
    for name in (*against, *against.values()):
        if name not in place:
            known = ", ".join(place)
            raise InputError(f"against: no such system {name!r}; known: {known}")
    return [Pair(place[a], place[b], b) for a, b in against.items()]
