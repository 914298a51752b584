"""Generalized linear models as one pure program, to be jitted and vmapped.

    minimize  sum_i w_i nll(x_i' coef + intercept + offset_i, y_i) + l2/2 |coef|^2

by Newton's method: x'Wx is formed a chunk of rows at a time, while the chunk lies in
the cache, with the curvature of every row's likelihood from jax. The precision is that
of the arrays given; `equity_jax.solvers.glm` calls this in float64.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from equity_jax.counts import LOG_MU
from equity_jax.families import GLM, Layout, Rows, penalty, shared
from equity_jax.minimize import newton_by
from equity_jax.types import Array, Counted

CHUNK = 4096


def fit(
    rows: Rows,
    l2: Array | float,
    lay: Layout,
    *,
    start: Array | None = None,
    cluster: Array | None = None,
    clusters: int = 0,
    blocks: Array | None = None,
    steps: int = 100,
) -> tuple[GLM, Array]:
    """Newton on all rows; returns the model and its parameters as one float[P].

    l2: penalty on half the squared coefficients; cluster: int[N] in 0..clusters-1 for
    the sandwich, or blocks: int[G, M], the rows of each cluster (-1 = padding), for the
    jackknife over clusters; start: float[P], default a least-squares fit of log counts.

    Example: `jax.vmap(lambda r: fit(r, 0.0, layout("negbin", 5, 1, True)))(rows)` fits
    as many models as `rows` has leading entries.
    """
    total = rows.weight.sum()
    first = _start(rows, lay) if start is None else start

    def evaluate(at: Array) -> tuple[Array, Array, Array]:
        parts = _data(at, rows, lay), _penalty(at, l2, lay)
        return jax.tree.map(lambda a, b: (a + b) / total, *parts)

    # the covariance is taken one step before the end: its error is then about 1e-5
    tolerance = 1e-11 if first.dtype == jnp.float64 else 1e-6
    best = newton_by(evaluate, first, steps=steps, tolerance=tolerance)
    hessian = _determined(best.hessian * total)
    bread = _inverse(hessian, lay)
    robust = None
    if cluster is not None:
        sums = jax.ops.segment_sum(_scores(best.params, rows, lay), cluster, clusters)
        robust = bread @ (sums.T @ sums) @ bread * (clusters / max(clusters - 1, 1))
    elif blocks is not None:
        robust = _jackknife(best.params, hessian, rows, blocks, lay)
    plain = penalty(best.params, l2, lay) - best.value * total
    return lay.unpack(best, plain, bread, robust), best.params


Sums = tuple[Array, Array, Array]  # value, gradient float[P], Hessian float[P, P]


def _data(at: Array, rows: Rows, lay: Layout) -> Sums:
    """Sums over rows of the negative log-likelihood and its derivatives."""
    n = len(rows.weight)
    chunks = -(-n // CHUNK)
    size = -(-n // chunks)
    table = rows._replace(tail=None)

    def add(i: Array, sums: Sums) -> Sums:
        first = jnp.minimum(i * size, n - size)
        part = jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, first, size), table)
        fresh = first + jnp.arange(size) >= i * size  # the last chunk may overlap
        part = part._replace(weight=jnp.where(fresh, part.weight, 0))
        return jax.tree.map(jnp.add, sums, _chunk(at, part, lay))

    if n == size:
        sums = _chunk(at, table, lay)
    else:
        zero = tuple(jnp.zeros((at.size,) * d, at.dtype) for d in range(3))
        sums = lax.fori_loop(0, chunks, add, zero)
    if rows.tail is None:
        return sums
    return jax.tree.map(jnp.add, sums, _tail(at, rows.tail, lay))


def _chunk(at: Array, rows: Rows, lay: Layout) -> Sums:
    design = lay.design(rows.x)
    logits = lay.logits(at, design, rows.offset)
    nll, slope, curve = _derivatives(lay.family.nll, logits, rows.y)
    weight = rows.weight
    slope, curve = slope * weight[:, None], curve * weight[:, None, None]
    return (nll @ weight, *_gather(design, slope, curve, lay))


def _gather(
    design: Array, slope: Array, curve: Array, lay: Layout
) -> tuple[Array, Array]:
    """Gradient float[P] and Hessian float[P, P] from those of the rows' logits."""
    m = lay.outputs
    gradient = jnp.concatenate([(slope[:, :m].T @ design).ravel(), slope[:, m:].sum(0)])
    side = curve[:, :m, m:]  # predictors with constants
    blocks = []
    for o in range(m):
        inner = [design.T @ (design * curve[:, o, p, None]) for p in range(m)]
        blocks.append([*inner, design.T @ side[:, o]])
    across = [side[:, p].T @ design for p in range(m)]
    blocks.append([*across, curve[:, m:, m:].sum(0)])
    if not lay.family.constants:
        blocks = [row[:m] for row in blocks[:m]]
    return gradient, jnp.block(blocks)


def _derivatives(
    nll: Callable[[Array, Any], Array], logits: Array, y: Any
) -> tuple[Array, Array, Array]:
    """Value float[N], gradient float[N, O] and Hessian float[N, O, O] of each row.

    Forward over forward: rows do not mix, and it compiles in half the time.
    """
    width = logits.shape[1]
    basis = [jnp.zeros_like(logits).at[:, o].set(1) for o in range(width)]

    def along(o: int) -> Callable[[Array], Array]:
        return lambda z: jax.jvp(lambda z: nll(z, y), (z,), (basis[o],))[1]

    slope, curve = [None] * width, [[None] * width for _ in range(width)]
    for o in range(width):
        for p in range(o, width):
            slope[o], second = jax.jvp(along(o), (logits,), (basis[p],))
            curve[o][p] = curve[p][o] = second
    hessian = jnp.stack([jnp.stack(row, 1) for row in curve], 1)
    return nll(logits, y), jnp.stack(slope, 1), hessian


def _tail(at: Array, tail: Array, lay: Layout) -> Sums:
    def value(at: Array) -> Array:
        return shared(lay.split(at)[1], tail)

    return value(at), jax.grad(value)(at), jax.hessian(value)(at)


def _penalty(at: Array, l2: Array | float, lay: Layout) -> Sums:
    hessian = jax.hessian(penalty)(at, l2, lay)
    return penalty(at, l2, lay), hessian @ at, hessian


def _determined(hessian: Array) -> Array:
    # an indicator without rows, or the log dispersion of counts that are Poisson: a
    # variance of 1e12 is nearer the truth than a matrix of NaN
    diagonal = jnp.diagonal(hessian)
    return hessian + jnp.diag(jnp.where(diagonal < 1e-12, 1e-12 - diagonal, 0.0))


def _inverse(hessian: Array, lay: Layout) -> Array:
    scale = jnp.sqrt(jnp.diagonal(hessian))
    outer = scale[:, None] * scale[None, :]
    inverse = jnp.linalg.inv(hessian / outer) / outer
    if lay.outputs == 1:
        return inverse
    keep = jnp.eye(lay.outputs) - 1 / lay.outputs
    project = jnp.kron(keep, jnp.eye(lay.width))
    return project @ inverse @ project


def _scores(at: Array, rows: Rows, lay: Layout) -> Array:
    """Gradient of each row's weighted negative log-likelihood, float[N, P]."""
    design, slope, _ = _by_row(at, rows, lay)
    m = lay.outputs
    parts = [slope[:, o, None] * design for o in range(m)]
    return jnp.concatenate([*parts, slope[:, m:]], 1)


def _jackknife(
    at: Array, hessian: Array, rows: Rows, blocks: Array, lay: Layout
) -> Array:
    """Sum over clusters of d d', d = (H - H_c)^-1 g_c, times (G - 1) / G.

    d is how far one Newton step moves when cluster c is left out. The sandwich has H
    for H - H_c: it forgets that a cluster has pulled the fit towards itself, and is too
    small where clusters are few. Bell & McCaffrey 2002 (CR3).
    """
    design, slope, curve = _by_row(at, rows, lay)
    scale = jnp.sqrt(jnp.diagonal(hessian))

    def moved(members: Array) -> Array:
        there = (members >= 0).astype(at.dtype)
        parts = design[members], slope[members] * there[:, None], curve[members]
        parts = (*parts[:2], parts[2] * there[:, None, None])
        gradient, part = _gather(*parts, lay)
        rest = (hessian - part) / (scale[:, None] * scale[None, :])
        return jnp.linalg.solve(rest, gradient / scale) / scale

    moves = lax.map(moved, blocks, batch_size=16)
    return (len(blocks) - 1) / len(blocks) * moves.T @ moves


def _by_row(at: Array, rows: Rows, lay: Layout) -> tuple[Array, Array, Array]:
    """Design, and weighted gradient and Hessian of every row's logits."""
    y = rows.y
    if rows.tail is not None:  # what `tail` sums over rows belongs to each of them
        y = Counted(y, y, jnp.ones_like(y), jnp.zeros_like(y))
    design, weight = lay.design(rows.x), rows.weight
    logits = lay.logits(at, design, rows.offset)
    _, slope, curve = _derivatives(lay.family.nll, logits, y)
    return design, slope * weight[:, None], curve * weight[:, None, None]


def _start(rows: Rows, lay: Layout) -> Array:
    """Zeros; for counts, weighted least squares of the log counts."""
    zeros = jnp.zeros(lay.size, rows.x.dtype)
    if not lay.family.count:
        return zeros
    if isinstance(rows.y, Counted):
        seen = (rows.y.exposure > 0) & (rows.weight > 0)
        y = jnp.where(seen, (rows.y.low + rows.y.high) / 2, 0.0)
        base = rows.offset + jnp.log(jnp.where(seen, rows.y.exposure, 1.0))
    else:
        seen, y, base = rows.weight > 0, rows.y, rows.offset
    design = lay.design(rows.x)
    weight = jnp.where(seen, rows.weight * (y + 0.5), 0.0)
    if lay.family.constants:
        weight = weight / (1 + (y + 0.5) * 0.3)
    normal = design.T @ (design * weight[:, None])
    ridge = 1e-6 * jnp.trace(normal) / lay.width * jnp.eye(lay.width)
    target = design.T @ (weight * (jnp.log(y + 0.5) - base))
    theta = jnp.linalg.solve(normal + ridge, target)
    at = zeros.at[: lay.width].set(theta)
    if not lay.family.constants:
        return at
    mu = jnp.exp(jnp.clip(design @ theta + base, *LOG_MU))
    excess = jnp.sum(jnp.where(seen, rows.weight * ((y - mu) ** 2 / mu - 1), 0.0))
    alpha = excess / jnp.sum(jnp.where(seen, rows.weight * mu, 0.0))
    return at.at[lay.width].set(jnp.log(jnp.clip(alpha, 0.01, 3.0)))
