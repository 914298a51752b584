"""The small table of the honest controls: one number a row, beside what chance gives.

Columns: control (which test), what (of what), source (the rows of one source, "" =
all), system, n, patients, metric, value, low, high, chance (what knowing nothing would
give), status, reason (why a number is missing, or what was left out).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.floors import OTHERS
from equity_jax.audit.status import NOT_ESTIMABLE, OK

COLUMNS = tuple(
    "control what source system n patients metric value low high chance status"
    " reason".split()
)


def frame(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The table of COLUMNS; a column that does not apply is empty.

    Example:
        >>> frame([{"control": "saliency", "n": 3}]).control.item()
        'saliency'
    """
    texts = ("control", "what", "source", "system", "metric", "status", "reason")
    empty = dict.fromkeys(COLUMNS, np.nan) | dict.fromkeys(texts, "")
    empty |= {"n": 0, "patients": 0}
    return pd.DataFrame([empty | record for record in records], columns=list(COLUMNS))


def missing(reason: str) -> dict[str, Any]:
    """The columns of a number that cannot be given."""
    empty = {"value": np.nan, "low": np.nan, "high": np.nan}
    return empty | {"status": NOT_ESTIMABLE, "reason": reason}


def mean_of(
    value: np.ndarray,
    patient: np.ndarray | None = None,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Mean over images with a bootstrap interval by patient: n, patients, value, ...

    The interval is the expanded percentile one of `inference`.

    Args:
        value: float[N]; NaN is left out and counted in `reason`.
        patient: int[N]; None: each image is a patient.
        bounds: where the mean can lie.
        level: of the interval.
        replicates: of the patients.
        seed: of the replicates.

    Example:
        >>> round(mean_of(np.arange(20) / 20)["value"], 3)
        0.475
    """
    value = np.asarray(value, float)
    patient = np.arange(len(value)) if patient is None else np.asarray(patient)
    known = np.isfinite(value)
    _, block = np.unique(patient[known], return_inverse=True)
    sums, rows = np.bincount(block, value[known]), np.bincount(block)
    lost = int(np.sum(~known))
    counted = {"n": int(known.sum()), "patients": len(rows)}
    effective = float(inference.effective_number(rows))
    if effective < OTHERS - 1e-6:
        return counted | missing(f"fewer than {OTHERS} effective patients")
    weight = inference.resample(len(rows), replicates, seed, "bootstrap/images") * 1.0
    draws = (weight @ sums) / (weight @ rows)
    point, ok = np.array(value[known].mean()), np.array(True)
    made = inference.Estimate(point, point[None], draws, np.array(effective), ok)
    low, high = inference.interval(made, level)
    ends = {"value": float(point), "low": max(float(low), bounds[0])}
    ends |= {"high": min(float(high), bounds[1]), "status": OK}
    return counted | ends | {"reason": f"{lost} images left out" if lost else ""}
