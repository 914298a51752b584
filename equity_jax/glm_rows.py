"""What a user gives to a solver as rows: made into arrays, and checked."""

from typing import Any

import numpy as np

from equity_jax.families import FAMILIES, Problems, Rows
from equity_jax.types import Array, Counted, InputError

SIDE_BY_SIDE = ("logistic", "multinomial")
CHUNK = 8192  # rows that are looked at together: a wide table is not copied


def table_of(x: Array, dtype: Any = np.float64) -> np.ndarray:
    """The table as dtype[N, F], finite; not copied where it is that already.

    Raises:
        InputError: not a table; a value that is not finite, with its row.

    Example:
        >>> table_of([[0, 1], [2, 3]]).shape
        (2, 2)
    """
    x = np.asarray(x, dtype)
    if x.ndim != 2:
        raise InputError(f"x has {x.ndim} dimensions; expected [rows, features]")
    finite("x", x)
    return x


def finite(name: str, array: np.ndarray) -> None:
    """Refuses an array [N, ...] with a value that is not finite.

    Raises:
        InputError: naming the first such row.
    """
    for first in range(0, len(array), CHUNK):
        bad = ~np.isfinite(array[first : first + CHUNK])
        if bad.any():
            row = first + int(np.argwhere(bad)[0][0])
            raise InputError(f"{name} is not finite in row {row}")


def rows_of(
    x: Array, y: Any, family: str, offset: Array | None, weight: Array | None
) -> tuple[Rows, int]:
    """Rows of float64 numpy arrays, and the number of classes (1 if it has none).

    Arguments as those of solvers.glm.

    Raises:
        InputError: an unknown family, shapes that differ, values that cannot be.
    """
    if family not in FAMILIES:
        raise InputError(f"unknown family {family!r}; known: {', '.join(FAMILIES)}")
    x = table_of(x)
    classes = 1
    if isinstance(y, Counted):
        if not FAMILIES[family].count:
            raise InputError(f"family {family!r} cannot read intervals of counts")
        y = Counted(*(np.asarray(a, np.float64) for a in y))
    elif family == "multinomial":
        y = np.asarray(y).astype(np.int32)
        classes = int(y.max()) + 1
    else:
        y = np.asarray(y, np.float64)
    n = len(x)
    offset = np.zeros(n) if offset is None else np.asarray(offset, np.float64)
    weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    rows = Rows(x, y, offset, weight)
    for name, array in _named(rows):
        if array.shape != (n,):
            raise InputError(f"{name} has shape {array.shape}; expected ({n},)")
        finite(name, array)
    if not isinstance(y, Counted):
        in_range(y, family)
        rows = rows._replace(tail=tail_of(rows, family))
    return rows, classes


def _named(rows: Rows) -> list[tuple[str, np.ndarray]]:
    y = rows.y._asdict().items() if isinstance(rows.y, Counted) else [("y", rows.y)]
    fixed = [("offset", rows.offset), ("weight", rows.weight)]
    return [*fixed, *((f"y.{k}" if k != "y" else k, v) for k, v in y)]


def problems(
    x: np.ndarray, y: Any, weight: Any, l2: Any, family: str
) -> tuple[Problems, int]:
    """What a user gives (see solvers.subsets) as numpy arrays, and the classes.

    Raises:
        InputError: shapes or values that cannot be, a model without rows.
    """
    if family not in SIDE_BY_SIDE:
        known = " and ".join(SIDE_BY_SIDE)
        raise InputError(f"family {family!r}: side by side are only {known}")
    several, n = family == "multinomial", len(x)
    y = np.atleast_2d(np.asarray(y, None if several else x.dtype))
    y = y.astype(np.int32) if several else y
    weight = np.ones(n, x.dtype) if weight is None else np.asarray(weight, x.dtype)
    weight, l2 = np.atleast_2d(weight), np.atleast_1d(np.asarray(l2, x.dtype))
    lanes = max(len(y), len(weight), len(l2))
    for name, array in {"y": y, "weight": weight, "l2": l2}.items():
        wanted = (lanes,) if name == "l2" else (lanes, n)
        if array.shape[1:] != wanted[1:] or len(array) not in (1, lanes):
            raise InputError(f"{name} has shape {array.shape}; expected {wanted}")
        finite(name, array.T)
    for one in y:
        in_range(one, family)
    bad = (weight < 0).any(1) | (weight.sum(1) <= 0)
    if bad.any():
        raise InputError(f"weight of model {int(np.argmax(bad))}: no row is above 0")
    l2 = np.broadcast_to(l2, lanes)
    return Problems(x, y, weight, l2), int(y.max()) + 1 if several else 1


def in_range(y: np.ndarray, family: str) -> None:
    """Refuses labels float[N] or int[N] that the family cannot have.

    Raises:
        InputError: naming the first such row.
    """
    if family == "logistic":
        bad, expected = (y < 0) | (y > 1), "a number in [0, 1]"
    elif family == "multinomial":
        bad, expected = y < 0, "a class from 0"
    else:
        bad, expected = (y < 0) | (y != np.floor(y)), "a whole number from 0"
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"y is {y[row]} in row {row}; expected {expected}")


def tail_of(rows: Rows, family: str) -> np.ndarray | None:
    """The weighted number of rows with y > j, padded to a power of two."""
    if not FAMILIES[family].count or isinstance(rows.y, Counted):
        return None
    number = np.bincount(rows.y.astype(np.int64), weights=rows.weight)
    tail = np.cumsum(number[::-1])[::-1][1:]
    return np.pad(tail, (0, (1 << max(6, (len(tail)).bit_length())) - len(tail)))
