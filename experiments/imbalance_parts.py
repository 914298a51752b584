"""What the sections of the imbalance page share: places, words, cells, grids."""

from collections.abc import Sequence

import pandas as pd

from equity_jax.audit import view
from experiments.imbalance_fits import Result
from experiments.imbalance_worlds import ROWS


def label(axis: str, value: float) -> str:
    """A world's place on an axis, for a table's head.

    Example:
        >>> label("prevalence", 0.005), label("rows", 2000.0)
        ('0.5 %', '2,000')
    """
    return f"{value:,.0f}" if axis == ROWS else f"{100 * value:g} %"


def of(
    result: Result, axis: str, metric: str, who: str, *, contrast: str, **where: str
) -> pd.DataFrame:
    """Cells of an axis in the order of its worlds; differences are to plain."""
    rows = view(result.cells, axis=axis, metric=metric, contrast=contrast, **where)
    if contrast == "difference":
        rows = view(rows, reference=f"method:{result.plain}")
    return view(rows, group=who) if who else rows


def people(who: str) -> str:
    """Whose test rows a number is about, in words.

    Example:
        >>> people("all")
        'all test rows'
    """
    return "all test rows" if who == "all" else who


def grids(
    rows: pd.DataFrame, index: str, column: str, columns: Sequence[str]
) -> list[pd.DataFrame]:
    """value, low and high as rows × columns, for a heat map."""
    names = list(dict.fromkeys(rows[index]))
    made = []
    for part in ("value", "low", "high"):
        wide = rows.pivot_table(part, index, column, "first", dropna=False, sort=False)
        made.append(wide.reindex(index=names, columns=list(columns)).astype(float))
    return made
