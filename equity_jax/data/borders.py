"""Burnt-in borders of films: frames of black or white around the picture.

A border is what the digitizer or the collimator left: lines along an edge that are all
but black, or all but white, with perhaps some letters in them.
"""

import cv2
import numpy as np

BLACK, WHITE = 10, 245  # gray levels at or beyond which a pixel may be of a border
FLAT = 0.95  # share of a line that is black (or white); the rest may be letters
LEFT = 0.5  # share of each side that is left at least
WORD = "borders"  # how data.images.equalize asks for it, alone or as "borders+global"


def off(image: np.ndarray, equalize: str) -> tuple[np.ndarray, str]:
    """`cut` where `equalize` asks for it, and what it asks for beside.

    Example:
        >>> off(np.zeros((64, 64), np.uint8), "borders+clahe")[1]
        'clahe'
    """
    if not equalize.startswith(WORD):
        return image, equalize
    return cut(image), equalize.removeprefix(WORD).removeprefix("+")


def cut(image: np.ndarray) -> np.ndarray:
    """What lies within the borders of gray uint8[H, W]: uint8[h, w], a view.

    Rows and columns are taken off in turn, since a white frame may lie around a black
    one. Where less than half of a side would be left the image is dark or bright, not
    framed, and stays whole.

    Example:
        >>> cut(np.pad(np.full((64, 64), 99, np.uint8), 8)).shape
        (64, 64)
    """
    inner, before = image, (0, 0)
    while inner.shape != before and inner.size:
        before = inner.shape
        inner = inner[_within(inner, 1)]
        inner = inner[:, _within(inner, 0)] if inner.size else inner
    least = LEFT * np.array(image.shape)
    return image if (np.array(inner.shape) < least).any() else inner


def _within(image: np.ndarray, along: int) -> slice:
    """From the first line that is no border to the last; along: the axis of a line."""
    flat = [
        cv2.reduce(mask.astype(np.float32), along, cv2.REDUCE_AVG).ravel() >= FLAT
        for mask in (image <= BLACK, image >= WHITE)
    ]
    inside = np.flatnonzero(~(flat[0] | flat[1]))
    return slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0)
