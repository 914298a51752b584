"""AUROC of many replicates where blocks are few: a quadratic form in their weights.

With B blocks, the pairs (positive, negative) that are ranked rightly, counted between
every two blocks, are a matrix W, and a replicate that draws block b w_b times has won
w' W w pairs. For the few hundred blocks of a table of counts this is much quicker than
prefix sums over its rows, and equal to them.
"""

from typing import NamedTuple

import numpy as np

FEW = 256  # blocks up to which it is quicker


class Pairs(NamedTuple):
    """won: float[B, B], pairs ranked rightly (ties a half) between the positives of a
    block and the negatives of another; sick, well: float[B], weights of the classes.
    """

    won: np.ndarray
    sick: np.ndarray
    well: np.ndarray


def pairs(
    score: np.ndarray,
    y: np.ndarray,
    block: np.ndarray,
    blocks: int,
    weight: np.ndarray | None = None,
) -> Pairs:
    """Counts the pairs of float[n] scores with labels 0 or 1."""
    weight = np.ones(len(y)) if weight is None else weight
    sick, well = np.flatnonzero(y > 0.5), np.flatnonzero(~(y > 0.5))
    well = well[np.argsort(score[well], kind="stable")]
    member = np.zeros((len(well) + 1, blocks))
    member[np.arange(len(well)) + 1, block[well]] = weight[well]
    below = np.cumsum(member, axis=0)
    mine = np.zeros((blocks, len(sick)))
    mine[block[sick], np.arange(len(sick))] = 0.5 * weight[sick]
    low, high = (
        np.searchsorted(score[well], score[sick], s) for s in ("left", "right")
    )
    won = mine @ below[low] + mine @ below[high]
    totals = (np.bincount(block[c], weight[c], blocks) for c in (sick, well))
    return Pairs(won, *totals)


def auroc_of_pairs(counted: Pairs, drawn: np.ndarray) -> np.ndarray:
    """float[R]: AUROC under float[B, R]; NaN where a class has no weight."""
    w = drawn.astype(float)
    pairs = (counted.sick @ w) * (counted.well @ w)
    won = np.sum((counted.won.T @ w) * w, axis=0)
    return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
