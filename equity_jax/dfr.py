r"""Deep feature reweighting: the last layer, fitted again on balanced rows.

Kirichenko, Izmailov & Wilson, "Last layer re-training is sufficient for robustness to
spurious correlations", ICLR 2023: every cell (class within a group) is drawn down to
the size of the smallest, a logistic regression is fitted, and the coefficients of
several such draws are averaged,
$$\bar w = \tfrac1M \sum_m \arg\min_w \sum_{i \in B_m} \ell(w; x_i, y_i) +
\lambda\,\Omega(w).$$
`validated` is the paper's DFR: draws of validation rows, and a lasso. `dfr` is its form
on training rows, the penalty from validation rows, weighed so that their cells count
alike; its penalty is a ridge's: all draws, labels and penalties are one program.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from equity_jax import solvers
from equity_jax.keys import generator
from equity_jax.lasso import sparse
from equity_jax.probe import held, scaling
from equity_jax.probes import L2S
from equity_jax.types import TEST, TRAIN, VALID, Array

REFITS, VALID_REFITS = 10, 20
L1S = tuple(1 / c for c in (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01))  # the paper's
LEAST = 5  # rows of each class that a group must have to be balanced


class Reweighted(NamedTuple):
    """scores: float32[N, C], probabilities of validation and test rows, NaN elsewhere,
    as if classes and groups were balanced; penalty: chosen; rows: of each cell in a
    draw, 0 (and no score) where no group could be balanced; groups: int[g], those that
    were.
    """

    scores: np.ndarray
    penalty: float
    rows: int
    groups: np.ndarray


def dfr(
    x: Array,
    target: Array,
    group: Array,
    split: Array,
    *,
    l2s: Sequence[float] = L2S,
    refits: int = REFITS,
    seed: int = 0,
) -> Reweighted:
    """One label's last layer on features that stay as they are.

    Args:
        x: float[N, F]; it is standardized with the training rows here.
        target: int[N], a class 0..C-1 or -1 = unknown.
        group: int[N], -1 = not recorded: such rows are scored, and not learned from.
        split: int[N], TRAIN, VALID, TEST.
        l2s: 1 / C of scikit-learn, to choose from.
        refits: draws that are averaged.
        seed: of the draws.

    Example:
        >>> dfr(x, mass, race, split).rows  # doctest: +SKIP
        61
    """
    target, group, split = map(np.asarray, (target, group, split))
    x, classes = _standardized(x, split), int(np.max(target)) + 1
    cells, groups = _cells(target, group, split == TRAIN, classes)
    scores = np.full((len(x), classes), np.nan, np.float32)
    if not len(groups):
        return Reweighted(scores, np.nan, 0, groups)
    train, rest = split == TRAIN, held(split)
    rng = generator(seed, "dfr")
    drawn = np.zeros((refits, len(x)), np.float32)
    np.put_along_axis(drawn, draws(cells, refits, rng), 1, axis=1)
    y, family = np.maximum(target, 0), "logistic" if classes == 2 else "multinomial"

    def fit(weight: np.ndarray, l2: Sequence[float]) -> np.ndarray:
        """float[R, n, C]: logits of rows held out; of two classes the first's is 0."""
        found = solvers.subsets(
            x[train], y[train], weight[:, train], l2, family=family, tolerance=1e-5
        )
        logits = np.einsum("nf,rcf->rnc", x[rest], found.coef, optimize=True)
        logits = logits + np.reshape(found.intercept, (len(logits), 1, -1))
        none = np.zeros_like(logits[:, :, : int(classes == 2)])
        return np.concatenate([none, logits], axis=2)

    tried = fit(np.repeat(drawn[:1], len(l2s), 0), l2s)
    known = np.isin(group, groups) & (target >= 0)
    best = _best(tried, target[rest], group[rest], (known & (split == VALID))[rest])
    mean = fit(drawn, [l2s[best]] * refits).mean(axis=0)
    scores[rest] = softmax(mean, axis=1)
    return Reweighted(scores, float(l2s[best]), min(map(len, cells)), groups)


def validated(
    x: Array,
    target: Array,
    group: Array,
    split: Array,
    patient: Array | None = None,
    *,
    l1s: Sequence[float] = L1S,
    refits: int = VALID_REFITS,
    seed: int = 0,
) -> Reweighted:
    """The last layer fitted on balanced validation rows, as in the paper.

    The validation patients are cut in half at random; a draw of the first half is
    fitted at every penalty, and the second half chooses by the accuracy of its worst
    cell. Then draws of all of them are averaged for the test rows. Validation rows are
    scored by the same number of draws of the other half, so that what is chosen by
    their scores is not chosen by rows that were learned from. A group must have rows
    enough in both halves.

    Args:
        x: float[N, F]; it is standardized with the training rows here.
        target: int[N], as `dfr`.
        group: int[N], as `dfr`.
        split: int[N], as `dfr`.
        patient: int[N], rows that stay together; None: each by itself.
        l1s: 1 / C of scikit-learn, to choose from.
        refits: draws that are averaged.
        seed: of halves and draws.

    Example:
        >>> validated(x, mass, race, split).penalty  # doctest: +SKIP
        3.3333333333333335
    """
    target, group, split = map(np.asarray, (target, group, split))
    x, classes = _standardized(x, split), int(np.max(target)) + 1
    patient = np.arange(len(x)) if patient is None else np.asarray(patient)
    valid, rng = split == VALID, generator(seed, "dfr/validated")
    people = rng.permutation(np.unique(patient[valid]))
    first = np.isin(patient, people[: len(people) // 2])
    halves = [valid & first, valid & ~first]
    groups = np.intersect1d(*(_cells(target, group, h, classes)[1] for h in halves))
    scores = np.full((len(x), classes), np.nan, np.float32)
    if not len(groups):
        return Reweighted(scores, np.nan, 0, groups)
    group = np.where(np.isin(group, groups), group, -1)
    made = [_cells(target, group, rows, classes)[0] for rows in (valid, *halves)]
    least = min(map(len, made[0]))
    shape = max(refits, len(l1s)), least * len(made[0])

    def fit(cells: list[np.ndarray], many: int, l1: Sequence[float]) -> np.ndarray:
        drawn = draws(cells, many, rng)
        return _logits(x, target, drawn, l1, shape, classes)

    seen = halves[1] & (target >= 0) & (group >= 0)
    best = _worst(fit(made[1], 1, l1s)[:, seen], target[seen], group[seen])
    for mine, rows in zip(made, (split == TEST, *halves[::-1]), strict=True):
        mean = fit(mine, refits, [l1s[best]])[:refits, rows].mean(0)
        scores[rows] = softmax(mean, axis=1)
    return Reweighted(scores, float(l1s[best]), least, groups)


def _standardized(x: Array, split: np.ndarray) -> np.ndarray:
    mean, scale = scaling(x, split)
    return (np.asarray(x) - mean) * scale


def _logits(
    x: np.ndarray,
    target: np.ndarray,
    drawn: np.ndarray,
    l1: Sequence[float],
    shape: tuple[int, int],
    classes: int,
) -> np.ndarray:
    """float[R, N, C], draws and penalties repeated to R lanes and padded to m rows.

    Every call has the same shape (R, m), so that they share one program.
    """
    rows = np.full(shape, -1)
    rows[:, : drawn.shape[1]] = np.resize(drawn, (shape[0], drawn.shape[1]))
    found = sparse(x, target, rows, np.resize(l1, shape[0]), classes)
    z = np.einsum("nf,rcf->rnc", x, found.coef, optimize=True)
    z = z + found.intercept[:, None]
    return np.concatenate([np.zeros_like(z), z], 2) if classes == 2 else z


def draws(
    cells: Sequence[np.ndarray], refits: int, rng: np.random.Generator
) -> np.ndarray:
    """int[R, m]: rows of every cell, as many as the smallest has, drawn R times.

    Example: of cells with 7 and 3 rows each draw has 6.
    """
    least = min(map(len, cells))
    return np.stack(
        [
            np.concatenate([rng.choice(c, least, replace=False) for c in cells])
            for _ in range(refits)
        ]
    )


def _worst(logits: np.ndarray, target: np.ndarray, group: np.ndarray) -> int:
    """The first of L with the best accuracy in its worst cell; logits: [L, n, C]."""
    code = target * (group.max() + 1) + group
    right = logits.argmax(2) == target[None]
    cells = np.stack([right[:, code == c].mean(1) for c in np.unique(code)])
    return int(np.argmax(cells.min(0)))


def _cells(
    target: np.ndarray, group: np.ndarray, rows: np.ndarray, classes: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """The rows of every class of every group that has enough; these groups."""
    made, kept = [], []
    for code in np.unique(group[rows & (group >= 0)]):
        mine = rows & (group == code)
        each = [np.flatnonzero(mine & (target == c)) for c in range(classes)]
        if min(map(len, each)) >= LEAST:
            made += each
            kept.append(code)
    return made, np.array(kept, int)


def _best(
    logits: np.ndarray, target: np.ndarray, group: np.ndarray, rows: np.ndarray
) -> int:
    """The penalty with the best log-likelihood, every cell counting alike."""
    code = target[rows] * (group.max() + 1) + group[rows]
    weight = 1 / np.bincount(code)[code] if len(code) else np.zeros(0)
    told = log_softmax(logits[:, rows], axis=2)
    mine = np.take_along_axis(told, target[rows][None, :, None], axis=2)[..., 0]
    return int(np.argmax(mine @ weight))
