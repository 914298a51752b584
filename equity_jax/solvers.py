"""Generalized linear models, whole regularization paths, and smooth minimizers.

`glm` and `path` take and give numpy arrays, whatever the session's precision; `fit`
(equity_jax.glm) is the pure program beneath, and `newton` and `lbfgs`
(equity_jax.minimize) take any smooth loss.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from equity_jax.families import FAMILIES, GLM, Layout, Rows, layout, objective
from equity_jax.glm import CHUNK, fit
from equity_jax.minimize import Solution, lbfgs, newton, newton_by
from equity_jax.types import Array, Counted, InputError

__all__ = ["GLM", "Rows", "Solution", "fit", "glm", "layout", "lbfgs", "newton"]
__all__ += ["members", "newton_by", "path"]

EVERY = 16  # a first fit of every 16th row brings Newton close to the optimum


def glm(
    x: Array,
    y: Any,
    *,
    family: str = "logistic",
    offset: Array | None = None,
    weight: Array | None = None,
    l2: float = 0.0,
    intercept: bool = True,
    cluster: Array | None = None,
    jackknife: bool = False,
    steps: int = 100,
) -> GLM:
    """One generalized linear model in float64, with its covariance.

    x: float[N, F]; family: "logistic" (y in [0, 1]), "multinomial" (y int[N] from 0;
    the coefficients sum to 0 over classes), "poisson" or "negbin" (whole numbers
    float[N], or Counted of float[N] for intervals, truncated rows and exposures; log
    link, variance mu + alpha mu^2); offset, weight: float[N]; l2: 1 / C of
    scikit-learn, the intercept unpenalized; cluster: int[N] or str[N], rows that are
    not independent, for the sandwich covariance `robust` (factor G / (G - 1));
    jackknife: leave clusters out one by one instead (one Newton step each), which is
    wider and holds its level with few or unequal clusters.

    Hilbe, "Negative binomial regression", 2011; Liang & Zeger 1986 (sandwich).

    Raises:
        InputError: an unknown family, shapes that differ, values that cannot be.

    Example:
        >>> glm(np.zeros((4, 0)), np.array([0, 0, 0, 1.0])).intercept
        array([-1.09861229])
    """
    rows, classes = _check(x, y, family, offset, weight)
    lay = layout(family, rows.x.shape[1], classes, intercept)
    codes, clusters, blocks = None, 0, None
    if cluster is not None:
        names, codes = np.unique(np.asarray(cluster), return_inverse=True)
        codes, clusters = codes.reshape(-1), len(names)
    if cluster is not None and jackknife:
        codes, blocks = None, members(codes)
    start = None
    with jax.enable_x64(True):
        whole = jax.device_put(rows)  # copied while the part is being fitted
        if len(rows.weight) > EVERY * (CHUNK + 20 * lay.size):
            part = jax.tree.map(lambda a: a[::EVERY], rows._replace(tail=None))
            part = part._replace(tail=_tail_of(part, family))
            _, start = _fit(part, l2 / EVERY, None, None, None, lay, 0, steps)
        made, _ = _fit(whole, l2, start, codes, blocks, lay, clusters, steps)
        return jax.tree.map(np.asarray, made)


@partial(jax.jit, static_argnums=(5, 6, 7))
def _fit(
    rows: Rows,
    l2: Array,
    start: Array | None,
    cluster: Array | None,
    blocks: Array | None,
    lay: Layout,
    clusters: int,
    steps: int,
) -> tuple[GLM, Array]:
    groups = {"cluster": cluster, "clusters": clusters, "blocks": blocks}
    return fit(rows, l2, lay, start=start, **groups, steps=steps)


def members(cluster: np.ndarray) -> np.ndarray:
    """The rows of each cluster, int[G, M]; shorter ones end in -1.

    cluster: int[N], codes 0..G-1.

    Example: `members(np.array([0, 1, 0]))` is [[0, 2], [1, -1]].
    """
    sizes = np.bincount(cluster)
    order = np.argsort(cluster, kind="stable")
    place = np.arange(len(cluster)) - (np.cumsum(sizes) - sizes)[cluster[order]]
    table = np.full((len(sizes), sizes.max()), -1)
    table[cluster[order], place] = order
    return table


def path(
    x: Array,
    y: Any,
    l2s: Sequence[float],
    *,
    family: str = "logistic",
    weight: Array | None = None,
    intercept: bool = True,
    solver: str = "auto",
    dtype: Any = np.float64,
    steps: int = 500,
    tolerance: float | None = None,
) -> GLM:
    """The same model at L strengths of the penalty, in one compiled program.

    As `glm`; every field of the result has a leading L, in the order of l2s. solver:
    "newton" goes from the strongest penalty to the weakest, each from the last (good up
    to a few hundred parameters); "lbfgs" takes all strengths side by side, so that a
    pass over x serves them all (covariance: NaN); "auto" picks by size. dtype: float32
    is enough for probes. tolerance: "lbfgs" stops where no partial derivative of the
    mean loss is larger.

    Raises:
        InputError: as `glm`; an unknown solver.

    Example:
        >>> path(x, y, np.geomspace(1e-3, 1e3, 16)).coef.shape
        (16, 1, 40)
    """
    rows, classes = _check(x, y, family, None, weight)
    lay = layout(family, rows.x.shape[1], classes, intercept)
    chosen = ("newton" if lay.size <= 256 else "lbfgs") if solver == "auto" else solver
    if chosen not in ("newton", "lbfgs"):
        raise InputError(f"path solver {solver!r}; expected auto, newton or lbfgs")
    l2s = np.asarray(l2s, dtype)
    down = np.argsort(-l2s, kind="stable")
    with jax.enable_x64(np.dtype(dtype) == np.float64):
        rows = jax.tree.map(lambda a: jnp.asarray(a, _like(a, dtype)), rows)
        if chosen == "newton":
            made = _newton_path(rows, l2s[down], lay, steps)
            back = np.argsort(down)
            return jax.tree.map(lambda a: np.asarray(a)[back], made)
        return jax.tree.map(np.asarray, _lbfgs_path(rows, l2s, lay, steps, tolerance))


@partial(jax.jit, static_argnums=(2, 3))
def _newton_path(rows: Rows, l2s: Array, lay: Layout, steps: int) -> GLM:
    def step(start: Array, l2: Array) -> tuple[Array, GLM]:
        made, at = fit(rows, l2, lay, start=start, steps=steps)
        return at, made

    _, first = fit(rows, l2s[0], lay, steps=steps)
    return lax.scan(step, first, l2s)[1]


@partial(jax.jit, static_argnums=(2, 3, 4))
def _lbfgs_path(
    rows: Rows, l2s: Array, lay: Layout, steps: int, tolerance: float | None
) -> GLM:
    def one(l2: Array) -> GLM:
        def loss(at: Array) -> Array:
            return objective(at, rows, l2, lay) / rows.weight.sum()

        zeros = jnp.zeros(lay.size, rows.x.dtype)
        best = lbfgs(loss, zeros, steps=steps, tolerance=tolerance)
        plain = -objective(best.params, rows, 0.0, lay)
        unknown = jnp.full((lay.size, lay.size), jnp.nan, rows.x.dtype)
        return lay.unpack(best, plain, unknown)

    return jax.vmap(one)(l2s)


def _like(array: np.ndarray, dtype: Any) -> Any:
    return dtype if array.dtype.kind == "f" else np.int32


def _check(
    x: Array, y: Any, family: str, offset: Array | None, weight: Array | None
) -> tuple[Rows, int]:
    if family not in FAMILIES:
        raise InputError(f"unknown family {family!r}; known: {', '.join(FAMILIES)}")
    x = np.asarray(x, np.float64)
    if x.ndim != 2:
        raise InputError(f"x has {x.ndim} dimensions; expected [rows, features]")
    classes = 1
    if isinstance(y, Counted):
        if not FAMILIES[family].count:
            raise InputError(f"family {family!r} cannot read intervals of counts")
        y = Counted(*(np.asarray(a, np.float64) for a in y))
    elif family == "multinomial":
        y = np.asarray(y).astype(np.int32)
        classes = int(y.max()) + 1
    else:
        y = np.asarray(y, np.float64)
    n = len(x)
    offset = np.zeros(n) if offset is None else np.asarray(offset, np.float64)
    weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    rows = Rows(x, y, offset, weight)
    for name, array in _named(rows):
        if array.shape[0] != n or (array.ndim != 1 and name != "x"):
            raise InputError(f"{name} has shape {array.shape}; expected ({n},)")
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise InputError(f"{name} is not finite in row {row}")
    if not isinstance(y, Counted):
        _check_range(y, family)
        rows = rows._replace(tail=_tail_of(rows, family))
    return rows, classes


def _named(rows: Rows) -> list[tuple[str, np.ndarray]]:
    y = rows.y._asdict().items() if isinstance(rows.y, Counted) else [("y", rows.y)]
    fixed = [("x", rows.x), ("offset", rows.offset), ("weight", rows.weight)]
    return [*fixed, *((f"y.{k}" if k != "y" else k, v) for k, v in y)]


def _check_range(y: np.ndarray, family: str) -> None:
    if family == "logistic":
        bad, expected = (y < 0) | (y > 1), "a number in [0, 1]"
    elif family == "multinomial":
        bad, expected = y < 0, "a class from 0"
    else:
        bad, expected = (y < 0) | (y != np.floor(y)), "a whole number from 0"
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"y is {y[row]} in row {row}; expected {expected}")


def _tail_of(rows: Rows, family: str) -> np.ndarray | None:
    """The weighted number of rows with y > j, padded to a power of two."""
    if not FAMILIES[family].count or isinstance(rows.y, Counted):
        return None
    number = np.bincount(rows.y.astype(np.int64), weights=rows.weight)
    tail = np.cumsum(number[::-1])[::-1][1:]
    return np.pad(tail, (0, (1 << max(6, (len(tail)).bit_length())) - len(tail)))
