"""Many runs side by side: one compiled program that advances a chunk of them.

What differs between runs is data (Lane), so methods, schemes, seeds, groups and rates
share the program. A chunk has a fixed width, because another width of vmap gives other
last bits; several devices take one chunk each.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from equity_jax.config import Train
from equity_jax.data.sampler import draw
from equity_jax.nouns import Method, Model, Task
from equity_jax.train.checkpoint import unpack
from equity_jax.train.step import DRAW, OTHER, evaluate, make_step, optimizer
from equity_jax.train.stopping import Stopping, look, pick
from equity_jax.types import Array, Batch, Hyper, PyTree, State


class Lane(NamedTuple):
    """One run's inputs, traced. table, other: draw tables float32[N] (other: of the
    reference group, float32[0] if unused); valid: float32[V], which validation rows
    count; budget: int, steps; still: (params, stats) that are no part of the state.
    """

    hyper: Hyper
    table: Array
    other: Array
    valid: Array
    budget: Array
    still: PyTree = ()


class Look(NamedTuple):
    """One evaluation, for the log: step, mean training loss since the last, nll."""

    step: Array
    loss: Array
    valid: Array
    active: Array


class Program(NamedTuple):
    """A compiled kind of fit.

    width: lanes side by side, a leading axis of progress, lanes and Look; 0: one run
    without it. begin: (made, saved) -> (progress, lanes), from a (progress, Lane) per
    lane, and the packed progress of a run that was killed, or None. segment: (progress,
    lanes, train, valid, beat) -> (progress, Look[W, E]); beat is told of steps done.
    """

    model: Model
    task: Task
    width: int
    begin: Callable[..., tuple[PyTree, Lane]]
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
    _, step = make_step(model, method, task, optimizer(), align)

    def advance(state: State, lane: Lane, rows: Batch) -> tuple[State, Array]:
        def batch(table: Array, purpose: int) -> Batch:
            key = jax.random.fold_in(state.key, purpose)
            return take(rows, draw(table, key, state.step, train.batch))

        hyper, other = paced(lane, state.step), None
        if align:
            other = batch(lane.other, OTHER)
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

    return Program(model, task, train.chunk, side_by_side, _unheard(parallel(one)))


def _unheard(many: Callable[..., Any]) -> Callable[..., Any]:
    """A segment without its `beat`: the host hears of steps when a chunk is done."""

    @functools.wraps(many)
    def segment(*args: Any) -> tuple[Any, Look]:
        return many(*args[:4])

    return segment


def paced(lane: Lane, step: Array) -> Hyper:
    """The lane's knobs at a step: lr follows half a cosine over its budget."""
    cosine = 0.5 * (1 + jnp.cos(jnp.pi * step / lane.budget))
    return lane.hyper._replace(lr=lane.hyper.lr * cosine)


def side_by_side(
    made: Sequence[tuple[PyTree, Lane]], saved: dict[str, Any] | None
) -> tuple[PyTree, Lane]:
    """What lanes start with, stacked; their progress as it was saved, if it was."""

    def stack(*leaves: Any) -> Array:
        # Random keys are jax arrays and stay keys; all else is numpy on the host.
        many = jnp.stack if isinstance(leaves[0], jax.Array) else np.stack
        return many(leaves)

    progress, lanes = jax.tree.map(stack, *made)
    return progress if saved is None else unpack(saved, progress), lanes


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
