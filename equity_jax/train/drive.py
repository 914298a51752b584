"""The host's part: chunks of jobs, segments of steps, checkpoints, the progress bar."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from equity_jax.config import Train
from equity_jax.models import without
from equity_jax.nouns import Model
from equity_jax.train.checkpoint import Journal, pack, unpack
from equity_jax.train.lanes import Lanes
from equity_jax.train.leaves import Weights, merge, shapes_of
from equity_jax.train.plan import Job, Plan, Run
from equity_jax.train.sweep import Look, Program
from equity_jax.train.teams import waves
from equity_jax.types import Batch, PyTree


class Fitted(NamedTuple):
    """What a fit leaves. weights: one per job; looks: per job, Look[E] of numpy;
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


def kind_of(job: Job) -> tuple[str, float]:
    """What a job's program depends on: its stage's objective and align."""
    return job.stage.objective, job.stage.align


class Drive:
    """Drives programs over chunks of jobs, and holds what they leave."""

    def __init__(
        self,
        lanes: Lanes,
        model: Model,
        journal: Journal,
        train: Train,
        quiet: bool,
        name: str = "",
    ):
        self.lanes, self.journal, self.train, self.name = lanes, journal, train, name
        self.model = model  # without a rival
        jobs = lanes.plan.jobs
        self.weights: list[Any] = [None] * len(jobs)
        self.looks: list[Any] = [None] * len(jobs)
        self.value, self.step = np.zeros(len(jobs)), np.zeros(len(jobs), int)
        self.unit = train.batch if lanes.alone else 1
        self.shown = 0  # steps of the job under way that the bar has counted
        total = sum(j.stage.steps for j in jobs) * train.steps
        self.bar = tqdm(
            total=round(total) * self.unit,
            unit="image" if lanes.alone else "step",
            unit_scale=True,
            disable=quiet,
            desc="fit",
        )

    def run(self, programs: Mapping[tuple[str, float], Program]) -> None:
        """Fits every job, level by level, with the program of its kind."""
        jobs = self.lanes.plan.jobs
        alike: dict[Any, list[int]] = {}
        for number, job in enumerate(jobs):
            taught = job.stage.lesson is not None
            alike.setdefault((job.level, kind_of(job), taught), []).append(number)
        for (level, kind, taught), same in alike.items():
            label = f"{self.name}{level}-{kind[0]}-{kind[1]:g}{'-taught' * taught}"
            for number in same if taught else ():
                job = jobs[number]
                self.lanes.teach(job, self.model, self.weights[job.parent])
            self._waves(programs[kind], same, label)

    def _waves(self, program: Program, jobs: list[int], name: str) -> None:
        """Fits jobs of one kind and level, a wave at a time."""
        team = [self.lanes.team(job) for job in jobs]
        devices = jax.device_count() if program.width else 1
        for number, wave in enumerate(waves(team, program.width or 1, devices)):
            mine = [[jobs[lane] for lane in lanes] for lanes in wave]
            label = f"{name}-{number}-{len(mine)}x{len(mine[0])}"
            result = self.journal.found.get(label)
            if result is None:
                result = self._fit(program, mine, label)
                self.journal.add(label, result)
            self._keep(program, mine, result)

    def _fit(self, program: Program, teams: list[list[int]], label: str) -> dict:
        found = self.journal.flight.get(label)
        looks = [] if found is None else [Look(**found["looks"])]
        saved = None if found is None else found["progress"]
        made = [[self._make(program, job) for job in team] for team in teams]
        progress, lanes = program.begin(made, saved)
        while not np.all(progress[1].stopped):
            data = self._data(program)
            progress, seen = program.segment(progress, lanes, *data, self._beat)
            looks.append(jax.tree.map(np.asarray, seen))
            self.journal.tick(label, lambda p=progress: _in_flight(p, looks))
        stop = progress[1]
        return {
            "best": pack(merge((stop.best, stop.best_stats), lanes.still)),
            "looks": _join(looks)._asdict(),
            "value": np.asarray(stop.value),
            "step": np.asarray(stop.step),
        }

    def _beat(self, steps: int) -> None:
        self.shown += steps
        self.bar.update(steps * self.unit)

    def _data(self, program: Program) -> tuple[Batch, Batch]:
        rows, valid = self.lanes.rows, self.lanes.valid
        if program.task is self.lanes.task:
            return rows, valid
        return _itself(rows), _itself(valid)

    def _make(self, program: Program, number: int) -> Any:
        job = self.lanes.plan.jobs[number]
        parent = self.weights[job.parent] if job.parent >= 0 else None
        return self.lanes.make(job, program.model, parent)

    def _keep(self, program: Program, teams: list[list[int]], result: dict) -> None:
        best = unpack(result["best"], shapes_of(program.model, self.lanes.rows.x))
        whole = (best, result["looks"], result["value"], result["step"])
        at = {job: (t, i) for t, team in enumerate(teams) for i, job in enumerate(team)}
        for number, lane in at.items():
            mine = whole
            if program.width:
                mine = jax.tree.map(lambda a, i=lane: a[i], whole)
            (params, stats), looks, self.value[number], self.step[number] = mine
            self.weights[number] = Weights(*without((params, stats)))
            self.looks[number] = Look(**looks)
            steps = round(self.lanes.plan.jobs[number].stage.steps * self.train.steps)
            self.bar.update((steps - self.shown) * self.unit)
            self.shown = 0

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
    return jax.tree.map(lambda *parts: np.concatenate(parts, -1), *looks)
