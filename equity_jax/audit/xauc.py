"""xAUC (Kallus & Zhou 2019): sick people of one group against healthy ones of others.

A model can rank well inside every group and still put the sick of one group below the
healthy of another. For groups g and h, xAUC(g, h) is the probability that a positive of
g is scored above a negative of h, ties one half; g against everyone else is given as
`xauc_positives` (its sick against the others' healthy) and `xauc_negatives` (the
others' sick against its healthy). Intervals are DeLong's, clustered by patient.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from equity_jax.audit.asking import Label
from equity_jax.audit.companions import Judged
from equity_jax.audit.contrasts import Maker
from equity_jax.audit.judging import Court
from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.delong import delong_between
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.audit.status import SMALL
from equity_jax.audit.table import shown

REST = "everyone else"
MANY = 12  # groups above which only "everyone else" is given


class Side(NamedTuple):
    """The positives and the negatives of a group: score and block of each."""

    score: tuple[np.ndarray, np.ndarray]
    block: tuple[np.ndarray, np.ndarray]


def crossed(
    court: Court, labels: list[Label], judged: list[Judged]
) -> Iterator[dict[str, Any]]:
    """Rows of the long table, contrast "cross", for groupings of one attribute."""
    if court.predictions.weight is not None:
        return  # the closed form knows no sample weights
    by_name = {label.name: label for label in labels}
    for one in judged:
        maker = one.maker
        if maker.metric != "auroc" or len(maker.grouping.names) > 1:
            continue
        label = by_name[one.label]
        for cell in maker.cells:
            s = int(cell.systems[0])
            if len(cell.seeds) == 1:
                sides = [_side(court, label, maker, s, g) for g in maker.grouping.named]
                yield from _of_cell(maker, cell, sides)


def _side(court: Court, label: Label, maker: Maker, s: int, g: int) -> Side:
    score, y, use = label.test
    rows = court.subjects.parts[maker.grouping.place[g]]
    rows = rows[use[rows]]
    sick = y[rows] > 0.5
    pair = rows[sick], rows[~sick]
    return Side(
        tuple(score[s, r] for r in pair), tuple(court.subjects.block[r] for r in pair)
    )


def _of_cell(maker: Maker, cell: Any, sides: list[Side]) -> Iterator[dict[str, Any]]:
    names = [maker.grouping.groups[g] for g in maker.grouping.named]
    for i, side in enumerate(sides):
        others = [s for j, s in enumerate(sides) if j != i]
        if not others:
            return
        rest = Side(*(_joined(others, field) for field in ("score", "block")))
        ask = [("xauc_positives", names[i], REST, side, rest)]
        ask += [("xauc_negatives", names[i], REST, rest, side)]
        if len(sides) <= MANY:
            ask += [
                ("xauc_positives", names[i], names[j], side, sides[j])
                for j in range(len(sides))
                if j != i
            ]
        place = 1 + int(maker.grouping.named[i])
        for metric, group, reference, sick, well in ask:
            yield (
                maker.named_row(cell)
                | {"contrast": "cross", "metric": metric, "threshold": np.nan}
                | {"group": group, "reference": reference}
                | maker.counted(place)
                | _told(maker, sick, well, int(maker.sizes.n[place]))
            )


def _joined(sides: list[Side], field: str) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.concatenate([getattr(s, field)[c] for s in sides]) for c in (0, 1))


def _told(maker: Maker, sick: Side, well: Side, n: int) -> dict[str, Any]:
    rules, counts = maker.rules, (len(sick.score[0]), len(well.score[1]))
    if n < rules.min_rows:
        return shown((np.nan,) * 3, "", SMALL)
    blocks = sick.block[0], well.block[1]
    found = delong_between(sick.score[0], blocks[0], well.score[1], blocks[1])
    least = min(len(np.unique(block)) for block in blocks)
    one, none = np.ones((1, 1)), np.full((1, 1), np.nan)
    ends = one * found.auroc, none[..., None], none[..., None], one * least
    made = Estimate(*ends, one > 0, one * found.se, none, "delong")
    sizes = {"n": n, "patients": least}
    sizes |= {"positives": counts[0], "negatives": counts[1]}
    why = inference.estimable("auroc", made, (0, 0), sizes, rules.unit)
    low, high = inference.interval(made, rules.level)
    several = sum(counts) > len(np.unique(np.concatenate(blocks)))
    how = "DeLong" + ", clustered" * several
    return shown((found.auroc, low[0, 0], high[0, 0]), how, why)
