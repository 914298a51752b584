"""One contrast of every system, before it becomes rows of the table."""

from typing import NamedTuple

import numpy as np

from equity_jax.audit.statistics import bands
from equity_jax.audit.statistics.inference import Estimate


class Block(NamedTuple):
    """One contrast of every cell [M] and entry [P], before it becomes rows.

    how: what the column `interval` says; cell: int[M], which cell each line belongs
    to; group, reference: names, object[M, P]; at: int[M, P], the group (0 = all) whose
    rows are counted; value, low, high: float[M, P], NaN where not estimable; why:
    object[M, P], the reason then.
    """

    contrast: str
    how: str
    cell: np.ndarray
    group: np.ndarray
    reference: np.ndarray
    at: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    why: np.ndarray


def gap_of(named: Estimate, level: float, shared: bool) -> tuple[np.ndarray, ...]:
    """bands.gap, and NaN where there are fewer than two groups."""
    if named.value.shape[1] > 1:
        return bands.gap(named, level, shared)
    return tuple(np.full((4, len(named.value)), np.nan))


def worse(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """bool[...]: a is worse than b; False where either is NaN."""
    return np.nan_to_num(a, nan=-np.inf) > np.nan_to_num(b, nan=-np.inf)
