"""fit: from a data set and a table of runs to fitted weights."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.config import Train
from equity_jax.models import autoencoder, beside
from equity_jax.nouns import Method, Model, Scheme, Task
from equity_jax.train.alone import Augment, make_alone
from equity_jax.train.checkpoint import Journal
from equity_jax.train.drive import Drive, Fitted, kind_of
from equity_jax.train.feed import mesh_of, moved, place, streamed
from equity_jax.train.lanes import Lanes
from equity_jax.train.leaves import Weights, refuse_random
from equity_jax.train.plan import Plan, Run, plan
from equity_jax.train.sweep import Program, make_program
from equity_jax.types import TRAIN, VALID, Batch, Dataset, InputError


def batch_of(dataset: Dataset, split: int) -> Batch:
    """All rows of a split as one Batch on the device; a stream stays a stream."""
    rows = np.flatnonzero(dataset.split == split)
    x = dataset.x
    return Batch(
        x[rows] if streamed(x) else moved(x, rows),
        jax.tree.map(lambda a: jnp.asarray(a[rows]), dataset.y),
        jnp.asarray(dataset.mask[rows], jnp.float32),
        jnp.asarray(dataset.group[rows]),
        jnp.ones(len(rows)),
        jnp.asarray(rows.astype(np.int32)),
    )


def fit(
    model: Model,
    dataset: Dataset,
    runs: Sequence[Run],
    *,
    task: Task,
    reconstruct: Task,
    train: Train,
    methods: Mapping[str, Method],
    schemes: Mapping[str, Scheme],
    journal: Journal | None = None,
    programs: dict[Any, Program] | None = None,
    quiet: bool = True,
    augment: Augment | None = None,
    start: Weights | None = None,
    name: str = "",
    kept: Mapping[str, np.ndarray] = {},
) -> Fitted:
    """Fits every run and keeps each one's best parameters by its own validation rows.

    Tables are fitted many runs at a time (sweep.py), images (x of more than 2 axes)
    one run at a time (alone.py).

    methods: made by `switch`, so that they share a loss; reconstruct: the task of
    "autoencode" stages; journal: where finished chunks are saved and found again;
    programs: a dict that keeps what was compiled, for the next fit of the same model,
    methods, task, train and augment to other rows; augment: (key, batch) -> batch, for
    images; start: what stands before the first stage, taken where its `carry` says;
    name: tells the fits that share a journal apart; kept: Run.kept -> bool[N], the rows
    that there are for such runs, to train and to validate on.

    Raises:
        InputError: a scheme that starts from weights without any, or without the
            leaves that it takes; what tables have and images have not, or the reverse.

    Example:
        >>> fitted = fit(model, dataset, [Run(0, "erm", "mixture", -1, 3e-3)], ...)
        >>> fitted.of(0).params["head"]["dense"]["kernel"].shape
        (64, 1)
    """
    asked = {run.scheme: schemes[run.scheme] for run in runs}
    refuse_random(asked, model, start, dataset.x)
    alone = dataset.x.ndim > 2
    rows, valid = batch_of(dataset, TRAIN), batch_of(dataset, VALID)
    if alone:
        rows, valid = (place(part, mesh_of(train.batch)) for part in (rows, valid))
    groups, reference = dataset.spec.groups, dataset.spec.reference
    people = len(groups), groups.index(reference)
    seen = np.asarray(rows.group), np.asarray(valid.group)
    observed = np.asarray(rows.mask).max(1) > 0
    blocks = dataset.patient[dataset.split == TRAIN]
    parts = [dataset.split == part for part in (TRAIN, VALID)]
    there = {name: tuple(mask[part] for part in parts) for name, mask in kept.items()}
    chain = plan(runs, schemes, *seen, blocks, observed, people[1], there)
    lanes = Lanes(rows, valid, chain, methods, task, train, *people, start, alone)
    nets = {"task": (model, task), "autoencode": (autoencoder(model), reconstruct)}
    made = make_programs(chain, nets, methods, train, programs, augment, alone)
    drive = Drive(lanes, model, journal or Journal(None), train, quiet, name)
    drive.run(made)
    return drive.finish(list(runs))


def make_programs(
    chain: Plan,
    nets: Mapping[str, tuple[Model, Task]],
    methods: Mapping[str, Method],
    train: Train,
    kept: dict[Any, Program] | None,
    augment: Augment | None,
    alone: bool,
) -> dict[tuple[str, float], Program]:
    """A Program for each kind of stage (objective, align), from `kept` if it is there.

    Raises:
        InputError: augmentation of a table, reconstruction of images, or of images
            another measure than nll to keep the best by; a method that a stage names
            and that is not among the methods.
    """
    missing = {job.method for job in chain.jobs} - set(methods)
    if missing:
        raise InputError(f"a stage's method {min(missing)!r} is not among the methods")
    if augment is not None and not alone:
        raise InputError("augmentation is for images; x is a table")
    if alone and train.keep != "nll":
        raise InputError(f"train.keep={train.keep!r} is for tables; x holds images")
    kept, programs = {} if kept is None else kept, {}
    loss = next(iter(methods.values()))
    if loss.rival:
        nets = {**nets, "task": (beside(nets["task"][0]), nets["task"][1])}
    for kind in dict.fromkeys(kind_of(job) for job in chain.jobs):
        (net, goal), align = nets[kind[0]], kind[1]
        if alone and kind[0] != "task":
            raise InputError(f"objective {kind[0]!r} is for tables; x holds images")
        same = (net, loss, goal, astuple(train), align, augment, alone)
        if same not in kept:
            more = (augment,) if alone else ()
            make = make_alone if alone else make_program
            kept[same] = make(net, loss, goal, train, align, *more)
        programs[kind] = kept[same]
    return programs
