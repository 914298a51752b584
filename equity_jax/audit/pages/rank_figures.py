"""Many methods ranked: mean ranks, what cannot be told apart, what each gains."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equity_jax.audit.pages import style
from equity_jax.audit.pages.style import COLORS, INK, MARKERS, RULE, SOFT

LINE = 0.21  # inches of a method
APART = 0.035  # between two bars, of the width of the ranks


def critical_difference(
    table: pd.DataFrame,
    bars: Sequence[tuple[int, int]],
    *,
    title: str,
    xlabel: str,
    by: str = "uses",
    simulated: bool = False,
) -> Figure:
    """A line a method, the best at the top: its mean rank, and its gain.

    After the critical-difference diagram of Demšar (2006), upright, so that sixty
    names can be read. Bars right of the ranks join methods that cannot be told apart.

    Args:
        table: columns name, rank, rank_low, rank_high, difference, low, high and `by`;
            sorted by rank, all of which are known.
        bars: (first, last) lines that a bar joins.
        title: what the picture says.
        xlabel: under the gains: what they are gains of, and over whom.
        by: the column that colors and marks tell.
        simulated: whether the data are.

    Returns:
        Figure.

    Example:
        >>> table = pd.DataFrame({"name": ["a", "b"], "rank": [1.2, 1.8]})
        >>> table = table.assign(rank_low=1, rank_high=2, difference=[0.1, 0])
        >>> table = table.assign(low=-0.1, high=0.2, uses="none")
        >>> shown = critical_difference(table, [(0, 1)], title="t", xlabel="gain")
    """
    kinds, height = style.distinct(table[by]), 0.9 + LINE * len(table)
    figure, (left, right) = style.canvas(
        title, height, simulated, grid=(1, 2), kinds=kinds
    )
    y = np.arange(len(table))
    ends = "rank_low", "rank", "rank_high"
    _marked(left, table, ends, by, kinds)
    _marked(right, table, ("low", "difference", "high"), by, kinds)
    edge = _bars(left, bars, len(table))
    left.set_yticks(y, table["name"], fontsize=8.5)
    left.set_ylim(len(table) - 0.3, -0.7)
    left.set_xlim(0.5, edge)
    ticks = np.unique(np.linspace(1, max(len(table), 2), 6).round())
    left.set_xticks(ticks)
    left.set_xlabel("mean rank (1 is best), and bars: not told apart", color=INK)
    right.axvline(0.0, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    right.set_xlabel(xlabel, color=INK)
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color=RULE, linewidth=0.5)
    style.legend(figure, left, kinds)
    return figure


def _marked(
    axes: Axes,
    table: pd.DataFrame,
    ends: tuple[str, str, str],
    by: str,
    kinds: Sequence[str],
) -> None:
    low, value, high = ends
    for k, kind in enumerate(kinds):
        mine = (table[by] == kind).to_numpy()
        rows, y = table[mine], np.flatnonzero(mine)
        color = COLORS[k % len(COLORS)]
        axes.hlines(y, rows[low], rows[high], color=color, linewidth=1.5, zorder=2)
        look = {"color": color, "marker": MARKERS[k % len(MARKERS)], "s": 24}
        look |= {"edgecolor": "white", "linewidth": 0.6, "zorder": 3}
        axes.scatter(rows[value], y, label=str(kind), **look)


def _bars(axes: Axes, bars: Sequence[tuple[int, int]], count: int) -> float:
    """Draws the bars in as few columns as they fit; returns where the last one ends."""
    step, ends = APART * count, []
    for first, last in bars:
        free = [c for c, end in enumerate(ends) if end < first - 0.5]
        column = free[0] if free else len(ends)
        ends[column : column + 1] = [last]
        x = count + 1 + (column + 0.5) * step
        axes.vlines(x, first - 0.25, last + 0.25, color=INK, linewidth=2.2)
    return count + 1 + (len(ends) + 1) * step
