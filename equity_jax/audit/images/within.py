"""Accuracy beside chance: of any rows, and within one source.

A high accuracy proves little where every class comes from its own hospital. Within one
source that holds two classes the source is of no help; on images whose lungs are blank
(regions.blank) the lungs are not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit import judging
from equity_jax.audit.images import rows
from equity_jax.audit.multiclass import multiclass, truth_of
from equity_jax.audit.status import OK
from equity_jax.types import Predictions

METRICS = {
    "accuracy": "accuracy",
    "macro_recall": "balanced accuracy",
    "macro_auroc": "macro AUROC",
}


def within_source(
    p: Predictions,
    classes: Sequence[str],
    source: np.ndarray,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How well given predictions tell classes apart inside one source.

    The accuracy is that of the predicted class among all classes; balanced accuracy
    and AUROC are of a choice among the classes that the source holds.

    Args:
        p: prob float[S, N, C] of test rows.
        classes: C names.
        source: str[N]; "" is unknown.
        replicates: of the patients.
        seed: of the replicates.

    Returns:
        Table of rows.COLUMNS; a source of one class is NOT_ESTIMABLE.

    Example:
        >>> within_source(p, ("Normal", "Viral"), dataset.attributes["source"])
    """
    truth, source = truth_of(p, classes), np.asarray(source).astype(str)
    drawn = {"replicates": replicates, "seed": seed}
    base = {"control": "within one source"}
    made = []
    for name in sorted(set(source[truth >= 0]) - {""}):
        mine = (source == name) & (truth >= 0)
        held = np.unique(truth[mine])
        what = " or ".join(classes[c] for c in held)
        if len(held) < 2:
            lost = rows.missing(f"{name} holds one class only: {what}")
            counted = {
                "n": int(mine.sum()),
                "patients": len(np.unique(p.patient[mine])),
            }
            one = base | {"what": what, "source": name, "metric": "accuracy"}
            made.append(rows.frame([one | counted | lost]))
            continue
        about = base | {"what": what, "source": name}
        every = judging.rows_of(p, mine)
        common = int(np.bincount(truth[mine]).max()) / int(mine.sum())
        told = scored(every, classes, about, common, **drawn)
        made.append(told[told.metric == "accuracy"])
        among = _among(every, truth[mine], held)
        told = scored(among, [classes[c] for c in held], about, common, **drawn)
        made.append(told[told.metric != "accuracy"])
    return pd.concat(made, ignore_index=True) if made else rows.frame([])


def scored(
    p: Predictions,
    classes: Sequence[str],
    about: Mapping[str, Any],
    common: float | None = None,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracy, balanced accuracy and macro AUROC of each system beside chance.

    Args:
        p: prob float[S, N, C], such as the scores of images with blank lungs.
        classes: C names.
        about: columns of rows.COLUMNS: `{"control": "lungs blanked"}`.
        common: the accuracy of always naming one class; None: the largest share.
        replicates: of the patients.
        seed: of the replicates.

    Example:
        >>> scored(p, classes, {"control": "lungs blanked"})  # p of blank(x)
    """
    truth = truth_of(p, classes)
    truth = truth[truth >= 0]
    common = np.bincount(truth).max() / len(truth) if common is None else common
    chance = {"accuracy": common, "macro_recall": 1 / len(classes), "macro_auroc": 0.5}
    p = p._replace(valid=None)  # nothing is compared here
    table = multiclass(p, classes, replicates=replicates, seed=seed)
    table = table[table.metric.isin(METRICS)]
    made = rows.frame(
        [
            {**about, "system": row.system, "n": row.n, "patients": row.patients}
            | {"metric": METRICS[row.metric], "chance": chance[row.metric]}
            | {k: getattr(row, k) for k in ("value", "low", "high", "status")}
            | {"reason": about.get("reason", "") if row.status == OK else row.interval}
            for row in table.itertuples()
        ]
    )
    return made.sort_values("system", kind="stable", ignore_index=True)


def _among(p: Predictions, truth: np.ndarray, held: np.ndarray) -> Predictions:
    """The choice among the classes `held` alone: their probabilities, made to sum 1."""
    prob = np.asarray(p.prob, float)[:, :, held]
    total = prob.sum(axis=2, keepdims=True)
    even = np.full_like(prob, 1 / len(held))
    prob = np.divide(prob, total, out=even, where=total != 0)
    y = np.searchsorted(held, truth)[:, None].astype(float)
    return p._replace(prob=prob, y=y)
