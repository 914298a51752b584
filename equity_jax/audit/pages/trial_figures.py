"""Pictures of many trained networks: how they learned, and how they compare.

In the style of figures.py. (Dots by group: `figures.dots` with by="system".)
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from equity_jax.audit.pages import style
from equity_jax.audit.pages.style import COLORS, INK, MARKERS, RULE, SOFT

__all__ = ["leaderboard", "learning"]


def learning(
    log: pd.DataFrame, *, title: str, ylabel: str, simulated: bool = False
) -> Figure:
    """Training and validation by step, one small panel a run, all on the same axes.

    Args:
        log: columns run (its name), step, split ("train", "valid"), value; the step
            with the lowest validation value is marked.
        title: what the picture says.
        ylabel: the value and its unit.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    names = style.distinct(log.run)
    across = min(5 if len(names) > 12 else 4 if len(names) > 6 else 3, len(names))
    lines = -(-len(names) // across)
    splits = style.distinct(log.split)
    figure, grid = style.canvas(
        title, 0.4 + 1.55 * lines, simulated, (lines, across), kinds=list(splits)
    )
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(grid, names, strict=False):
        for k, split in enumerate(splits):
            rows = log[(log.run == name) & (log.split == split)].sort_values("step")
            look = {"color": COLORS[k], "linestyle": ("-", (0, (4, 2)))[k % 2]}
            axes.plot(rows.step, rows.value, label=split, linewidth=1.5, **look)
            if split == "valid" and rows.value.notna().any():
                best = rows.loc[rows.value.idxmin()]
                axes.plot(best.step, best.value, MARKERS[0], color=COLORS[k], ms=5)
        text = style.wrap(name, 110 // across)
        axes.set_title(text, loc="left", size=7.5, color=INK)
        axes.grid(color=RULE, linewidth=0.6)
        axes.tick_params(labelsize=8)
    figure.supxlabel("step", size=10, color=INK)
    figure.supylabel(ylabel, size=10, color=INK)
    style.legend(figure, grid[0], list(splits))
    return figure


def leaderboard(
    table: pd.DataFrame,
    titles: Mapping[str, str],
    *,
    title: str,
    simulated: bool = False,
) -> Figure:
    """A line a system, a panel a metric, dots with their intervals.

    Args:
        table: columns system, metric, value, low, high, status; systems stand in the
            order of their first appearance, the best first.
        titles: metric -> title, a panel each.
        title: what the picture says.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    systems = style.distinct(table.system)
    height = 0.6 + 0.34 * len(systems)
    figure, grid = style.canvas(title, height, simulated, (1, max(len(titles), 1)))
    places = np.arange(len(systems))
    for k, (axes, metric) in enumerate(zip(grid, titles, strict=True)):
        rows = table[table.metric == metric].set_index("system").reindex(systems)
        color = COLORS[k % len(COLORS)]
        axes.hlines(places, rows.low, rows.high, color=color, linewidth=1.8)
        axes.scatter(rows.value, places, color=color, s=30, zorder=3)
        for place, value in zip(places, rows.value, strict=True):
            if not np.isfinite(value):
                where = {"transform": axes.get_yaxis_transform(), "va": "center"}
                axes.text(0.02, place, "not estimable", size=8, color=SOFT, **where)
        axes.set_title(titles[metric], loc="left", size=10, weight="bold", color=INK)
        axes.grid(axis="x", color=RULE, linewidth=0.7)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    numbered = [f"{i + 1}  {style.wrap(s, 38)}" for i, s in enumerate(systems)]
    grid[0].set_yticks(places, numbered, size=8.5)
    grid[0].set_ylim(len(systems) - 0.5, -0.5)
    return figure
