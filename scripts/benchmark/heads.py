"""Heads on frozen embeddings beside torch, Keras and scikit-learn: the suite `heads`.

    --work=head                                one head, against each of them
    --work=sweep                               32 settings at once against 32 in turn
    --work=sweep --model="mlp(256)" --rows=20000 --epochs=1

SIMULATED embeddings with a direction that tells the label. Everybody minimizes the same
cross-entropy with Adam and decoupled decay, a rate that follows half a cosine, the same
batches' size and number, from small random numbers, and is judged by its nll on the
same held-out rows. Ours is the program that `fit` drives, with its steps beside
(draws, clipping, evaluation, choice of the best), on rows that are in place; "fit()"
is the whole call, which first picks the training rows out of the table and moves them.
Compilation happens in the warm-up.
"""

import dataclasses
import importlib.util
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from equity_jax.keys import generator
from equity_jax.types import Array, Dataset, InputError, Spec
from scripts.benchmark import heads_peers as peers
from scripts.benchmark.race import Contender, Suite

OURS, TORCH, KERAS = "equity_jax", "torch", "Keras on JAX"
FIT, BATCHED = "equity_jax, fit()", "torch, by hand at once"
SGD, LBFGS = "scikit-learn SGD", "scikit-learn lbfgs"
HELD_OUT = 2000  # rows by which everybody is judged
TARGETS = {"head": 3.0, "linear": 20.0, "mlp": 2.0}


class Sizes(NamedTuple):
    """How much work: "head" or "sweep", "linear" or "mlp(UNITS)", training rows,
    features, rows a batch, epochs, settings of the sweep, and how many of them torch
    really runs in turn.
    """

    work: str = "head"
    model: str = "linear"
    rows: int = 100_000
    features: int = 1376
    batch: int = 512
    epochs: int = 3
    settings: int = 32
    turns: int = 2


LEAST = {"rows": 2, "features": 2, "batch": 1, "settings": 2}


def build(sizes: Sizes) -> Suite:
    """The suite of one kind of work.

    Raises:
        InputError: torch or keras is missing; a size cannot be.

    Example:
        >>> list(build(Sizes(rows=1024, features=16)).contenders)[:2]  # doctest: +SKIP
        ['equity_jax', 'equity_jax, fit()']
    """
    _check(sizes)
    problem, data = made(sizes)
    plan = problem.plan
    mine = Ours(sizes, plan, data)
    target = TARGETS["head" if sizes.work == "head" else sizes.model.split("(")[0]]
    whole = len(plan.rates)
    contenders = {
        OURS: Contender(
            mine.program, whole, note="the program of fit(), rows in place"
        ),
        FIT: Contender(mine.whole, whole, note="with picking and moving the rows"),
    }
    if sizes.work == "head":
        contenders[TORCH] = Contender(peers.torch_turns(problem), 1, target, "eager")
        contenders[KERAS] = Contender(peers.keras_fit(problem), 1, None, "model.fit")
        contenders[SGD] = Contender(peers.sklearn_sgd(problem), 1, None, "one core")
        contenders[LBFGS] = Contender(
            peers.sklearn_lbfgs(problem), 1, None, "to the optimum"
        )
    else:
        turns = min(sizes.turns, whole)
        note = "one head after the other, eager"
        contenders[TORCH] = Contender(peers.torch_turns(problem), turns, target, note)
        note = "all heads in one product, Adam written out: what an expert does"
        contenders[BATCHED] = Contender(peers.torch_batched(problem), whole, None, note)
    return Suite(contenders, whole, sizes._asdict(), agreement, told, "heads")


def made(sizes: Sizes) -> tuple[peers.Problem, Dataset]:
    """The rows and the settings, rates from 1e-4 to 1e-2 with four decays each; the
    same rows as a data set.
    """
    rng = generator(0, "benchmark/heads")
    n = sizes.rows + HELD_OUT
    x = rng.standard_normal((n, sizes.features), np.float32)
    along = rng.standard_normal(sizes.features, np.float32)
    logit = 2 * x @ (along / np.linalg.norm(along))
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    count = 1 if sizes.work == "head" else sizes.settings
    rates = np.geomspace(1e-4, 1e-2, -(-count // 4)).repeat(4)[:count]
    decays = np.resize([0.0, 1e-4, 1e-3, 1e-2], count)
    if count == 1:
        rates, decays = np.array([1e-3]), np.array([1e-4])
    units = int(sizes.model[4:-1]) if sizes.model != "linear" else 0
    steps = sizes.epochs * (sizes.rows // sizes.batch)
    plan = peers.Plan(rates, decays, units, sizes.batch, steps)
    cut = slice(None, sizes.rows), slice(sizes.rows, None)
    problem = peers.Problem(*(a[part] for part in cut for a in (x, y)), plan)
    return problem, table(x, y, sizes.rows)


class Ours:
    """The same fit twice: from a table, and on rows that are in place."""

    def __init__(self, sizes: Sizes, plan: peers.Plan, data: Dataset):
        from equity_jax import train
        from equity_jax.config import Train
        from equity_jax.methods import METHODS, switch
        from equity_jax.models import MODELS
        from equity_jax.schemes import SCHEMES
        from equity_jax.tasks import TASKS

        self.data, steps = data, plan.steps
        self.train = dataclasses.replace(
            Train(batch=sizes.batch, chunk=len(plan.rates)),
            **dict.fromkeys(("steps", "eval_every", "segment"), steps),
        )
        self.model = MODELS.get(sizes.model, 1, 0)
        self.methods = {"erm": switch(METHODS.get("erm"))[0]}
        self.schemes = {"mixture": SCHEMES.get("mixture")}
        self.task, self.other = TASKS.get("binary"), TASKS.get("reconstruct")
        pairs = zip(plan.rates, plan.decays, strict=True)
        self.runs = [
            train.Run(0, "erm", "mixture", -1, rate, 1.0, decay)
            for rate, decay in pairs
        ]
        self.fit, self.kept, self.placed = train.fit, {}, None

    def whole(self, heads: int) -> np.ndarray:
        """fit() of all heads: their nll on the held-out rows."""
        found = self.fit(
            self.model,
            self.data,
            self.runs,
            task=self.task,
            reconstruct=self.other,
            train=self.train,
            methods=self.methods,
            schemes=self.schemes,
            programs=self.kept,
        )
        return found.value[found.plan.final]

    def program(self, heads: int) -> np.ndarray:
        """The same on rows that an earlier call has placed."""
        from equity_jax.train.checkpoint import Journal
        from equity_jax.train.drive import Drive

        lanes, programs = self.placed = self.placed or self._place()
        drive = Drive(lanes, self.model, Journal(None), self.train, True)
        drive.run(programs)
        found = drive.finish(self.runs)
        return found.value[found.plan.final]

    def _place(self) -> tuple[Any, Any]:
        from equity_jax.train.lanes import Lanes
        from equity_jax.train.loop import batch_of, make_programs
        from equity_jax.train.plan import plan
        from equity_jax.types import TRAIN, VALID

        rows, valid = batch_of(self.data, TRAIN), batch_of(self.data, VALID)
        groups = np.asarray(rows.group), np.asarray(valid.group)
        seen = np.ones(len(groups[0]), bool)
        chain = plan(self.runs, self.schemes, *groups, groups[0], seen, 0)
        lanes = Lanes(rows, valid, chain, self.methods, self.task, self.train, 1, 0)
        nets = {"task": (self.model, self.task)}
        more = self.methods, self.train, self.kept, None, False
        return lanes, make_programs(chain, nets, *more)


def table(x: Array, y: Array, rows: int) -> Dataset:
    """Rows of one group; the first so many to learn from, the others held out."""
    names, number = tuple(f"x{i}" for i in range(x.shape[1])), np.arange(len(x))
    spec = Spec(
        *("heads", "binary", names, ("y",), ("0", "1"), "group", ("all",), "all"),
        *("row", True, ""),
    )
    seen = np.ones((len(x), 1), np.float32)
    group, split = {"group": np.full(len(x), "all")}, (number >= rows).astype(np.int8)
    return Dataset(spec, x, y[:, None], seen, group, split, number.astype(str), number)


def agreement(answers: Mapping[str, Array]) -> dict[str, Any]:
    """nll: held-out nll of each contender's heads, of those that all have fitted;
    apart: largest |ours - theirs|.
    """
    least = min(map(len, answers.values()))
    nll = {name: np.asarray(value)[:least] for name, value in answers.items()}
    mine = nll[OURS]
    apart = {k: float(np.abs(v - mine).max()) for k, v in nll.items() if k != OURS}
    return {"nll": {k: v.tolist() for k, v in nll.items()}, "apart": apart}


def told(found: Mapping[str, Any]) -> list[str]:
    """How good the heads are, and how far apart."""
    return [
        f"held-out nll: {name} {np.mean(values):.4f}"
        + (f", at most {found['apart'][name]:.2g} from ours" if name != OURS else "")
        for name, values in found["nll"].items()
    ]


def _check(sizes: Sizes) -> None:
    if sizes.work not in ("head", "sweep"):
        raise InputError(f"--work={sizes.work}: expected head or sweep")
    units = sizes.model.removeprefix("mlp(").removesuffix(")")
    if (
        sizes.model != "linear"
        and sizes.model != f"mlp({units})"
        or (sizes.model != "linear" and not units.isdigit())
    ):
        raise InputError(f"--model={sizes.model}: expected linear or mlp(256)")
    if sizes.rows < sizes.batch:
        raise InputError(f"--rows={sizes.rows}: fewer than a batch of {sizes.batch}")
    for name in ("torch", "keras"):
        if importlib.util.find_spec(name) is None:
            how = "pip install 'equity_jax[bench]'"
            raise InputError(f"--suite=heads compares with {name}; install it: {how}")
