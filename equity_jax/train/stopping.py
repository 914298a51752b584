"""Early stopping and keep-best as data: one small state a run, no Python branch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from equity_jax.types import Array, PyTree


class Stopping(NamedTuple):
    """The best parameters so far, and whether the run has stopped.

    best, best_stats: pytrees; value: float, the validation loss of `best`; step: int,
    when it was reached; bad: int, evaluations since; stopped: bool; last: int, the
    step at which the run stopped.
    """

    best: PyTree
    best_stats: PyTree
    value: Array
    step: Array
    bad: Array
    stopped: Array
    last: Array


def start(params: PyTree, stats: PyTree) -> Stopping:
    """Before the first evaluation: nothing is best yet."""
    zero = jnp.int32(0)
    worst = jnp.float32(jnp.inf)
    return Stopping(params, stats, worst, zero, zero, jnp.bool_(False), zero)


def look(
    stop: Stopping,
    params: PyTree,
    stats: PyTree,
    value: Array,
    step: Array,
    patience: int,
    budget: Array,
) -> Stopping:
    """One evaluation: keep the better parameters, stop after `patience` bad ones.

    value: float, validation loss at `step`; NaN counts as worse. A stopped run never
    changes again. The run also stops when `budget` steps are spent.
    """
    better = (value < stop.value) & ~stop.stopped
    bad = jnp.where(stop.stopped, stop.bad, jnp.where(better, 0, stop.bad + 1))
    stopped = stop.stopped | (bad >= patience) | (step >= budget)
    return Stopping(
        pick(better, params, stop.best),
        pick(better, stats, stop.best_stats),
        jnp.where(better, value, stop.value),
        jnp.where(better, step, stop.step),
        bad,
        stopped,
        jnp.where(stop.stopped, stop.last, step),
    )


def pick(condition: Array, yes: PyTree, no: PyTree) -> PyTree:
    """Leaf by leaf `where`, for a scalar condition."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
