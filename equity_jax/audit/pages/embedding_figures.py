"""Pictures of embeddings: where rows lie on two axes, how much each axis explains.

In the style of figures.py: matplotlib objects without global state, to be saved by
`style.save`; `simulated=True` puts the word SIMULATED on the picture.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from equity_jax.audit.pages import style
from equity_jax.audit.pages.style import COLORS, INK, MARKERS, RULE, SOFT

__all__ = ["explained", "scatter"]
MOST = len(COLORS)  # kinds that a panel tells apart; rarer ones are joined


def scatter(
    points: np.ndarray,
    kinds: Mapping[str, Sequence[str]],
    *,
    title: str,
    axes: tuple[str, str],
    outliers: np.ndarray | None = None,
    simulated: bool = False,
) -> Figure:
    """The same points in every panel, marked by another property in each.

    Args:
        points: float[N, 2].
        kinds: panel -> str[N], "" = not recorded; two panels stand side by side.
        title: what the picture says.
        axes: names of the two axes.
        outliers: bool[N], rows to be ringed.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    columns = min(2, len(kinds))
    lines = -(-len(kinds) // columns)
    figure, grid = style.canvas(title, 4.3 * lines, simulated, (lines, columns))
    for panel in grid[len(kinds) :]:
        panel.set_visible(False)
    low, high = (np.quantile(points, q, axis=0) for q in (0.001, 0.999))
    room = 0.15 * (high - low)
    for panel, (name, values) in zip(grid, kinds.items(), strict=False):
        _marked(panel, points, np.asarray(values).astype(str))
        if outliers is not None and outliers.any():
            far = points[outliers]
            panel.scatter(
                *far.T, s=46, facecolors="none", edgecolors=INK, linewidths=0.9
            )
        panel.set_xlim(low[0] - room[0], high[0] + room[0])
        panel.set_ylim(low[1] - room[1], high[1] + room[1])
        panel.set_title(name, loc="left", size=10, weight="bold", color=INK)
        panel.grid(color=RULE, linewidth=0.7)
        panel.set_xlabel(axes[0], color=INK)
        panel.legend(
            loc="upper left", bbox_to_anchor=(0, -0.16), ncols=3, frameon=False,
            fontsize=8.5, labelcolor=INK, handletextpad=0.2, columnspacing=1.0,
        )  # fmt: skip
    grid[0].set_ylabel(axes[1], color=INK)
    return figure


def _marked(panel: Axes, points: np.ndarray, values: np.ndarray) -> None:
    """Points by kind, the most frequent kind first and so beneath."""
    values = np.where(values == "", "not recorded", values)
    names, counts = np.unique(values, return_counts=True)
    names = names[np.argsort(-counts, kind="stable")]
    if len(names) > MOST:
        values = np.where(np.isin(values, names[: MOST - 1]), values, "others")
        names = [*names[: MOST - 1], "others"]
    for k, name in enumerate(names):
        look = {"s": 11, "alpha": 0.55, "linewidths": 0, "color": COLORS[k]}
        mine = points[values == name]
        panel.scatter(*mine.T, marker=MARKERS[k], label=style.wrap(name, 20), **look)


def explained(share: np.ndarray, *, title: str, simulated: bool = False) -> Figure:
    """The share of the variance that the first components hold, one by one and summed.

    Args:
        share: float[K], of all variance, largest first.
        title: what the picture says.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    kinds = ("all so far", "this component")
    figure, axes = style.canvas(title, 2.6, simulated, kinds=kinds)
    at = np.arange(1, len(share) + 1)
    look = {"ms": 4, "linewidth": 1.5}
    sums = 100 * np.cumsum(share)
    axes.plot(at, sums, color=COLORS[0], marker=MARKERS[0], label=kinds[0], **look)
    each = 100 * np.asarray(share)
    axes.plot(at, each, color=COLORS[1], marker=MARKERS[1], label=kinds[1], **look)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.set_ylim(-2, max(100.0, 1.05 * sums[-1]))
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("component", color=INK)
    axes.set_ylabel("% of the variance", color=INK)
    style.legend(figure, axes, kinds)
    return figure
