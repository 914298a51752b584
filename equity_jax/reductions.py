r"""Constraints by reduction: one label's head, with rates that groups share.

Exponentiated gradient (Agarwal et al. 2018; equity_jax.saddle has the formulas) over
logistic regressions or small perceptrons that are fitted again and again to labels and
weights in which the constraint is the cost of a mistake. The result is random: the
chance of being called positive. It needs no attribute at test time, and promises its
rates of the training rows alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from equity_jax import perceptrons, solvers
from equity_jax.probe import scaling
from equity_jax.saddle import ROUNDS, Oracle, Problem, Reduced, search
from equity_jax.types import TRAIN, VALID, Array, InputError

CONSTRAINTS: Mapping[str, Sequence[Sequence[bool]]] = {
    "demographic_parity": ((True, True),),
    "equal_opportunity": ((False, True),),
    "equalized_odds": ((True, False), (False, True)),
}
"""Name -> for every event, whether rows with y = 0 and with y = 1 belong to it."""


def reduced(
    x: Array,
    target: Array,
    group: Array,
    split: Array,
    constraint: str = "equalized_odds",
    *,
    eps: float = 0.01,
    head: str = "linear",
    l2: float = 1.0,
    units: int = 16,
    rounds: int = ROUNDS,
    seed: int = 0,
    quiet: bool = True,
) -> Reduced:
    """The mixture of classifiers with the fewest errors under a constraint.

    Args:
        x: float[N, F]; it is standardized with the training rows here.
        target: int[N], 0 or 1, -1 = unknown: scored, and not learned from.
        group: int[N], -1 = not recorded.
        split: int[N], TRAIN, VALID, TEST.
        constraint: of CONSTRAINTS, on the training rows.
        eps: how far a group's rate may be from that of all.
        head: of HEADS, "linear" or "mlp" (validation rows say when to stop).
        l2: 1 / C of scikit-learn, of the classifiers.
        units: of the hidden layer.
        rounds: steps of the multipliers, at most.
        seed: of the perceptrons.
        quiet: no progress bar.

    Raises:
        InputError: an unknown constraint or head, an eps that is not in 0..1, labels
            that are not 0 and 1, fewer than two groups that the constraint compares.

    Example:
        >>> reduced(x, died, race, split).violation  # doctest: +SKIP
        0.0097
    """
    target, group, split = map(np.asarray, (target, group, split))
    for noun, name, known in (
        ("constraint", constraint, CONSTRAINTS),
        ("head", head, HEADS),
    ):
        if name not in known:
            raise InputError(f"unknown {noun} {name!r}; known: {', '.join(known)}")
    if not 0 < eps < 1:
        raise InputError(f"eps {eps!r}; expected a number between 0 and 1")
    rows = np.flatnonzero((split == TRAIN) & (target >= 0))
    y, code = target[rows], group[rows]
    if sorted(set(y.tolist())) != [0, 1] or target.max() > 1:
        raise InputError("reductions need labels of two classes, and rows of both")
    counts = np.zeros((2, max(int(group.max()) + 1, 1)))
    np.add.at(counts, (y[code >= 0], code[code >= 0]), 1)
    problem = Problem(np.array(CONSTRAINTS[constraint]), counts, len(rows), y, code)
    if (problem.cells[1] > 0).sum(1).min() < 2:
        raise InputError(f"{constraint} compares two groups or more with training rows")
    mean, scale = scaling(x, split)
    x = ((np.asarray(x) - mean) * scale).astype(np.float32)
    oracle = HEADS[head](x, target, group, split, l2, units, seed)
    return search(problem, oracle, rows, eps, rounds, quiet)


def _asked(
    signed: np.ndarray, y: np.ndarray, code: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels bool[L, n] and weights of the rows, and which lanes have one label only.

    Those are given the rows' own labels, so that every lane can be fitted.
    """
    s = signed[:, y, code]
    one = (s > 0).all(1) | (s <= 0).all(1)
    weight = np.where(one[:, None], 1.0, np.abs(s))
    weight = weight / weight.mean(1, keepdims=True)
    return np.where(one[:, None], y == 1, s > 0), weight.astype(np.float32), one


def _linear(
    x: np.ndarray,
    target: np.ndarray,
    group: np.ndarray,
    split: np.ndarray,
    l2: float,
    units: int,
    seed: int,
) -> Oracle:
    """Logistic regressions, all lanes of a question side by side."""
    rows = np.flatnonzero((split == TRAIN) & (target >= 0))

    def answer(signed: np.ndarray) -> np.ndarray:
        wanted, weight, one = _asked(signed, target[rows], group[rows])
        fits = solvers.subsets(x[rows], wanted, weight, l2, tolerance=1e-5)
        z = fits.coef[:, 0] @ x.T + fits.intercept
        return np.where(one[:, None], signed[:, 1, :1] > 0, z > 0)

    return answer


def _mlp(
    x: np.ndarray,
    target: np.ndarray,
    group: np.ndarray,
    split: np.ndarray,
    l2: float,
    units: int,
    seed: int,
) -> Oracle:
    """Perceptrons, stopped by what validation rows would cost."""
    known = [np.flatnonzero((split == s) & (target >= 0)) for s in (TRAIN, VALID)]
    if not len(known[1]):
        raise InputError("a constrained perceptron needs validation rows to stop by")

    def answer(signed: np.ndarray) -> np.ndarray:
        asked = [_asked(signed, target[rows], group[rows]) for rows in known]
        given = [
            perceptrons.Rows(x[rows], wanted.astype(np.int32), weight)
            for rows, (wanted, weight, _) in zip(known, asked, strict=True)
        ]
        lanes, one = np.ones(len(signed)), asked[0][2]
        sizes = units * lanes.astype(int), l2 * lanes
        z = perceptrons.fit(*given, x, *sizes, seed)
        return np.where(one[:, None], signed[:, 1, :1] > 0, z[..., 1] > z[..., 0])

    return answer


HEADS = {"linear": _linear, "mlp": _mlp}
"""Name -> the oracle of these rows."""
