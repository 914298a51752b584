"""Stateless draws: a batch is a pure function of (key, step)."""

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.types import Array, Counts


def pool(
    rates: np.ndarray | None,
    classes: np.ndarray,
    group: np.ndarray,
    rows: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """How often each row is drawn, relative to the others: float64[N].

    rates: float[C + 1, G + 1] of a Method (None: as found); classes int[N] and group
    int[N] may be -1, the last slot; rows: bool[N], who may be drawn at all. A rate
    below 1 keeps exactly that share of the cell's rows (rounded, at least one).

    Example:
        >>> pool(None, y, g, np.array([True, False]), generator).tolist()
        [1.0, 0.0]
    """
    if rates is None:
        return rows.astype(np.float64)
    lottery = generator.random(len(rows))  # one ticket a row, whoever is in the pool
    weights = np.where(rows, rates[classes, group], 0.0)
    for c, g in np.argwhere(rates < 1):
        member = rows & (classes % len(rates) == c) & (group % rates.shape[1] == g)
        cell = np.flatnonzero(member)
        keep = max(1, round(float(rates[c, g]) * len(cell)))
        weights[cell] = 0.0
        weights[cell[np.argsort(lottery[cell], kind="stable")[:keep]]] = 1.0
    return weights


def tabulate(
    classes: np.ndarray,
    mask: np.ndarray,
    group: np.ndarray,
    rows: np.ndarray,
    shape: tuple[int, int],
) -> Counts:
    """Rows per target, class and group, as Counts.

    classes: int[N, K], -1 = undecided; mask: float[N, K]; group: int[N], -1 = not
    recorded; rows: bool[N], who counts; shape: (C, G).
    """
    table = np.zeros((classes.shape[1], shape[0] + 1, shape[1] + 1), np.float32)
    for k in range(classes.shape[1]):
        seen = rows & (mask[:, k] > 0)
        np.add.at(table[k], (classes[seen, k], group[seen]), 1.0)
    return Counts(table)


def nested(blocks: np.ndarray, fraction: float, generator: np.random.Generator):
    """Rows of the first `fraction` of the blocks in one fixed order: bool[N].

    The same generator gives nested subsets: 5 % lies within 10 %.
    """
    unique = np.unique(blocks)
    order = generator.permutation(unique)
    return np.isin(blocks, order[: max(1, round(fraction * len(unique)))])


def cumulative(weights: np.ndarray) -> np.ndarray:
    """Draw weights float[N] -> what `draw` searches, float32[N].

    Raises:
        ValueError: nobody can be drawn.
    """
    total = weights.sum()
    if not total > 0:
        raise ValueError("no row can be drawn: every weight is 0")
    table = (np.cumsum(weights) / total).astype(np.float32)
    table[np.flatnonzero(weights)[-1] :] = 2.0  # u < 1: never past the last row
    return table


def draw(table: Array, key: Array, step: Array, batch: int) -> Array:
    """Row numbers int[B] of step `step`, with replacement.

    table: float32[N] from `cumulative`.

    Example:
        >>> draw(jnp.asarray(cumulative(np.ones(3))), jax.random.key(0), 0, 2).shape
        (2,)
    """
    u = jax.random.uniform(jax.random.fold_in(key, step), (batch,))
    return jnp.searchsorted(table, u, side="right")
