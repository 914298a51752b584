"""Whose rows, and what is carried over: the small words that schemes are made of.

They are module-level functions on purpose: two stages made of the same words are
equal, and a sweep fits equal stages of the same run once.
"""

import numpy as np

from equity_jax.types import Array, Path


def everyone(group: Array, target: int, reference: int) -> Array:
    """All rows, recorded group or not. bool[N]."""
    return np.ones(group.shape, bool)


def own(group: Array, target: int, reference: int) -> Array:
    """The target group's rows. bool[N]."""
    return group == target


def source(group: Array, target: int, reference: int) -> Array:
    """The reference (well-represented) group's rows. bool[N]."""
    return group == reference


def nothing(path: Path) -> bool:
    """Carry no leaf: start fresh."""
    return False


def everything(path: Path) -> bool:
    """Carry every leaf that the stage before has under the same path."""
    return True


def trunk(path: Path) -> bool:
    """Carry all but the head, which starts fresh."""
    return path[0] != "head"
