"""What every metric means: its title, in which direction it is worse, its range."""

import math
from typing import NamedTuple

import numpy as np

from equity_jax.types import Array, InputError


class Fact(NamedTuple):
    """What a number means: its title, when it is worse, and where it can lie.

    worse: "lower", "higher", "far" (from `nominal`), "far_log" (|log(x / nominal)|),
    or "neither": a number that may differ between groups without either being wronged.
    """

    title: str
    worse: str
    nominal: float = math.nan
    low: float = -math.inf
    high: float = math.inf


class Facts(dict[str, Fact]):
    """A dict that also knows "net_benefit@0.1", a metric at a threshold."""

    def __missing__(self, name: str) -> Fact:
        """The fact of the metric before the @, its title with the threshold."""
        base, at, threshold = name.partition("@")
        if not at or base not in self:
            known = ", ".join(sorted(self))
            raise InputError(f"unknown metric {name!r}; known: {known}")
        return self[base]._replace(title=f"{self[base].title} at {threshold}")


FACTS = Facts(
    {
        "auroc": Fact("AUROC", "lower", low=0, high=1),
        "auprc": Fact("AUPRC (average precision)", "lower", low=0, high=1),
        "xauc_positives": Fact("xAUC of its positives", "lower", low=0, high=1),
        "xauc_negatives": Fact("xAUC of its negatives", "lower", low=0, high=1),
        "accuracy": Fact("accuracy", "lower", low=0, high=1),
        "balanced_accuracy": Fact("balanced accuracy", "lower", low=0, high=1),
        "precision": Fact("precision (PPV)", "lower", low=0, high=1),
        "recall": Fact("recall (sensitivity)", "lower", low=0, high=1),
        "specificity": Fact("specificity", "lower", low=0, high=1),
        "fpr": Fact("false positive rate", "higher", low=0, high=1),
        "fnr": Fact("false negative rate", "higher", low=0, high=1),
        "npv": Fact("negative predictive value", "lower", low=0, high=1),
        "f1": Fact("F1", "lower", low=0, high=1),
        "macro_precision": Fact("macro precision", "lower", low=0, high=1),
        "macro_recall": Fact(
            "macro recall (balanced accuracy)", "lower", low=0, high=1
        ),
        "macro_f1": Fact("macro F1", "lower", low=0, high=1),
        "macro_auroc": Fact(
            "macro AUROC (one against the rest)", "lower", low=0, high=1
        ),
        "macro_fpr": Fact("macro false positive rate", "higher", low=0, high=1),
        "selection_rate": Fact("selection rate", "neither", low=0, high=1),
        "prevalence": Fact("prevalence of the label", "neither", low=0, high=1),
        "net_benefit": Fact("net benefit", "lower", high=1),
        "brier": Fact("Brier score", "higher", low=0, high=1),
        "log_loss": Fact("log loss", "higher", low=0),
        "ece_width": Fact("ECE, 15 bins of equal width", "higher", low=0, high=1),
        "ece_mass": Fact("ECE, 15 bins of equal size", "higher", low=0, high=1),
        "calibration_slope": Fact("calibration slope", "far", 1.0),
        "calibration_intercept": Fact("calibration in the large", "far", 0.0),
        "deviance": Fact("mean deviance", "higher", low=0),
        "nll": Fact("negative log-likelihood", "higher", low=0),
        "absolute_error": Fact("mean absolute error", "higher", low=0),
        "observed_expected": Fact("observed / expected", "far_log", 1.0, low=0),
        "coverage50": Fact("coverage of the 50 % interval", "far", 0.50, 0, 1),
        "coverage80": Fact("coverage of the 80 % interval", "far", 0.80, 0, 1),
        "coverage90": Fact("coverage of the 90 % interval", "far", 0.90, 0, 1),
        "coverage95": Fact("coverage of the 95 % interval", "far", 0.95, 0, 1),
        "demographic_parity_difference": Fact(
            "demographic parity difference", "higher", 0.0, 0, 1
        ),
        "demographic_parity_ratio": Fact(
            "demographic parity ratio", "lower", 1.0, 0, 1
        ),
        "equalized_odds_difference": Fact(
            "equalized odds difference", "higher", 0.0, 0, 1
        ),
        "equalized_odds_ratio": Fact("equalized odds ratio", "lower", 1.0, 0, 1),
        "equal_opportunity_difference": Fact(
            "equal opportunity difference", "higher", 0.0, 0, 1
        ),
        "es_auc": Fact("equity-scaled AUC (not for ranking)", "lower", low=0, high=1),
    }
)
"""Which direction is worse: the one table that gaps, worst groups and pages read."""


def badness(metric: str, value: Array) -> np.ndarray:
    """How badly a group is served, float[...]: larger is worse, NaN stays NaN.

    Args:
        metric: a key of FACTS.
        value: float[...].

    Returns:
        float[...]; NaN everywhere for a metric of which neither direction is worse.

    Raises:
        InputError: a metric that FACTS does not hold.

    Example:
        >>> badness("observed_expected", [0.5, 2.0, 1.0]).round(2).tolist()
        [0.69, 0.69, 0.0]
    """
    fact, value = FACTS[metric], np.asarray(value, float)
    if fact.worse == "neither":
        return np.full_like(value, np.nan)
    if fact.worse == "far_log":
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(np.log(value / fact.nominal))
    if fact.worse == "far":
        return np.abs(value - fact.nominal)
    return -value if fact.worse == "lower" else value
