"""The last layer of a frozen network, fitted again: plainly, on balanced rows (of
training, or of validation), or under a constraint on groups' rates.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from equity_jax import dfr, probe, probes, reductions
from equity_jax.tasks import TASKS
from equity_jax.types import TRAIN, VALID, Dataset, InputError


def held(dataset: Dataset) -> np.ndarray:
    """int[n]: the validation and test rows, in order."""
    return np.flatnonzero(probe.held(dataset.split))


def labels(dataset: Dataset) -> list[np.ndarray | None]:
    """int[N] a label: its class, -1 = not observed; None: no layer can learn it.

    A label needs training rows of two classes, and one validation row.

    Example: `labels(dataset)[3]` is what the fourth finding is learned from.
    """
    task = TASKS.get(dataset.spec.task)
    codes = np.where(dataset.mask > 0, np.asarray(task.class_of(dataset.y)), -1)
    found: list[np.ndarray | None] = []
    for code in codes.T.astype(int):
        train, valid = (
            code[(dataset.split == s) & (code >= 0)] for s in (TRAIN, VALID)
        )
        found.append(code if len(np.unique(train)) > 1 and len(valid) else None)
    return found


def plain(dataset: Dataset) -> np.ndarray:
    """float32[n, C]: logistic regression of every label; NaN where none can be learned.

    Of the validation and test rows, the penalty chosen on the former.

    Example: `plain(frozen(dataset, seen)).shape` is (750, 14).
    """
    codes = labels(dataset)
    known = [c for c in codes if c is not None]
    made = iter(probes.logistic(dataset.x, known, dataset.split) if known else [])
    return _joined(dataset, [c if c is None else next(made).scores for c in codes])


def balanced(dataset: Dataset, seed: int = 0) -> np.ndarray:
    """As `plain`, by deep feature reweighting; NaN where no group has rows enough.

    Example: `balanced(frozen(dataset, seen)).shape` is (750, 14).
    """
    rows = dataset.x, dataset.group, dataset.split
    made = [
        code if code is None else dfr.dfr(rows[0], code, *rows[1:], seed=seed).scores
        for code in labels(dataset)
    ]
    return _joined(dataset, made)


def validated(dataset: Dataset, seed: int = 0) -> np.ndarray:
    """As `balanced`, fitted on validation rows, as the paper of DFR has it.

    Those are scored by the half of them that they are not in (see dfr.validated).

    Example: `validated(frozen(dataset, seen)).shape` is (750, 14).
    """
    rows = dataset.group, dataset.split, dataset.patient
    made = [
        code
        if code is None
        else dfr.validated(dataset.x, code, *rows, seed=seed).scores
        for code in labels(dataset)
    ]
    return _joined(dataset, made)


def reduced(
    dataset: Dataset,
    constraint: str = "equalized_odds",
    head: str = "linear",
    **options: Any,
) -> np.ndarray:
    """float32[n, K]: chance of being called positive, by constraint reduction.

    constraint, head, options (eps, l2, units, rounds, seed, quiet): as
    reductions.reduced. NaN for a label that cannot be learned.

    Raises:
        InputError: labels of several classes, or what reductions.reduced refuses.

    Example: `reduced(frozen(dataset, seen), "equal_opportunity", eps=0.05)`.
    """
    if dataset.spec.task.startswith("multiclass"):
        raise InputError(f"reductions need labels of two classes: {dataset.spec.task}")
    rows = dataset.group, dataset.split, constraint
    made = [
        code
        if code is None
        else reductions.reduced(dataset.x, code, *rows, head=head, **options).chance
        for code in labels(dataset)
    ]
    return _joined(dataset, [c if c is None else np.stack([1 - c, c], 1) for c in made])


def _joined(dataset: Dataset, scores: Sequence[np.ndarray | None]) -> np.ndarray:
    """float32[n, C]: one label's classes, or the second class of every label."""
    rows, known = held(dataset), [s for s in scores if s is not None]
    if len(scores) == 1 and known and dataset.spec.task.startswith("multiclass"):
        return known[0][rows]
    none = np.full(len(rows), np.nan, np.float32)
    return np.stack([none if s is None else s[rows, 1] for s in scores], axis=1)
