"""Draws by cell: rare classes or groups are seen more often, or common ones less.

Kubat & Matwin 1997 (undersampling), Japkowicz & Stephen 2002 (both); in balanced-group
form Idrissi et al. 2022 (CLeaR, "Simple data balancing").
"""

import numpy as np

from equity_jax.methods.base import ones, weighted_loss
from equity_jax.nouns import Method
from equity_jax.types import Counts, InputError

AXES = {"class": (1,), "group": (0,), "both": ()}
ALL, KNOWN = slice(None), slice(None, -1)
CELLS = {"class": (KNOWN, ALL), "group": (ALL, KNOWN), "both": (KNOWN, KNOWN)}


def balanced_rates(counts: Counts, by: str, down: bool) -> np.ndarray:
    """Draw rates float[C + 1, G + 1] that make the cells of `by` equally likely.

    Up: the largest cell keeps rate 1 and others are drawn more often; down: the
    smallest cell keeps all rows and others a share of theirs. Undecided classes and
    unrecorded groups keep rate 1. Of several labels a group has as many rows as are
    observed on average over them.
    """
    if by not in AXES:
        raise InputError(f"resampling by {by!r}; expected 'class', 'group' or 'both'")
    rows = np.asarray(counts.table, np.float64)
    if rows.shape[0] != 1 and by != "group":
        raise InputError(
            f"resampling by {by!r} needs one label, the task has {rows.shape[0]}: the"
            " cells of several labels overlap; resample by 'group', or use a weighted"
            " loss"
        )
    rates = np.ones(rows.shape[1:])
    known = CELLS[by]
    cells = rows.mean(0).sum(AXES[by], keepdims=True)[known]
    if not cells.any():
        return rates
    goal = cells[cells > 0].min() if down else cells.max()
    rates[known] = np.where(cells > 0, goal / np.maximum(cells, 1.0), 1.0)
    return rates


def oversample(by: str = "both") -> Method:
    """Rows of rare cells are drawn more often until all cells are equally likely.

    Cells are classes, groups, or "both": each class within each group.

    Example: oversample('group') with 90 and 10 rows draws the ten 9 times as often.
    """
    return Method(
        lambda counts: balanced_rates(counts, by, down=False),
        lambda counts: {"table": ones(counts)},
        weighted_loss,
    )


def undersample(by: str = "both") -> Method:
    """Rows of common cells are thrown away, once per seed, down to the rarest cell.

    Example: undersample('group') with 90 and 10 rows keeps ten of the ninety.
    """
    return Method(
        lambda counts: balanced_rates(counts, by, down=True),
        lambda counts: {"table": ones(counts)},
        weighted_loss,
    )
