"""Many runs side by side: one compiled program that advances a chunk of them.

What differs between runs is data (Lane), so methods, schemes, seeds, groups and rates
share the program. A chunk has a fixed width, because another width of vmap gives other
last bits; several devices take one chunk each.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from equity_jax.config import Train
from equity_jax.data.sampler import draw
from equity_jax.nouns import Method, Model, Task
from equity_jax.train.step import DRAW, OTHER, evaluate, make_step, optimizer
from equity_jax.train.stopping import Stopping, look, pick
from equity_jax.types import Array, Batch, Hyper, PyTree, State


class Lane(NamedTuple):
    """One run's inputs, traced. table, other: draw tables float32[N] (other: of the
    reference group, float32[0] if unused); valid: float32[V], which validation rows
    count; budget: int, steps.
    """

    hyper: Hyper
    table: Array
    other: Array
    valid: Array
    budget: Array


class Look(NamedTuple):
    """One evaluation, for the log: step, mean training loss since the last, nll."""

    step: Array
    loss: Array
    valid: Array
    active: Array


class Program(NamedTuple):
    """A compiled kind of fit. segment: (progress, lanes, train, valid) -> (progress,
    Look[W, E]); init: a State from (key, params, stats, counts).
    """

    model: Model
    task: Task
    init: Callable[..., State]
    segment: Callable[..., tuple[PyTree, Look]]


def take(rows: Batch, index: Array) -> Batch:
    """Rows int[B] of a Batch of N rows."""
    return jax.tree.map(lambda a: a[index], rows)


def make_program(
    model: Model, method: Method, task: Task, train: Train, align: float = 0.0
) -> Program:
    """The program of one kind of stage.

    A segment runs `train.segment` steps of every lane and evaluates every
    `train.eval_every`; lanes that have stopped keep their state bit for bit. The rate
    follows a half cosine from lr to 0 over the lane's budget (Loshchilov & Hutter,
    SGDR, ICLR 2017).
    """
    init, step = make_step(model, method, task, optimizer(), align)

    def advance(state: State, lane: Lane, rows: Batch) -> tuple[State, Array]:
        def batch(table: Array, purpose: int) -> Batch:
            key = jax.random.fold_in(state.key, purpose)
            return take(rows, draw(table, key, state.step, train.batch))

        cosine = 0.5 * (1 + jnp.cos(jnp.pi * state.step / lane.budget))
        hyper = lane.hyper._replace(lr=lane.hyper.lr * cosine)
        other = batch(lane.other, OTHER) if align else None
        state, info = step(state, batch(lane.table, DRAW), hyper, other)
        return state, info["loss"]

    def one(
        progress: tuple[State, Stopping], lane: Lane, rows: Batch, valid: Batch
    ) -> tuple[Any, Look]:
        def interval(progress: Any, _: None) -> tuple[Any, Look]:
            state, stop = progress
            new, losses = jax.lax.scan(
                lambda s, _: advance(s, lane, rows), state, length=train.eval_every
            )
            state = pick(stop.stopped, state, new)
            params, stats, at = state.params, state.stats, state.step
            seen = valid._replace(weight=lane.valid)
            value = evaluate(model, task, params, stats, seen)
            seen = Look(at, losses.mean(), value, ~stop.stopped)
            limits = train.patience, lane.budget
            return (state, look(stop, params, stats, value, at, *limits)), seen

        return jax.lax.scan(
            interval, progress, length=train.segment // train.eval_every
        )

    return Program(model, task, init, parallel(one))


def parallel(one: Callable[..., Any]) -> Callable[..., Any]:
    """Vmap, jit, one chunk a device. Of four arguments two have lanes, two do not."""
    many = jax.vmap(one, in_axes=(0, 0, None, None))
    devices = jax.device_count()
    if devices > 1:
        mesh = jax.make_mesh((devices,), ("runs",), axis_types=(AxisType.Auto,))
        lanes, all_ = PartitionSpec("runs"), PartitionSpec()
        many = jax.shard_map(
            many,
            mesh=mesh,
            in_specs=(lanes, lanes, all_, all_),
            out_specs=lanes,
            check_vma=False,
        )
    return jax.jit(many)
