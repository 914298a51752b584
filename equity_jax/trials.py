"""run_trials(config, workdir): many image networks, one table, one audit.

What run.py does for one model with many groups, this does for many networks: load,
start, fit arm by arm, score, audit, write. A killed run resumes where it was, bit for
bit. The study's page and controls come in as a function of the Result.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax import arms as shelf
from equity_jax import trial_files as files
from equity_jax.arms import Start
from equity_jax.audit import AuditReport, audit
from equity_jax.audit.multiclass import multiclass
from equity_jax.clock import compile_clock, phase
from equity_jax.config import Config
from equity_jax.data import DATASETS
from equity_jax.networks import save
from equity_jax.results import describe, held_out
from equity_jax.run import finish, resolve
from equity_jax.store import Store, open_run
from equity_jax.systems import stitch
from equity_jax.train import Journal
from equity_jax.trial_files import Trial
from equity_jax.types import TEST, TRAIN, VALID, Dataset, InputError, Predictions
from equity_jax.verdict import asked, labels_of

METRICS = ("auroc", "auprc", "recall", "specificity", "precision", "f1", "brier")
JUDGED = ("sex", "age", "source", "view")


class Result(NamedTuple):
    """What a run of trials leaves in memory; `store` holds the same on disk.

    held: the observed validation and test rows; trials: every system; best: numbers of
    the best trial of each network and start, as validation ranks them; table, log:
    runs.csv and log.csv; every: test Predictions of all trials (`valid` inside);
    report: the audit of the best; overall: accuracy, macro F1, macro AUROC and their
    like, long; starts: where weights came from; seconds: by phase.
    """

    store: Store
    dataset: Dataset
    held: Dataset
    trials: list[Trial]
    best: list[int]
    table: pd.DataFrame
    log: pd.DataFrame
    every: Predictions
    report: AuditReport
    overall: pd.DataFrame
    starts: dict[str, Start]
    seconds: dict[str, float]

    @property
    def chosen(self) -> list[Trial]:
        """The best trial of each network and start, the best first."""
        return [self.trials[i] for i in self.best]

    @property
    def test(self) -> Predictions:
        """Test Predictions of the best trials."""
        return select(self.every, self.best)


def run_trials(
    config: Config,
    workdir: str,
    *,
    page: Callable[[Result], None],
    quiet: bool = False,
) -> Store:
    """Loads, starts, fits, audits and writes; resumes what was begun in `workdir`.

    page: writes the report, and whatever else the study makes, of a Result.

    Raises:
        InputError: a wrong name in the config, a wrong file, another run's directory.

    Example:
        >>> run_trials(config, "runs/cxr", page=make_page)  # doctest: +SKIP
    """
    store = open_run(workdir, config)
    resolve(config)
    shelf.resolve(config)
    if store.done:
        return store
    seconds: dict[str, float] = {}
    with phase(seconds, "load"):
        dataset = DATASETS[config.data.name](config.data, seed=config.seed)
        check(dataset)
        store.pin("data.json", describe(dataset), "fingerprint")
    with phase(seconds, "fit"), compile_clock(seconds):
        begun = shelf.starts(config, store, quiet)
        trials, table, log, held = fit_all(config, store, dataset, begun, quiet)
    with phase(seconds, "score"):
        best = files.ranking(trials)
        every = predictions(trials, held, TEST)
        every = every._replace(valid=predictions(trials, held, VALID))
        networks = [trials[i].network for i in best]
        save(store, networks)
        files.write(store, trials, best, table, log, held)
    with phase(seconds, "audit"):
        report, overall = judge(config, dataset, select(every, best), quiet)
        with store.place("audit.csv") as path:
            both = pd.concat([report.table, overall], ignore_index=True)
            AuditReport(both, report.meta).save(path)
    with phase(seconds, "page"):
        parts = trials, best, table, log, every, report, overall, begun, seconds
        page(Result(store, dataset, held, *parts))
    return finish(store, seconds)


def check(dataset: Dataset) -> None:
    """Refuses what no network can learn from.

    Raises:
        InputError: fewer than two classes, or a split without a row of some class.
    """
    names = dataset.spec.classes
    if not dataset.spec.task.startswith("multiclass") or len(names) < 2:
        raise InputError(
            f"{dataset.spec.name}: this study needs one label of two classes or more,"
            f" found {dataset.spec.task} with {', '.join(names) or 'no class'}"
        )
    for split, words in ((TRAIN, "train"), (VALID, "validate"), (TEST, "test")):
        there = np.unique(dataset.y[dataset.split == split])
        lost = [c for i, c in enumerate(names) if i not in there]
        if lost:
            raise InputError(f"no image of class {lost[0]!r} is left to {words} on")


def fit_all(
    config: Config,
    store: Store,
    dataset: Dataset,
    begun: dict[str, Start],
    quiet: bool,
) -> tuple[list[Trial], pd.DataFrame, pd.DataFrame, Dataset]:
    """Every arm in turn: its trials, runs.csv, log.csv, and the held-out rows."""
    plan = shelf.plan_arms(config, dataset.spec.group not in ("source", "label"))
    trials: list[Trial] = []
    tables, logs, held = [], [], None
    for number, arm in enumerate(tqdm(plan, "arms", disable=quiet)):
        journal = Journal(
            store.folder(f"checkpoints/arm_{number:03d}"), config.train.save_seconds
        )
        start = begun[arm.model] if arm.started else None
        swept = shelf.fit_arm(config, dataset, arm, start, journal, quiet)
        held, logits = held_out(dataset, swept)
        first = sum(map(len, tables))
        tables.append(files.runs_of(arm, swept, dataset, first))
        logs.append(files.log_of(swept, first))
        for system in swept.choices.systems:
            mine = stitch(system, logits, held.group)
            name = arm.model if start is None else start.model
            made = files.trial(arm, name, system, mine, swept, held)
            if made.about["system"] not in {t.about["system"] for t in trials}:
                trials.append(made)  # the arm of groups has its own mixture, not twice
    joined = [pd.concat(t, ignore_index=True) for t in (tables, logs)]
    return trials, *joined, held


def predictions(trials: Sequence[Trial], held: Dataset, part: int) -> Predictions:
    """What an audit needs of all trials on one split of the held-out rows."""
    rows = np.flatnonzero(held.split == part)
    y = held.y[rows].astype(float)
    return Predictions(
        np.stack([files.softmax(t.logits[rows]) for t in trials]),
        np.where(y >= 0, y, np.nan),
        held.mask[rows],
        {name: values[rows] for name, values in held.attributes.items()},
        held.id[rows],
        held.patient[rows],
        [{k: t.about[k] for k in ("seed", "method", "scheme")} for t in trials],
    )


def select(p: Predictions, systems: Sequence[int]) -> Predictions:
    """Some systems of Predictions, in that order."""
    valid = None if p.valid is None else select(p.valid, systems)
    runs = [p.runs[i] for i in systems]
    return p._replace(prob=p.prob[list(systems)], runs=runs, valid=valid)


def judge(
    config: Config, dataset: Dataset, test: Predictions, quiet: bool
) -> tuple[AuditReport, pd.DataFrame]:
    """The audit, class against the rest, and the metrics of all classes together."""
    spec, chosen = dataset.spec, config.audit
    common: dict[str, Any] = {
        "replicates": chosen.replicates,
        "level": chosen.level,
        "min_rows": chosen.min_rows,
        "seed": config.seed,
        "unit": spec.unit,
    }
    # A plain folder a class records nobody's group: the classes are all there is.
    names = tuple(n for n in JUDGED if n in test.attributes) or (spec.group,)
    report = audit(
        asked(spec, test),
        attributes=names,
        labels=labels_of(spec),
        metrics=METRICS,
        threshold="youden",
        simulated=spec.simulated,
        intersections=False,
        quiet=quiet,
        **common,
    )
    return report, multiclass(test, spec.classes, attributes=names, **common)
