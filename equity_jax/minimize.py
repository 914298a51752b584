"""Minimizers of smooth losses over a pytree, as pure programs that jit and vmap.

Under vmap every lane runs as long as the slowest; a lane that has converged rests.
Nothing here sets a precision: inside `with jax.enable_x64(True)` and with float64
parameters they work in float64 (equity_jax.solvers does that).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

from equity_jax.types import Array, PyTree

SLIGHT = 1e-8  # relative damping that makes a singular Hessian definite, and no more


class Solution(NamedTuple):
    """Where a minimizer stopped.

    params: as given; value: the loss; gradient_norm: largest |partial derivative|;
    iterations: int; converged: bool, False where the iterations ran out; hessian:
    float[P, P] at the last iterate but one (Newton), else None.
    """

    params: PyTree
    value: Array
    gradient_norm: Array
    iterations: Array
    converged: Array
    hessian: Array | None = None


class _Point(NamedTuple):
    at: Array  # float[P]
    value: Array
    gradient: Array
    hessian: Array


class _Newton(NamedTuple):
    point: _Point
    move: Array  # float[P], NaN where the damped Hessian is not positive definite
    promise: Array  # how much the quadratic model says that `move` gains
    damping: Array
    iterations: Array


def newton(
    loss: Callable[[PyTree], Array],
    params: PyTree,
    *,
    steps: int = 50,
    tolerance: float | None = None,
) -> Solution:
    """Damped Newton with jax's Hessian, for losses of up to some hundred parameters.

    Converged when the quadratic model of the loss promises less than `tolerance` times
    the loss (or 1, if larger) more; that step is still taken, so the error left is of
    the order of the tolerance squared. Default: a hundredth of the square root of the
    rounding unit. See `newton_by` for how steps are damped. Levenberg 1944; Marquardt
    1963; Nocedal & Wright, "Numerical optimization", 2006, ch. 3.

    Example:
        >>> newton(lambda p: (p["a"] - 3.0) ** 2, {"a": jnp.zeros(())}).params["a"]
        Array(3., dtype=float32)
    """
    start, unravel = ravel_pytree(params)

    def evaluate(flat: Array) -> tuple[Array, Array, Array]:
        value, gradient = jax.value_and_grad(_flat)(flat)
        return value, gradient, jax.hessian(_flat)(flat)

    def _flat(flat: Array) -> Array:
        return loss(unravel(flat))

    last = newton_by(evaluate, start, steps=steps, tolerance=tolerance)
    return last._replace(params=unravel(last.params))


def newton_by(
    evaluate: Callable[[Array], tuple[Array, Array, Array]],
    start: Array,
    *,
    steps: int = 50,
    tolerance: float | None = None,
) -> Solution:
    """As `newton`, from a function of float[P]: value, gradient and Hessian.

    A step that raises the loss or meets an indefinite Hessian is refused and tried
    again with ten times the damping (a part of the Hessian's diagonal added to it, at
    first 0.1); an accepted step relaxes it a hundredfold, soon to none.

    Example: `newton_by(lambda b: (b @ b, 2 * b, 2 * jnp.eye(3)), jnp.ones(3)).params`
    is 0 after one step.
    """
    rounding = jnp.finfo(start.dtype).eps
    bound = 0.01 * rounding**0.5 if tolerance is None else tolerance

    def enough(s: _Newton) -> Array:
        small = s.promise <= bound * jnp.maximum(jnp.abs(s.point.value), 1.0)
        return small & (s.damping <= SLIGHT) & (s.iterations >= 0)

    zero = jnp.zeros((), start.dtype)
    infinite = jnp.full((), jnp.inf, start.dtype)
    # nothing is known yet: the first pass stays at the start and looks around, so that
    # `evaluate` is compiled once
    blank = _Point(start, infinite, start, jnp.eye(start.size, dtype=start.dtype))
    count = jnp.full((), -1, int)
    first = _Newton(blank, jnp.zeros_like(start), infinite, zero, count)
    last = lax.while_loop(
        lambda s: (s.iterations < steps) & ~enough(s),
        lambda s: _advance(s, evaluate, 10 * rounding),
        first,
    )
    done = enough(last)
    at = last.point.at + jnp.where(done, last.move, 0.0)
    value, gradient, _ = evaluate(at)  # its Hessian is never computed under jit
    norm = jnp.max(jnp.abs(gradient))
    return Solution(at, value, norm, last.iterations, done, last.point.hessian)


def _advance(
    s: _Newton,
    evaluate: Callable[[Array], tuple[Array, Array, Array]],
    rounding: Array | float,
) -> _Newton:
    """Tries the proposed move, accepts or refuses it, and proposes the next."""
    old = s.point
    at = old.at + jnp.where(jnp.isfinite(s.move), s.move, 0.0)
    new = _Point(at, *evaluate(at))
    slack = rounding * (1 + jnp.abs(old.value))
    good = jnp.isfinite(s.move).all() & (new.value <= old.value + slack)
    good &= jnp.isfinite(new.gradient).all() & jnp.isfinite(new.hessian).all()
    d, definite = s.damping, jnp.isfinite(s.move).all()
    firm = jnp.where(definite, jnp.maximum(10 * d, 1e-2), jnp.maximum(1e4 * d, SLIGHT))
    soft = jnp.where(d > 1e-3, d / 10, jnp.where(d > SLIGHT, 0.0, d))
    damping = jnp.where(good, soft, firm)
    point = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)
    move = _solve(point.hessian, point.gradient, damping)
    promise = -0.5 * point.gradient @ move
    return _Newton(point, move, promise, damping, s.iterations + 1)


def _solve(hessian: Array, gradient: Array, damping: Array) -> Array:
    """The damped Newton step; NaN where the damped Hessian is not positive definite."""
    scale = jnp.sqrt(jnp.maximum(jnp.abs(jnp.diagonal(hessian)), 1e-30))
    scaled = hessian / (scale[:, None] * scale[None, :])
    factor = jnp.linalg.cholesky(scaled + damping * jnp.eye(scale.size))
    inner = jax.scipy.linalg.cho_solve((factor, True), gradient / scale)
    return -inner / scale


def lbfgs(
    loss: Callable[[PyTree], Array],
    params: PyTree,
    *,
    steps: int = 500,
    tolerance: float | None = None,
    memory: int = 10,
) -> Solution:
    """Limited-memory BFGS with a zoom line search, for losses of many parameters.

    Converged when no partial derivative exceeds `tolerance` (default: the square root
    of the rounding unit). Liu & Nocedal 1989; optax.lbfgs.

    Example:
        >>> lbfgs(lambda p: (p["a"] - 3.0) ** 2, {"a": jnp.zeros(())}).converged
        Array(True, dtype=bool)
    """
    start, unravel = ravel_pytree(params)
    bound = jnp.sqrt(jnp.finfo(start.dtype).eps) if tolerance is None else tolerance
    optimizer = optax.lbfgs(memory_size=memory)

    def flat(at: Array) -> Array:
        return loss(unravel(at))

    value_and_grad = optax.value_and_grad_from_state(flat)

    def more(carry: tuple[Array, Any, Array, Array]) -> Array:
        _, _, iterations, norm = carry
        return (iterations < steps) & (norm > bound)

    def body(carry: tuple[Array, Any, Array, Array]) -> tuple[Array, Any, Array, Array]:
        at, state, iterations, _ = carry
        value, gradient = value_and_grad(at, state=state)
        move, state = optimizer.update(
            gradient, state, at, value=value, grad=gradient, value_fn=flat
        )
        norm = jnp.max(jnp.abs(optax.tree.get(state, "grad")))
        return at + move, state, iterations + 1, norm

    infinite = jnp.full((), jnp.inf, start.dtype)
    first = (start, optimizer.init(start), jnp.zeros((), int), infinite)
    at, state, iterations, norm = lax.while_loop(more, body, first)
    return Solution(unravel(at), flat(at), norm, iterations, norm <= bound)
