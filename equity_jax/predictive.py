"""What a count model foretells, on the host in float64: coverage, intervals, burden.

Where a source suppresses the counts 1..9, a published count is a draw from the
predictive distribution *given that it is published*, so it is that distribution that
its interval and its expectation come from. For a source that publishes every count
(`suppressed=False`) it is the plain one.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import special

from equity_jax.counts import LOG_ALPHA, LOG_MU, SMALL, burden_edge, log_likelihood
from equity_jax.types import Array, Counted


class Forecast(NamedTuple):
    """Row by row, each [N].

    mu: float, expected count; expected: float, the same given that the cell is
    published; published: bool, the exact count is known and there is an exposure;
    covered: bool, it lies in the predictive interval (False where not published);
    nll: float, as the count task's (0 where there is no exposure).
    """

    mu: np.ndarray
    expected: np.ndarray
    published: np.ndarray
    covered: np.ndarray
    nll: np.ndarray


class _Law(NamedTuple):
    mu: np.ndarray
    alpha: np.ndarray | None
    small: np.ndarray  # float[N, 10]: P(Y = 0..9)
    hides: np.ndarray  # bool[N]: counts 1..9 are never published

    def rows(self, keep: np.ndarray) -> "_Law":
        alpha = None if self.alpha is None else self.alpha[keep]
        return _Law(self.mu[keep], alpha, self.small[keep], self.hides[keep])


def forecast(
    logits: Array, y: Counted, level: float = 0.9, *, suppressed: bool = True
) -> Forecast:
    """Expected counts, and whether the central `level` interval holds each count.

    logits float[N, 2] (log rate, log alpha) or float[N, 1] (Poisson); y: fields
    float[N, 1]; suppressed: the source hides 1..9 (bool or bool[N]; a row whose exact
    count is in 1..9 is never counted as such). A count y is covered when it lies
    between the (1 - level) / 2 and (1 + level) / 2 quantiles q, both ends included:
    F(y) >= (1 - level) / 2 and F(y - 1) < (1 + level) / 2, so no quantile is searched.
    Because counts are discrete, a true model covers `level` or somewhat more.

    Example: with mu = 100, Poisson, `covered` is True for 84..117.
    """
    y, law = _law(logits, y, suppressed)
    hidden = np.where(law.hides, law.small[:, 1:].sum(1), 0.0)
    lost = np.where(law.hides, law.small[:, 1:] @ np.arange(1.0, SMALL), 0.0)
    expected = (law.mu - lost) / (1 - hidden)
    published = (y.low == y.high) & (y.exposure > 0)
    covered = np.zeros(published.shape, bool)
    tail = (1 - level) / 2
    seen, count = law.rows(published), y.low[published]
    covered[published] = (_cdf(seen, count) >= tail) & (
        _cdf(seen, count - 1) < 1 - tail
    )
    return Forecast(law.mu, expected, published, covered, _nll(logits, y))


def quantiles(
    logits: Array, y: Counted, level: float = 0.9, *, suppressed: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the central `level` predictive interval, float[N] each.

    As `forecast`, by bisection on the distribution (about a microsecond a row and step:
    meant for the predictions that are written out, not for every run of a sweep).
    NaN where there is no exposure.

    Example: with mu = 100, Poisson: (84, 117).
    """
    y, law = _law(logits, y, suppressed)
    there = y.exposure > 0
    ends = np.full((2, there.size), np.nan)
    law = law.rows(there)
    for i, p in enumerate(((1 - level) / 2, (1 + level) / 2)):
        ends[i, there] = _quantile(law, p)
    return ends[0], ends[1]


def burden_probability(logits: Array, y: Counted, share: float) -> np.ndarray:
    """P(Y >= share * exposure), float[N], of the plain distribution; NaN: no exposure.

    Example: share 0.1, exposure 5: P(Y >= 1).
    """
    y, law = _law(logits, y, False)
    at_least = np.ceil(burden_edge(y.exposure, share))
    value = 1 - _cdf(law, at_least - 1)
    return np.where(y.exposure > 0, np.clip(value, 0.0, 1.0), np.nan)


def _law(logits: Array, y: Counted, suppressed: Any) -> tuple[Counted, _Law]:
    y = Counted(*(np.asarray(a, np.float64).reshape(-1) for a in y))
    logits = np.asarray(logits, np.float64)
    there = y.exposure > 0
    log_mu = np.log(np.where(there, y.exposure, 1.0)) + logits[:, 0]
    mu = np.where(there, np.exp(np.clip(log_mu, *LOG_MU)), 0.0)
    alpha = np.exp(np.clip(logits[:, 1], *LOG_ALPHA)) if logits.shape[1] > 1 else None
    shown = (y.low == y.high) & (y.low > 0) & (y.low < SMALL)
    hides = np.broadcast_to(suppressed, mu.shape) & ~shown
    return y, _Law(mu, alpha, _small(mu, alpha), hides)


def _nll(logits: Array, y: Counted) -> np.ndarray:
    log_rate, *rest = np.asarray(logits, np.float32).T
    rows = Counted(*(a.astype(np.float32) for a in y))
    return -np.asarray(jax.jit(log_likelihood)(rows, log_rate, *(rest or [None])))


def _small(mu: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """P(Y = 0..9), float[N, 10], by the ratio of neighbors."""
    a = np.zeros_like(mu) if alpha is None else alpha
    first = np.exp(-mu if alpha is None else -np.log1p(a * mu) / a)
    step, columns = mu / (1 + a * mu), [first]
    for k in range(SMALL - 1):
        columns.append(columns[-1] * (1 + a * k) * step / (k + 1))
    return np.stack(columns, 1)


def _cdf(law: _Law, k: np.ndarray) -> np.ndarray:
    """P(Y <= k), given that the cell is published where law.hides; float[N]."""
    value = np.empty(law.mu.shape)
    few = k < SMALL
    below = np.concatenate([np.zeros((few.sum(), 1)), law.small[few].cumsum(1)], 1)
    value[few] = below[np.arange(len(below)), np.maximum(k[few] + 1, 0).astype(int)]
    big = law.rows(~few)
    if big.alpha is None:
        value[~few] = special.pdtr(k[~few], big.mu)
    else:
        success = 1 / (1 + big.alpha * big.mu)
        value[~few] = special.betainc(1 / big.alpha, k[~few] + 1, success)
    hidden = law.small[:, 1:].sum(1)
    given = np.where(
        k >= SMALL - 1, value - hidden, np.where(k < 0, 0.0, law.small[:, 0])
    )
    return np.where(law.hides, given / (1 - hidden), value)


def _quantile(law: _Law, p: float) -> np.ndarray:
    """The smallest k with P(Y <= k) >= p, float[N], by bisection."""
    low, high = np.full(law.mu.shape, -1.0), np.ceil(2 * law.mu) + 2 * SMALL
    while (short := _cdf(law, high) < p).any():
        low, high = np.where(short, high, low), np.where(short, 2 * high, high)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        enough = _cdf(law, middle) >= p
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high
