"""From fitted arms to the files of a run: trials, ranking, tables, submissions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from equity_jax import calibration
from equity_jax.arms import Arm
from equity_jax.networks import Network, network
from equity_jax.results import Swept, log_table, readable
from equity_jax.store import Store
from equity_jax.systems import System
from equity_jax.types import SPLITS, VALID, Dataset

TOP = 3  # networks whose predictions go to submission/


class Trial(NamedTuple):
    """One system of one arm. logits: float32[M, C] on the held-out rows; valid: mean
    nll on validation rows; network: None where each group has its own parameters.
    """

    arm: Arm
    system: System
    logits: np.ndarray
    valid: float
    network: Network | None

    @property
    def about(self) -> dict[str, Any]:
        """The columns that say what it is."""
        return about(self.arm, self.system)


def about(arm: Arm, system: System) -> dict[str, Any]:
    """seed, method, scheme as the audit knows them; what they are made of; the name."""
    augmented = "augmented" if arm.augment else "plain"
    depth = system.scheme.replace("finetune('", "").replace("')", "")
    scheme = f"{arm.model} {arm.start} {depth} {augmented} lr {arm.lr:g}"
    return {
        "seed": system.seed,
        "method": system.method,
        "scheme": scheme,
        "model": arm.model,
        "start": arm.start,
        "augmentation": augmented,
        "lr": arm.lr,
        "depth": depth,
        "system": f"{scheme} | {system.method} | seed {system.seed}",
    }


def trial(
    arm: Arm,
    architecture: str,
    system: System,
    logits: np.ndarray,
    swept: Swept,
    held: Dataset,
) -> Trial:
    """A trial with its validation loss, its calibration and its network."""
    rows = (held.split == VALID) & (held.mask[:, 0] > 0)
    found, y = logits[rows], held.y[rows]
    valid = float(np.mean(np.asarray(swept.task.nll(found, y))))
    if system.runs:
        return Trial(arm, system, logits, valid, None)
    scale = calibration.recalibrate(found, y[:, 0], kind="bcts")
    weights = swept.fitted.of(system.fallback)
    name, classes = about(arm, system)["system"], held.spec.classes
    made = network(name, architecture, classes, held.recipe, weights, scale)
    return Trial(arm, system, logits, valid, made)


def ranking(trials: Sequence[Trial]) -> list[int]:
    """The best trial of each network and start, by validation loss, the best first.

    Of the first seed: the others say how much chance there is in a training.
    """
    best: dict[tuple, int] = {}
    for i, t in enumerate(trials):
        if t.network is None or t.system.seed:
            continue
        key = (t.arm.model, t.arm.started)
        if key not in best or t.valid < trials[best[key]].valid:
            best[key] = i
    return sorted(best.values(), key=lambda i: trials[i].valid)


def runs_of(arm: Arm, swept: Swept, dataset: Dataset, first: int) -> pd.DataFrame:
    """The rows of runs.csv of one arm, numbered from `first`."""
    table = readable(swept.choices.table, dataset)
    table = table.assign(run=table["run"] + first)
    columns = {
        "model": arm.model,
        "start": arm.start,
        "augment": arm.augment,
    }
    for place, (name, value) in enumerate(columns.items(), 2):
        table.insert(place, name, value)
    return table


def log_of(swept: Swept, first: int) -> pd.DataFrame:
    """The rows of log.csv of one arm, its runs numbered from `first`."""
    log = log_table(swept.fitted)
    return log.assign(run=log["run"] + first)


def write(
    store: Store,
    trials: Sequence[Trial],
    best: Sequence[int],
    table: pd.DataFrame,
    log: pd.DataFrame,
    held: Dataset,
) -> None:
    """runs.csv, log.csv, predictions.csv and .npz, submission/.

    predictions.npz: prob float32[S, M, C] of all trials on the held-out rows, their id
    and split, and the systems' names. submission/: the test rows of the top three.
    """
    store.write_csv("runs.csv", table)
    store.write_csv("log.csv", log)
    prob = np.stack([softmax(t.logits) for t in trials]).astype(np.float32)
    names = np.array([t.about["system"] for t in trials])
    store.write_npz(
        "predictions.npz", prob=prob, id=held.id, split=held.split, system=names
    )
    chosen = [trials[i] for i in best]
    parts = [scores(t, held) for t in chosen]
    store.write_csv("predictions.csv", pd.concat(parts, ignore_index=True))
    for place, (t, part) in enumerate(zip(chosen[:TOP], parts, strict=False), 1):
        about = t.about
        mine = part[part["split"] == "test"].drop(columns=["split", "mask"])
        name = f"{place}_{about['model']}_{about['start']}.csv"
        store.write_csv(f"submission/{name}", mine)


def scores(t: Trial, held: Dataset) -> pd.DataFrame:
    """The rows of predictions.csv of one trial."""
    splits = {code: name for name, code in SPLITS.items()}
    seen = held.mask[:, 0] > 0
    prob, classes = softmax(t.logits), held.spec.classes
    better = calibration.apply(t.logits, t.network.calibration)
    columns: dict[str, Any] = {
        "id": held.id,
        "patient": held.patient,
        "split": [splits[int(s)] for s in held.split],
        "system": t.about["system"],
        "y": np.where(seen, held.y[:, 0], np.nan),
        "mask": held.mask[:, 0],
    }
    columns |= {f"prob_{c}": prob[:, i] for i, c in enumerate(classes)}
    columns |= {f"calibrated_{c}": better[:, i] for i, c in enumerate(classes)}
    columns["predicted"] = np.array(classes)[prob.argmax(1)]
    return pd.DataFrame(columns | dict(held.attributes))


def softmax(logits: np.ndarray) -> np.ndarray:
    """float64[..., C] of logits float[..., C]."""
    return special.softmax(np.asarray(logits, float), axis=-1)
