"""Pictures of the long table, as matplotlib objects without global state.

Every function returns a Figure 9 inches wide, to be read at about 900 pixels. Colors
never carry a meaning alone: markers and labels say it too. `simulated=True` puts the
word SIMULATED on the picture. What is NOT_ESTIMABLE is written.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from equity_jax.audit.pages import style
from equity_jax.audit.pages.heat_figures import heat
from equity_jax.audit.pages.style import COLORS, INK, MARKERS, RULE, SOFT, save

__all__ = ["curves", "dots", "heat", "lines_by_group", "save", "stack"]


def dots(
    table: pd.DataFrame,
    *,
    title: str,
    xlabel: str,
    by: str = "scheme",
    nominal: float | None = None,
    simulated: bool = False,
) -> Figure:
    """One row a group, one dot with its interval a system.

    Args:
        table: rows of the long table: group, value, low, high, n, status and `by`.
        title: what the picture says.
        xlabel: the metric and its unit.
        by: the column that tells the dots of a group apart.
        nominal: draws a line there (1 for observed/expected, 0 for a difference).
        simulated: whether the data are.

    Returns:
        Figure.
    """
    groups, kinds = style.distinct(table.group), style.distinct(table[by])
    height = 0.5 + len(groups) * max(0.55, 0.22 + 0.16 * len(kinds))
    figure, axes = style.canvas(title, height, simulated, kinds=kinds)
    step = 0.8 / max(len(kinds), 1)
    for k, kind in enumerate(kinds):
        rows = table[table[by] == kind].set_index("group").reindex(groups)
        y = np.arange(len(groups)) - 0.4 + step * (k + 0.5)
        _dotted(axes, rows, y, kind, k)
    for edge in np.arange(1, len(groups)) - 0.5:
        axes.axhline(edge, color=RULE, linewidth=0.8)
    if nominal is not None:
        axes.axvline(nominal, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    count = table.groupby("group").n.max().reindex(groups)
    names = [
        f"{style.wrap(g)}\n{int(n):,} rows" if pd.notna(n) else style.wrap(g)
        for g, n in zip(groups, count, strict=True)
    ]
    axes.set_yticks(range(len(groups)), names)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=RULE, linewidth=0.7)
    axes.set_xlabel(xlabel, color=INK)
    style.legend(figure, axes, kinds)
    return figure


def _dotted(axes: Axes, rows: pd.DataFrame, y: np.ndarray, name: str, k: int) -> None:
    color = COLORS[k % len(COLORS)]
    axes.hlines(y, rows.low, rows.high, color=color, linewidth=1.8, zorder=2)
    look = {"color": color, "marker": MARKERS[k % len(MARKERS)], "s": 34, "zorder": 3}
    look |= {"edgecolor": "white", "linewidth": 0.7, "label": str(name)}
    axes.scatter(rows.value, y, **look)
    look = {"color": SOFT, "size": 8, "va": "center", "backgroundcolor": "white"}
    where = axes.get_yaxis_transform()
    for place, status in zip(y, rows.status, strict=True):
        if status == "NOT_ESTIMABLE":
            text = f"{name}: not estimable"
            axes.text(0.01, place, text, transform=where, **look)


def curves(
    table: pd.DataFrame,
    *,
    x: str,
    title: str,
    xlabel: str,
    ylabel: str,
    by: str = "scheme",
    panel: str | None = "group",
    log: bool = True,
    nominal: float | None = 0.0,
    simulated: bool = False,
) -> Figure:
    """Lines with interval bands, one small panel a group, all on the same axes.

    Bands may leave the picture; far values make the y axis logarithmic outward.

    Args:
        table: columns x, value, low, high, `by` and `panel`.
        x: the column along the axis, such as the number of the group's rows.
        title: what the picture says.
        xlabel: text under the axis.
        ylabel: text beside it.
        by: the column that tells lines apart.
        panel: the column that tells panels apart; None draws one panel.
        log: a logarithmic x axis.
        nominal: draws a level line there.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    panels = style.distinct(table[panel]) if panel else [""]
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    kinds = style.distinct(table[by])
    figure, grid = style.canvas(
        title, 0.4 + 2.5 * lines, simulated, (lines, columns), kinds=kinds
    )
    for i, axes in enumerate(grid):
        axes.set_visible(i < len(panels))
        if i >= len(panels):
            continue
        rows = table[table[panel] == panels[i]] if panel else table
        for k, kind in enumerate(kinds):
            _banded(axes, rows[rows[by] == kind].sort_values(x), x, kind, k)
        if nominal is not None:
            axes.axhline(nominal, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_title(
            style.wrap(panels[i], 34), loc="left", size=10, color=INK, weight="bold"
        )
        axes.grid(color=RULE, linewidth=0.7)
        if log:
            style.log_ticks(axes, rows[x])
    style.scale(grid[0], table.value.to_numpy(float), nominal)
    figure.supxlabel(xlabel, size=10, color=INK)
    figure.supylabel(ylabel, size=10, color=INK)
    style.legend(figure, grid[0], kinds)
    return figure


def _banded(axes: Axes, rows: pd.DataFrame, x: str, name: str, k: int) -> None:
    color = COLORS[k % len(COLORS)]
    axes.fill_between(
        rows[x].astype(float), rows.low, rows.high, color=color, alpha=0.16, linewidth=0
    )
    marker = MARKERS[k % len(MARKERS)]
    axes.plot(rows[x], rows.value, color=color, marker=marker, ms=4, label=str(name))


def stack(
    counts: pd.DataFrame, *, title: str, xlabel: str, simulated: bool = False
) -> Figure:
    """Shares of a whole, one bar a group; `counts` is groups × parts, in order."""
    height = 0.6 + 0.45 * len(counts)
    figure, axes = style.canvas(title, height, simulated, kinds=list(counts))
    total = counts.sum(axis=1).to_numpy(float)
    share = counts.to_numpy(float) / np.where(total > 0, total, 1)[:, None]
    start = np.zeros(len(counts))
    for k, part in enumerate(counts.columns):
        color = COLORS[k % len(COLORS)]
        axes.barh(
            range(len(counts)), share[:, k], left=start, color=color, height=0.66,
            edgecolor="white", linewidth=1, label=str(part),
        )  # fmt: skip
        for row, width in enumerate(share[:, k]):
            if width >= 0.06:
                text = f"{100 * width:.0f} %"
                place = (start[row] + width / 2, row)
                axes.text(*place, text, **style.centered(color), size=9)
        start += share[:, k]
    names = [
        f"{style.wrap(g)}  ({n:,.0f})" for g, n in zip(counts.index, total, strict=True)
    ]
    axes.set_yticks(range(len(counts)), names)
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f} %"))
    axes.set_xlabel(xlabel, color=INK)
    style.legend(figure, axes, list(counts))
    return figure


def lines_by_group(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str = "group",
    title: str,
    xlabel: str,
    ylabel: str,
    simulated: bool = False,
) -> Figure:
    """A line a group over time, each named at its end; gaps where y is NaN."""
    figure, axes = style.canvas(title, 4.2, simulated)
    ends: list[tuple[float, str, str]] = []
    for k, group in enumerate(style.distinct(table[by])):
        rows = table[table[by] == group].sort_values(x)
        color = COLORS[k % len(COLORS)]
        look = "-" if k < len(COLORS) else (0, (5, 2))
        axes.plot(rows[x], rows[y], color=color, linewidth=1.8, linestyle=look)
        known = rows[y].dropna()
        if len(known):
            ends.append((float(known.iloc[-1]), str(group), color))
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.margins(x=0.01)
    if table[x].dtype.kind == "M":
        style.month_ticks(axes, table[x])
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    style.name_ends(axes, ends)
    return figure
