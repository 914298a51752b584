"""One training step, pure in state, batch and hyper-parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from equity_jax.methods import begin
from equity_jax.nouns import Method, Model, Task
from equity_jax.schemes import csa_loss
from equity_jax.train.stopping import pick
from equity_jax.types import Array, Batch, Counts, Hyper, Output, PyTree, State

# what a run's key is folded with, by purpose
DRAW, OTHER, DROPOUT, AUGMENT, MIX = 1, 2, 3, 4, 5


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
    A method that climbs is asked for its gradient a second time, at the top; what it
    remembers, and the statistics, move once.
    """

    def init(key: Array, params: PyTree, stats: PyTree, counts: Counts, width=0):
        aux = begin(method, key, width, counts)
        mean = (params, stats) if method.newest else ()
        return State(jnp.int32(0), key, params, stats, tx.init(params), aux, mean)

    objective = _objective(model, method, task, align)

    def slope(params: PyTree, *given: Any) -> Any:
        found, g = jax.value_and_grad(objective, has_aux=True)(params, *given)
        rates = given[2].leaf_rates
        return found, jax.tree.map(lambda g, r: g * (r > 0), g, rates)

    def step(state: State, batch: Batch, hyper: Hyper, other: Any = None):
        if method.mix:
            batch = method.mix(state.aux, _key(state, MIX), task, batch)
        given, opt = (state, batch, hyper, other), state.opt
        (value, (stats, aux)), g = slope(state.params, *given)
        if method.radius:
            _, g = slope(_climbed(state.params, g, method.radius(state.aux)), *given)
        if method.forget:
            anew = method.forget(state.aux, hyper.spent)
            opt = pick(anew, tx.init(state.params), opt)
        direction, opt = tx.update(g, opt)
        params, mean = _moved(state.params, direction, hyper), ()
        if method.newest:
            mean = _averaged(state, (params, stats), method.newest(aux, hyper.spent))
        new = State(state.step + 1, state.key, params, stats, opt, aux, mean)
        return new, {"loss": value}

    return init, step


def _objective(model: Model, method: Method, task: Task, align: float) -> Any:
    """(params, state, batch, hyper, other) -> loss, (stats, aux)."""

    def objective(params: PyTree, state: State, batch: Batch, hyper: Hyper, other: Any):
        key, batch = _key(state, DROPOUT), batch._replace(spent=hyper.spent)
        out, stats = model.apply(params, state.stats, batch.x, True, key)
        once = remember(task, out, batch)
        value, aux = method.loss(state.aux, once, out, batch, hyper.strength)
        if not align:
            return value, (stats, aux)
        other = other._replace(spent=hyper.spent)
        out2, stats = model.apply(params, stats, other.x, True, key)
        once = remember(task, out2, other)
        value2, aux = method.loss(aux, once, out2, other, hyper.strength)
        pairs = _pairs(task, out, batch, out2, other)
        return (1 - align) * 0.5 * (value + value2) + align * pairs, (stats, aux)

    return objective


def _averaged(state: State, now: PyTree, share: Array) -> PyTree:
    return jax.tree.map(lambda m, n: m + share * (n - m), state.mean, now)


def _moved(params: PyTree, direction: PyTree, hyper: Hyper) -> PyTree:
    def move(p: Array, d: Array, rate: Array) -> Array:
        decay = hyper.weight_decay * p if p.ndim > 1 else 0.0
        return p - hyper.lr * rate * (d + decay)

    return jax.tree.map(move, params, direction, hyper.leaf_rates)


def standing(state: State) -> tuple[PyTree, PyTree]:
    """(params, stats) that are judged and kept: the average, where there is one."""
    return state.mean or (state.params, state.stats)


def _key(state: State, purpose: int) -> Array:
    return jax.random.fold_in(jax.random.fold_in(state.key, purpose), state.step)


def _climbed(params: PyTree, slope: PyTree, radius: Array) -> PyTree:
    """Parameters `radius` away along the slope (Foret et al., SAM, ICLR 2021)."""
    far = radius / jnp.maximum(optax.tree.norm(slope), 1e-12)
    return jax.tree.map(lambda p, g: p + far * g, params, slope)


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
    model: Model,
    task: Task,
    params: PyTree,
    stats: PyTree,
    batch: Batch,
    keep: str = "nll",
) -> Array:
    """Plain mean nll over observed rows (sum over sum), whatever the method.

    NaN where the batch has no observed row. keep "auroc": 1 - AUROC instead, the mean
    over labels or classes; the nll where no class can be ranked.
    """
    out, _ = model.apply(params, stats, batch.x, False, jax.random.key(0))
    weight = batch.mask * batch.weight[:, None]
    nll = jnp.sum(task.nll(out.logits, batch.y) * weight) / jnp.sum(weight)
    if keep == "nll" or not task.outputs:  # a reconstruction ranks nobody
        return nll
    classes, logits = task.class_of(batch.y), out.logits[:, : task.outputs]
    positive, several = classes == 1, task.outputs > classes.shape[1]
    if several:  # one class against the rest
        logits = jax.nn.log_softmax(logits)
        positive = classes == jnp.arange(task.outputs)[None]
    weight = jnp.broadcast_to(weight * (classes >= 0), positive.shape)
    found = jax.vmap(ranked, 1)(logits, positive, weight)
    known = jnp.isfinite(found)
    mean = jnp.sum(jnp.where(known, found, 0.0)) / jnp.maximum(known.sum(), 1)
    return jnp.where(known.any(), 1.0 - mean, nll)


def ranked(score: Array, positive: Array, weight: Array) -> Array:
    """AUROC of float[N], ties counting half (Mann & Whitney 1947), a scalar.

    positive: bool[N]; weight: float[N]; NaN where a class has no weight.

    Example:
        >>> float(ranked(jnp.arange(3.0), jnp.array([False, True, True]), jnp.ones(3)))
        1.0
    """
    order = jnp.argsort(score)
    ones = jnp.where(positive, weight, 0.0)
    rest = weight - ones
    below = jnp.concatenate([jnp.zeros(1), jnp.cumsum(rest[order])])
    found = [jnp.searchsorted(score[order], score, side=s) for s in ("left", "right")]
    half = 0.5 * (below[found[0]] + below[found[1]])
    return jnp.sum(ones * half) / (ones.sum() * rest.sum())
