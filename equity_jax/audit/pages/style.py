"""How every picture looks: ink, colors, canvas, legend; and how it is saved.

Colors are those of Okabe & Ito (2008), told apart with any color vision.
"""

import os
import textwrap
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import ConciseDateFormatter, MonthLocator, YearLocator
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, NullLocator

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
INK, SOFT, RULE = "#1a1d21", "#5b636d", "#d9dde2"
WARN, PALE = "#8a4b00", "#fff1d6"
WIDTH, HEAD, LINE = 9.0, 0.42, 0.24  # inches: the figure, its title, a legend line
NAMES, LETTERS = 5, 120  # in a legend line: names at most, letters with their marks


def save(figure: Figure, path: str | os.PathLike[str], dpi: int = 160) -> None:
    """Writes a PNG atomically; the same figure gives the same bytes."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
    os.replace(temporary, path)


def canvas(
    title: str,
    height: float,
    simulated: bool,
    grid: tuple[int, int] | None = None,
    kinds: Sequence[str] = (),
) -> tuple[Figure, Axes]:
    """A figure with its title, its badge and bare axes (a flat array of them).

    height: inches without the head; kinds: the names of the legend.
    """
    top = HEAD + (LINE * -(-len(kinds) // abreast(kinds)) if len(kinds) > 1 else 0.0)
    height += top
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - top / height)))
    FigureCanvasAgg(figure)
    place = (0.01, 1 - 0.1 / height)
    figure.text(*place, title, va="top", size=12, weight="bold", color=INK)
    if simulated:
        box = {"boxstyle": "round,pad=0.35", "facecolor": PALE, "edgecolor": WARN}
        figure.text(
            0.99, place[1], "SIMULATED", ha="right", va="top", size=9, weight="bold",
            color=WARN, bbox=box, in_layout=False,
        )  # fmt: skip
    lines, columns = grid or (1, 1)
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for one in axes:
        for side in ("top", "right", "left"):
            one.spines[side].set_visible(False)
        one.spines["bottom"].set_color(RULE)
        one.tick_params(colors=INK, labelsize=9.5, color=RULE)
        one.set_axisbelow(True)
    return figure, axes if grid else axes[0]


def abreast(kinds: Sequence[str]) -> int:
    """How many names of a legend stand side by side.

    Example:
        >>> abreast(["a", "b"]), abreast(["a long name of a network"] * 6)
        (2, 4)
    """
    widest = max((len(str(name)) for name in kinds), default=0) + 6
    return max(1, min(len(kinds), NAMES, LETTERS // widest))


def legend(figure: Figure, axes: Axes, kinds: Sequence[str]) -> None:
    """The names of the marks, in lines under the title; none for a single kind."""
    if len(kinds) < 2:
        return
    handles, names = axes.get_legend_handles_labels()
    made = figure.legend(
        handles, names, loc="upper left", ncols=abreast(kinds), frameon=False,
        bbox_to_anchor=(0.0, 1 - (HEAD - 0.05) / figure.get_figheight()),
        fontsize=9.5, labelcolor=INK, handletextpad=0.5, columnspacing=1.4,
    )  # fmt: skip
    made.set_in_layout(False)


def log_ticks(axes: Axes, x: pd.Series) -> None:
    """Ticks at the very numbers of rows, thinned where they would touch."""
    axes.set_xscale("log")
    ticks: list[float] = []
    apart = max(1.9, (x.max() / x.min()) ** (1 / 6)) if len(x.dropna()) else 1.9
    for value in sorted(set(x.dropna()), reverse=True):
        if not ticks or value < ticks[-1] / apart:
            ticks.append(float(value))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))


def month_ticks(axes: Axes, dates: pd.Series) -> None:
    """At most eight ticks, on the first of a month or of a year."""
    months = (dates.max() - dates.min()).days / 30.4
    steps = [step for step in (1, 2, 3, 6) if months / step <= 8]
    by_year = YearLocator(max(1, round(months / 96)))
    place = MonthLocator(range(1, 13, steps[0])) if steps else by_year
    axes.xaxis.set_major_locator(place)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(place))


def name_ends(axes: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Writes each line's name right of it, pushed apart so that none overlap."""
    low, high = axes.get_ylim()
    ends = sorted(ends)
    places = [(value - low) / (high - low) for value, _, _ in ends]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + 0.055)
    down = max(0.0, places[-1] - 1.0) if places else 0.0
    for i in reversed(range(len(places))):
        limit = 1.0 if i == len(places) - 1 else places[i + 1] - 0.055
        places[i] = min(places[i], limit) if down else places[i]
    for place, (_, name, color) in zip(places, ends, strict=True):
        axes.annotate(
            name, (1.0, place), xytext=(6, 0), xycoords="axes fraction",
            textcoords="offset points", color=dark(color), size=9, va="center",
        )  # fmt: skip


def scale(axes: Axes, values: np.ndarray, nominal: float | None) -> None:
    """Limits from the values; a few far ones make the axis logarithmic outward."""
    away = np.abs(values[np.isfinite(values)] - (nominal or 0.0))
    if nominal is None or not away.any():
        return
    reach, usual = 1.6 * away.max(), float(np.median(away))
    if nominal == 0 and usual > 0 and away.max() > 20 * usual:
        axes.set_yscale("symlog", linthresh=usual, linscale=0.7)
    axes.set_ylim(nominal - reach, nominal + reach)


def wrap(name: Hashable, width: int = 28) -> str:
    """A name on lines of at most `width` letters."""
    return "\n".join(textwrap.wrap(str(name), width, break_long_words=False))


def distinct(column: pd.Series) -> list[Hashable]:
    """The values of a column in the order of their first appearance."""
    return list(dict.fromkeys(column))


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def centered(background: str) -> dict[str, str]:
    """Text in the middle, white or dark, whichever stands out (WCAG luminance)."""
    parts = _rgb(background)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    light = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return {"ha": "center", "va": "center", "color": INK if light > 0.179 else "white"}


def dark(color: str) -> tuple[float, ...]:
    """The color as text on white: darker where it would be too pale to read."""
    return tuple(_rgb(color) * (0.72 if centered(color)["color"] == INK else 1.0))
