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

from equity_jax import wide
from equity_jax.families import GLM, Layout, Rows, layout
from equity_jax.glm import CHUNK, fit
from equity_jax.glm_rows import SIDE_BY_SIDE, problems, rows_of, table_of, tail_of
from equity_jax.minimize import Solution, lbfgs, newton, newton_by
from equity_jax.types import Array, InputError

__all__ = ["GLM", "Rows", "Solution", "fit", "glm", "layout", "lbfgs", "newton"]
__all__ += ["members", "newton_by", "path", "subsets"]

NARROW = 256  # parameters up to which a path goes by Newton's method
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
    rows, classes = rows_of(x, y, family, offset, weight)
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
            part = part._replace(tail=tail_of(part, family))
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
    pass over x serves them all (logistic and multinomial; see `subsets`, also for
    tolerance); "auto" picks by size. dtype: float32 is enough for probes.

    Raises:
        InputError: as `glm`; an unknown solver.

    Example:
        >>> path(x, y, np.geomspace(1e-3, 1e3, 16)).coef.shape
        (16, 1, 40)
    """
    if solver not in ("auto", "newton", "lbfgs"):
        raise InputError(f"path solver {solver!r}; expected auto, newton or lbfgs")
    many = np.shape(x)[-1] * (1 if family == "logistic" else int(np.max(y)) + 1)
    if solver == "auto" and family in SIDE_BY_SIDE:
        solver = "lbfgs" if many > NARROW else "newton"
    if solver == "lbfgs":
        how = {"intercept": intercept, "dtype": dtype, "tolerance": tolerance}
        return subsets(x, y, weight, l2s, family=family, steps=steps, **how)
    rows, classes = rows_of(x, y, family, None, weight)
    lay = layout(family, rows.x.shape[1], classes, intercept)
    l2s = np.asarray(l2s, dtype)
    down = np.argsort(-l2s, kind="stable")
    with jax.enable_x64(np.dtype(dtype) == np.float64):
        rows = jax.tree.map(lambda a: jnp.asarray(a, _like(a, dtype)), rows)
        made = _newton_path(rows, l2s[down], lay, steps)
        back = np.argsort(down)
        return jax.tree.map(lambda a: np.asarray(a)[back], made)


@partial(jax.jit, static_argnums=(2, 3))
def _newton_path(rows: Rows, l2s: Array, lay: Layout, steps: int) -> GLM:
    def step(start: Array, l2: Array) -> tuple[Array, GLM]:
        made, at = fit(rows, l2, lay, start=start, steps=steps)
        return at, made

    _, first = fit(rows, l2s[0], lay, steps=steps)
    return lax.scan(step, first, l2s)[1]


def subsets(
    x: Array,
    y: Any,
    weight: Array | None = None,
    l2: float | Sequence[float] = 1.0,
    *,
    family: str = "logistic",
    intercept: bool = True,
    dtype: Any = np.float32,
    steps: int = 300,
    tolerance: float | None = None,
) -> GLM:
    """R models on one x, each with rows, penalty and labels of its own, in one program.

    Made for wide tables and many fits: a pass over x serves them all, and x is copied
    only if it is not of `dtype` (see equity_jax.wide for how it is done, and why it
    takes a dozen steps). The optimum is that of `glm`.

    Args:
        x: float[N, F]; features should be standardized, as for any penalty.
        y: as `glm`, [N]; or [R, N], labels of its own for each model.
        weight: float[R, N], 0 = not in this subset; float[N] or None: the same rows
            for all.
        l2: 1 / C of scikit-learn, for all or [R].
        family: "logistic" or "multinomial".
        intercept: unpenalized.
        dtype: float32, or float64 for the optimum to ten digits.
        steps: at most; a model that has converged rests.
        tolerance: no partial derivative of the mean loss is larger at the end; default
            1e-6, in float64 1e-9.

    Returns:
        GLM as of `path`, every field with a leading R; covariance float[R, 0, 0]: not
        known.

    Raises:
        InputError: as `glm`; a model without rows.

    Example:
        >>> half = np.random.default_rng(0).random((20, len(x))) < 0.5
        >>> subsets(x, y, half, 10.0).coef.shape
        (20, 1, 1376)
    """
    x = table_of(x, dtype)
    made, classes = problems(x, y, weight, l2, family)
    lay = layout(family, x.shape[1], classes, intercept)
    small = 1e-9 if np.dtype(dtype) == np.float64 else 1e-6
    tolerance = small if tolerance is None else tolerance
    with jax.enable_x64(x.dtype == np.float64):
        with jax.default_matmul_precision("float32"):
            found, plain = _side_by_side(made, lay, steps, tolerance)
        found, plain = jax.tree.map(np.asarray, (found, plain))
    theta, cut = found.params, lay.width - intercept
    theta = theta - (theta.mean(1, keepdims=True) if classes > 1 else 0)
    empty = np.zeros((len(theta), 0), dtype)
    base = theta[..., cut] if intercept else np.zeros(theta.shape[:2], dtype)
    end = found.gradient_norm, found.iterations, found.converged
    return GLM(theta[..., :cut], base, empty, empty[..., None], None, plain, *end)


_side_by_side = jax.jit(wide.descend, static_argnums=(1, 2))


def _like(array: np.ndarray, dtype: Any) -> Any:
    return dtype if array.dtype.kind == "f" else np.int32
