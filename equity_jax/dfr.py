r"""Deep feature reweighting: the last layer, fitted again on balanced rows.

Kirichenko, Izmailov & Wilson, "Last layer re-training is sufficient for robustness to
spurious correlations", ICLR 2023, in its form on training rows: every cell (class
within a group) is drawn down to the size of the smallest, a logistic regression is
fitted, and the coefficients of several such draws are averaged,
$$\bar w = \tfrac1M \sum_m \arg\min_w \sum_{i \in B_m} \ell(w; x_i, y_i) +
\tfrac{\lambda}{2}|w|^2 .$$
The penalty comes from validation rows, weighed so that their cells count alike. It is a
ridge's, where the paper has a lasso's: all draws, labels and penalties are one program.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from equity_jax import solvers
from equity_jax.keys import generator
from equity_jax.probe import held
from equity_jax.probes import L2S
from equity_jax.types import TRAIN, VALID, Array

REFITS = 10
LEAST = 5  # rows of each class that a group must have to be balanced


class Reweighted(NamedTuple):
    """scores: float32[N, C], probabilities of validation and test rows, NaN elsewhere,
    as if classes and groups were balanced; l2: chosen; rows: of each cell in a draw, 0
    (and no score) where no group could be balanced; groups: int[g], those that were.
    """

    scores: np.ndarray
    l2: float
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
        x: float[N, F], standardized with the training rows.
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
    x, target, group = np.asarray(x), np.asarray(target), np.asarray(group)
    split, classes = np.asarray(split), int(np.max(target)) + 1
    cells, groups = _cells(target, group, split == TRAIN, classes)
    scores = np.full((len(x), classes), np.nan, np.float32)
    if not len(groups):
        return Reweighted(scores, np.nan, 0, groups)
    train, rest = split == TRAIN, held(split)
    rng, least = generator(seed, "dfr"), min(map(len, cells))
    drawn = np.zeros((refits, len(x)), np.float32)
    for one in drawn:
        one[np.concatenate([rng.choice(c, least, replace=False) for c in cells])] = 1
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
    return Reweighted(scores, float(l2s[best]), least, groups)


def _cells(
    target: np.ndarray, group: np.ndarray, train: np.ndarray, classes: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Training rows of every class of every group that has enough; these groups."""
    made, kept = [], []
    for code in np.unique(group[train & (group >= 0)]):
        mine = train & (group == code)
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
