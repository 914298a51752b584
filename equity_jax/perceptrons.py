r"""Many small perceptrons on one table, side by side: a product over x serves them all.

One hidden layer, $z=W_2\max(W_1x+b_1,0)+b_2$. Lane r of R has its own targets, rows,
number of hidden units and penalty, and minimizes by Adam (Kingma & Ba 2015) over
batches that all lanes share
$$\text{mean nll} + \frac{\lambda_r}{2n}(|W_1|^2+|W_2|^2),$$
and keeps the weights that had the best likelihood on validation rows (early stopping,
Prechelt 1998). A lane with fewer units has the others' weights at zero.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from equity_jax.keys import key
from equity_jax.types import Array

BATCH, RATE = 256, 1e-3
STEPS, EVERY = 1500, 50  # at most; between two looks at the validation rows
PATIENCE = 5  # looks without a better one after which a lane has found its best
CHUNK = 4096  # rows scored at once
SLIGHT = 1e-4  # a gain of mean log-likelihood below this is none
NEVER = -1e9  # logit of a class that a target does not have


class Rows(NamedTuple):
    """x: float32[n, F]; y: int32[R, n], -1 = not used by this lane; weight:
    float32[R, n], None = all 1.
    """

    x: Array
    y: Array
    weight: Array | None = None


class _Net(NamedTuple):
    hidden: Array  # float[F, H]
    shift: Array  # float[H]
    out: Array  # float[H, C]
    base: Array  # float[C]


class _Lane(NamedTuple):
    """What differs between lanes. units: float[H], 1 = there; l2: float[]; classes:
    float[C], 0 or NEVER.
    """

    units: Array
    l2: Array
    classes: Array


class _Best(NamedTuple):
    """params: of the best look; value: its mean log-likelihood; at: which look."""

    params: _Net
    value: Array
    at: Array


def fit(
    train: Rows, valid: Rows, seen: Array, units: Array, l2: Array, seed: int = 0
) -> np.ndarray:
    """float32[R, m, C]: logits of R perceptrons for rows that they have not learned.

    Args:
        train: rows to learn from.
        valid: rows by which to stop.
        seen: float32[m, F], rows to score.
        units: int[R], of the hidden layer.
        l2: float[R], in units of solvers.glm: the sum over rows is penalized.
        seed: of first weights and batches.

    Example: `fit(Rows(x, y), Rows(xv, yv), xt, np.array([16]), np.array([1.0]))`.
    """
    y = np.asarray(train.y)
    many, counts = int(np.max(units)), y.max(axis=1) + 1
    share = np.stack([np.bincount(a[a >= 0], minlength=counts.max()) for a in y])
    share = share / share.sum(axis=1, keepdims=True)
    there = np.arange(counts.max()) < counts[:, None]
    lanes = _Lane(
        (np.arange(many) < np.asarray(units)[:, None]).astype(np.float32),
        np.asarray(l2, np.float32),
        np.where(there, 0, NEVER).astype(np.float32),
    )
    base = np.log(np.maximum(share, 1 / train.x.shape[0])).astype(np.float32)
    rng = key(seed, "probe", "mlp")
    with jax.default_matmul_precision("float32"):
        params = _descend(train, valid, lanes, base, rng, many)
        chunks = [seen[i : i + CHUNK] for i in range(0, len(seen), CHUNK)]
        return np.concatenate([_score(params, part, lanes) for part in chunks], 1)


@partial(jax.jit, static_argnums=5)
def _descend(
    train: Rows, valid: Rows, lanes: _Lane, base: Array, rng: Array, many: int
) -> _Net:
    first, rng = jax.random.split(rng)
    params, tx = _start(first, lanes, base, train.x.shape[1], many), optax.adam(RATE)
    zero = jnp.zeros(len(base), int)
    best = _Best(params, jnp.full(len(base), -jnp.inf), zero)

    def more(carry: tuple) -> Array:
        look, best = carry[0], carry[-1]
        return (look * EVERY < STEPS) & (look - best.at <= PATIENCE).any()

    def again(carry: tuple) -> tuple:
        look, params, opt, best = carry
        best = _looked(look, params, best, valid, lanes)
        begun = params, opt, jax.random.fold_in(rng, look)
        params, opt, _ = lax.fori_loop(
            0, EVERY, lambda _, state: _step(state, train, lanes, tx), begun
        )
        return look + 1, params, opt, best

    carry = jnp.zeros((), int), params, tx.init(params), best
    look, params, _, best = lax.while_loop(more, again, carry)
    return _looked(look, params, best, valid, lanes).params


def _start(rng: Array, lanes: _Lane, base: Array, width: int, many: int) -> _Net:
    """He's first weights, the same in all lanes; all predict the classes' shares."""
    hidden = jax.random.normal(rng, (width, many)) * (2 / width) ** 0.5
    hidden = hidden[None] * lanes.units[:, None]
    shift = jnp.zeros_like(lanes.units)
    out = jnp.zeros((*shift.shape, base.shape[1]))
    return _Net(hidden, shift, out, jnp.asarray(base))


def _step(state: tuple, train: Rows, lanes: _Lane, tx: Any) -> tuple:
    params, opt, rng = state
    rng, draw = jax.random.split(rng)
    n = len(train.x)
    rows = jax.random.randint(draw, (min(BATCH, n),), 0, n)
    x, y = train.x[rows], train.y[:, rows]
    weight = None if train.weight is None else train.weight[:, rows]

    def loss(params: _Net, y: Array, weight: Array | None, lane: _Lane) -> Array:
        size = jnp.sum(params.hidden**2) + jnp.sum(params.out**2)
        return -_likelihood(params, x, y, weight, lane) + 0.5 * lane.l2 / n * size

    moves, opt = tx.update(jax.vmap(jax.grad(loss))(params, y, weight, lanes), opt)
    return optax.apply_updates(params, moves), opt, rng


def _looked(look: Array, params: _Net, best: _Best, valid: Rows, lanes: _Lane) -> _Best:
    """The best of every lane, now that its validation rows are looked at again."""
    told = jax.vmap(_likelihood, (0, None, 0, 0, 0))
    value = told(params, valid.x, valid.y, valid.weight, lanes)
    better = value > best.value + SLIGHT

    def pick(new: Array, old: Array) -> Array:
        return jnp.where(better.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    at = jnp.full_like(best.at, look)
    return jax.tree.map(pick, _Best(params, value, at), best)


def _likelihood(
    params: _Net, x: Array, y: Array, weight: Array | None, lane: _Lane
) -> Array:
    """Mean log-likelihood of the rows that the lane uses, weighed."""
    told = jax.nn.log_softmax(_logits(params, x, lane))
    mine = jnp.take_along_axis(told, jnp.maximum(y, 0)[:, None], axis=1)[:, 0]
    mine = mine if weight is None else weight * mine
    used = y >= 0
    return jnp.sum(jnp.where(used, mine, 0.0)) / jnp.maximum(used.sum(), 1)


def _logits(params: _Net, x: Array, lane: _Lane) -> Array:
    hidden = jax.nn.relu(x @ params.hidden + params.shift[None]) * lane.units[None]
    return hidden @ params.out + params.base[None] + lane.classes[None]


@jax.jit
def _score(params: _Net, x: Array, lanes: _Lane) -> Array:
    return jax.vmap(_logits, (0, None, 0))(params, x, lanes)
