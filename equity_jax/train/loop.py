"""The host's part: levels of jobs, chunks of lanes, segments of steps, checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from equity_jax.config import Train
from equity_jax.models import autoencoder
from equity_jax.nouns import Method, Model, Scheme, Task
from equity_jax.train.checkpoint import Journal, pack, unpack
from equity_jax.train.lanes import Lanes, Weights
from equity_jax.train.plan import Job, Plan, Run, plan
from equity_jax.train.sweep import Look, Program, make_program
from equity_jax.types import TRAIN, VALID, Array, Batch, Dataset, PyTree


class Fitted(NamedTuple):
    """What a sweep leaves. weights: one per job; looks: per job, Look[E] of numpy;
    value: float[J], best validation loss; step: int[J], when; plan and runs as given.
    """

    runs: list[Run]
    plan: Plan
    weights: list[Weights]
    looks: list[Look]
    value: np.ndarray
    step: np.ndarray

    def of(self, run: int) -> Weights:
        """The parameters that run number `run` ended with."""
        return self.weights[self.plan.final[run]]


def batch_of(dataset: Dataset, split: int) -> Batch:
    """All rows of a split as one Batch on the device."""
    rows = np.flatnonzero(dataset.split == split)
    return Batch(
        jnp.asarray(dataset.x[rows]),
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
) -> Fitted:
    """Fits every run and keeps each one's best parameters by its own validation rows.

    methods: made by `switch`, so that they share a loss; reconstruct: the task of
    "autoencode" stages; journal: where finished chunks are saved and found again;
    programs: a dict that keeps what was compiled, for the next fit of the same model,
    methods, task and train to other rows.

    Example:
        >>> fitted = fit(model, dataset, [Run(0, "erm", "mixture", -1, 3e-3)], ...)
        >>> fitted.of(0).params["head"]["dense"]["kernel"].shape
        (64, 1)
    """
    rows, valid = batch_of(dataset, TRAIN), batch_of(dataset, VALID)
    blocks = dataset.patient[dataset.split == TRAIN]
    groups, reference = dataset.spec.groups, dataset.spec.reference
    home = groups.index(reference)
    seen = np.asarray(rows.group), np.asarray(valid.group)
    observed = np.asarray(rows.mask).max(1) > 0
    chain = plan(runs, schemes, *seen, blocks, observed, home)
    lanes = Lanes(rows, valid, chain, methods, task, train, len(groups), home)
    loss = next(iter(methods.values()))
    nets = {"task": (model, task), "autoencode": (autoencoder(model), reconstruct)}
    kinds = dict.fromkeys(_kind(job) for job in chain.jobs)
    kept = {} if programs is None else programs
    programs = {}
    for kind in kinds:
        net, goal = nets[kind[0]]
        same = (net, loss, goal, astuple(train), kind[1])
        if same not in kept:
            kept[same] = make_program(net, loss, goal, train, kind[1])
        programs[kind] = kept[same]
    sweep = Sweep(lanes, journal or Journal(None), train, quiet)
    for level, kind in dict.fromkeys((j.level, _kind(j)) for j in chain.jobs):
        jobs = [
            i for i, j in enumerate(chain.jobs) if (j.level, _kind(j)) == (level, kind)
        ]
        sweep.run(programs[kind], jobs, f"{level}-{kind[0]}-{kind[1]:g}")
    return sweep.finish(list(runs))


def _kind(job: Job) -> tuple[str, float]:
    return job.stage.objective, job.stage.align


class Sweep:
    """Drives programs over chunks of jobs, and holds what they leave."""

    def __init__(self, lanes: Lanes, journal: Journal, train: Train, quiet: bool):
        self.lanes, self.journal, self.train = lanes, journal, train
        jobs = lanes.plan.jobs
        self.weights: list[Any] = [None] * len(jobs)
        self.looks: list[Any] = [None] * len(jobs)
        self.value, self.step = np.zeros(len(jobs)), np.zeros(len(jobs), int)
        total = sum(j.stage.steps for j in jobs) * train.steps
        self.bar = tqdm(
            total=round(total), unit="step", unit_scale=True, disable=quiet, desc="fit"
        )

    def run(self, program: Program, jobs: list[int], name: str) -> None:
        """Fits jobs of one kind and level, a wave (one chunk a device) at a time."""
        width = min(self.train.chunk, len(jobs))
        wave = width * jax.device_count()
        for first in range(0, len(jobs), wave):
            mine, label = jobs[first : first + wave], f"{name}-{first}-{wave}"
            result = self.journal.found.get(label)
            if result is None:
                result = self._fit(program, mine, wave, label)
                self.journal.add(label, result)
            self._keep(program, mine, result)

    def _fit(self, program: Program, jobs: list[int], wave: int, label: str) -> dict:
        padded = jobs + [jobs[-1]] * (wave - len(jobs))
        made = [self._make(program, j) for j in padded]
        progress, lanes = jax.tree.map(lambda *leaves: _stack(leaves), *made)
        looks: list[Look] = []
        if label in self.journal.flight:
            found = self.journal.flight[label]
            progress = unpack(found["progress"], progress)
            looks = [Look(*(found["looks"][name] for name in Look._fields))]
        while not np.all(progress[1].stopped):
            data = self._data(program)
            progress, seen = program.segment(progress, lanes, *data)
            looks.append(jax.tree.map(np.asarray, seen))
            self.journal.tick(label, lambda p=progress: _in_flight(p, looks))
        stop = progress[1]
        return {
            "best": pack((stop.best, stop.best_stats)),
            "looks": _join(looks)._asdict(),
            "value": np.asarray(stop.value),
            "step": np.asarray(stop.step),
        }

    def _data(self, program: Program) -> tuple[Batch, Batch]:
        rows, valid = self.lanes.rows, self.lanes.valid
        if program.task is self.lanes.task:
            return rows, valid
        return _itself(rows), _itself(valid)

    def _make(self, program: Program, number: int) -> Any:
        job = self.lanes.plan.jobs[number]
        parent = self.weights[job.parent] if job.parent >= 0 else None
        return self.lanes.make(job, program.model, parent)

    def _keep(self, program: Program, jobs: list[int], result: dict) -> None:
        like = program.model.init(jax.random.key(0), np.asarray(self.lanes.rows.x[:1]))
        best = unpack(result["best"], like)
        for lane, number in enumerate(jobs):
            params, stats = jax.tree.map(lambda a, i=lane: a[i], best)
            self.weights[number] = Weights(params, stats)
            self.looks[number] = Look(*(result["looks"][n][lane] for n in Look._fields))
            self.value[number] = result["value"][lane]
            self.step[number] = result["step"][lane]
            steps = self.lanes.plan.jobs[number].stage.steps * self.train.steps
            self.bar.update(round(steps))

    def finish(self, runs: list[Run]) -> Fitted:
        """Everything, once all jobs are done."""
        self.bar.close()
        self.journal.flush()
        plan, weights = self.lanes.plan, self.weights
        return Fitted(runs, plan, weights, self.looks, self.value, self.step)


def _in_flight(progress: PyTree, looks: list[Look]) -> dict[str, Any]:
    return {"progress": pack(progress), "looks": _join(looks)._asdict()}


def _itself(rows: Batch) -> Batch:
    return rows._replace(y=rows.x, mask=jnp.ones((rows.x.shape[0], 1)))


def _join(looks: list[Look]) -> Look:
    return jax.tree.map(lambda *parts: np.concatenate(parts, 1), *looks)


def _stack(leaves: Sequence[Any]) -> Array:
    # Random keys are jax arrays and stay keys; all else is numpy on the host.
    return jnp.stack(leaves) if isinstance(leaves[0], jax.Array) else np.stack(leaves)
