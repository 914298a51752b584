"""The bootstraps that are mostly published, on the same data, for comparison.

The percentile interval of the largest minus the smallest group value never contains 0:
in every replicate some group is best and another worst. And an interval from resampled
rows takes the images of a patient for as many patients.
"""

import numpy as np
import pandas as pd

from equity_jax.types import Array
from scripts.benchmark.peers import TAILS, area, cumulated, drawn

METRICS = ("auroc", "accuracy")
PERCENTILE, ROWS = "naive percentile", "naive percentile, rows resampled"


def naive(
    frame: pd.DataFrame, threshold: float, replicates: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Percentile intervals of every group and of the gap, by patients.

    And by rows, where patients have several (else it were the same twice).

    Args:
        frame: group, patient, y, prob, as from world.simulate.
        threshold: decision of the accuracy.
        replicates: of either bootstrap.
        rng: draws them.

    Returns:
        DataFrame: contrast (group, gap), metric, group, reference, value, low, high,
        interval, status; the columns of the audit's table that are judged.
    """
    parts = dict(list(frame.groupby("group")))
    found, kinds = [], [(PERCENTILE, "patient"), (ROWS, "row")]
    for kind, unit in kinds if frame["patient"].duplicated().any() else kinds[:1]:
        both = [_draws(p, threshold, replicates, unit, rng) for p in parts.values()]
        draws = np.stack([d for _, d in both], axis=1)
        value = np.stack([v for v, _ in both], axis=1)
        for m, metric in enumerate(METRICS):
            base = {"metric": metric, "reference": "", "interval": kind}
            for g, group in enumerate(parts):
                line = {"contrast": "group", "group": group}
                found.append(base | line | _percentile(value[m, g], draws[m, g]))
            line = {"contrast": "gap", "group": ""}
            spread = np.ptp(value[m]), np.ptp(draws[m], axis=0)
            found.append(base | line | _percentile(*spread))
    return pd.DataFrame(found)


def _draws(
    frame: pd.DataFrame,
    threshold: float,
    replicates: int,
    unit: str,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Value float[M] of a group and its replicates float[M, R]."""
    y, score = (frame[c].to_numpy() for c in ("y", "prob"))
    _, code = np.unique(frame["patient"].to_numpy(), return_inverse=True)
    code = np.arange(len(y)) if unit == "row" else code
    ones = np.ones((1, code.max() + 1), np.uint8)
    counts = np.concatenate([ones, drawn(code.max() + 1, replicates, rng)])
    w = counts.T[code].astype(float)
    found = np.stack(
        [area(*cumulated(w, y, score)[1:]), _right(w, y, score, threshold)]
    )
    return found[:, 0], found[:, 1:]


def _right(w: Array, y: Array, score: Array, threshold: float) -> Array:
    return ((score >= threshold) == (y > 0)) @ w / w.sum(axis=0)


def _percentile(value: float, draws: Array) -> dict[str, float | str]:
    """Not estimable where the value is not, or a replicate in ten is not."""
    draws = draws[np.isfinite(draws)] if np.isfinite(value) else draws[:0]
    known = len(draws) and np.isfinite(value)
    low, high = np.quantile(draws, TAILS) if known else (np.nan, np.nan)
    status = "OK" if known else "NOT_ESTIMABLE"
    return {"value": value, "low": low, "high": high, "status": status}
