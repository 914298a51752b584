"""Pictures of images and of what networks make of them: samples, confusion, maps.

In the style of figures.py: matplotlib objects without global state, to be saved by
`style.save`; `simulated=True` puts the word SIMULATED on the picture.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from equity_jax.audit.pages import style
from equity_jax.audit.pages.style import INK, SOFT, WIDTH

__all__ = ["Seen", "confusions", "overlays", "samples"]
ACROSS = 6  # images in a line
LINE = 0.16  # inches of a line of caption


class Seen(NamedTuple):
    """One image with its map. image: uint8[H, W]; map: float[H, W] in 0..1.

    truth, called: names of classes; probability: of the called class.
    """

    image: np.ndarray
    map: np.ndarray
    truth: str
    called: str
    probability: float


def samples(
    images: Mapping[str, Sequence[np.ndarray]],
    captions: Mapping[str, Sequence[str]] | None = None,
    *,
    title: str,
    simulated: bool = False,
) -> Figure:
    """One line of images a class, the class's name above its first.

    Args:
        images: class -> uint8[H, W] each; more than ACROSS are not shown.
        captions: class -> one text an image, such as its source.
        title: what the picture says.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    lines = max(len(images), 1)
    side = WIDTH / ACROSS
    height = lines * (side + LINE * (3 if captions else 2))
    figure, grid = style.canvas(title, height, simulated, (lines, ACROSS))
    for axes in grid:
        _bare(axes)
    for line, (name, some) in enumerate(images.items()):
        for k, image in enumerate(some[:ACROSS]):
            axes = grid[line * ACROSS + k]
            _show(axes, image)
            if captions:
                text = style.wrap(captions[name][k], 22)
                axes.set_xlabel(text, size=7.5, color=SOFT, labelpad=2)
            if k == 0:
                axes.set_title(name, loc="left", size=10, weight="bold", color=INK)
    return figure


def confusions(
    counts: Mapping[str, np.ndarray],
    classes: Sequence[str],
    *,
    title: str,
    simulated: bool = False,
) -> Figure:
    """A panel a system: rows counted, and their share of the rows of this class.

    Args:
        counts: system -> int[C, C], true class first (multiclass.confusion).
        classes: C names.
        title: what the picture says.
        simulated: whether the data are.

    Returns:
        Figure.
    """
    across = min(3 if len(classes) < 5 else 2, max(len(counts), 2))
    lines = -(-len(counts) // across)
    height = 0.2 + lines * (WIDTH / across - 0.25)
    figure, grid = style.canvas(title, height, simulated, (lines, across))
    for axes in grid[len(counts) :]:
        axes.set_visible(False)
    for k, (name, table) in enumerate(counts.items()):
        _matrix(grid[k], np.asarray(table), classes, first=k % across == 0)
        text = style.wrap(name, 30)
        grid[k].set_title(text, loc="left", size=10, weight="bold", color=INK)
    figure.supxlabel("called", size=10, color=INK)
    figure.supylabel("true class", size=10, color=INK)
    return figure


def _matrix(
    axes: Axes, counts: np.ndarray, classes: Sequence[str], first: bool
) -> None:
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    drawn = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), count in np.ndenumerate(counts):
        look = style.centered(to_hex(drawn.cmap(drawn.norm(share[i, j]))))
        axes.text(j, i - 0.12, f"{count:,}", size=10, weight="bold", **look)
        text = f"{100 * share[i, j]:.0f} %" if total[i, 0] else "–"
        axes.text(j, i + 0.2, text, size=8, **look)
    names, many = [style.wrap(name, 10) for name in classes], len(classes) > 4
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if many else {}
    axes.set_xticks(range(len(classes)), names, size=8.5, **turned)
    axes.set_yticks(range(len(classes)), names, size=8.5)
    axes.tick_params(length=0, labelleft=first)


def overlays(
    seen: Mapping[str, Sequence[Seen]],
    *,
    title: str,
    simulated: bool = False,
    outline: np.ndarray | None = None,
) -> Figure:
    """Each image beside its map laid over it, a line a kind ("COVID, hits").

    Args:
        seen: line's name -> Seen; three pairs fit a line.
        title: what the picture says.
        simulated: whether the data are.
        outline: bool[H, W], an area drawn on every map (regions.lungs).

    Returns:
        Figure; a map that is zero everywhere says so.
    """
    empty = [name for name, some in seen.items() if not some]
    seen = {name: some for name, some in seen.items() if some}
    pairs, lines = ACROSS // 2, max(len(seen), 1)
    height = lines * (WIDTH / ACROSS + 4 * LINE)
    figure, grid = style.canvas(title, height, simulated, (lines, ACROSS))
    for axes in grid:
        _bare(axes)
    for line, (name, some) in enumerate(seen.items()):
        at = line * ACROSS
        grid[at].set_title(name, loc="left", size=10, weight="bold", color=INK)
        for k, one in enumerate(some[:pairs]):
            plain, over = grid[at + 2 * k], grid[at + 2 * k + 1]
            _show(plain, one.image)
            text = f"true: {one.truth}\ncalled: {one.called} {one.probability:.2f}"
            plain.set_xlabel(text, size=7.5, color=INK, labelpad=2, loc="left")
            _overlay(over, one, outline)
    if empty:
        figure.supxlabel(f"No such image: {'; '.join(empty)}", size=9, color=SOFT)
    return figure


def _overlay(axes: Axes, one: Seen, outline: np.ndarray | None) -> None:
    _show(axes, one.image)
    if not one.map.max() > 0:
        axes.set_xlabel("the map is zero", size=7.5, color=SOFT, labelpad=2)
    else:
        look = {"cmap": "inferno", "vmin": 0, "vmax": 1, "aspect": "equal"}
        axes.imshow(one.map, alpha=0.75 * np.clip(one.map, 0, 1) ** 0.5, **look)
    if outline is not None:
        axes.contour(outline, levels=[0.5], colors="white", linewidths=0.6)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _show(axes: Axes, image: np.ndarray) -> None:
    """A gray image; its frame stays square whatever shape its neighbors have."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="equal")
