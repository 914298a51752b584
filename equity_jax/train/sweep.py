"""Many runs side by side: one compiled program that advances a chunk of them.

What differs between runs is data (Lane), so methods, schemes, seeds, groups and rates
share the program. Lanes that draw the same rows form a team (teams.py), and all stand
as [T, L]: T teams of L lanes. Several devices take some of the teams each.
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
from equity_jax.train.step import (
    DRAW,
    OTHER,
    evaluate,
    make_step,
    optimizer,
    standing,
)
from equity_jax.train.stopping import Stopping, look, pick
from equity_jax.types import Array, Batch, Hyper, PyTree, State

Progress = tuple[State, Stopping]


class Lane(NamedTuple):
    """One run's inputs, traced. table, other: draw tables float32[N] (other: of the
    reference group, float32[0] if unused); valid: float32[V], which validation rows
    count; budget: int, steps; still: (params, stats) that are no part of the state;
    group: int32[N] in place of the rows' own, or (). A team has table, other and valid
    in common.
    """

    hyper: Hyper
    table: Array
    other: Array
    valid: Array
    budget: Array
    still: PyTree = ()
    group: Any = ()


Team = Sequence[tuple[Progress, Lane]]  # what each of its lanes starts with
OWN = Lane(hyper=0, table=None, other=None, valid=None, budget=0, still=0, group=0)
"""The axis of a team's lanes; None: what they have in common has no such axis."""


class Look(NamedTuple):
    """One evaluation, for the log: step, mean training loss since the last, nll."""

    step: Array
    loss: Array
    valid: Array
    active: Array


class Program(NamedTuple):
    """A compiled kind of fit.

    width: lanes side by side; progress, lanes and Look lead with [T, L]; 0: one run
    without them. begin: (made, saved) -> (progress, lanes), from teams of (progress,
    Lane), and the packed progress of a run that was killed, or None. segment:
    (progress, lanes, train, valid, beat) -> (progress, Look[T, L, E]); beat is told of
    steps done.
    """

    model: Model
    task: Task
    width: int
    begin: Callable[..., tuple[PyTree, Lane]]
    segment: Callable[..., tuple[PyTree, Look]]


class Draws(NamedTuple):
    """Where a team's rows come from: its key, and the step that it has reached."""

    key: Array
    step: Array


def regrouped(rows: Batch, lane: Lane) -> Batch:
    """The rows with the groups that the lane sees them in."""
    return rows if isinstance(lane.group, tuple) else rows._replace(group=lane.group)


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

    def one(
        progress: Progress, lane: Lane, draws: Draws, rows: Batch, valid: Batch
    ) -> tuple[Progress, Look]:
        def batch(table: Array, purpose: int, at: Array) -> Batch:
            key = jax.random.fold_in(draws.key, purpose)
            return take(regrouped(rows, lane), draw(table, key, at, train.batch))

        def advance(state: State, at: Array) -> tuple[State, Array]:
            state = state.replace(key=draws.key, step=at)  # the team's own, drawn once
            hyper, other = paced(lane, at), None
            if align:
                other = batch(lane.other, OTHER, at)
            state, info = step(state, batch(lane.table, DRAW, at), hyper, other)
            return state, info["loss"]

        def interval(progress: Progress, ats: Array) -> tuple[Progress, Look]:
            state, stop = progress
            new, losses = jax.lax.scan(advance, state, ats)
            state = pick(stop.stopped, state, new)
            (params, stats), at = standing(state), state.step
            seen = valid._replace(weight=lane.valid)
            value = evaluate(model, task, params, stats, seen, train.keep)
            seen = Look(at, losses.mean(), value, ~stop.stopped)
            limits = train.patience, lane.budget
            return (state, look(stop, params, stats, value, at, *limits)), seen

        ats = draws.step + jnp.arange(train.segment)
        return jax.lax.scan(interval, progress, ats.reshape(-1, train.eval_every))

    many = parallel(_together(one))
    return Program(model, task, train.chunk, side_by_side, _unheard(many))


def _together(one: Callable[..., Any]) -> Callable[..., Any]:
    """The lanes of one team. One key and one clock draw for all of them.

    A lane that has stopped lags behind the clock; what it is given is thrown away.
    """

    def team(progress: Progress, lanes: Lane, rows: Batch, valid: Batch) -> Any:
        state, _ = progress
        draws = Draws(state.key[0], state.step.max())
        several = jax.vmap(one, in_axes=(0, OWN, None, None, None))
        many = several if state.step.size > 1 else _single(one)
        return many(progress, lanes, draws, rows, valid)

    return team


def _single(one: Callable[..., Any]) -> Callable[..., Any]:
    """For a team of one: its axis, of length 1, would give other last bits."""

    def team(progress: Progress, lanes: Lane, *rest: Any) -> tuple[Progress, Look]:
        axes = zip(OWN, lanes, strict=True)
        lane = Lane(*(a if axis is None else _first(a) for axis, a in axes))
        made = one(_first(progress), lane, *rest)
        return jax.tree.map(lambda a: a[None], made)

    return team


def _first(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a[0], tree)


def _unheard(many: Callable[..., Any]) -> Callable[..., Any]:
    """A segment without its `beat`: the host hears of steps when a chunk is done."""

    @functools.wraps(many)
    def segment(*args: Any) -> tuple[Any, Look]:
        return many(*args[:4])

    return segment


def paced(lane: Lane, step: Array) -> Hyper:
    """The lane's knobs at a step: lr follows half a cosine over its budget."""
    spent = step / lane.budget
    cosine = 0.5 * (1 + jnp.cos(jnp.pi * spent))
    return lane.hyper._replace(lr=lane.hyper.lr * cosine, spent=spent)


def side_by_side(
    made: Sequence[Team], saved: dict[str, Any] | None
) -> tuple[Progress, Lane]:
    """What teams of lanes start with; their progress as it was saved, if it was."""

    def stack(*leaves: Any) -> Array:
        # Random keys are jax arrays and stay keys; all else is numpy on the host.
        many = jnp.stack if isinstance(leaves[0], jax.Array) else np.stack
        return many(leaves)

    def team(mine: Team) -> tuple[Progress, Lane]:
        progress, lanes = jax.tree.map(stack, *mine)
        parts = zip(OWN, mine[0][1], lanes, strict=True)
        common = (one if axis is None else all_ for axis, one, all_ in parts)
        return progress, Lane(*common)

    progress, lanes = jax.tree.map(stack, *map(team, made))
    return progress if saved is None else unpack(saved, progress), lanes


def parallel(one: Callable[..., Any]) -> Callable[..., Any]:
    """Vmap, jit, a part a device. Of four arguments two have an axis, two do not."""
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
