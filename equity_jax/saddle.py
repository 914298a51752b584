r"""Exponentiated gradient: the fairest mixture of classifiers that an oracle finds.

Agarwal, Beygelzimer, Dudík, Langford & Wallach, "A reductions approach to fair
classification", ICML 2018. Of all mixtures Q of classifiers h, the one with the fewest
errors whose rates differ by at most eps,
$$\min_Q \mathrm{err}(Q)\ \text{s.t.}\ |\gamma_{eg}(Q)| \le \varepsilon,\qquad
\gamma_{eg} = P(h=1\mid e,g) - P(h=1\mid e),$$
events e: all rows (demographic parity), rows with y = 1 (equal opportunity), rows with
y = 1 and rows with y = 0 (equalized odds). It is the saddle point of
$L(Q,\lambda)=\mathrm{err}+\sum\lambda^\pm(\pm\gamma-\varepsilon)$: the multipliers move
by $\theta\leftarrow\theta+\eta(\pm\gamma(h)-\varepsilon)$, $\lambda=B\,e^\theta/(1+\sum
e^\theta)$, B = 1 / eps, and h is the best answer to them: a classifier of the labels
1[s > 0] with weights |s|, which depend on a row's label and group alone,
$$s_i = 2y_i - 1 + \sum_{e\ni i}\Big(\frac{n}{n_e}\sum_g\mu_{eg}
- \frac{n}{n_{eg_i}}\mu_{eg_i}\Big),\qquad \mu=\lambda^+-\lambda^-.$$
After each step a linear program finds the best mixture of all classifiers so far; the
search ends when the duality gap is below the error's own noise (as in fairlearn).

A row whose group is not recorded counts as an error, and constrains nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from tqdm import tqdm

ROUNDS, SOONEST = 50, 5  # at most; before which no search ends
RATE, SHRINK = 2.0, 0.8  # first step, in units of 1 / B; factor when nothing is gained
MULTIPLES = np.array([1.0, 2.0, 5.0, 10.0])  # of the multipliers that are answered

Oracle = Callable[[np.ndarray], np.ndarray]
"""s of every label and group float[L, 2, G + 1] -> L classifiers' answers bool[L, N]"""


class Reduced(NamedTuple):
    """A random classifier: one of P is drawn, and applied.

    chance: float32[N], every row's chance of being called positive; share: float[P], of
    the classifiers; error, violation: on the training rows, the latter the largest
    |gamma|; gap: of duality; multipliers: float[T, 2, E, G], the path of lambda.
    """

    chance: np.ndarray
    share: np.ndarray
    error: float
    violation: float
    gap: float
    multipliers: np.ndarray


class Problem(NamedTuple):
    """events: bool[E, 2]; counts: float[2, G], training rows; total: all of them, with
    those of no group; y, code: int[n] of these.
    """

    events: np.ndarray
    counts: np.ndarray
    total: int
    y: np.ndarray
    code: np.ndarray

    @property
    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of every event, float[E, 1], and of its groups, float[E, G]."""
        own = self.events.astype(float) @ self.counts
        return own.sum(1, keepdims=True), own

    def signed(self, multipliers: np.ndarray) -> np.ndarray:
        """Float[L, 2, G + 1], s of labels and groups; multipliers: [L, 2, E, G]."""
        mu, (every, own) = multipliers[:, 0] - multipliers[:, 1], self.cells
        pull = mu.sum(2, keepdims=True) / every - mu / np.maximum(own, 1)
        moved = np.einsum("ey,leg->lyg", self.events, self.total * pull)
        plain = np.broadcast_to([[-1.0], [1.0]], (*moved.shape[:2], 1))
        return np.concatenate([moved + plain, plain], 2)

    def facts(self, called: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Errors float[L] and (gamma, -gamma) float[L, 2, E, G] of bool[L, n]."""
        groups = self.counts.shape[1]
        cell = np.where(self.code < 0, 2 * groups, self.y * groups + self.code)
        found = [np.bincount(cell, c, 2 * groups + 1)[:-1] for c in called * 1.0]
        positives = np.reshape(found, (len(called), 2, groups))
        own = np.einsum("ey,lyg->leg", self.events, positives)
        every, cells = self.cells
        gamma = own / np.maximum(cells, 1) - own.sum(2, keepdims=True) / every
        gamma = np.where(cells > 0, gamma, 0.0)
        errors = np.mean(called != (self.y == 1), axis=1)
        return errors, np.stack([gamma, -gamma], 1)


class _Pool:
    """All classifiers so far: P answers bool[N], errors [P], gammas [P, 2, E, G]."""

    def __init__(self, problem: Problem, oracle: Oracle, rows: np.ndarray, eps: float):
        self.problem, self.oracle, self.rows, self.eps = problem, oracle, rows, eps
        self.called: list[np.ndarray] = []
        self.errors, shape = np.zeros(0), (2, *problem.cells[1].shape)
        self.gammas = np.zeros((0, *shape))

    def value(self, multipliers: np.ndarray) -> np.ndarray:
        """float[P]: err + sum lambda gamma of every classifier."""
        return self.errors + np.einsum("pseg,seg->p", self.gammas, multipliers)

    def ask(self, multipliers: np.ndarray) -> None:
        """Takes up the answers to [L, 2, E, G] that are better than all before."""
        called = self.oracle(self.problem.signed(multipliers))
        errors, gammas = self.problem.facts(called[:, self.rows])
        for i, each in enumerate(multipliers):
            value = errors[i] + np.sum(each * gammas[i])
            if not len(self.errors) or value < self.value(each).min() - 1e-8:
                self.called.append(called[i])
                self.errors = np.append(self.errors, errors[i])
                self.gammas = np.concatenate([self.gammas, gammas[i : i + 1]])

    def gap(self, share: np.ndarray, multipliers: np.ndarray) -> float:
        """How far a mixture and multipliers are from the saddle point."""
        mu = multipliers[0] - multipliers[1]
        least = np.stack([np.maximum(mu, 0), np.maximum(-mu, 0)])  # the same, smaller
        share = np.pad(share, (0, len(self.errors) - len(share)))
        every = self.value(least) - self.eps * least.sum()
        over = np.tensordot(share, self.gammas, 1).max() - self.eps
        high = share @ self.errors + max(over, 0) / self.eps
        here = share @ every
        return float(max(here - every.min(), high - here))

    def program(self) -> tuple[np.ndarray, np.ndarray]:
        """The best mixture float[P], and its multipliers, by a linear program."""
        flat = self.gammas.reshape(len(self.errors), -1).T
        cost = np.append(self.errors, 1 / self.eps)  # the last: of violation
        bound = np.append(flat - self.eps, -np.ones((len(flat), 1)), 1)
        one = np.append(np.ones((1, len(self.errors))), [[0]], 1)
        limits = {"b_ub": np.zeros(len(flat)), "A_eq": one, "b_eq": [1.0]}
        best = linprog(cost, A_ub=bound, **limits, method="highs-ds")
        return best.x[:-1], -best.ineqlin.marginals.reshape(self.gammas.shape[1:])


def search(
    problem: Problem,
    oracle: Oracle,
    rows: np.ndarray,
    eps: float,
    rounds: int = ROUNDS,
    quiet: bool = True,
) -> Reduced:
    """The saddle point of a problem, rows: int[n] of the oracle's N being its own.

    Example: `search(problem, oracle, np.arange(800), 0.01).gap` is below 0.01.
    """
    pool = _Pool(problem, oracle, rows, eps)
    # the multiplier of a group that an event lacks is zero
    theta = np.where(problem.cells[1] > 0, np.zeros((2, 1, 1)), -np.inf)
    total = np.zeros_like(theta)
    best, answers, path, gaps = (np.inf, None), [], [], []
    rate, looked, last = RATE * eps, SOONEST, np.inf
    several = MULTIPLES[:, None, None, None]
    for t in tqdm(range(rounds), "exponentiated gradient", disable=quiet):
        power = np.exp(theta)
        now = power / (1 + power.sum()) / eps
        path, total = [*path, now], total + now
        mean = total / (t + 1)
        pool.ask(np.concatenate([now[None], several * mean]))
        h = int(np.argmin(pool.value(now)))
        answers.append(h)
        if not t:  # errors cannot be told more finely than this
            enough = 0.5 * np.sqrt(pool.errors[h] * (1 - pool.errors[h]) / len(rows))
        share = np.bincount(answers) / (t + 1)
        gaps.append(pool.gap(share, mean))
        tried = [(gaps[-1], share)]
        if t:
            share, at = pool.program()
            pool.ask(np.concatenate([at[None] / 2, several * at]))
            tried.append((pool.gap(share, at), share))
        best = min(best, *tried, key=lambda each: each[0])
        if best[0] < enough and t >= SOONEST:
            break
        if t >= 1.6 * looked:
            rate *= SHRINK if min(gaps) > SHRINK * last else 1
            looked, last = t, min(gaps)
        theta = theta + rate * (pool.gammas[h] - eps)
    return _mixed(pool, *best, path)


def _mixed(
    pool: _Pool, gap: float, share: np.ndarray, path: list[np.ndarray]
) -> Reduced:
    many = len(share)
    chance = (share @ np.stack(pool.called[:many])).astype(np.float32)
    violation = float(np.tensordot(share, pool.gammas[:many], 1).max())
    error = float(share @ pool.errors[:many])
    return Reduced(chance, share, error, violation, gap, np.array(path))
