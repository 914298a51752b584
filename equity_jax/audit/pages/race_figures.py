"""A picture of what removal costs: what is left to read against what is left to use."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equity_jax.audit.pages import style
from equity_jax.audit.pages.style import COLORS, INK, MARKERS, RULE, SOFT


def frontier(
    table: pd.DataFrame,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    panel: str = "how",
    simulated: bool = False,
) -> Figure:
    """A dot a system with intervals both ways; a method's strengths are joined.

    Up and to the left is better: nothing left to read, everything left to use. Dashed
    lines go through the reference of each panel; the number is the strongest strength.

    Args:
        table: columns method, strength (NaN: has none), reference (bool), x, x_low,
            x_high, y, y_low, y_high and `panel`; rows of a method from weak to strong.
        title: what the picture says.
        xlabel: text under the axes.
        ylabel: text beside them.
        panel: the column that tells panels apart.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    table = table[table["x"].notna() & table["y"].notna()]
    panels = style.distinct(table[panel]) or [""]
    figure, grid = style.canvas(title, 5.4, simulated, (1, len(panels)))
    for name, axes in zip(panels, grid, strict=True):
        rows = table[table[panel] == name]
        if len(rows):
            _panel(axes, rows, max(1, 4 // len(panels)))
            axes.set_xlim(table["x_low"].min() - 0.02, table["x_high"].max() + 0.02)
        axes.set_title(str(name), loc="left", size=10, weight="bold", color=INK)
        axes.grid(color=RULE, linewidth=0.7)
    figure.supxlabel(xlabel, size=10, color=INK)
    figure.supylabel(ylabel, size=10, color=INK)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, columns: int) -> None:
    """The reference's lines, every method, and their names beneath."""
    plain = rows[rows["reference"]]
    for line, at in ((axes.axvline, plain["x"]), (axes.axhline, plain["y"])):
        for value in at:
            line(value, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for k, method in enumerate(style.distinct(rows["method"])):
        _method(axes, rows[rows["method"] == method], k)
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, -0.16), ncols=columns, frameon=False,
        fontsize=8.5, labelcolor=INK, handletextpad=0.4,
    )  # fmt: skip


def _method(axes: Axes, rows: pd.DataFrame, k: int) -> None:
    """The dots of one method, its line, its intervals, its strengths."""
    color, marker = COLORS[k % len(COLORS)], MARKERS[k % len(MARKERS)]
    plain = bool(rows["reference"].any())
    faint = {"color": color, "linewidth": 1.0, "alpha": 0.35, "zorder": 2}
    axes.hlines(rows["y"], rows["x_low"], rows["x_high"], **faint)
    axes.vlines(rows["x"], rows["y_low"], rows["y_high"], **faint)
    look = {"color": INK if plain else color, "marker": "*" if plain else marker}
    look |= {"markersize": 13 if plain else 6, "linewidth": 1.6, "zorder": 3}
    name = str(rows["method"].iloc[0])
    axes.plot(rows["x"], rows["y"], label=style.wrap(name, 24), **look)
    last = rows.iloc[-1]
    if np.isfinite(last["strength"]):
        axes.annotate(
            f"{last['strength']:g}", (last["x"], last["y"]), xytext=(4, 4), size=8,
            textcoords="offset points", color=style.dark(color),
        )  # fmt: skip
