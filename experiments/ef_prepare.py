"""Section of the embeddings page: what was done to the rows before any head."""

import numpy as np
import pandas as pd

from equity_jax.audit.pages.page import Section, Table, number_text
from equity_jax.data.base import counts
from equity_jax.methods import METHODS
from equity_jax.run import Result
from equity_jax.tasks import TASKS
from equity_jax.types import SPLITS, TRAIN, Counts, Dataset
from experiments.ef_parts import method_name


def preparation(result: Result) -> Section:
    """Splits by patient, standardisation, and what every way of balancing does."""
    dataset, spec = result.dataset, result.dataset.spec
    text = [_apart(dataset), _standard(dataset), _balanced()]
    table = balancing(result)
    result.store.write_csv("balancing.csv", table)
    caption = "How often a training image is drawn, or how much it weighs"
    note = (
        "Of the training images of each group and class: how many there are, then by"
        " method 1 = drawn as often, or weighing as much, as under plain training."
        " Undersampling throws the rest away, once per seed. Group DRO and the hinge"
        " loss have no fixed numbers: the first moves its weights while it trains."
    )
    tables = [
        Table(f"Images and {spec.unit}s by split", splits(dataset)),
        Table(caption, table, note),
    ]
    return Section("Preparation: splits, scales, balance", text, tables)


def splits(dataset: Dataset) -> pd.DataFrame:
    """Split, images, patients, and the share of each class among known labels."""
    lines = []
    y, seen = np.asarray(dataset.y)[:, 0], dataset.mask[:, 0] > 0
    for name, code in SPLITS.items():
        rows = dataset.split == code
        known = y[rows & seen].astype(int)
        line = {"split": name, "images": int(rows.sum())}
        line[f"{dataset.spec.unit}s"] = len(np.unique(dataset.patient[rows]))
        share = np.bincount(known, minlength=len(dataset.spec.classes))
        share = share / max(len(known), 1)
        named = zip(dataset.spec.classes, share, strict=True)
        lines.append(line | {c: f"{100 * s:.1f} %" for c, s in named})
    return pd.DataFrame(lines)


def _apart(dataset: Dataset) -> str:
    """That no patient is on both sides, counted and not believed."""
    frame = pd.DataFrame({"patient": dataset.patient, "split": dataset.split})
    frame = frame[np.isin(dataset.split, list(SPLITS.values()))]
    several = frame.groupby("patient")["split"].nunique() > 1
    each = frame.groupby("patient").size()
    return (
        f"**Splits** hold whole {dataset.spec.unit}s: {int(several.sum())} of"
        f" {number_text(len(several))} have images in more than one. A"
        f" {dataset.spec.unit} has {each.median():.0f} images at the median,"
        f" {number_text(int(each.max()))} at most."
    )


def _standard(dataset: Dataset) -> str:
    x = np.asarray(dataset.x[dataset.split == TRAIN])
    mean, scale = x.mean(0), x.std(0)
    flat = int((scale < 1e-6).sum())
    train = number_text(len(x))
    return (
        f"**Standardisation**: each of the {x.shape[1]:,} numbers of an embedding was"
        f" centered and scaled by its mean and SD over the {train} training images"
        f" (after it, means lie within {np.abs(mean).max():.1g} of 0; {flat} numbers do"
        " not vary). Validation and test images take the same centers and scales."
    )


def _balanced() -> str:
    return (
        "**Balance**: undersampling, oversampling and weights make classes or groups"
        " count alike in training. Validation and test images are never resampled, so"
        " every number below is about patients as they come. Balancing by class shifts"
        " the scores; recalibration on validation images takes that back."
    )


def balancing(result: Result) -> pd.DataFrame:
    """group, class, images, then a column for every method of the study."""
    dataset, spec = result.dataset, result.dataset.spec
    task = TASKS.get(spec.task)
    found = counts(dataset, task.class_of(dataset.y), task.classes)
    table = np.asarray(found.table)[0, :-1, :-1]
    methods = dict.fromkeys(
        (*result.config.train.methods, *result.config.heads.methods)
    )
    amounts = {method_name(m): amount(m, found) for m in methods}
    amounts = {name: a for name, a in amounts.items() if not np.allclose(a, 1)}
    lines = []
    for g, group in enumerate(spec.groups):
        for c, name in enumerate(spec.classes):
            line = {"group": group, "class": name, "images": int(table[c, g])}
            lines.append(line | {k: f"{a[c, g]:.2f}" for k, a in amounts.items()})
    return pd.DataFrame(lines)


def amount(method: str, found: Counts) -> np.ndarray:
    """float[C, G]: draw rate times weight of a method, the weights' mean made 1.

    All 1 for methods without fixed rates or weights: group DRO moves its own.

    Example:
        >>> amount("erm", counts)  # doctest: +SKIP
        array([[1., 1.], [1., 1.]])
    """
    made, rows = METHODS.get(method), np.asarray(found.table)[0, :-1, :-1]
    rates, memory = made.sample(found), made.init(found)
    rates = np.ones_like(rows) if rates is None else np.asarray(rates)[:-1, :-1]
    weight = memory.get("table") if isinstance(memory, dict) else None
    weight = np.ones_like(rows) if weight is None else np.asarray(weight)[0, :-1, :-1]
    mean = (weight * rows).sum() / max(rows.sum(), 1)
    return rates * weight / mean
