"""What sections of the race study share: the disease network, its rows, its words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from equity_jax.arms import RANDOM
from equity_jax.run import Result
from equity_jax.types import Dataset, Predictions
from equity_jax.verdict import asked, labels_of
from experiments.ef_groups import people, select

HEALTHY = "No Finding"


def disease(result: Result) -> Predictions:
    """Test Predictions of the disease network (every seed of it), labels as audited.

    Of several methods it is the one that validation chose; `valid` holds the
    validation rows.
    """
    best = result.choices.systems[result.choices.selected[0]]
    runs = enumerate(result.test.runs)
    same = (best.method, best.scheme)
    mine = [i for i, r in runs if (r["method"], r["scheme"]) == same]
    p = select(result.test, mine)._replace(ratios={})
    return asked(result.dataset.spec, p._replace(valid=p.valid._replace(ratios={})))


def healthy(p: Predictions, names: tuple[str, ...]) -> Predictions:
    """The same rows with one label, HEALTHY: who has nothing.

    names: the labels of p. Where HEALTHY is among them, that one; otherwise its score
    is 1 minus the largest score of any label, and a row is healthy if all its labels
    are known to be absent.
    """
    valid = None if p.valid is None else healthy(p.valid, names)
    prob, y = np.asarray(p.prob)[..., -len(names) :], np.asarray(p.y, float)
    if HEALTHY in names:
        at = slice(names.index(HEALTHY), names.index(HEALTHY) + 1)
        mine = prob[..., at], y[:, at], p.mask[:, at]
    else:
        y = np.where(np.asarray(p.mask) > 0, y, np.nan)
        none = np.where((y == 1).any(1), 0.0, np.where((y == 0).all(1), 1.0, np.nan))
        known = np.isfinite(none)[:, None].astype(np.float32)
        mine = 1 - prob.max(2, keepdims=True), none[:, None], known
    return p._replace(prob=mine[0], y=mine[1], mask=mine[2], valid=valid)


def names_of(dataset: Dataset) -> tuple[str, ...]:
    """The labels that are audited: findings, or the first of two classes."""
    return labels_of(dataset.spec) or dataset.spec.targets


def options_of(result: Result) -> dict[str, Any]:
    """What every audit of this page has in common."""
    spec, config = result.dataset.spec, result.config
    return {
        "attributes": people(result.dataset),
        "reference": {spec.group: spec.reference},
        "extras": False,
        "replicates": config.audit.replicates,
        "level": config.audit.level,
        "min_rows": config.audit.min_rows,
        "seed": config.seed,
        "unit": spec.unit,
        "simulated": spec.simulated,
    }


def network(result: Result) -> str:
    """The disease network in words: its model and where its weights began."""
    start = RANDOM if result.tuned is None else result.tuned.words
    return f"{result.config.model.name}, started from {start}"


def truth(dataset: Dataset) -> Mapping[str, Any]:
    """What was planted in the twin; empty for real data."""
    return dataset.recipe.get("truth", {})


def known_labels(dataset: Dataset) -> np.ndarray:
    """float[N, K]: the labels of `names_of`, NaN where unknown."""
    y = np.asarray(dataset.y, float)
    if labels_of(dataset.spec) == dataset.spec.classes[:1]:
        y = 1 - y  # of two classes the first
    return np.where(dataset.mask > 0, y, np.nan)
