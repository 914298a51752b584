"""Heat maps: numbers in colored cells, with their intervals where there are any."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from equity_jax.audit.pages import style
from equity_jax.audit.pages.style import INK, SOFT
from equity_jax.audit.pages.words import fixed


def heat(
    values: pd.DataFrame,
    *,
    title: str,
    low: pd.DataFrame | None = None,
    high: pd.DataFrame | None = None,
    xlabel: str = "",
    center: float | None = None,
    digits: int = 2,
    simulated: bool = False,
) -> Figure:
    """Numbers in colored cells, rows × columns; with `center`, colors diverge there.

    low, high: the ends of each cell's interval, written under its number (NaN: none).
    With a center, a cell whose interval contains it is striped: it may be chance.

    Example:
        >>> heat(pd.DataFrame({"a": [0.7]}), title="AUROC").get_figwidth()
        9.0
    """
    names = [str(c) for c in values.columns]
    lean = max(map(len, names), default=0) * len(names) > 80
    tall = 0.42 if low is None else 0.54
    height = 0.5 + tall * len(values) + 0.9 * lean + 0.25 * bool(xlabel)
    figure, axes = style.canvas(title, height, simulated)
    data = values.to_numpy(float)
    colors, ends = _colors(data[np.isfinite(data)], center)
    image = axes.imshow(data, cmap=colors, vmin=ends[0], vmax=ends[1], aspect="auto")
    paint = {"low": low, "high": high, "center": center, "digits": digits}
    for (i, j), value in np.ndenumerate(data):
        color = to_hex(image.cmap(image.norm(value)))
        _cell(axes, i, j, value, color, **paint)
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if lean else {}
    axes.set_xticks(range(len(names)), [style.wrap(n) for n in names], **turned)
    axes.set_yticks(range(len(values)), [style.wrap(r) for r in values.index])
    axes.set_xlabel(xlabel, color=INK)
    axes.tick_params(length=0)
    return figure


def _cell(
    axes: Axes,
    i: int,
    j: int,
    value: float,
    color: str,
    *,
    low: pd.DataFrame | None,
    high: pd.DataFrame | None,
    center: float | None,
    digits: int,
) -> None:
    """The text of one cell, and the mark of one that may be chance."""
    if not np.isfinite(value):
        axes.text(j, i, "not\nestimable", size=7, **style.centered("#ffffff"))
        return
    look, text = style.centered(color), fixed(value, digits)
    ends = (np.nan, np.nan)
    if low is not None and high is not None:
        ends = low.iloc[i, j], high.iloc[i, j]
    if not np.isfinite(ends).all():
        axes.text(j, i, text, size=9, **look)
        return
    if center is not None and ends[0] <= center <= ends[1]:
        _hatch(axes, i, j)
        look |= {"color": SOFT}
    below = ", ".join(_end(x, digits) for x in ends)
    axes.text(j, i - 0.14, text, size=9, **look)
    axes.text(j, i + 0.24, f"[{below}]", size=6.5, **look)


def _end(x: float, digits: int) -> str:
    """An interval's end; what is not 0 does not print as 0 if one digit more helps."""
    text = fixed(x, digits)
    return fixed(x, digits + 1) if x and not text.strip("−0.") else text


def _colors(known: np.ndarray, center: float | None) -> tuple[str, tuple]:
    """The color map, and the values at its ends."""
    if center is None:
        return "cividis", (known.min(), known.max()) if known.size else (0, 1)
    reach = max(np.abs(known - center).max(), 1e-12) if known.size else 1
    return "PuOr", (center - reach, center + reach)


def _hatch(axes: Axes, i: int, j: int) -> None:
    """Marks a cell that may be chance: pale, with stripes."""
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none"}
    axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **box))
    box = {"fill": False, "hatch": "///", "edgecolor": "#d5d9de", "linewidth": 0}
    axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **box))
