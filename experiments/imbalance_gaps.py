r"""The minority's curve, and its gap in parts that add up, from judged heads.

    gap = noise + amount + prevalence + shift

*noise* is what a finite test adds to the size of any gap: $g - \mathrm{sign}(g)
\sqrt{\max(g^2 - V, 0)}$ with V the variance of g over test patients, so that a gap
within its standard error is all noise; *amount* is what goes when the reference is
thinned to as many patients as the minority has; *prevalence* what goes when these have
its prevalence too; *shift* is what is left: noisy labels, fainter signs, another
relation of x and y. (Parts, arms and halves: ef_separate.py, ef_subsamples.py.)

Intervals resample test patients and draws, crossed; those of the gap at all rows and of
its parts allow for other training patients of the minority, by halves of those there
are.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK
from equity_jax.audit.statistics import inference, intervals
from equity_jax.audit.statistics.inference import Estimate, difference
from equity_jax.audit.statistics.learning import REACH, SIZES, band, laws, needed
from experiments.ef_marks import Marks
from experiments.ef_subsamples import (
    FEWEST,
    Arm,
    Plan,
    Training,
    composition,
    halves_of,
    roles_of,
    shares_of,
)

PARTS = ("gap", "noise", "amount", "prevalence", "shift")
LAW = ("law at all rows", "law at twice the rows", "rows needed")
COLUMNS = "group quantity rows patients value low high status why".split()
SHOWN = 12  # points of a drawn law


def table(
    train: Training, plan: Plan, judged: Marks, goal: float, level: float = 0.95
) -> pd.DataFrame:
    """curves.csv: the columns COLUMNS, a row a group and quantity.

    Quantities: PARTS; "gap at" (the gap with `rows` training rows of the group, from
    `patients` of its patients); "law" (the curve through these, up to REACH times all
    rows); LAW. Goal: the gap that is small enough for "rows needed"; its high end is
    infinite where the replicates do not reach it.

    Example: `view(table(train, plan, judged, 0.02), quantity="shift")`.
    """
    rows: list[dict[str, Any]] = []
    for g in train.smaller:
        few = f"fewer than {FEWEST} training patients"
        why = few if train.patients(g) < FEWEST else ""
        why = why or judged.why[g] or judged.why[train.reference]
        if why:
            made = [_row(name, why=why) for name in (*PARTS, *LAW)]
        else:
            run, who = plan.runs[Arm("all")][0], (train.reference, g)
            gaps = gaps_of(train, plan, judged, g)
            made = [*_parts(gaps, judged, run, who, level)]
            made += _curve(train, plan, judged, g, goal, level)
        rows += [{"group": train.names[g]} | row for row in made]
    return pd.DataFrame.from_records(rows, columns=COLUMNS)


def gaps_of(train: Training, plan: Plan, judged: Marks, g: int) -> dict[str, Estimate]:
    """The gap to the reference as trained ("all"), at equal size ("equal"), and at
    equal prevalence too ("match", where it could be had).
    """
    roles, halves = roles_of(train, g), halves_of(train, g)
    return {
        role: _gap(judged, train, g, plan.runs[roles[role]], plan.runs[halves[role]])
        for role in ("all", "equal", "match")
        if roles[role] in plan.runs
    }


def noise_of(gap: np.ndarray, spread: float) -> np.ndarray:
    """What a test of variance `spread` adds to a gap float[...].

    Example:
        >>> print(noise_of(np.array([0.05, 0.5, -0.5]), 0.09).round(2))
        [ 0.05  0.1  -0.1 ]
    """
    return gap - np.sign(gap) * np.sqrt(np.maximum(gap**2 - spread, 0))


def _gap(
    judged: Marks, train: Training, g: int, runs: Sequence[int], halves: Sequence[int]
) -> Estimate:
    home = train.reference
    return difference(judged.of(runs, home, halves), judged.of(runs, g, halves))


def _parts(
    gaps: dict[str, Estimate],
    judged: Marks,
    run: int,
    of: tuple[int, int],
    level: float,
) -> Iterator[dict[str, Any]]:
    """The rows of PARTS; run: of all rows, whose test variance makes the noise."""
    tested = judged.draws[run, of[0]] - judged.draws[run, of[1]]
    spread = float(intervals.spread(tested))
    gap, equal = gaps["all"], gaps["equal"]
    moved = (noise_of(x, spread) for x in (gap.value, gap.seeds, gap.draws))
    noise = Estimate(*moved, gap.effective, gap.ok)
    left, why = gaps.get("match"), ""
    yield _row("gap", gap, level)
    yield _row("noise", noise, level)
    yield _row("amount", difference(gap, equal), level)
    if left is None:
        few = "the reference has too few patients to match the prevalence"
        yield _row("prevalence", why=few)
        left, why = equal, "with the part of the prevalence, which is not known"
    else:
        yield _row("prevalence", difference(equal, left), level)
    yield _row("shift", difference(left, noise), level) | {"why": why}


def _curve(
    train: Training, plan: Plan, judged: Marks, g: int, goal: float, level: float
) -> Iterator[dict[str, Any]]:
    """The rows of "gap at", "law" and LAW."""
    shares = [Arm("thin", g, k) for k in shares_of(train.patients(g))]
    arms = [*shares, Arm("all")]
    points = [_gap(judged, train, g, plan.runs[a], ()) for a in shares]
    points.append(gaps_of(train, plan, judged, g)["all"])
    sizes = [composition(train, plan.rows[plan.runs[a]], g) for a in arms]
    for point, size in zip(points, sizes, strict=True):
        about = {"rows": size["images"], "patients": size["patients"]}
        yield _row("gap at", point, level) | about
    if len(arms) < SIZES:
        few = f"fewer than {SIZES} sizes of {FEWEST} training patients or more"
        yield from (_row(name, why=few) for name in LAW)
        return
    n = np.array([size["images"] for size in sizes])
    fields = zip(*(p[:5] for p in points), strict=True)
    both = laws(n, Estimate(*map(np.stack, fields)), level)
    ends = dict(zip((n[-1], REACH * n[-1]), LAW, strict=False))
    for at in np.union1d(np.geomspace(n[0], REACH * n[-1], SHOWN), list(ends)):
        for name in ("law", *([ends[at]] if at in ends else [])):
            ready = dict(
                zip(("value", "low", "high"), band(*both, at, level), strict=True)
            )
            yield _row(name) | ready | {"rows": at, "status": OK}
    found = needed(*both, goal, level)._asdict()
    yield _row(LAW[-1]) | found | {"status": NOT_ESTIMABLE if found["why"] else OK}


def _row(
    quantity: str, found: Estimate | None = None, level: float = 0.95, why: str = ""
) -> dict[str, Any]:
    """The columns but the group's; without an estimate, NOT_ESTIMABLE."""
    row = dict.fromkeys(COLUMNS[2:7], np.nan)
    row |= {"quantity": quantity, "status": NOT_ESTIMABLE, "why": why}
    if found is None:
        return row
    low, high = (float(x) for x in inference.interval(found, level))
    return row | {"value": float(found.value), "low": low, "high": high, "status": OK}
