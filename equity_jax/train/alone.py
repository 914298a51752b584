"""One run at a time: the program for image networks.

The host loops over a jitted step. No vmap and no scan: on a CPU a convolution inside a
compiled loop is many times slower, and a large network fills the device by itself.
What lies still (rate 0) is no part of the state, so it is neither differentiated nor
saved; which leaves those are is the structure of the state, so each pattern of
freezing is compiled once. A batch depends on (seed, step) only, wherever it comes from.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from equity_jax.config import Train
from equity_jax.data.sampler import draw
from equity_jax.nouns import Method, Model, Task
from equity_jax.train.checkpoint import unpack
from equity_jax.train.feed import batches, mesh_of, padded, place
from equity_jax.train.leaves import only
from equity_jax.train.step import (
    AUGMENT,
    DRAW,
    OTHER,
    make_step,
    optimizer,
    standing,
)
from equity_jax.train.stopping import Stopping, look
from equity_jax.train.sweep import (
    Lane,
    Look,
    Program,
    Progress,
    Team,
    paced,
    regrouped,
)
from equity_jax.types import Array, Batch, State

Augment = Callable[[Array, Batch], Batch]  # (key, batch) -> batch, on the device


def make_alone(
    model: Model,
    method: Method,
    task: Task,
    train: Train,
    align: float = 0.0,
    augment: Augment | None = None,
) -> Program:
    """The program of one kind of stage, for one run.

    As `make_program`, without the axis of lanes: a segment is `train.segment` steps
    with a look every `train.eval_every`, and ends where the run stops. Several devices
    share the rows of a batch.
    """
    mesh, draws = mesh_of(train.batch), make_draws(train, align)
    advance = make_advance(model, method, task, mesh, align, augment)
    tally = make_tally(model, task)
    glance = jax.jit(partial(_glance, train.patience), donate_argnums=0)

    def begin(made: Sequence[Team], saved: dict | None) -> Any:
        [[(progress, lane)]] = made
        progress = progress if saved is None else unpack(saved, progress)
        return place(jax.tree.map(_own, progress), mesh), place(lane, mesh)

    def segment(
        progress: Progress, lane: Lane, rows: Batch, valid: Batch, beat: Callable
    ) -> tuple[Progress, Look]:
        state, stop = progress
        left = int(lane.budget) - int(state.step)
        index = np.asarray(draws(lane, state.key, state.step))[:left]
        feed = batches(regrouped(rows, lane), index, mesh)
        looks: list[Look] = []
        while not stop.stopped and len(looks) < train.segment // train.eval_every:
            losses: list[Array] = []
            for batch in islice(feed, train.eval_every):
                state, loss = advance(state, lane, batch)
                losses.append(loss)
                losses[max(0, len(losses) - 3)].block_until_ready()  # stay close behind
                beat(1)
            value = _judge(tally, state, lane, valid, mesh, train.batch)
            stop = glance(stop, state, value, lane.budget)
            seen = Look(state.step, np.mean(losses), value, np.bool_(True))
            looks.append(jax.tree.map(np.array, seen))  # copies: the state is donated
        return (state, stop), jax.tree.map(lambda *a: np.stack(a), *looks)

    return Program(model, task, 0, begin, segment)


def make_advance(
    model: Model,
    method: Method,
    task: Task,
    mesh: Mesh,
    align: float,
    augment: Augment | None,
) -> Callable[[State, Lane, Batch], tuple[State, Array]]:
    """One compiled step: augment, differentiate what moves, update. Donates the state.

    Where align > 0 the second half of the batch is of the reference group.
    """

    def advance(state: State, lane: Lane, batch: Batch) -> tuple[State, Array]:
        _, step = make_step(only(model, lane.still), method, task, optimizer(), align)
        parts = _halves(batch) if align else [batch]
        if augment is not None:
            key = jax.random.fold_in(jax.random.fold_in(state.key, AUGMENT), state.step)
            keys = [key, jax.random.fold_in(key, OTHER)]
            parts = [augment(k, part) for k, part in zip(keys, parts, strict=False)]
        state, info = step(state, parts[0], paced(lane, state.step), *parts[1:])
        return state, info["loss"]

    whole = NamedSharding(mesh, PartitionSpec())
    return jax.jit(advance, donate_argnums=0, out_shardings=whole)


def make_tally(model: Model, task: Task) -> Callable[..., Array]:
    """(sums float[2], state, lane, batch) -> sums and the batch's nll and rows."""

    @jax.jit
    def tally(sums: Array, state: State, lane: Lane, batch: Batch) -> Array:
        net, key = only(model, lane.still), jax.random.key(0)
        out, _ = net.apply(*standing(state), batch.x, False, key)
        weight = batch.mask * batch.weight[:, None]
        values = task.nll(out.logits, batch.y)
        return sums + jnp.stack([jnp.sum(values * weight), jnp.sum(weight)])

    return tally


def make_draws(train: Train, align: float) -> Callable[[Lane, Array, Array], Array]:
    """(lane, key, step) -> row numbers int[S, B] of the next segment's batches.

    The same numbers as the sweep draws; where align > 0, B rows of the reference group
    follow.
    """

    @jax.jit
    def draws(lane: Lane, key: Array, step: Array) -> Array:
        def many(table: Array, purpose: int) -> Array:
            mine = jax.random.fold_in(key, purpose)
            return jax.vmap(lambda at: draw(table, mine, at, train.batch))(steps)

        steps = step + jnp.arange(train.segment)
        index = many(lane.table, DRAW)
        if not align:
            return index
        return jnp.concatenate([index, many(lane.other, OTHER)], 1)

    return draws


def _judge(
    tally: Callable[..., Array],
    state: State,
    lane: Lane,
    valid: Batch,
    mesh: Mesh,
    batch: int,
) -> Array:
    """Mean nll of the lane's validation rows, sum over sum; NaN if none is observed."""
    index, weight = padded(np.flatnonzero(lane.valid), batch)
    sums = place(np.zeros(2, np.float32), mesh)
    if not index.size:
        return sums[0] / sums[1]
    for rows, w in zip(batches(valid, index, mesh), weight, strict=True):
        sums = tally(sums, state, lane, rows._replace(weight=w))
    return sums[0] / sums[1]


def _glance(
    patience: int, stop: Stopping, state: State, value: Array, budget: Array
) -> Stopping:
    return look(stop, *standing(state), value, state.step, patience, budget)


def _halves(batch: Batch) -> list[Batch]:
    half = batch.weight.shape[0] // 2
    parts = slice(None, half), slice(half, None)
    return [jax.tree.map(lambda a, p=part: a[p], batch) for part in parts]


def _own(leaf: Any) -> Any:
    """A copy that may be donated: nobody else looks at it."""
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return leaf if is_key else np.array(leaf)
