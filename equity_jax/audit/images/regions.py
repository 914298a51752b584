"""Where on the image: the lungs' area, images without it, the share of a map in it.

The lungs' area is not a segmentation: it is two ellipses that hold both lungs of nearly
every frontal image, 48 % of the picture. The rest (the border) holds shoulders,
abdomen, marks and cables.
"""

from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit.images import rows
from equity_jax.types import InputError

CENTERS = ((0.5, 0.3), (0.5, 0.7))  # of the two ellipses: from the top, from the left
RADII = (0.38, 0.2)  # half their height, half their width; all are shares of the side
AREAS = ("lungs", "border")


def lungs(height: int, width: int) -> np.ndarray:
    """bool[H, W]: two upright ellipses, rows 12 to 88 %, columns 10 to 90 %.

    Example:
        >>> print(round(float(lungs(100, 100).mean()), 2))
        0.48
    """
    y = (np.arange(height)[:, None] + 0.5) / height
    x = (np.arange(width)[None] + 0.5) / width
    inside = [((y - b) / RADII[0]) ** 2 + ((x - a) / RADII[1]) ** 2 for b, a in CENTERS]
    return np.minimum(*inside) <= 1


def blank(x: Any, area: str = "lungs") -> np.ndarray:
    """uint8[N, H, W, 1]: copies whose area is one gray, the mean of each image.

    A model that still does well on images without lungs reads something else. Images
    with "border" blanked keep the lungs alone.

    Args:
        x: uint8[N, H, W, 1], or a Stream.
        area: "lungs" or "border", all but the lungs.

    Raises:
        InputError: another area.

    Example:
        >>> blank(np.zeros((1, 8, 8, 1), np.uint8)).max()
        0
    """
    if area not in AREAS:
        raise InputError(f"area {area!r}: expected {' or '.join(AREAS)}")
    made = np.array(x)
    inside = lungs(*made.shape[1:3]) == (area == "lungs")
    gray = np.rint(made.mean((1, 2, 3))).astype(made.dtype)
    made[:, inside] = gray[:, None, None]
    return made


def central_share(
    maps: np.ndarray,
    patient: np.ndarray | None = None,
    *,
    what: str = "Grad-CAM",
    **options: Any,
) -> pd.DataFrame:
    """The share of a map's mass in the lungs' area; the rest lies in the border.

    As `share_on` with the mask `lungs(H, W)`.
    """
    mask = lungs(*maps.shape[1:])
    return share_on(maps, mask, patient, what=f"{what} in the lungs' area", **options)


def share_on(
    maps: np.ndarray,
    mask: np.ndarray,
    patient: np.ndarray | None = None,
    *,
    what: str = "Grad-CAM on the mask",
    **options: Any,
) -> pd.DataFrame:
    """The mean share of each map's mass that lies on a mask, one row.

    Images with an empty mask or a map that is zero everywhere have no share: `reason`
    counts them. `chance` is the share of a map that is equal everywhere, the mean area
    of the masks.

    Args:
        maps: float[N, H, W], 0 or more.
        mask: bool[H, W], or bool[N, H, W], one an image.
        patient: int[N], whom the interval resamples; None: each image is one.
        what: text of the column.
        options: level, replicates, seed of rows.mean_of.

    Raises:
        InputError: shapes that differ.

    Example:
        >>> share_on(maps, lesion, patient)[["value", "low", "high", "chance"]]
    """
    if mask.shape not in (maps.shape, maps.shape[1:]):
        raise InputError(f"mask {mask.shape} does not fit maps {maps.shape}")
    mask = np.broadcast_to(mask, maps.shape)
    total, area = maps.sum((1, 2), dtype=float), mask.mean((1, 2))
    known = (total > 0) & (area > 0)
    share = np.full(len(maps), np.nan)
    np.divide((maps * mask).sum((1, 2), dtype=float), total, out=share, where=known)
    found = rows.mean_of(share, patient, **options)
    chance = float(area[known].mean()) if known.any() else np.nan
    base = {"control": "saliency", "what": what, "metric": "share of the map"}
    return rows.frame([base | found | {"chance": chance}])
