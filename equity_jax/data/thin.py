r"""Worlds: the same rows, but a class, a group or everything made rarer.

A world names a prevalence of the rare class, a share of the smaller groups, or a number
of rows. Its cells (class, group) have sizes
$$M\,\Big(\frac{p}{1-p}\Big)^{[\text{rare}]}\Big(\frac{q}{1-q}\Big)^{[\text{small}]},$$
so that the common rows of the majority, M of them, are the same in all worlds that
share a base, and a rarer world lies inside a less rare one. What a world does not name
stays as found. Rows are taken patient by patient, in one random order a draw; only the
last patient of a cell may give a part of the rows. M is as large as lets most worlds be
reached: with more, a prevalence of 50 % lacks rare rows; with fewer, 0.5 % does.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.keys import generator


class World(NamedTuple):
    """prevalence: of the rare class; share: of the smaller groups; rows: how many.

    None: as found. A number of rows stands alone.
    """

    prevalence: float | None = None
    share: float | None = None
    rows: int | None = None

    @property
    def name(self) -> str:
        """The world in words.

        Example:
            >>> World(0.05, 0.2).name, World(rows=200).name
            ('prevalence 5 %, share 20 %', '200 rows')
        """
        if self.rows is not None:
            return f"{self.rows:,} rows"
        named = {"prevalence": self.prevalence, "share": self.share}
        parts = [f"{k} {100 * v:g} %" for k, v in named.items() if v is not None]
        return ", ".join(parts) or "as found"


class Rows(NamedTuple):
    """Rows that may be drawn: rare bool[N], small int[N] (1 of a smaller group, 0 of
    the largest, -1 not recorded), patient int[N].
    """

    rare: np.ndarray
    small: np.ndarray
    patient: np.ndarray


def factors(world: World) -> np.ndarray:
    """float[4]: sizes of the cells (common, rare, small, small and rare), M = 1.

    A part that the world does not name has no cells of its own: 0.

    Example:
        >>> factors(World(prevalence=0.2)).tolist()
        [1.0, 0.25, 0.0, 0.0]
    """
    odds = [0.0 if p is None else p / (1 - p) for p in world[:2]]
    return np.array([1.0, odds[0], odds[1], odds[0] * odds[1]])


def cell_of(world: World, rows: Rows) -> np.ndarray:
    """int[N]: each row's cell, -1 where its group is not recorded but matters."""
    cell = rows.rare * (world.prevalence is not None)
    if world.share is None:
        return cell.astype(int)
    return np.where(rows.small < 0, -1, cell + 2 * rows.small)


def base(worlds: Sequence[World], rows: Rows, least: int) -> int:
    """M, common rows of the majority: the largest of those that reach most worlds.

    least: rare rows, and rows of smaller groups, without which none is reached.

    Example:
        >>> some = Rows(np.arange(100) < 30, np.zeros(100, int), np.arange(100))
        >>> base([World(0.5), World(0.1), World(0.01)], some, 1)
        30
    """
    limits = {_limit(w, rows) for w in worlds} - {0}
    reached = {m: sum(not lacking(w, rows, m, least) for w in worlds) for m in limits}
    return max(limits, key=lambda m: (reached[m], m), default=0)


def _limit(world: World, rows: Rows) -> int:
    """The largest M whose world could be drawn."""
    there, wanted = _there(world, rows), factors(world)
    used = wanted > 0
    return math.floor(np.min(there[used] / wanted[used]) + 1e-9)


def _there(world: World, rows: Rows) -> np.ndarray:
    cell = cell_of(world, rows)
    return np.bincount(cell[cell >= 0], minlength=4)


def quota(world: World, m: int) -> np.ndarray:
    """int[4]: rows wanted of each cell."""
    if world.rows is not None:
        return np.array([world.rows, 0, 0, 0])
    return np.rint(m * factors(world)).astype(int)


def lacking(world: World, rows: Rows, m: int, least: int) -> str:
    """Why a world cannot be had of these rows, or "".

    Example:
        >>> some = Rows(np.arange(9) < 3, np.zeros(9, int), np.arange(9))
        >>> lacking(World(rows=20), some, 0, 1)
        '20 rows wanted, 9 there'
    """
    wanted, there = quota(world, m), _there(world, rows)
    if world.rows is not None:
        short = world.rows > there[0]
        return f"{world.rows:,} rows wanted, {there[0]:,} there" if short else ""
    names = ("common rows", "rare rows", "rows of smaller groups", "rare rows of these")
    used = factors(world) > 0
    if not there[used].all() or m == 0:
        return f"no {names[int(np.argmin(np.where(used, there, len(rows.rare) + 1)))]}"
    for name, w, n in zip(names, wanted, there, strict=True):
        if w > n:
            return f"{w:,} {name} wanted, {n:,} there"
    few = {
        "rare rows": (world.prevalence, wanted[1] + wanted[3]),
        "rows of smaller groups": (world.share, wanted[2] + wanted[3]),
    }
    for name, (asked, n) in few.items():
        if asked is not None and n < least:
            return f"{n} {name} to train on, fewer than {least}"
    return ""


def order(patient: np.ndarray, seed: int, name: str) -> np.ndarray:
    """int[N]: rows in a random order of their patients, one patient's together."""
    who, code = np.unique(patient, return_inverse=True)
    rank = generator(seed, "thin", name).permutation(len(who))
    return np.argsort(rank[code], kind="stable")


def thin(cell: np.ndarray, wanted: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """bool[N]: the first `wanted` int[4] rows of each cell int[N] in that order.

    Example:
        >>> thin(np.array([0, 1, 0]), np.array([1, 1, 0, 0]), np.array([2, 1, 0]))
        array([False,  True,  True])
    """
    kept = np.zeros(len(cell), bool)
    for code, count in enumerate(wanted):
        kept[ordered[cell[ordered] == code][:count]] = True
    return kept
