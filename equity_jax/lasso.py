r"""Many sparse logistic models side by side: an L1 penalty, by proximal gradients.

Problem r of R has rows and a penalty of its own and minimizes
$$\sum_{i\in B_r}\mathrm{nll}(W x_i + b, y_i) + \lambda_r\,|W|_1,$$
the intercept unpenalized (liblinear's is penalized, which moves the base rate).
$\lambda$ is 1 / C of scikit-learn. Beck & Teboulle, "A fast iterative
shrinkage-thresholding algorithm", 2009; with the restarts of O'Donoghue & Candès 2015.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from equity_jax.types import Array

STEPS, LOOKS = 5000, 50  # at most; of the power iteration
MARGIN = 1.1  # over the power iteration's curvature, which comes from below


class Sparse(NamedTuple):
    """coef: float[R, M, F], M = 1 for two classes, else C; intercept: float[R, M];
    steps: int[R]; converged: bool[R].
    """

    coef: np.ndarray
    intercept: np.ndarray
    steps: np.ndarray
    converged: np.ndarray


class _At(NamedTuple):
    theta: Array  # float[M, F + 1]
    ahead: Array  # where momentum has gone
    pace: Array
    steps: Array
    moved: Array  # largest entry of the proximal gradient


def sparse(
    x: Array,
    y: Array,
    rows: Array,
    l1: Array,
    classes: int,
    *,
    tolerance: float = 1e-4,
    dtype: Any = np.float32,
) -> Sparse:
    """R models, each on rows of its own.

    Args:
        x: float[N, F], standardized, as for any penalty.
        y: int[N] in 0..C-1.
        rows: int[R, m], indices into x; -1 = none (draws of unequal size).
        l1: float[R], 1 / C of scikit-learn.
        classes: C.
        tolerance: largest partial derivative left, beside that at the start.
        dtype: float32, or float64.

    Example:
        >>> sparse(x, y, draws, np.ones(20), 2).coef.shape  # doctest: +SKIP
        (20, 1, 64)
    """
    with jax.enable_x64(np.dtype(dtype) == np.float64):
        wide = np.pad(np.asarray(x, dtype), ((0, 0), (0, 1)), constant_values=1)
        given = wide, np.asarray(y), np.asarray(rows), np.asarray(l1, dtype)
        found = _descend(*given, tolerance, classes)
        theta, steps, moved = jax.tree.map(np.asarray, found)
        return Sparse(theta[..., :-1], theta[..., -1], steps, moved <= 1)


@partial(jax.jit, static_argnums=5)
def _descend(
    x: Array, y: Array, rows: Array, l1: Array, tolerance: Array, classes: int
) -> tuple[Array, Array, Array]:
    def one(rows: Array, l1: Array) -> tuple[Array, Array, Array]:
        there = (rows >= 0).astype(x.dtype)
        last = _one(x[rows] * there[:, None], y[rows], there, l1, tolerance, classes)
        return last.theta, last.steps, last.moved

    with jax.default_matmul_precision("float32"):
        return jax.vmap(one)(rows, l1)


def _one(
    a: Array, y: Array, there: Array, l1: Array, tolerance: Array, classes: int
) -> _At:
    """One problem; a: float[m, F + 1], rows that are not there are zeros."""
    outputs = 1 if classes == 2 else classes
    truth = y[:, None] if outputs == 1 else jax.nn.one_hot(y, classes, dtype=a.dtype)
    shrink = jnp.ones(a.shape[1], a.dtype).at[-1].set(0.0) * l1

    def slope(theta: Array) -> Array:
        z = a @ theta.T
        prob = jax.nn.sigmoid(z) if outputs == 1 else jax.nn.softmax(z)
        return ((prob - truth) * there[:, None]).T @ a

    step = 1 / (_curvature(a) * (0.25 if outputs == 1 else 0.5))
    start = jnp.zeros((outputs, a.shape[1]), a.dtype)
    bound = tolerance * jnp.max(jnp.abs(slope(start)))

    def again(s: _At) -> _At:
        to = s.ahead - step * slope(s.ahead)
        cut = (step * shrink)[None]
        new = jnp.sign(to) * jnp.maximum(jnp.abs(to) - cut, 0.0)
        # momentum that points uphill is dropped
        uphill = jnp.sum((s.ahead - new) * (new - s.theta)) > 0
        pace = jnp.where(uphill, 1.0, 0.5 + jnp.sqrt(0.25 + s.pace**2))
        push = jnp.where(uphill, 0.0, (s.pace - 1) / pace)
        moved = jnp.max(jnp.abs(new - s.ahead)) / (step * bound)
        return _At(new, new + push * (new - s.theta), pace, s.steps + 1, moved)

    one = jnp.ones((), a.dtype)
    first = _At(start, start, one, jnp.zeros((), int), jnp.inf * one)
    return lax.while_loop(lambda s: (s.steps < STEPS) & (s.moved > 1), again, first)


def _curvature(a: Array) -> Array:
    """The largest eigenvalue of a'a, by power iteration."""

    def again(_: int, v: Array) -> Array:
        v = a.T @ (a @ v)
        return v / jnp.maximum(jnp.linalg.norm(v), 1e-30)

    v = lax.fori_loop(0, LOOKS, again, jnp.ones(a.shape[1], a.dtype))
    return MARGIN * jnp.maximum(jnp.sum((a @ v) ** 2), 1e-30)
