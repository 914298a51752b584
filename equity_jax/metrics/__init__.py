"""Metrics: what each number means (facts) and its formula (confusion, rows).

A metric is written once, for arrays of any library and any leading axes, so that one
formula serves a group, all groups, and a thousand bootstrap replicates.
"""

from equity_jax.metrics.confusion import CONFUSION, PROPORTIONS, Confusion
from equity_jax.metrics.facts import FACTS, Fact, badness
from equity_jax.metrics.rows import ROWS, sigmoid, surprisal

__all__ = [
    "CONFUSION",
    "FACTS",
    "PROPORTIONS",
    "ROWS",
    "Confusion",
    "Fact",
    "badness",
    "sigmoid",
    "surprisal",
]
