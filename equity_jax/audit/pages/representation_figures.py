"""Pictures of performance against representation: a group is a point with its name."""

import pandas as pd
from matplotlib.figure import Figure

from equity_jax.audit.pages import style
from equity_jax.audit.pages.style import COLORS, INK, RULE


def against_size(
    table: pd.DataFrame,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    panel: str = "attribute",
    simulated: bool = False,
) -> Figure:
    """One dot with its interval a group, by its number of training patients.

    Args:
        table: columns group, patients, value, low, high and `panel`; groups without a
            value are left out.
        title: what the picture says.
        xlabel: text under the axis, which is logarithmic.
        ylabel: the metric.
        panel: the column that tells panels apart.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    table = table[table["value"].notna() & (table["patients"] > 0)]
    panels = style.distinct(table[panel])
    across = min(2, max(len(panels), 1))
    lines = max(1, -(-len(panels) // across))
    figure, grid = style.canvas(title, 0.4 + 2.9 * lines, simulated, (lines, across))
    for i, axes in enumerate(grid):
        axes.set_visible(i < len(panels))
        if i >= len(panels):
            continue
        rows = table[table[panel] == panels[i]]
        axes.vlines(rows.patients, rows.low, rows.high, color=COLORS[0], linewidth=1.6)
        axes.scatter(rows.patients, rows.value, color=COLORS[0], s=30, zorder=3)
        style.log_ticks(axes, rows.patients)
        axes.margins(x=0.15, y=0.12)
        for k, row in enumerate(rows.sort_values("patients").itertuples()):
            end, away = ((row.high, 4), (row.low, -4))[k % 2]  # neighbors do not meet
            axes.annotate(
                style.wrap(row.group, 10), (row.patients, end), size=8, ha="center",
                va=("bottom", "top")[k % 2], xytext=(0, away), color=INK,
                textcoords="offset points", zorder=1,
            )  # fmt: skip
        axes.set_title(panels[i], loc="left", size=10, color=INK, weight="bold")
        axes.grid(color=RULE, linewidth=0.7)
    figure.supxlabel(xlabel, size=10, color=INK)
    figure.supylabel(ylabel, size=10, color=INK)
    return figure
