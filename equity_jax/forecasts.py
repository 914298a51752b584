"""From logits to what people read and the audit judges."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

from equity_jax.calibration import Calibration, recalibrated
from equity_jax.config import Data
from equity_jax.nouns import Model, Task
from equity_jax.predictive import burden_probability, forecast, quantiles
from equity_jax.systems import System, stitch
from equity_jax.train import Weights, score
from equity_jax.types import SPLITS, Counted, Dataset, Predictions, Ratio

LEVEL = 0.9  # of predictive intervals


def suppresses(data: Data) -> bool:
    """Whether counts of 1..9 are hidden at this level: national rows are not."""
    return data.level != "nation"


def rows_of(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """The rows int[n] of a data set, in that order."""
    return dataset._replace(
        x=dataset.x[rows],
        y=jax.tree.map(lambda a: a[rows], dataset.y),
        mask=dataset.mask[rows],
        attributes={k: v[rows] for k, v in dataset.attributes.items()},
        split=dataset.split[rows],
        id=dataset.id[rows],
        patient=dataset.patient[rows],
        table=None if dataset.table is None else dataset.table.iloc[rows],
    )


def judged(
    dataset: Dataset,
    task: Task,
    systems: Sequence[System],
    logits: np.ndarray,
    data: Data,
) -> Predictions:
    """Predictions of stitched systems for the audit.

    logits: float[R, N, O] of all runs on the rows of `dataset`. For counts `prob` is
    P(high burden), and ratios hold deviance (-2 log-likelihood per cell), observed /
    expected and the coverage of the 90 % predictive interval, the last two over
    published cells and given that they are published; else deviance alone.
    """
    group = dataset.group
    classes = np.asarray(task.class_of(dataset.y))
    decided = (dataset.mask > 0) & (classes >= 0)
    made = [_one(dataset, task, settled(s, logits, group), data) for s in systems]
    prob, parts = zip(*made, strict=True)
    ratios = {
        name: Ratio(*(np.stack([p[name][i] for p in parts]) for i in (0, 1)))
        for name in parts[0]
    }
    return Predictions(
        np.stack(prob),
        np.where(decided, classes, np.nan),  # undecided: no label, but still a count
        dataset.mask,
        dataset.attributes,
        dataset.id,
        dataset.patient,
        [{"seed": s.seed, "method": s.method, "scheme": s.scheme} for s in systems],
        ratios,
    )


def settled(system: System, logits: np.ndarray, group: np.ndarray) -> np.ndarray:
    """A system's logits float[N, O] as they are judged: stitched, then recalibrated.

    logits: float[R, N, O]; group: int[N].
    """
    own = stitch(system, logits, group)
    if system.calibration is None:
        return own
    return np.asarray(recalibrated(own, system.calibration))


def _one(
    dataset: Dataset, task: Task, logits: np.ndarray, data: Data
) -> tuple[np.ndarray, dict[str, tuple]]:
    seen = dataset.mask[:, 0].astype(np.float32)
    if not isinstance(dataset.y, Counted):
        nll = np.asarray(task.nll(logits, dataset.y))
        prob = np.asarray(task.predict(logits, dataset.y))
        total = (nll * dataset.mask).sum(1)
        return prob, {"deviance": (2 * total, dataset.mask.sum(1))}
    found = forecast(logits, dataset.y, LEVEL, suppressed=suppresses(data))
    prob = burden_probability(logits, dataset.y, data.share)
    shown = (found.published & (seen > 0)).astype(np.float32)
    ratios = {
        "deviance": (2 * found.nll * seen, seen),
        "observed_expected": (dataset.y.low[:, 0] * shown, found.expected * shown),
        "coverage90": (found.covered * shown, shown),
    }
    return np.where(seen > 0, prob, 0.0)[:, None], ratios


def table(
    dataset: Dataset,
    task: Task,
    model: Model,
    systems: Sequence[System],
    weights: Mapping[int, Weights],
    data: Data,
) -> pd.DataFrame:
    """The rows of predictions.csv, system by system.

    weights: of runs, as `System.runs` numbers them. Columns: id, patient, split,
    system, then y, mask, prob (with more labels y_LABEL, ..., of classes prob_CLASS),
    calibrated where the system has a calibration; for counts also mu with its 90 %
    predictive interval low, high, the exposure, and y_low, y_high, what is known of the
    count; then the attributes. An unknown is an empty cell.
    """
    needed = sorted({r for s in systems for r in [*s.runs.values(), s.fallback]} - {-1})
    logits = score(model, [weights[r] for r in needed], dataset.x)
    place = {run: i for i, run in enumerate(needed)} | {-1: -1}
    parts = []
    for system in systems:
        runs = {group: place[run] for group, run in system.runs.items()}
        here = system._replace(runs=runs, fallback=place[system.fallback])
        mine = stitch(here, logits, dataset.group)
        columns = _columns(dataset, task, mine, data, system.calibration)
        parts.append(pd.DataFrame(_heading(dataset, system) | columns))
    return pd.concat(parts, ignore_index=True)


def _heading(dataset: Dataset, system: System) -> dict[str, Any]:
    names = {code: name for name, code in SPLITS.items()}
    return {
        "id": dataset.id,
        "patient": dataset.patient,
        "split": [names.get(int(code), "left out") for code in dataset.split],
        "system": system.name,
    }


def _columns(
    dataset: Dataset,
    task: Task,
    logits: np.ndarray,
    data: Data,
    scale: Calibration | None,
) -> dict[str, Any]:
    prob = np.asarray(task.predict(logits, dataset.y))
    if isinstance(dataset.y, Counted):
        return _counted(dataset, prob, logits, data) | dict(dataset.attributes)
    better = None
    if scale is not None:
        better = np.asarray(task.predict(recalibrated(logits, scale), dataset.y))
    return scored(dataset, prob, better)


def scored(
    dataset: Dataset, prob: np.ndarray, better: np.ndarray | None = None
) -> dict[str, Any]:
    """Columns y, mask, prob (and calibrated) of every label or class; the attributes.

    prob: float[N, K], or float[N, C] of one label of several classes; better: the same,
    calibrated.

    Example: `list(scored(dataset, prob))[:3]` is ["y", "mask", "prob"].
    """
    targets = dataset.spec.targets
    several = prob.shape[1] > len(targets)  # a probability a class
    columns: dict[str, Any] = {}
    for k, target in enumerate(targets):
        end = "" if len(targets) == 1 else f"_{target}"
        seen = dataset.mask[:, k] > 0
        columns[f"y{end}"] = np.where(seen, dataset.y[:, k], np.nan)
        columns[f"mask{end}"] = dataset.mask[:, k]
        if not several:
            columns[f"prob{end}"] = prob[:, k]
    found = {"prob": prob} if several else {}
    if better is not None:
        found["calibrated"] = better
    if not several:
        columns |= {name: values[:, 0] for name, values in found.items()}
    else:
        for name, values in found.items():
            many = enumerate(dataset.spec.classes)
            columns |= {f"{name}_{c}": values[:, i] for i, c in many}
    return columns | dict(dataset.attributes)


def _counted(
    dataset: Dataset, prob: np.ndarray, logits: np.ndarray, data: Data
) -> dict[str, Any]:
    low, high, exposure = (np.asarray(a)[:, 0].astype(float) for a in dataset.y[:3])
    there = exposure > 0
    ends = quantiles(logits, dataset.y, LEVEL, suppressed=suppresses(data))
    return {
        "y": np.where(low == high, low, np.nan),
        "mask": dataset.mask[:, 0],
        "prob": prob[:, 0],
        "mu": np.where(there, prob[:, 0] * exposure, np.nan),
        "low": ends[0],
        "high": ends[1],
        "exposure": np.where(there, exposure, np.nan),
        "y_low": low,
        "y_high": high,
    }
