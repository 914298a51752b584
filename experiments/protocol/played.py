"""What a protocol leaves: every run of every method, scored."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.types import Dataset
from experiments.protocol.entries import Entry


class Played(NamedTuple):
    """All runs of all methods on one data set.

    dataset: of all rows; entries: those that ran, in the order of the tables; table: a
    row a run: run, entry, trial, seed, lr, weight_decay, values (the trial's own
    settings, as text), step (of the parameters kept; NaN where there are none); prob:
    float32[R, n, C] as in Predictions.prob (binary: C = 1, the positive class); rows:
    int[n], all validation and test rows, numbers in the dataset; encoding: float[R],
    validation AUROC of the group (one against the rest, mean over groups) by a ridge
    regression on the run's features, learned from training rows; NaN where a run has
    none of its own; refused: entry -> the task's reason; log: of log.csv; programs: how
    many compiled programs fitted it all.
    """

    dataset: Dataset
    entries: tuple[Entry, ...]
    table: pd.DataFrame
    prob: np.ndarray
    rows: np.ndarray
    encoding: np.ndarray
    refused: Mapping[str, str]
    log: pd.DataFrame
    programs: int
