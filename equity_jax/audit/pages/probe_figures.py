"""Pictures of what can be read from features: ROC curves, a panel a group."""

import pandas as pd
from matplotlib.figure import Figure

from equity_jax.audit.pages import style
from equity_jax.audit.pages.style import COLORS, INK, RULE, SOFT

DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))


def rocs(table: pd.DataFrame, *, title: str, simulated: bool = False) -> Figure:
    """ROC curves of each group against the others, a line a reader.

    Args:
        table: columns group (a panel), reader (a line), fpr and tpr, in order.
        title: what the picture says.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    groups, readers = style.distinct(table.group), style.distinct(table.reader)
    across = min(2 if len(groups) in (2, 4) else 3, max(len(groups), 1))
    lines = max(1, -(-len(groups) // across))
    figure, grid = style.canvas(
        title, 0.4 + 3.4 * lines, simulated, (lines, across), kinds=readers
    )
    for axes in grid[len(groups) :]:
        axes.set_visible(False)
    for axes, group in zip(grid, groups, strict=False):
        for k, reader in enumerate(readers):
            rows = table[(table.group == group) & (table.reader == reader)]
            look = {"color": COLORS[k % len(COLORS)], "linewidth": 1.6}
            look |= {"linestyle": DASHES[k % len(DASHES)], "label": str(reader)}
            axes.plot(rows.fpr, rows.tpr, **look)
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_title(style.wrap(group, 34), loc="left", size=10, color=INK)
        axes.set_aspect("equal")
        axes.grid(color=RULE, linewidth=0.7)
    figure.supxlabel("share of the others called so", size=10, color=INK)
    figure.supylabel("share of the group called so", size=10, color=INK)
    style.legend(figure, grid[0], readers)
    return figure
