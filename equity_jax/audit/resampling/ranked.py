r"""Metrics of ranked scores in every replicate: AUROC, AUPRC, decisions at thresholds.

A replicate is a vector of weights of the blocks, and all that it needs are prefix sums:
$W_-(s)$, the weight of negatives scored below s, gives AUROC with ties counted half;
with $W_+(s)$ it gives average precision and the confusion matrix at any threshold, also
one of its own for each replicate. Only the scores of positives and the thresholds are
ever asked for, so the rows between two of them are summed first: a sparse matrix
(segments × blocks) times the weights (blocks × replicates), without a sort and without
an array of rows × replicates.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from equity_jax.metrics import Confusion

NARROW = 16  # replicates below which numpy's own prefix sums are quicker


class Places(NamedTuple):
    """Where thresholds lie: int[T] among the rows of `sick`, and of `well`."""

    sick: np.ndarray
    well: np.ndarray


class Ranked(NamedTuple):
    """Rows summed between the places where a prefix sum is wanted.

    sick: sparse [U, B], positives at each of their U distinct scores, ascending; well:
    sparse [V, B], negatives between two places; low, high: int[U], places below and
    above the negatives that tie with each of those scores; at: of each threshold array.
    """

    sick: sparse.csr_array
    well: sparse.csr_array
    low: np.ndarray
    high: np.ndarray
    at: tuple[Places, ...]


class Tally(NamedTuple):
    """What R replicates say: auroc, auprc float[R]; at: a Confusion for each Places."""

    auroc: np.ndarray
    auprc: np.ndarray
    at: tuple[Confusion, ...]


def rank(
    score: np.ndarray,
    y: np.ndarray,
    block: np.ndarray,
    blocks: int,
    weight: np.ndarray | None = None,
    cuts: Sequence[np.ndarray] = (),
) -> Ranked:
    """Prepares float[n] scores with labels 0 or 1 for any number of replicates.

    Args:
        score: float[n], finite.
        y: float[n], 0 or 1.
        block: int[n] in 0..blocks-1.
        blocks: how many.
        weight: float[n], of the sample; None is all 1.
        cuts: arrays of thresholds: positive is score >= threshold.

    Example:
        >>> score, y = np.array([0.2, 0.9, 0.2]), np.array([0, 1, 1])
        >>> tally(rank(score, y, np.arange(3), 3), np.ones((3, 1))).auroc.tolist()
        [0.75]
    """
    sick, well = np.flatnonzero(y > 0.5), np.flatnonzero(~(y > 0.5))
    values, of_sick = np.unique(score[sick], return_inverse=True)
    ascending = np.sort(score[well])
    ends = [np.searchsorted(ascending, values, side=s) for s in ("left", "right")]
    below = [np.searchsorted(ascending, cut, side="left") for cut in cuts]
    points = np.unique(np.concatenate([[0], *ends, *below, [len(well)]])).astype(int)
    under = np.searchsorted(ascending, score[well], side="left")
    of_well = np.searchsorted(points, under, side="right") - 1

    def summed(code: np.ndarray, rows: np.ndarray, size: int) -> sparse.csr_array:
        data = np.ones(len(rows), np.float32) if weight is None else weight[rows]
        return sparse.csr_array((data, (code, block[rows])), shape=(size, blocks))

    at = tuple(
        Places(np.searchsorted(values, cut), np.searchsorted(points, place))
        for cut, place in zip(cuts, below, strict=True)
    )
    sums = summed(of_sick, sick, len(values)), summed(of_well, well, len(points) - 1)
    return Ranked(*sums, *(np.searchsorted(points, end) for end in ends), at)


def tally(ranked: Ranked, drawn: np.ndarray, at: Sequence[Places] = ()) -> Tally:
    """Every number of `Tally` under each of R vectors of block weights.

    Args:
        ranked: the rows.
        drawn: float[B, R], how often each block was drawn.
        at: thresholds of `ranked.at`, each for all replicates (T = 1), or one for each
            (T = R); with R = 1 a threshold gives one number each.

    Returns:
        Tally; NaN where a class has no weight.
    """
    sick = ranked.sick @ drawn
    above, below = _before(sick), _before(ranked.well @ drawn)
    total, others = above[-1].astype(float), below[-1].astype(float)
    beaten = below[ranked.low]
    with np.errstate(divide="ignore", invalid="ignore"):
        tied = below[ranked.high] + beaten
        auroc = np.einsum("ur,ur->r", sick, tied) / (2.0 * total * others)
        found = above[-1] - above[:-1]
        called = below[-1] - beaten + found
        precise = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        auprc = np.einsum("ur,ur->r", sick, precise) / total
    line = np.arange(drawn.shape[1])
    counts = []
    for place in at:
        fn = above[place.sick, line].astype(float)
        tn = below[place.well, line].astype(float)
        counts.append(Confusion(total - fn, others - tn, fn, tn))
    return Tally(auroc, np.where(others > 0, auprc, np.nan), tuple(counts))


def _before(sums: np.ndarray) -> np.ndarray:
    """[U + 1, R]: the sum of the rows before each row of [U, R], and of all."""
    found = np.empty((len(sums) + 1, sums.shape[1]), sums.dtype)
    found[0] = 0
    if sums.shape[1] < NARROW:
        np.cumsum(sums, axis=0, out=found[1:])
        return found
    for i, row in enumerate(sums):  # contiguous, and without Python's lock
        np.add(found[i], row, out=found[i + 1])
    return found
