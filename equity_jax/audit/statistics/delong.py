r"""AUROC and its variance in closed form: DeLong's, and Obuchowski's for clusters.

The AUROC is the mean *placement* of the positives: the share of negatives that each
ranks above, ties a half. Placements come from midranks in O(n log n) (Sun & Xu 2014).
With $V_i$ the placements of m positives, $U_j$ those of n negatives (the share of
positives above it), and A their common mean, the variance is
$S_+/m + S_-/n$ with S the sample variances (DeLong, DeLong & Clarke-Pearson 1988).

Rows of one block are not independent: Obuchowski (1997) sums $V_i - A$ and $U_j - A$
over each block first, and adds their covariance, since a block may hold positives and
negatives. With $I_+$ blocks that hold a positive, $I_-$ a negative, I blocks in all,
$$\frac{I_+}{I_+-1}\sum_b a_b^2 + \frac{I_-}{I_--1}\sum_b c_b^2
+ \frac{2I}{I-1}\sum_b a_b c_b,\quad a_b=\frac1m\sum_{i\in b}(V_i-A),\
c_b=\frac1n\sum_{j\in b}(U_j-A).$$
When every block has one row this *is* DeLong's variance.
"""

from typing import NamedTuple

import numpy as np

from equity_jax.audit.statistics.draws import effective_number


class Delong(NamedTuple):
    """An AUROC, its standard error and the placements behind them.

    auroc, se: float (NaN: not known); effective: float, 1 + degrees of freedom of se;
    positives: float[m], negatives: float[n].
    """

    auroc: float
    se: float
    effective: float
    positives: np.ndarray
    negatives: np.ndarray


def delong(score: np.ndarray, y: np.ndarray, block: np.ndarray) -> Delong:
    """AUROC of one set of rows with its standard error.

    Args:
        score: float[N], finite.
        y: [N] of 0 and 1.
        block: int[N], the patient of each row.

    Returns:
        Delong; auroc NaN without both classes, se NaN with fewer than two blocks of
        either class.

    Example:
        >>> score, y = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
        >>> found = delong(score, y, np.arange(4))
        >>> print(found.auroc, round(found.se, 4))
        0.75 0.3536
    """
    sick = np.asarray(y) > 0.5
    score, block = np.asarray(score), np.asarray(block)
    return delong_between(score[sick], block[sick], score[~sick], block[~sick])


def delong_between(
    score_pos: np.ndarray,
    block_pos: np.ndarray,
    score_neg: np.ndarray,
    block_neg: np.ndarray,
) -> Delong:
    """The same of positives and negatives given apart: xAUC (Kallus & Zhou 2019).

    Args:
        score_pos: float[m], positives of one group.
        block_pos: int[m], their patients, who may be on both sides.
        score_neg: float[n], negatives of another group.
        block_neg: int[n].
    """
    m, n = len(score_pos), len(score_neg)
    if m == 0 or n == 0:
        return Delong(np.nan, np.nan, 0.0, np.full(m, np.nan), np.full(n, np.nan))
    positives = placements(score_pos, score_neg)
    negatives = 1 - placements(score_neg, score_pos)
    auroc = float(positives.mean())
    sums = _Sums.of(block_pos, block_neg)
    a, c = sums.add(positives - auroc, negatives - auroc)
    se = float(np.sqrt(sums.covariance(a, c, a, c)))
    return Delong(auroc, se, sums.effective(), positives, negatives)


def placements(score: np.ndarray, among: np.ndarray) -> np.ndarray:
    """float[m]: share of `among` [n] below each of `score` [m]; equal ones count half.

    Equal to (midrank in both - midrank in `score`) / n of Sun & Xu, by bisection.
    """
    ranked = np.sort(among)
    below = np.searchsorted(ranked, score, side="left")
    upto = np.searchsorted(ranked, score, side="right")
    return (below + upto) / (2 * len(ranked))


class _Sums(NamedTuple):
    """Places of the rows' blocks, and the factors I/(I-1) (NaN where I is 1)."""

    pos: np.ndarray
    neg: np.ndarray
    blocks: int
    factors: tuple[float, float, float]

    @classmethod
    def of(cls, block_pos: np.ndarray, block_neg: np.ndarray) -> "_Sums":
        """Numbers the blocks of both sides together."""
        both = np.concatenate([block_pos, block_neg])
        names, place = np.unique(both, return_inverse=True)
        pos, neg = np.split(place, [len(block_pos)])
        counts = len(np.unique(pos)), len(np.unique(neg)), len(names)
        factors = tuple(i / (i - 1) if i > 1 else np.nan for i in counts)
        return cls(pos, neg, len(names), factors)

    def add(self, v: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """a, c: float[blocks] each."""
        a = np.bincount(self.pos, v, self.blocks) / len(v)
        return a, np.bincount(self.neg, u, self.blocks) / len(u)

    def effective(self) -> float:
        """1 + degrees of freedom of the standard error.

        Welch's, of two samples of equal spread, when every row is its own block. Else
        the classes share what is learned from the blocks: Kish's effective number of
        blocks of the scarcer class.
        """
        m, n = len(self.pos), len(self.neg)
        if self.blocks < m + n:
            counts = (
                np.bincount(x, minlength=self.blocks) for x in (self.pos, self.neg)
            )
            return min(float(effective_number(x)) for x in counts)
        if min(m, n) < 2:
            return 1.0
        whole = (1 / m + 1 / n) ** 2
        return 1 + whole / (1 / (m**2 * (m - 1)) + 1 / (n**2 * (n - 1)))

    def covariance(
        self, a: np.ndarray, c: np.ndarray, other_a: np.ndarray, other_c: np.ndarray
    ) -> float:
        """Of two AUROCs; the variance when they are the same."""
        first, second, third = self.factors
        within = first * (a @ other_a) + second * (c @ other_c)
        return float(within + third * (a @ other_c + c @ other_a))
