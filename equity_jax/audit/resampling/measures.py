"""What is measured: questions to the rows, made of predictions and metric names.

A question is about one label. `Scored` has scores and 0/1 labels, and asks for metrics
of ranks, of sums and, at each of its cuts, of decisions. `Decided` has decisions that
were made elsewhere (a rule with a threshold for every group). `Given` has a metric that
came row by row as a numerator and a denominator (observed / expected).
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.audit.resampling.moments import MOMENTS
from equity_jax.metrics import CONFUSION, FACTS
from equity_jax.types import InputError, Predictions

RANKED = ("auroc", "auprc")
BINARY = (*RANKED, *CONFUSION, *MOMENTS)
"""Every metric of a label of 0 and 1, in the order of the report."""


class Cut(NamedTuple):
    """A threshold for every system and part: predicted positive is score >= value.

    source: where it came from, for the table; metrics: what is asked at it; value:
    float[S, P], NaN where there is none; draws: float[S, P, R], the threshold that each
    replicate of the validation rows gives, or None where it was given from outside.
    """

    source: str
    metrics: tuple[str, ...]
    value: np.ndarray
    draws: np.ndarray | None = None


class Scored(NamedTuple):
    """score: float[S, N]; y: float[N], 0 or 1 where use bool[N]."""

    label: str
    score: np.ndarray
    y: np.ndarray
    use: np.ndarray
    ranked: tuple[str, ...] = ()
    moments: tuple[str, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @property
    def asked(self) -> list[tuple[str, str]]:
        """(metric, threshold_source) of every number that it asks for."""
        cut = [(name, cut.source) for cut in self.cuts for name in cut.metrics]
        first, last = (
            [(n, "") for n in names] for names in (self.ranked, self.moments)
        )
        return first + cut + last


class Decided(NamedTuple):
    """decision: float[S, N], the probability of being called positive."""

    label: str
    source: str
    decision: np.ndarray
    y: np.ndarray
    use: np.ndarray
    metrics: tuple[str, ...]

    @property
    def asked(self) -> list[tuple[str, str]]:
        """(metric, threshold_source) of every number that it asks for."""
        return [(name, self.source) for name in self.metrics]


class Given(NamedTuple):
    """num, den: float[S, N]; the metric is sum over sum."""

    label: str
    metric: str
    num: np.ndarray
    den: np.ndarray
    use: np.ndarray
    y: None = None

    @property
    def asked(self) -> list[tuple[str, str]]:
        """(metric, threshold_source): the one number that it asks for."""
        return [(self.metric, "")]


Question = Scored | Decided | Given


def check_metrics(names: Sequence[str]) -> None:
    """Refuses names that no question can ask for, before anything is computed."""
    for name in names:
        if name not in BINARY and not re.fullmatch(r"net_benefit@0?\.\d+", name):
            raise InputError(
                f"unknown metric {name!r}; known: {', '.join(BINARY)}, net_benefit@0.1"
            )


def labels_of(
    p: Predictions, names: Sequence[str] = ()
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """(label, score [S, N], y [N], use [N]) per label, or per class against the rest.

    Raises:
        InputError: labels that do not fit the columns of scores, or are not 0 or 1.
    """
    prob, y = np.asarray(p.prob, float), np.asarray(p.y, float)
    use = (np.asarray(p.mask) > 0) & np.isfinite(y)
    classes, targets = prob.shape[2], y.shape[1]
    if targets == 1 and classes <= 2:
        names, columns = (names or ("",)), [(prob[..., -1], y[:, 0], use[:, 0])]
    elif targets == classes:
        names = names or tuple(f"label {k}" for k in range(targets))
        columns = [(prob[..., k], y[:, k], use[:, k]) for k in range(targets)]
    elif targets == 1:
        names = names or tuple(f"class {c}" for c in range(classes))
        columns = [
            (prob[..., c], np.where(use[:, 0], y[:, 0] == c, np.nan) * 1.0, use[:, 0])
            for c in range(classes)
        ]
    else:
        raise InputError(f"{targets} labels do not fit {classes} columns of scores")
    for name, (score, label, rows) in zip(names, columns, strict=True):
        if not np.isin(label[rows], (0, 1)).all():
            raise InputError(f"label {name!r}: expected 0 or 1 in every used row")
        yield name, score, label, rows


def given_of(p: Predictions) -> list[Given]:
    """The ratios that came row by row."""
    use = np.all(np.asarray(p.mask) > 0, axis=1)
    found = []
    for name, ratio in p.ratios.items():
        FACTS[name]  # an unknown name is an error here, not later
        num, den = np.asarray(ratio.num, float), np.asarray(ratio.den, float)
        counted = use & np.any((den != 0) | np.isnan(den), axis=0)
        found.append(Given("", name, num, den, counted))
    return found
