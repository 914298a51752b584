"""One training step, pure in state, batch and hyper-parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from equity_jax.methods import begin
from equity_jax.nouns import Method, Model, Task
from equity_jax.schemes import csa_loss
from equity_jax.types import Array, Batch, Counts, Hyper, Output, PyTree, State

# what a run's key is folded with, by purpose
DRAW, OTHER, DROPOUT, AUGMENT = 1, 2, 3, 4


def optimizer(clip: float = 1.0) -> optax.GradientTransformation:
    """Adam directions of gradients clipped to norm `clip`; rates come from Hyper."""
    return optax.chain(optax.clip_by_global_norm(clip), optax.scale_by_adam())


def make_step(
    model: Model,
    method: Method,
    task: Task,
    tx: optax.GradientTransformation,
    align: float = 0.0,
) -> tuple[Callable[..., State], Callable[..., tuple[State, dict]]]:
    """`(init, step)`: what one run does; vmap it for many.

    init(key, params, stats, counts, width) -> State (width: of the features, for what
    a method learns beside the model). step(state, batch, hyper, other=None) ->
    (State, {"loss"}); `other` is a batch of the reference group, used where align > 0:
    (1 - align) task loss on both + align CCSA (Motiian et al. 2017). The update is
    p - lr * leaf_rate * (adam + weight_decay * p), decay on kernels only (Loshchilov &
    Hutter 2019); a leaf of rate 0 stays bit for bit and adds nothing to the clipping.
    """

    def init(key: Array, params: PyTree, stats: PyTree, counts: Counts, width=0):
        aux = begin(method, key, width, counts)
        return State(jnp.int32(0), key, params, stats, tx.init(params), aux)

    def objective(params: PyTree, state: State, batch: Batch, hyper: Hyper, other: Any):
        key = jax.random.fold_in(jax.random.fold_in(state.key, DROPOUT), state.step)
        out, stats = model.apply(params, state.stats, batch.x, True, key)
        once = remember(task, out, batch)
        value, aux = method.loss(state.aux, once, out, batch, hyper.strength)
        if not align:
            return value, (stats, aux)
        out2, stats = model.apply(params, stats, other.x, True, key)
        once = remember(task, out2, other)
        value2, aux = method.loss(aux, once, out2, other, hyper.strength)
        pairs = _pairs(task, out, batch, out2, other)
        return (1 - align) * 0.5 * (value + value2) + align * pairs, (stats, aux)

    def step(state: State, batch: Batch, hyper: Hyper, other: Any = None):
        grad = jax.value_and_grad(objective, has_aux=True)
        (value, (stats, aux)), g = grad(state.params, state, batch, hyper, other)
        g = jax.tree.map(lambda g, r: g * (r > 0), g, hyper.leaf_rates)
        direction, opt = tx.update(g, state.opt)

        def move(p: Array, d: Array, rate: Array) -> Array:
            decay = hyper.weight_decay * p if p.ndim > 1 else 0.0
            return p - hyper.lr * rate * (d + decay)

        params = jax.tree.map(move, state.params, direction, hyper.leaf_rates)
        new = State(state.step + 1, state.key, params, stats, opt, aux)
        return new, {"loss": value}

    return init, step


def remember(task: Task, out: Output, batch: Batch) -> Task:
    """The task with the nll of these logits computed once, for all that ask for it.

    `switch` traces every method; without this each would differentiate its own nll,
    the dearest part of a count model's step.
    """
    values = task.nll(out.logits, batch.y)

    def nll(logits: Array, y: Any) -> Array:
        same = logits is out.logits and y is batch.y
        return values if same else task.nll(logits, y)

    return task._replace(nll=nll)


def _pairs(task: Task, out: Output, batch: Batch, out2: Output, other: Batch) -> Array:
    seen, seen2 = batch.weight * batch.mask[:, 0], other.weight * other.mask[:, 0]
    classes, classes2 = task.class_of(batch.y)[:, 0], task.class_of(other.y)[:, 0]
    return csa_loss(out.features, classes, seen, out2.features, classes2, seen2)


def evaluate(
    model: Model, task: Task, params: PyTree, stats: PyTree, batch: Batch
) -> Array:
    """Plain mean nll over observed rows (sum over sum), whatever the method.

    NaN where the batch has no observed row.
    """
    out, _ = model.apply(params, stats, batch.x, False, jax.random.key(0))
    weight = batch.mask * batch.weight[:, None]
    return jnp.sum(task.nll(out.logits, batch.y) * weight) / jnp.sum(weight)
