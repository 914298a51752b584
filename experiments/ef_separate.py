"""What the subsample experiment found: AUROCs, gaps and their parts, with intervals.

The gap of a group is the reference's test AUROC minus its own, by one and the same
head. With the reference thinned to the group's size, and then to its prevalence too,

    gap as trained = size + prevalence + gap at equal size and prevalence

where *size* is what equal size takes away (by what the reference loses and by what the
group gains) and *prevalence* what equal prevalence takes away then. What is left lies
in the group's rows: label noise, fainter signs, another relation of image and label.
Crosswise, with A[t, g] the AUROC on g of the head that t alone has taught, r being the
reference,

    harder  = ((A[r,r] + A[g,r]) - (A[r,g] + A[g,g])) / 2   whoever teaches
    teacher = ((A[r,r] + A[r,g]) - (A[g,r] + A[g,g])) / 2   whoever is tested
    home    = ((A[r,r] + A[g,g]) - (A[r,g] + A[g,r])) / 2   one's own teacher helps

Intervals resample the patients of the test set, the same for all heads, and the draws
of the subsamples (crossed: Owen 2007). Those of gaps and parts also allow for other
training patients of the group, by halves of those there are (ef_subsamples); those of
single AUROCs do not.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK
from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.inference import Estimate
from experiments.ef_marks import Marks
from experiments.ef_subsamples import (
    FEWEST,
    Arm,
    Plan,
    Training,
    composition,
    halves_of,
    roles_of,
)

GAPS = {
    "gap as trained": "all",
    "gap at equal size": "equal",
    "gap at equal size and prevalence": "match",
}
PARTS = {
    "size": ("gap as trained", "gap at equal size"),
    "prevalence": ("gap at equal size", "gap at equal size and prevalence"),
}
CHANGES = {"change of the reference": "r", "change of the group": "g"}
# signs of A[r,r], A[r,g], A[g,r], A[g,g]: the teacher first, then who is tested
CROSSED = {"harder": (1, -1, 1, -1), "teacher": (1, 1, -1, -1), "home": (1, -1, -1, 1)}
TAUGHT = [("from r", "r"), ("from r", "g"), ("from g", "r"), ("from g", "g")]

Terms = list[tuple[float, str, str]]  # factor, role of the head, whose test rows


def sums() -> dict[str, Terms]:
    """Quantity -> the AUROCs that it is a sum of.

    Example:
        >>> sums()["gap as trained"]
        [(1.0, 'all', 'r'), (-1.0, 'all', 'g')]
    """
    made: dict[str, Terms] = {
        name: [(1.0, role, "r"), (-1.0, role, "g")] for name, role in GAPS.items()
    }
    for name, (first, second) in PARTS.items():
        made[name] = made[first] + [(-c, *rest) for c, *rest in made[second]]
    for name, side in CHANGES.items():
        made[name] = [(1.0, "equal", side), (-1.0, "all", side)]
    for name, signs in CROSSED.items():
        made[name] = [(c / 2, *t) for c, t in zip(signs, TAUGHT, strict=True)]
    return made


def separate(
    train: Training, plan: Plan, judged: Marks, level: float = 0.95
) -> pd.DataFrame:
    """subsample.csv: every AUROC, gap and part of a gap.

    Returns:
        group, quantity ("auroc", or a key of `sums`), trained and tested (in words),
        patients, images, prevalence (of the group that was thinned, in training, means
        over draws), draws, value, low, high, status, why.
    """
    draws = judged.share.shape[1]
    rows = [*_aurocs(train, plan, judged, level)]
    for g in train.smaller:
        side, roles = {"r": train.reference, "g": g}, roles_of(train, g)
        halves = {k: plan.runs.get(a, []) for k, a in halves_of(train, g).items()}
        for name, terms in sums().items():
            why = _why(train, plan, judged, g, {roles[role] for _, role, _ in terms})
            found = None
            if not why:
                parts = [
                    judged.of(plan.runs[roles[k]], side[who], halves.get(k, []))
                    for _, k, who in terms
                ]
                found = _sum([c for c, *_ in terms], parts)
            row = {"group": train.names[g], "quantity": name, "draws": draws}
            rows.append(row | _told(found, why, level))
    table = pd.DataFrame.from_records(rows)
    return table.assign(**table[["trained", "tested"]].fillna(""))


def _aurocs(
    train: Training, plan: Plan, judged: Marks, level: float
) -> Iterator[dict[str, Any]]:
    """Every arm, on the test rows of the groups that it is about."""
    home, roles = train.reference, {g: roles_of(train, g) for g in train.smaller}
    for arm, runs in plan.runs.items():
        if arm.halved >= 0 or 0 < arm.patients < FEWEST:
            continue
        about = home if arm.kind == "match" else arm.code
        tested = {g for g in train.smaller if arm in roles[g].values()} | {arm.code}
        tested |= {home} if arm.kind != "thin" else set()
        for code in sorted(tested - {-1}):
            of = about if about >= 0 else code
            yield {
                "group": train.names[code],
                "quantity": "auroc",
                "trained": words(train, arm),
                "tested": train.names[code],
                **composition(train, plan.rows[runs], of),
                "draws": len(runs),
                **_told(judged.of(runs, code), judged.why[code], level),
            }


def words(train: Training, arm: Arm) -> str:
    """An arm for people: "all rows", "White thinned", "Black alone"."""
    name, home = train.names[arm.code], train.names[train.reference]
    return {
        "all": "all rows",
        "thin": f"{name} thinned",
        "match": f"{home} thinned to the size and prevalence of {name}",
        "only": f"{name} alone",
    }[arm.kind]


def _why(
    train: Training, plan: Plan, judged: Marks, g: int, arms: Iterable[Arm]
) -> str:
    """Why a sum over arms cannot be told, or ""."""
    if train.patients(g) < FEWEST:
        return f"fewer than {FEWEST} training patients"
    for arm in arms - plan.runs.keys():
        few = "the reference has too few patients"
        return few + " to match the prevalence" * (arm.kind == "match")
    return judged.why[g] or judged.why[train.reference]


def _sum(factors: Sequence[float], parts: Sequence[Estimate]) -> Estimate:
    """A weighted sum, replicate by replicate and draw by draw."""
    names = ("value", "seeds", "draws")
    summed = (
        sum(c * getattr(e, name) for c, e in zip(factors, parts, strict=True))
        for name in names
    )
    effective = np.min([e.effective for e in parts], axis=0)
    return Estimate(*summed, effective, np.all([e.ok for e in parts], axis=0))


def _told(found: Estimate | None, why: str, level: float) -> dict[str, Any]:
    """The columns value, low, high, status, why."""
    if found is None or why:
        none = dict.fromkeys(("value", "low", "high"), np.nan)
        return none | {"status": NOT_ESTIMABLE, "why": why}
    low, high = (float(x) for x in inference.interval(found, level))
    ends = {"value": float(found.value), "low": low, "high": high}
    return ends | {"status": OK, "why": ""}
