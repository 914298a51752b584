"""Every world × method × draw of the imbalance study: one fit, and the files."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax import arms, forecasts
from equity_jax.audit import AuditReport
from equity_jax.clock import compile_clock, phase
from equity_jax.config import Config, to_dict
from equity_jax.data import DATASETS
from equity_jax.data.augment import make as augmentation
from equity_jax.models import MODELS
from equity_jax.nouns import Model
from equity_jax.results import describe, log_table
from equity_jax.run import finish, resolve
from equity_jax.store import TUNED, Store, open_run
from equity_jax.systems import System
from equity_jax.tasks import TASKS
from equity_jax.train import Fitted, Journal, Run, fit, score
from equity_jax.types import TEST, VALID, Dataset, Predictions
from experiments import imbalance_worlds as worlds
from experiments.imbalance_judge import calls, judge, located, unreached
from experiments.imbalance_runs import adapted, plain_of, plan_runs
from experiments.imbalance_worlds import Plan


class Fits(NamedTuple):
    """table: runs.csv, with the name `kept` of each run's rows; model, fitted: what was
    fitted; start: where image networks began, in words.
    """

    table: pd.DataFrame
    model: Model
    fitted: Fitted
    start: str


class Result(NamedTuple):
    """What the study leaves in memory; `store` holds the same on disk.

    config: as it was fitted (images bring numbers of their own); dataset: two-sided;
    worlds: worlds.csv; runs: runs.csv; cells: audit.csv with the worlds' columns and
    `depth`; calls: calls.csv, with them too; start: where image networks begin, in
    words; seconds: by phase.
    """

    store: Store
    config: Config
    dataset: Dataset
    worlds: pd.DataFrame
    runs: pd.DataFrame
    cells: pd.DataFrame
    calls: pd.DataFrame
    start: str
    seconds: dict[str, float]

    @property
    def plain(self) -> str:
        """The method that all others are compared with."""
        return plain_of(self.config)

    @property
    def images(self) -> bool:
        """Whether networks on images were fitted."""
        return self.dataset.x.ndim > 2


def run_worlds(
    config: Config, workdir: str, *, page: Callable[[Result], None], quiet: bool = False
) -> Store:
    """Loads, thins, fits, audits and writes; resumes what was begun in `workdir`.

    page: writes report.md, report.html and figures of a Result.

    Raises:
        InputError: a wrong name in the config, a wrong file, another run's directory, a
            data set of no single label, no world that can be reached.

    Example:
        >>> run_worlds(config, "runs/rare", page=make_page)  # doctest: +SKIP
    """
    store = open_run(workdir, config)
    resolve(config)
    if store.done:
        return store
    seconds: dict[str, float] = {}
    with phase(seconds, "load"):
        found = DATASETS[config.data.name](config.data, seed=config.seed)
        dataset = worlds.two_sided(found, config.imbalance.rare)
        config = adapted(config, dataset)
        resolve(config)
        planned = worlds.plan(config, dataset)
        store.pin("data.json", describe(dataset), "fingerprint")
        store.write_json(TUNED, to_dict(config))
    with phase(seconds, "fit"), compile_clock(seconds):
        fits = fit_all(config, store, dataset, planned, quiet)
    with phase(seconds, "score"):
        test = write(config, store, dataset, fits)
    with phase(seconds, "audit"):
        report = judge(config, dataset, test, fits.table, quiet)
        lost = unreached(config, planned, dataset.x.ndim > 2)
        parts = [t for t in (report.table, lost) if len(t)]  # an empty one has no types
        whole = pd.concat(parts, ignore_index=True)
        with store.place("audit.csv") as path:
            AuditReport(whole, report.meta).save(path)
    with phase(seconds, "page"):
        table = worlds.table(dataset, planned)
        store.write_csv("worlds.csv", table)
        cells, called = located(whole, table), calls(test)
        store.write_csv("calls.csv", called)
        found = store, config, dataset, table, fits.table, cells
        found += located(called, table), fits.start, seconds
        page(Result(*found))
    return finish(store, seconds)


def fit_all(
    config: Config, store: Store, dataset: Dataset, planned: Plan, quiet: bool
) -> Fits:
    """All runs in one fit."""
    images, task = dataset.x.ndim > 2, TASKS.get("binary")
    table = plan_runs(config, planned, images)
    begun = arms.starts(config, store, quiet) if images else {}
    start = begun.get(config.model.name)
    name = start.model if start else config.model.name
    parts, lr = resolve(config), config.train.lr[0]
    model = MODELS.get(name, task.outputs, task.constants)
    fitted = fit(
        model,
        dataset,
        [
            Run(r.seed, r.method, r.trained, -1, lr, kept=r.kept)
            for r in table.itertuples()
        ],
        task=task,
        reconstruct=TASKS.get("reconstruct"),
        train=config.train,
        methods=parts.methods,
        schemes=parts.schemes,
        journal=Journal(store.folder("checkpoints"), config.train.save_seconds),
        quiet=quiet,
        augment=augmentation(config.arms.augment) if images else None,
        start=start.weights if start else None,
        kept=planned.kept,
    )
    last = np.array(fitted.plan.final)
    table = table.assign(lr=lr, valid=fitted.value[last], step=fitted.step[last])
    return Fits(table, model, fitted, start.words if start else arms.RANDOM)


def write(config: Config, store: Store, dataset: Dataset, fits: Fits) -> Predictions:
    """runs.csv, log.csv, predictions.npz and .csv; all runs on the test rows.

    predictions.csv: every method in the rarest world of the first axis, first draw.
    """
    held = np.isin(dataset.split, (VALID, TEST)) & (dataset.mask[:, 0] > 0)
    some = forecasts.rows_of(dataset, np.flatnonzero(held))
    runs, model, fitted, _ = fits
    weights = [fitted.of(run) for run in runs["run"]]
    logits = score(model, weights, some.x)
    prob = 1 / (1 + np.exp(-logits.astype(np.float64)))
    store.write_csv("runs.csv", runs.drop(columns="kept"))
    store.write_csv("log.csv", log_table(fitted))
    store.write_npz(
        "predictions.npz", prob=prob.astype(np.float32), id=some.id, split=some.split
    )
    first = runs[(runs["axis"] == runs["axis"].iloc[0]) & (runs["seed"] == 0)]
    first = first[first["world"] == first["world"].iloc[-1]]
    shown = [System(0, r.method, r.scheme, "", {}, r.run) for r in first.itertuples()]
    mine = {r: weights[r] for r in first["run"]}
    task = TASKS.get("binary")
    table = forecasts.table(some, task, model, shown, mine, config.data)
    store.write_csv("predictions.csv", table)
    rows = np.flatnonzero(some.split == TEST)
    names = ["seed", "method", "scheme"]
    return Predictions(
        prob[:, rows],
        some.y[rows].astype(float),
        some.mask[rows],
        {worlds.SIDE: some.attributes[worlds.SIDE][rows]},
        some.id[rows],
        some.patient[rows],
        runs[names].to_dict("records"),
    )
