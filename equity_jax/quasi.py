"""The parts of an L-BFGS that takes many convex problems side by side.

Lane r of R has parameters of any shape [...]; every sum here runs within a lane. Liu &
Nocedal, "On the limited memory BFGS method", 1989; Nocedal & Wright, "Numerical
optimization", 2006, ch. 3 and 7.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from equity_jax.types import Array

PAIRS = 10  # that are remembered
TRIES = 12  # of a line search
FLAT = 0.5  # the share of the first slope at which a line search is content


class Memory(NamedTuple):
    """The last pairs, oldest first: float[P, R, ...]; rho: float[P, R], 0 = no pair;
    gamma: float[R], the size of the first guess of the inverse Hessian.
    """

    moves: Array
    changes: Array
    rho: Array
    gamma: Array


def nothing(params: Array) -> Memory:
    """The memory of R lanes before the first step; params: float[R, ...].

    Example: `nothing(jnp.zeros((3, 7))).rho.shape` is (10, 3).
    """
    none = jnp.zeros((PAIRS, *params.shape), params.dtype)
    rho = jnp.zeros((PAIRS, len(params)), params.dtype)
    return Memory(none, none, rho, jnp.ones(len(params), params.dtype))


def remember(memory: Memory, move: Array, change: Array) -> Memory:
    """With one pair more; one that curves the wrong way, or none, counts as none.

    move, change: float[R, ...], of the parameters and of the gradient.

    Example: `remember(memory, t * direction, gradient - old)`.
    """
    both, square = dot(move, change), dot(change, change)
    fine = both > jnp.finfo(both.dtype).eps * square
    rho = jnp.where(fine, 1 / jnp.where(fine, both, 1), 0.0)
    gamma = jnp.where(fine, both / jnp.where(fine, square, 1), memory.gamma)
    pairs = (memory.moves, move), (memory.changes, change), (memory.rho, rho)
    return Memory(*(jnp.concatenate([a[1:], b[None]]) for a, b in pairs), gamma)


def downhill(memory: Memory, gradient: Array) -> Array:
    """float[R, ...]: minus the inverse Hessian of the memory times the gradient.

    Example: with an empty memory it is minus the gradient.
    """

    def back(q: Array, pair: tuple[Array, ...]) -> tuple[Array, Array]:
        move, change, rho = pair
        a = rho * dot(move, q)
        return q - scaled(a, change), a

    def forth(q: Array, pair: tuple[Array, ...]) -> tuple[Array, None]:
        move, change, rho, a = pair
        return q + scaled(a - rho * dot(change, q), move), None

    pairs = memory.moves, memory.changes, memory.rho
    q, a = lax.scan(back, gradient, pairs, reverse=True)
    return -lax.scan(forth, scaled(memory.gamma, q), (*pairs, a))[0]


class Line(NamedTuple):
    """A line search: t float[R] between low and high (inf: not met yet), the value
    and `extra` there; slope_low: at low; good: bool[R], done.
    """

    t: Array
    low: Array
    slope_low: Array
    high: Array
    value: Array
    extra: Array
    good: Array
    tries: Array


def search(
    along: Callable[[Array], tuple[Array, Array, Array]],
    value: Array,
    slope: Array,
    extra: Array,
    resting: Array,
) -> Line:
    """From t = 1 on, until the slope of every lane is a part of the first one.

    A convex loss slopes down where the step is too short and up where it is too long;
    the secant between the two is tried next.

    along: t float[R] -> value, slope, extra there; value, slope: float[R] at t = 0;
    extra: of the right shape; resting: bool[R], lanes that are not waited for.

    Example: `search(lambda t: ((t - 1) ** 2, 2 * (t - 1), t), one, -2 * one, one, no)`
    has t = 1.
    """
    slack = 10 * jnp.finfo(value.dtype).eps * (1 + jnp.abs(value))

    def again(s: Line) -> Line:
        there, now, more = along(s.t)
        risen = ~(there <= value + slack)
        good = resting | (jnp.abs(now) <= -FLAT * slope) & ~risen
        long = (now > 0) | risen
        low, high = jnp.where(long, s.low, s.t), jnp.where(long, s.t, s.high)
        secant = s.low - s.slope_low * (s.t - s.low) / (now - s.slope_low)
        unmet = jnp.isinf(high)
        least = jnp.where(unmet, 1.5 * s.t, low + 0.1 * (high - low))
        most = jnp.where(unmet, 5 * s.t, low + 0.9 * (high - low))
        secant = jnp.where(jnp.isfinite(secant), secant, 0.5 * (least + most))
        t = jnp.where(good, s.t, jnp.clip(secant, least, most))
        slope_low = jnp.where(long, s.slope_low, now)
        return Line(t, low, slope_low, high, there, more, good, s.tries + 1)

    zero, one = jnp.zeros_like(value), jnp.ones_like(value)
    found = (one, zero, slope, zero + jnp.inf, value, extra, resting)
    line = Line(*found, jnp.zeros((), int))
    return lax.while_loop(lambda s: (s.tries < TRIES) & ~s.good.all(), again, line)


def dot(a: Array, b: Array) -> Array:
    """float[R]: the product within each lane."""
    return jnp.sum(a * b, tuple(range(1, a.ndim)))


def scaled(factor: Array, a: Array) -> Array:
    """float[R, ...]: each lane of `a` times its factor, float[R]."""
    return factor.reshape(-1, *(1,) * (a.ndim - 1)) * a
