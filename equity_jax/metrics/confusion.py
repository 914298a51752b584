"""Metrics of decisions: formulas in the four counts, for arrays of any shape."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from equity_jax.types import Array


class Confusion(NamedTuple):
    """Weighted counts float[...]: true and false positives, false and true negatives.

    Example:
        >>> Confusion(8, 1, 2, 9).n
        20
    """

    tp: Array
    fp: Array
    fn: Array
    tn: Array

    @property
    def n(self) -> Array:
        """Rows, float[...]."""
        return self.tp + self.fp + self.fn + self.tn


Quotient = Callable[[Confusion], tuple[Array, Array]]

PROPORTIONS: Mapping[str, Quotient] = {
    "accuracy": lambda c: (c.tp + c.tn, c.n),
    "precision": lambda c: (c.tp, c.tp + c.fp),
    "recall": lambda c: (c.tp, c.tp + c.fn),
    "specificity": lambda c: (c.tn, c.tn + c.fp),
    "fpr": lambda c: (c.fp, c.fp + c.tn),
    "fnr": lambda c: (c.fn, c.fn + c.tp),
    "npv": lambda c: (c.tn, c.tn + c.fn),
    "selection_rate": lambda c: (c.tp + c.fp, c.n),
    "prevalence": lambda c: (c.tp + c.fn, c.n),
}
"""Shares of rows: name -> (numerator, denominator), each a sum of counts."""

CONFUSION: Mapping[str, Callable[[Confusion], Array]] = {
    **{
        name: (lambda c, of=of: of(c)[0] / of(c)[1]) for name, of in PROPORTIONS.items()
    },
    "balanced_accuracy": lambda c: (c.tp / (c.tp + c.fn) + c.tn / (c.tn + c.fp)) / 2,
    "f1": lambda c: 2 * c.tp / (2 * c.tp + c.fp + c.fn),
}
"""Every metric of a decision: name -> formula; 0 / 0 is NaN (silence numpy yourself).

`precision` is the PPV, `recall` the sensitivity (TPR), `fnr` and `fpr` the
underdiagnosis and overdiagnosis rates of a finding (Seyyed-Kalantari et al. 2021).
"""
