r"""Many logistic models on one wide x, side by side: one product over x serves all.

Problem r of R has row weights $w_r$, a penalty $\lambda_r$ and may have labels of its
own; of a linear model with M outputs each minimizes, with $W_r=\sum_i w_{ri}$,
$$\frac1{W_r}\Big(\sum_i w_{ri}\,\mathrm{nll}(\theta_r a_i, y_{ri})
+ \frac{\lambda_r}2|\theta_r|^2\Big),\qquad a_i = (x_i, 1),$$
the intercept unpenalized. L-BFGS (Liu & Nocedal 1989) with two changes that a linear
model allows. The line search moves along logits and needs no product over x, so that an
iteration is two of them, whatever R. And the problem is turned into the axes of x: with
$\overline{aa^\top}=V\Lambda V^\top$ and $\theta=(\kappa_r\Lambda+\lambda_r/W_r)^{-1/2}$
in these axes, $\kappa_r$ the curvature at the best constant model, the Hessian is near
the identity (Böhning & Lindsay 1988 bound it so), and correlated features cost nothing.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from equity_jax.families import Layout, Problems
from equity_jax.minimize import Solution
from equity_jax.quasi import Memory, dot, downhill, nothing, remember, scaled, search
from equity_jax.types import Array

ROWS = 16_384  # that tell the axes of x; all rows would cost more than they save
RARE = 1e-4  # a class without rows starts as if it had this share


class _Frame(NamedTuple):
    """theta = mix @ (u * scale) @ axes.T: where the Hessian is near the identity.

    axes: float[D, D], of x; mix: float[R, M, M], of the outputs; scale: float[R, M, D].
    """

    axes: Array
    mix: Array
    scale: Array


class _At(NamedTuple):
    """Where R problems stand: float[R, M, D] and [R, M, N], scalars float[R]."""

    theta: Array
    logits: Array
    value: Array
    gradient: Array  # in the coordinates u
    norm: Array  # largest partial derivative by theta


def descend(
    problems: Problems, lay: Layout, steps: int, tolerance: Array | float
) -> tuple[Solution, Array]:
    """R logistic or multinomial models; params float[R, M, D], every field with R.

    Also the log-likelihood, the sum without penalty, float[R].

    A lane rests as soon as no partial derivative of its mean loss exceeds `tolerance`
    (converged), or when rounding leaves it no step down (not converged).

    Example: `jax.jit(descend, static_argnums=(1, 2))(problems, lay, 300, 1e-6)`.
    """
    total = problems.weight.sum(1)
    mean = {"weight": problems.weight / total[:, None], "l2": problems.l2 / total}
    problems = problems._replace(**mean)
    frame, at = _prepare(problems, lay)
    resting = at.norm <= tolerance

    def more(carry: tuple) -> Array:
        return (carry[3] < steps) & ~carry[2].all()

    def body(carry: tuple) -> tuple:
        at, memory, resting, step, counts = carry
        new, memory, moved = _iterate(problems, frame, lay, at, memory, resting)
        counts = counts + (~resting & moved)
        resting = resting | ~moved | (new.norm <= tolerance)
        return new, memory, resting, step + 1, counts

    counts = jnp.zeros(len(resting), int)
    first = (at, nothing(at.gradient), resting, jnp.zeros((), int), counts)
    at, _, _, _, counts = lax.while_loop(more, body, first)
    found = Solution(at.theta, at.value, at.norm, counts, at.norm <= tolerance)
    shrunk = _shrunk(problems, at.theta, lay)
    return found, (0.5 * dot(at.theta, shrunk) - at.value) * total


def _prepare(p: Problems, lay: Layout) -> tuple[_Frame, _At]:
    """The axes of x, and every problem at its best constant model."""
    lanes, m = len(p.l2), lay.outputs
    mean = jnp.sum(p.goal(m) * p.weight[:, None], 2)
    mean = jnp.broadcast_to(jnp.clip(mean, RARE, 1 - RARE), (lanes, m))
    base = jnp.log(mean) if m > 1 else jnp.log(mean / (1 - mean))
    base = base - base.mean(1, keepdims=True) if m > 1 else base
    base = base if lay.intercept else jnp.zeros_like(base)
    curve, mix = jnp.linalg.eigh(_curvature(_predict(base[..., None])[1][..., 0]))
    # a constant added to all outputs changes nothing: any scale will do for it
    curve = jnp.where(curve < 1e-3 * RARE, curve[:, -1:], curve)
    part = lay.design(p.x[:: max(1, len(p.x) // ROWS)])
    spectrum, axes = jnp.linalg.eigh(part.T @ part / len(part))
    rounding = 10 * jnp.finfo(spectrum.dtype).eps * spectrum[-1]
    spectrum = jnp.maximum(spectrum, rounding)
    hessian = curve[..., None] * spectrum[None, None] + p.l2[:, None, None]
    frame = _Frame(axes, mix, hessian**-0.5)
    theta = jnp.zeros((lanes, m, lay.width), p.x.dtype)
    theta = theta.at[..., -1].set(base) if lay.intercept else theta
    logits = jnp.broadcast_to(base[..., None], (lanes, m, len(p.x)))
    return frame, _arrive(p, frame, lay, theta, logits, *_rows(p, logits))


def _curvature(share: Array) -> Array:
    """float[R, M, M]: Hessian of the mean loss of constant models."""
    if share.shape[1] == 1:
        return (share * (1 - share))[..., None]
    return share[:, None] * jnp.eye(share.shape[1])[None] - jnp.einsum(
        "rm,rk->rmk", share, share
    )


def _predict(logits: Array) -> tuple[Array, Array]:
    """Log of the sum of powers, float[R, N], and probabilities, float[R, M, N].

    One output is that of a class beside which the other's logit is 0.
    """
    alone = logits.shape[1] == 1
    high = jnp.maximum(logits[:, 0], 0) if alone else logits.max(1)
    power = jnp.exp(logits - high[:, None])
    total = power.sum(1) + (jnp.exp(-high) if alone else 0)
    return high + jnp.log(total), power / total[:, None]


def _rows(p: Problems, logits: Array) -> tuple[Array, Array]:
    """Mean loss float[R] without penalty, and its slope by each row's logits."""
    top, share = _predict(logits)
    goal = p.goal(logits.shape[1])
    nll = top - jnp.sum(goal * logits, 1)
    return jnp.sum(nll * p.weight, 1), (share - goal) * p.weight[:, None]


def _arrive(
    p: Problems,
    frame: _Frame,
    lay: Layout,
    theta: Array,
    logits: Array,
    value: Array,
    residual: Array,
) -> _At:
    """The state at theta: one product of x' with the residuals of all problems."""
    lanes, m, n = residual.shape
    gradient = residual.reshape(lanes * m, n) @ p.x
    gradient = gradient.reshape(lanes, m, -1)
    if lay.intercept:
        gradient = jnp.concatenate([gradient, residual.sum(2)[..., None]], 2)
    gradient = gradient + _shrunk(p, theta, lay)
    norm = jnp.max(jnp.abs(gradient), (1, 2))
    gradient = frame.mix.transpose(0, 2, 1) @ (gradient @ frame.axes)
    return _At(theta, logits, value, gradient * frame.scale, norm)


def _shrunk(p: Problems, theta: Array, lay: Layout) -> Array:
    """Gradient of the penalty: l2 theta, 0 for the intercept."""
    free = jnp.ones(lay.width, theta.dtype).at[-1].set(1.0 - lay.intercept)
    return p.l2[:, None, None] * theta * free[None, None]


def _iterate(
    p: Problems, frame: _Frame, lay: Layout, at: _At, memory: Memory, resting: Array
) -> tuple[_At, Memory, Array]:
    """One step of every lane; bool[R]: whether it found one and took it."""
    move = downhill(memory, at.gradient)
    turn = frame.mix @ ((move * frame.scale) @ frame.axes.T)  # the same in theta
    logits = _times(p.x, turn, lay)
    along = partial(_along, p, lay, at, turn, logits)
    slope = dot(at.gradient, move)
    found = search(along, at.value, slope, jnp.zeros_like(logits), resting)
    moved = found.good & ~resting
    t = jnp.where(moved, found.t, 0.0)
    theta, logits = at.theta + scaled(t, turn), at.logits + scaled(t, logits)
    new = _arrive(p, frame, lay, theta, logits, found.value, found.extra)
    new = jax.tree.map(lambda a, b: _where(moved, a, b), new, at)
    memory = remember(memory, scaled(t, move), new.gradient - at.gradient)
    return new, memory, moved


def _along(
    p: Problems, lay: Layout, at: _At, turn: Array, logits: Array, t: Array
) -> tuple[Array, Array, Array]:
    """Mean loss with its penalty at theta + t turn, its slope, and the residuals."""
    value, residual = _rows(p, at.logits + scaled(t, logits))
    theta = at.theta + scaled(t, turn)
    shrunk = _shrunk(p, theta, lay)
    return (
        value + 0.5 * dot(theta, shrunk),
        dot(residual, logits) + dot(turn, shrunk),
        residual,
    )


def _where(lane: Array, new: Array, old: Array) -> Array:
    return jnp.where(lane.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def _times(x: Array, theta: Array, lay: Layout) -> Array:
    """float[R, M, N]: logits of R problems in one product over x."""
    lanes, m, width = theta.shape
    flat = theta.reshape(lanes * m, width)
    if lay.intercept:
        made = flat[:, :-1] @ x.T + flat[:, -1:]
    else:
        made = flat @ x.T
    return made.reshape(lanes, m, len(x))
