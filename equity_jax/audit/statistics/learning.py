r"""Learning curves: a power law of the number of rows, and the rows that a goal needs.

$y(n) = a + b n^{-c}$ with $0.05 \le c \le 2$, by weighted least squares. Given c it is
a straight line in $n^{-c}$, so that c alone is searched for, on a grid that is refined,
for all replicates at once: nothing that could fail to converge. b < 0 is a number that
grows with n (an AUROC), b > 0 one that falls (an error, a gap).

Hestness et al., "Deep learning scaling is predictable, empirically", 2017; Mukherjee et
al., "Estimating dataset size requirements", J. Comput. Biol. 2003. A law is a
description of the sizes that were seen. Beyond twice the most of them it is not asked:
other laws fit as well there and say other things (Viering & Loog 2022).
"""

from typing import NamedTuple

import numpy as np

from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.types import Array, InputError

SIZES = 4  # different n that three numbers need, so that something is left over
REACH = 2.0  # times the largest n that was seen: no further
RATES = (0.05, 2.0)  # the exponents c that are tried


class Law(NamedTuple):
    """limit, height, rate: a, b, c of a + b n^-c, each float[...]; seen: the fewest
    and the most rows that it was fitted to.
    """

    limit: np.ndarray
    height: np.ndarray
    rate: np.ndarray
    seen: tuple[float, float]

    def at(self, n: float) -> np.ndarray:
        """float[...]: the law's value at n rows.

        Raises:
            InputError: n outside what was seen, by more than twice at the upper end.

        Example:
            >>> Law(*map(np.asarray, (0.1, 1.0, 0.5)), (50.0, 100.0)).at(100)
            np.float64(0.2)
        """
        few, most = self.seen
        if not few <= n <= REACH * most:
            raise InputError(
                f"a curve seen from {few:,.0f} to {most:,.0f} rows says nothing of"
                f" {n:,.0f}: expected at most {REACH:g} times the most"
            )
        return self.limit + self.height * n**-self.rate

    def below(self, goal: float) -> np.ndarray:
        """float[...]: the fewest rows from which on the law is at most `goal`.

        Not fewer than were seen; infinity where it is not within REACH.
        """
        few, most = self.seen
        falls = (self.height > 0) & (self.limit < goal)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            root = (self.height / (goal - self.limit)) ** (1 / self.rate)
        end = self.at(REACH * most)
        found = np.maximum(np.where(falls, root, few), few)
        return np.where(np.isnan(end), np.nan, np.where(end <= goal, found, np.inf))


class Needed(NamedTuple):
    """Rows that a goal needs; high may be infinite: not reached. why: the reason why
    no number is shown, or "".
    """

    value: float
    low: float
    high: float
    why: str


def power_law(n: Array, y: Array, weight: Array | None = None) -> Law:
    """The law of least weighted squares through y float[..., P] at n float[P] rows.

    weight: float[P], such as 1 / variance; None: all alike.

    Raises:
        InputError: fewer than SIZES different n, or an n that is not positive.

    Example:
        >>> n = np.array([10, 20, 50, 100.0])
        >>> print(power_law(n, 0.1 + n**-0.5).rate.round(3))
        0.5
    """
    n, y = np.asarray(n, float), np.asarray(y, float)
    if len(np.unique(n)) < SIZES or not (n > 0).all():
        raise InputError(
            f"a power law needs {SIZES} different numbers of rows, all above 0; got"
            f" {', '.join(f'{x:g}' for x in n)}"
        )
    weight = np.ones(len(n)) if weight is None else np.asarray(weight, float)
    weight = weight / weight.sum()
    ends = [np.full(y.shape[:-1], x) for x in np.log(RATES)]
    for points in (33, 17, 17, 17):
        rates = np.linspace(*ends, points, axis=-1)
        best = _line(n, y, weight, np.exp(rates))[2].argmin(-1)[..., None]
        near = (np.clip(best + step, 0, points - 1) for step in (-1, 1))
        ends = [np.take_along_axis(rates, place, -1)[..., 0] for place in near]
    rate = np.exp(np.take_along_axis(rates, best, -1))
    limit, height, _ = _line(n, y, weight, rate)
    return Law(limit[..., 0], height[..., 0], rate[..., 0], (n.min(), n.max()))


def _line(
    n: np.ndarray, y: np.ndarray, weight: np.ndarray, rate: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b and the weighted squares for every rate float[..., C]."""
    x, y = n ** -rate[..., None], y[..., None, :]
    middle, mean = (x * weight).sum(-1), (y * weight).sum(-1)
    dx, dy = x - middle[..., None], y - mean[..., None]
    height = (weight * dx * dy).sum(-1) / (weight * dx * dx).sum(-1)
    left = dy - height[..., None] * dx
    return mean - height * middle, height, (weight * left * left).sum(-1)


def laws(n: Array, points: Estimate, level: float = 0.95) -> tuple[Law, Law]:
    """The law through an estimate's value float[P], and those of its B replicates.

    The points weigh by their variance. Replicates are stretched about the value as the
    intervals of inference.py are, so that few draws or patients count as few.
    """
    grown = inference.stretch(points, level)[:, None]
    draws = points.value[:, None] + grown * (points.draws - points.value[:, None])
    noise = inference.sampling_variance(points)
    weight = 1 / np.maximum(noise, noise.max() * 1e-6 + 1e-300)
    return power_law(n, points.value, weight), power_law(n, draws.T, weight)


def band(law: Law, drawn: Law, n: float, level: float = 0.95) -> tuple[float, ...]:
    """(value, low, high) of the curve at n rows, by the quantiles of its replicates."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(drawn.at(n), [tail, 1 - tail])
    return float(law.at(n)), float(low), float(high)


def needed(law: Law, drawn: Law, goal: float, level: float = 0.95) -> Needed:
    """Rows from which on the curve is at most `goal`, by `laws`' two.

    An end of the interval at the fewest rows seen means "or fewer".

    Example:
        >>> needed(*laws(n, gaps), 0.05).why  # doctest: +SKIP
        'not reached with twice the 400 rows that there are'
    """
    value, rows = float(law.below(goal)), drawn.below(goal)
    rows, tail = rows[~np.isnan(rows)], (1 - level) / 2
    if np.isnan(value) or len(rows) < 0.9 * drawn.limit.size:
        return Needed(*[np.nan] * 3, "undefined in more than a tenth of the replicates")
    low = float(np.quantile(rows, tail, method="lower"))
    high = float(np.quantile(rows, 1 - tail, method="higher"))
    if np.isfinite(value):
        return Needed(value, min(low, value), max(high, value), "")
    why = f"not reached with {REACH:g} times the {law.seen[1]:,.0f} rows that there are"
    return Needed(*[np.nan] * 3, why)
