"""What every data set can be asked: counts by group, a hash of its splits, sanity."""

import hashlib

import jax
import numpy as np

from equity_jax.data.sampler import tabulate
from equity_jax.types import LEFT_OUT, TRAIN, Counts, Dataset


def counts(
    dataset: Dataset,
    task_classes: np.ndarray,
    n_classes: int,
    rows: np.ndarray | None = None,
) -> Counts:
    """Training rows per target, class and group.

    task_classes: int[N, K] from Task.class_of, -1 = undecided (the last class slot);
    rows: bool[N], which of the training rows count (None: all). Masked rows never do.

    Example:
        >>> counts(dataset, task.class_of(dataset.y), task.classes)  # doctest: +SKIP
    """
    train = dataset.split == TRAIN
    rows = train if rows is None else train & rows
    shape = (n_classes, len(dataset.spec.groups))
    return tabulate(np.asarray(task_classes), dataset.mask, dataset.group, rows, shape)


def split_hash(dataset: Dataset) -> str:
    """Sixteen hex digits that change when any row moves to another split.

    Example:
        >>> len(split_hash(dataset))  # doctest: +SKIP
        16
    """
    pairs = zip(dataset.id.tolist(), dataset.split.tolist(), strict=True)
    text = "\n".join(sorted(f"{name}\t{split}" for name, split in pairs))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(dataset: Dataset) -> Dataset:
    """Returns the data set if it is sound.

    Raises:
        ValueError: columns of different lengths, an id twice, a split that does not
            exist, a value that is not finite where a loss would meet it, or a patient
            (block, state) in two splits.

    Example:
        >>> dataset = check(load(config))  # doctest: +SKIP
    """
    n = len(dataset.x)
    columns = {"mask": dataset.mask, "split": dataset.split, "id": dataset.id}
    columns |= {"patient": dataset.patient, **dataset.attributes}
    columns |= {f"y[{i}]": y for i, y in enumerate(jax.tree.leaves(dataset.y))}
    for name, column in columns.items():
        if len(column) != n:
            raise ValueError(f"{name} has {len(column)} rows, x has {n}")
    if len(set(dataset.id.tolist())) < n:
        raise ValueError("an id stands for two rows")
    if not set(np.unique(dataset.split)) <= {LEFT_OUT, 0, 1, 2}:
        raise ValueError(f"unknown splits {np.unique(dataset.split)}")
    if dataset.x.dtype != np.uint8 and not np.isfinite(dataset.x).all():
        raise ValueError("x has values that are not finite")
    for y in jax.tree.leaves(dataset.y):
        if y.ndim > 1 and not np.isfinite(y[dataset.mask > 0]).all():
            raise ValueError("y has unknown values that the mask shows")
    used = dataset.split != LEFT_OUT
    pairs = np.unique(np.stack([dataset.patient, dataset.split])[:, used], axis=1)
    patients, times = np.unique(pairs[0], return_counts=True)
    if (times > 1).any():
        worst = patients[times > 1][0]
        raise ValueError(f"{dataset.spec.unit} {worst} is in two splits")
    return dataset
