"""From jobs to arrays: what each lane of a chunk starts with. Host side, numpy."""

import hashlib
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import numpy as np

from equity_jax.config import Train
from equity_jax.data.sampler import cumulative, pool, tabulate
from equity_jax.keys import generator, key
from equity_jax.methods import begin
from equity_jax.nouns import Lesson, Method, Model, Task
from equity_jax.train.leaves import Weights, carry, cut, names, width_of, with_bias
from equity_jax.train.plan import Job, Plan
from equity_jax.train.score import score
from equity_jax.train.step import optimizer
from equity_jax.train.stopping import Stopping
from equity_jax.train.stopping import start as fresh_stopping
from equity_jax.train.sweep import Lane
from equity_jax.types import Batch, Hyper, PyTree, State

WIDE = 256  # features from which on runs that draw the same rows share them


class Lanes:
    """Builds (State, Stopping) and Lane of a job, remembering what jobs share.

    rows, valid: Batch of the training and validation rows; groups: G; reference: the
    well-represented group's code; start: what stands before the first stage; alone: a
    lane is one run by itself, so what does not move goes to Lane.still. lessons: what
    jobs have learned from the stage before (`teach`).
    """

    def __init__(
        self,
        rows: Batch,
        valid: Batch,
        plan: Plan,
        methods: Mapping[str, Method],
        task: Task,
        train: Train,
        groups: int,
        reference: int,
        start: Weights | None = None,
        alone: bool = False,
    ):
        self.rows, self.valid, self.plan = rows, valid, plan
        self.methods, self.task, self.train = methods, task, train
        self.groups, self.reference = groups, reference
        self.begun, self.alone = start, alone
        self.classes = np.asarray(task.class_of(rows.y))
        self.observed = np.asarray(rows.mask).max(1) > 0
        self.cache: dict[Any, Any] = {}
        self.lessons: dict[Job, Lesson] = {}

    def teach(self, job: Job, model: Model, parent: Weights) -> None:
        """The lesson of a job, from the finished model of the stage before."""
        about = ("said", job.parent)
        said = self._once(about, lambda: score(model, [parent], self.rows.x)[0])
        mine = self.plan.rows[job.rows] & self.observed
        given = key(job.seed, "lesson"), self.task, said, self.rows, mine, self.groups
        self.lessons[job] = job.stage.lesson(*given)

    def make(
        self, job: Job, model: Model, parent: Weights | None
    ) -> tuple[tuple[State, Stopping], Lane]:
        """Where a lane starts: fresh parameters, or earlier ones where `carry` says."""
        params, stats = self._start(job, model)
        before = self.begun if parent is None else parent
        if before is not None:
            params = carry(before.params, params, job.stage.carry)
            stats = carry(before.stats, stats, job.stage.carry)
        rates = jax.tree_util.tree_map_with_path(
            lambda path, _: np.float32(job.stage.rate(names(path), model.blocks)),
            params,
        )
        still: PyTree = ()
        if self.alone:
            (params, stats), still = cut(params, stats, rates)
            rates, _ = cut(rates, {}, rates)[0]
        opt = self._once(
            ("opt", jax.tree.structure(params), job.stage.objective),
            lambda: _no_moments(params),
        )
        aux = self._aux(job, model)
        draws = key(job.seed, "draw", f"level {job.level}")
        mean = (params, stats) if self.methods[job.method].newest else ()
        state = State(np.int32(0), draws, params, stats, opt, aux, mean)
        lane = self._lane(job, rates)._replace(still=still)
        return (state, fresh_stopping(params, stats)), lane

    def team(self, number: int) -> Hashable:
        """Jobs of one level with equal answers draw the same rows, step by step.

        Every job of a narrow table is a team of its own: little is gained there.
        """
        job = self.plan.jobs[number]
        if self.alone or self.rows.x.shape[1] < WIDE:
            return number
        own = hashlib.sha256(self._table(job))
        own.update(np.ascontiguousarray(self._group(job)))
        return job.seed, job.rows, own.digest()

    def _lane(self, job: Job, rates: PyTree) -> Lane:
        stage, train, decay = job.stage, self.train, job.weight_decay
        looks = max(1, round(stage.steps * train.steps / train.eval_every))
        hyper = Hyper(
            np.float32(job.lr),
            np.float32(train.weight_decay if decay is None else decay),
            np.int32(list(self.methods).index(job.method)),
            np.float32(1.0),
            np.int32(job.target),
            rates,
        )
        other = self._once(("other",), self._other) if stage.align else np.zeros(0)
        return Lane(
            hyper,
            self._table(job),
            other.astype(np.float32),
            self.plan.valid[job.rows].astype(np.float32),
            np.float32(looks * train.eval_every),
            group=() if stage.lesson is None else self._group(job),
        )

    def _start(self, job: Job, model: Model) -> tuple[PyTree, PyTree]:
        name = job.stage.objective
        model = model.at(job.shape) if job.shape else model

        def fresh(init: Callable[..., Any]) -> tuple[PyTree, PyTree]:
            x = self.rows.x
            made = init(
                key(job.seed, "init", name), np.zeros((1, *x.shape[1:]), x.dtype)
            )
            return jax.tree.map(np.asarray, made)

        if self.alone:  # one large tree at a time, and its numbers in one program
            params, stats = fresh(
                self._once(("init", name), lambda: jax.jit(model.init))
            )
        else:
            params, stats = self._once(
                ("init", job.seed, name, job.shape), lambda: fresh(model.init)
            )
        if name != "task" or self.task.start is None:
            return params, stats
        bias = self._once(("bias", job.rows), lambda: self._bias(job))
        return with_bias(params, bias, self.task.constants), stats

    def _bias(self, job: Job) -> np.ndarray:
        seen = np.asarray(self.rows.mask) * self.plan.rows[job.rows][:, None]
        return np.asarray(self.task.start(self.rows.y, seen), np.float32)

    def _aux(self, job: Job, model: Model) -> PyTree:
        method, name = self.methods[job.method], job.stage.objective
        about, width = ("aux", job.method, job.rows, *self._taught(job)), 0
        if method.learn is not None:  # the rest depends on the rows alone
            about = (*about, job.seed, name)
            width = self._once(("width", name), lambda: width_of(model, self.rows.x))

        def made() -> PyTree:
            aux = begin(method, key(job.seed, "learn"), width, self._counts(job))
            return jax.tree.map(np.asarray, aux)

        return self._once(about, made)

    def _counts(self, job: Job) -> Any:
        shape = (self.task.classes, self.groups)
        rows = self.plan.rows[job.rows] & self.observed
        mask = np.asarray(self.rows.mask)
        return tabulate(self.classes, mask, self._group(job), rows, shape)

    def _group(self, job: Job) -> np.ndarray:
        """int32[N]: the rows' groups as the job sees them."""
        found = self.lessons[job].group if job.stage.lesson else None
        return np.asarray(self.rows.group if found is None else found, np.int32)

    def _taught(self, job: Job) -> tuple[Job, ...]:
        """What sets a job apart whose rows and groups come from a lesson."""
        return (job,) if job.stage.lesson else ()

    def _table(self, job: Job) -> np.ndarray:
        name = ("table", job.seed, job.method, job.rows, job.stage.objective)
        return self._once((*name, *self._taught(job)), lambda: self._draws(job))

    def _draws(self, job: Job) -> np.ndarray:
        rows = self.plan.rows[job.rows]
        if job.stage.objective == "task":
            rows = rows & self.observed
        rates = self.methods[job.method].sample(self._counts(job))
        lottery = generator(job.seed, "lottery")
        group = self._group(job)
        weight = pool(rates, self.classes[:, 0], group, rows, lottery)
        if job.stage.lesson:
            weight = weight * np.asarray(self.lessons[job].weight, np.float64)
        return cumulative(weight)

    def _other(self) -> np.ndarray:
        mine = np.asarray(self.rows.group) == self.reference
        return cumulative((mine & self.observed).astype(np.float64))

    def _once(self, name: Any, make: Any) -> Any:
        if name not in self.cache:
            self.cache[name] = make()
        return self.cache[name]


def _no_moments(params: PyTree) -> PyTree:
    """The optimizer's state before the first step: zeros, made on the host."""
    shapes = jax.eval_shape(optimizer().init, params)
    return jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes)
