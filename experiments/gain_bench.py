"""What the coverage study of transfer's gain is made of: draws, fits, true gains.

Everything here is SIMULATED: fresh counts and block effects of one planted population.
"""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax import forecasts
from equity_jax.config import Config, Data, Train, Twin
from equity_jax.config import Model as Named
from equity_jax.data import deaths, deaths_features, simulate
from equity_jax.data.deaths_names import NATION
from equity_jax.keys import generator
from equity_jax.models import MODELS
from equity_jax.nouns import Model, Task
from equity_jax.results import choose, plan_runs
from equity_jax.run import AXIS, Parts, resolve
from equity_jax.systems import System, stitch
from equity_jax.tasks import TASKS
from equity_jax.train import Run, Weights, fit
from equity_jax.types import LEFT_OUT, TEST, Array, Counted, Dataset, PyTree

MIXTURE, TRANSFER = "mixture", "transfer('full')"
FRESH = 1_000_000  # fresh draws are numbered from here, repeats from 1
Fits = tuple[list[System], PyTree, PyTree]  # params, stats: R models side by side


class Bench(NamedTuple):
    """What repeats share: draw 0 with its recipe, and what is compiled."""

    config: Config
    first: Dataset
    task: Task
    model: Model
    parts: Parts
    programs: dict


class Fresh(NamedTuple):
    """The same n cells in D draws. x: float32[D, n, F]; y: Counted of float32[D, n, 1];
    group: int[n], -1 = not recorded.
    """

    x: np.ndarray
    y: Counted
    group: np.ndarray


def make_bench(twin: Twin, like: Bench | None = None) -> Bench:
    """A cheap study: linear model, 100 steps, one seed; `like` lends what it compiled.

    Example:
        >>> make_bench(Twin(months=12)).first.spec.simulated
        True
    """
    steps = {"steps": 100, "eval_every": 25, "segment": 100, "lr": (0.03,)}
    train = Train(seeds=1, schemes=(MIXTURE, TRANSFER), **steps)
    config = Config("gain_coverage", 0, Data(twin=twin), Named("linear"), train)
    first = deaths.load(config.data)
    if like is not None:
        return like._replace(config=config, first=first)
    task = TASKS.get(first.spec.task)
    model = MODELS.get(config.model.name, task.outputs, task.constants)
    return Bench(config, first, task, model, resolve(config), {})


def redraw(bench: Bench, draw: int, rows: np.ndarray) -> Dataset:
    """Rows int[n] of the twin's draw number `draw`, made by the recipe of draw 0.

    Cells, totals, masks and splits are those of draw 0. The same as loading that draw
    from its file, without the text.

    Example:
        >>> redraw(bench, 7, np.arange(10)).x.shape  # doctest: +SKIP
        (10, 36)
    """
    first = bench.first
    frame, _ = simulate.deaths(bench.config.data.twin, draw=draw)
    here = (frame["HHS Region"] != NATION).to_numpy()
    count = pd.to_numeric(frame["COVID-19 Deaths"][here]).to_numpy(float)
    most = np.minimum(9.0, first.table["total_high"].to_numpy())  # of a hidden count
    low, high = (np.where(np.isnan(count), end, count) for end in (1.0, most))
    table = first.table.assign(low=low, high=high)
    past = table[first.split != LEFT_OUT][list(deaths_features.HISTORY)]
    some, table = forecasts.rows_of(first, rows), table.iloc[rows]
    made = deaths_features.apply(past, table, first.recipe["features"])
    low, high = (a[rows, None].astype(np.float32) for a in (low, high))
    return some._replace(x=made.x, y=some.y._replace(low=low, high=high), table=table)


def tested(dataset: Dataset) -> np.ndarray:
    """int[n]: the observed test rows."""
    return np.flatnonzero((dataset.split == TEST) & (dataset.mask[:, 0] > 0))


def fresh_rows(bench: Bench, least: int, quiet: bool = True) -> Fresh:
    """At least `least` observed test rows, in whole draws.

    Example:
        >>> fresh_rows(bench, 10_000).group.shape  # doctest: +SKIP
        (2610,)
    """
    rows, first = tested(bench.first), bench.first
    draws = -(-least // len(rows))
    x = np.empty((draws, len(rows), first.x.shape[1]), np.float32)
    y = Counted(*(np.empty((draws, len(rows), 1), np.float32) for _ in Counted._fields))
    for i in tqdm(range(draws), "fresh rows", disable=quiet, unit="draw"):
        some = redraw(bench, FRESH + i, rows)
        x[i] = some.x
        for whole, part in zip(y, some.y, strict=True):
            whole[i] = part
    return Fresh(x, y, first.group[rows])


def sample(bench: Bench, fresh: Fresh, seed: int) -> Dataset:
    """As many blocks as the test set has, each drawn at random among the fresh ones.

    Padded with masked rows of the first block, so that all samples have one shape and
    nothing is compiled again.
    """
    rows, first = tested(bench.first), bench.first
    blocks, member = np.unique(first.patient[rows], return_inverse=True)
    random = generator(seed, "gain coverage", "blocks")
    which = random.integers(0, len(blocks), len(blocks))
    source = random.integers(0, len(fresh.x), len(blocks))
    parts = [np.flatnonzero(member == k) for k in which]
    spare = len(blocks) * np.bincount(member).max() - sum(map(len, parts))
    parts.append(parts[0][:1].repeat(spare))
    patient = np.repeat([*range(len(blocks)), 0], [len(part) for part in parts])
    cells, draws = np.concatenate(parts), source[patient]
    y = Counted(*(a[draws, cells] for a in fresh.y))
    some = forecasts.rows_of(first, rows[cells])
    some.mask[len(cells) - spare :] = 0.0
    return some._replace(x=fresh.x[draws, cells], y=y, patient=patient)


def fit_both(bench: Bench, dataset: Dataset) -> Fits:
    """The systems mixture and transfer, and the weights of their runs side by side."""
    table = plan_runs(bench.config, dataset, bench.parts.schemes)
    fitted = fit(
        bench.model,
        dataset,
        [Run(*row) for row in table[AXIS].itertuples(index=False)],
        task=bench.task,
        reconstruct=TASKS.get("reconstruct"),
        train=bench.config.train,
        methods=bench.parts.methods,
        schemes=bench.parts.schemes,
        programs=bench.programs,
    )
    known = {s.scheme: s for s in choose(dataset, table, fitted).systems}
    weights: list[Weights] = [fitted.of(run) for run in table["run"]]
    params, stats = jax.tree.map(lambda *a: np.stack(a), *map(tuple, weights))
    return [known[MIXTURE], known[TRANSFER]], params, stats


@partial(jax.jit, static_argnames="model")
def logits_of(model: Model, params: PyTree, stats: PyTree, x: Array) -> Array:
    """Logits float[R, n, O] of R models on x float[n, F]; compiled once."""

    def one(params: PyTree, stats: PyTree) -> Array:
        return model.apply(params, stats, x, False, jax.random.key(0))[0].logits

    return jax.vmap(one)(params, stats)


@partial(jax.jit, static_argnames=("model", "task"))
def gain_of_rows(
    model: Model, task: Task, params: PyTree, stats: PyTree, run: Array, x: Array, y
) -> Array:
    """Deviance of the second system minus the first: float[D, n].

    run: int[2, n], the model that scores each row in either; x, y: as in Fresh.
    """

    def one(draw: tuple) -> Array:
        logits, rows = logits_of(model, params, stats, draw[0]), np.arange(run.shape[1])
        first, second = (task.nll(logits[r, rows], draw[1])[:, 0] for r in run)
        return 2 * (second - first)

    return jax.lax.map(one, (x, y))


def true_gain(bench: Bench, fresh: Fresh, fits: Fits) -> dict[str, tuple[float, float]]:
    """Group -> mean difference on the fresh rows, and its standard error over draws."""
    systems, params, stats = fits
    runs = len(jax.tree.leaves(params)[0])
    numbers = np.arange(runs)[:, None, None].repeat(len(fresh.group), 1)
    run = np.stack([stitch(s, numbers, fresh.group)[:, 0] for s in systems]).astype(int)
    gain = gain_of_rows(bench.model, bench.task, params, stats, run, fresh.x, fresh.y)
    gain, found = np.asarray(gain, float), {}
    for code, name in enumerate(("all", *bench.first.spec.groups), -1):
        means = (gain if code < 0 else gain[:, fresh.group == code]).mean(1)
        found[name] = float(means.mean()), float(means.std() / len(means) ** 0.5)
    return found
