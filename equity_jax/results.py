"""From fitted runs to the files of a run directory: choices, systems, scores, data."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from equity_jax import forecasts
from equity_jax import systems as sys
from equity_jax.calibration import recalibrate
from equity_jax.config import Config
from equity_jax.data.base import counts, split_hash
from equity_jax.nouns import Model, Scheme, Task
from equity_jax.store import Store
from equity_jax.tasks import TASKS
from equity_jax.train import Checkpoint, Fitted, Weights, pack, score, unpack
from equity_jax.types import (
    LEFT_OUT,
    SPLITS,
    TEST,
    TRAIN,
    VALID,
    Counted,
    Dataset,
    InputError,
    Predictions,
)


class Choices(NamedTuple):
    """What validation decided.

    table: the R axis with valid, step, chosen (the learning rate); systems: stitched
    from chosen runs; variants: method -> transfer variant; score: validation nll per
    (method, scheme); selected: the systems of predictions.csv, by number.
    """

    table: pd.DataFrame
    systems: list[sys.System]
    variants: dict[str, str]
    score: pd.Series
    selected: list[int]


class Swept(NamedTuple):
    """A fitted sweep in memory, with the choices that validation made of it."""

    task: Task
    model: Model
    choices: Choices
    fitted: Fitted


def plan_runs(
    config: Config, dataset: Dataset, schemes: Mapping[str, Scheme]
) -> pd.DataFrame:
    """The runs table, for groups with rows enough to be fitted and validated.

    Raises:
        InputError: the reference group has too few rows.
    """
    seen, group = dataset.mask.max(1) > 0, dataset.group
    train, valid = (seen & (dataset.split == part) for part in (TRAIN, VALID))
    least, sizes = config.audit.min_rows, {}
    for code in range(len(dataset.spec.groups)):
        mine = group == code
        if (mine & train).sum() >= least and (mine & valid).any():
            sizes[code] = int((mine & train).sum())
    reference = dataset.spec.groups.index(dataset.spec.reference)
    if reference not in sizes:
        raise InputError(
            f"the reference group {dataset.spec.reference!r} has fewer than {least}"
            " rows to train on, or none to validate on"
        )
    return sys.run_table(config.train, schemes, sizes, reference, least)


def choose(dataset: Dataset, table: pd.DataFrame, fitted: Fitted) -> Choices:
    """Every choice of the study, made on validation rows."""
    last = np.array(fitted.plan.final)
    seen = (dataset.mask.max(1) > 0)[dataset.split == TRAIN]
    masks = [fitted.plan.rows[fitted.plan.jobs[job].rows] for job in last]
    table = table.assign(
        rows=[int((mask & seen).sum()) for mask in masks],
        valid=fitted.value[last],
        step=fitted.step[last],
    )
    rows = (dataset.split == VALID) & (dataset.mask.max(1) > 0)
    codes = range(len(dataset.spec.groups))
    sizes = {c: int(np.sum(rows & (dataset.group == c))) for c in codes}
    table = sys.choose(table, sizes | {-1: int(rows.sum())})
    reference = dataset.spec.groups.index(dataset.spec.reference)
    variants, score = sys.variants(table, reference), sys.validation(table)
    systems = sys.systems_of(table, variants)
    picks = sys.selected(systems, score)
    return Choices(table, systems, variants, score, picks)


def write_scores(
    config: Config, store: Store, dataset: Dataset, swept: Swept
) -> tuple[Swept, Predictions]:
    """runs.csv, log.csv, predictions.csv and .npz; returns what the audit judges.

    Systems come back calibrated if the config wants it. predictions.npz: prob
    float32[R, N, C] of all runs (as numbered in runs.csv) on the observed validation
    and test rows, their id and split.
    """
    some, logits = held_out(dataset, swept)
    swept = calibrated(config, swept, some, logits)
    task, model, choices, fitted = swept
    store.write_csv("runs.csv", readable(choices.table, dataset))
    store.write_csv("log.csv", log_table(fitted, config.train.keep))
    flat = np.asarray(task.predict(logits.reshape(-1, logits.shape[2]), None))
    prob = flat.reshape(*logits.shape[:2], -1).astype(np.float32)
    store.write_npz("predictions.npz", prob=prob, id=some.id, split=some.split)
    weights = {run: fitted.of(run) for run in choices.table["run"]}
    picks = [choices.systems[i] for i in choices.selected]
    _save_systems(store, picks, weights)
    held = np.flatnonzero(np.isin(dataset.split, (VALID, TEST)))
    every = forecasts.rows_of(dataset, held)
    table = forecasts.table(every, task, model, picks, weights, config.data)
    store.write_csv("predictions.csv", table)
    return swept, tested(config, some, logits, swept)


def held_out(dataset: Dataset, swept: Swept) -> tuple[Dataset, np.ndarray]:
    """The observed validation and test rows, and all runs' logits float[R, N, O]."""
    held = np.isin(dataset.split, (VALID, TEST)) & (dataset.mask.max(1) > 0)
    some = forecasts.rows_of(dataset, np.flatnonzero(held))
    weights = [swept.fitted.of(run) for run in swept.choices.table["run"]]
    return some, score(swept.model, weights, some.x)


def tested(
    config: Config, some: Dataset, logits: np.ndarray, swept: Swept
) -> Predictions:
    """Predictions of all systems on the test rows among `some`.

    `valid` holds those on the validation rows, which thresholds come from (of labels;
    counts have none).
    """

    def part(split: int) -> Predictions:
        mine = np.flatnonzero(some.split == split)
        rows, systems = forecasts.rows_of(some, mine), swept.choices.systems
        return forecasts.judged(rows, swept.task, systems, logits[:, mine], config.data)

    found = part(TEST)
    return found if isinstance(some.y, Counted) else found._replace(valid=part(VALID))


def calibrated(
    config: Config, swept: Swept, some: Dataset, logits: np.ndarray
) -> Swept:
    """The sweep, every system calibrated on the validation rows among `some`.

    logits: float[R, N, O] of all runs; config.audit.calibrate: which kind, "" = none.

    Raises:
        InputError: an unknown kind, or a task without classes of its own.
    """
    kind = config.audit.calibrate
    if not kind:
        return swept
    if isinstance(some.y, Counted) or some.y.shape[1] != 1:
        raise InputError(f"--config.audit.calibrate={kind} is for one label or class")
    mine = np.flatnonzero((some.split == VALID) & (some.mask[:, 0] > 0))
    y, made = np.asarray(some.y[mine, 0]).astype(int), []
    for system in swept.choices.systems:
        z = sys.stitch(system, logits[:, mine], some.group[mine])
        there = np.isfinite(z).all(1)
        z = np.concatenate([0 * z, z], 1) if z.shape[1] == 1 else z
        made.append(system._replace(calibration=recalibrate(z[there], y[there], kind)))
    return swept._replace(choices=swept.choices._replace(systems=made))


def _save_systems(
    store: Store, systems: Sequence[sys.System], weights: Mapping[int, Weights]
) -> None:
    listed = {"systems": [sys.as_json(s) for s in systems]}
    store.write_json("checkpoints/systems.json", listed)
    runs = {r for s in systems for r in [*s.runs.values(), s.fallback] if r >= 0}
    saved = {f"run_{r:06d}": pack(tuple(weights[r])) for r in sorted(runs)}
    Checkpoint(store.folder("checkpoints")).save("systems", saved)


def load_systems(
    store: Store, model: Model, x: np.ndarray
) -> tuple[list[sys.System], dict[int, Weights]]:
    """The selected systems of a finished run, and the weights of their runs.

    x: float[1, F], a row, for the shapes.
    """
    listed = store.read_json("checkpoints/systems.json")["systems"]
    systems = [sys.from_json(d) for d in listed]
    saved = Checkpoint(store.path / "checkpoints").load("systems")
    like = Weights(*model.init(jax.random.key(0), x))
    weights = {int(k.removeprefix("run_")): unpack(v, like) for k, v in saved.items()}
    return systems, weights


def describe(dataset: Dataset) -> dict[str, Any]:
    """data.json: what the data are, and what was left out and why."""
    spec, task = dataset.spec, TASKS.get(dataset.spec.task)
    classes = np.asarray(task.class_of(dataset.y))
    found = counts(dataset, classes, task.classes)
    parts = {**SPLITS, "left_out": LEFT_OUT}
    return {
        **spec._asdict(),
        "split_hash": split_hash(dataset),
        "rows": {name: int(np.sum(dataset.split == c)) for name, c in parts.items()},
        "counts": found.n.tolist(),
        "recipe": dict(dataset.recipe),
    }


def readable(table: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """The runs table with group names in place of codes."""
    names = dict(enumerate(dataset.spec.groups)) | {-1: "all"}
    return table.assign(target=table["target"].map(names))


def log_table(fitted: Fitted, keep: str = "nll") -> pd.DataFrame:
    """log.csv: step, run, split, metric, value, of each run's last stage.

    keep: as in Train, what was measured on validation rows.
    """
    parts, judged = [], {"auroc": "1 - auroc"}.get(keep, keep)
    for number, job in enumerate(fitted.plan.final):
        seen = fitted.looks[job]
        on = np.asarray(seen.active, bool)
        for split, metric, values in (
            ("train", "loss", seen.loss),
            ("valid", judged, seen.valid),
        ):
            columns = {"step": seen.step[on], "run": number, "split": split}
            parts.append(
                pd.DataFrame({**columns, "metric": metric, "value": values[on]})
            )
    return pd.concat(parts, ignore_index=True)
