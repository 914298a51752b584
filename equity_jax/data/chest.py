"""A crude chest of SIMULATED X-rays: body, lungs, ribs, spine, heart, diaphragm.

Everything is a formula of x and y, shares of the side from the left and from the top,
so that any size shows the same chest. Brightness is 0..1 and adds up.
"""

import cv2
import numpy as np

RIB = 0.2  # brightness of a rib, of 0..1


def anatomy(
    x: np.ndarray,
    y: np.ndarray,
    shape: np.ndarray,
    female: bool,
    view: str,
    heart: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness of a healthy chest and how much of it is lung: float32[S, S] twice.

    x: [1, S]; y: [S, 1]; shape: float[8], standard normal, the person's own jitter;
    view: "AP" or "PA", the heart looks larger in AP; heart: multiplies its width.

    Example:
        >>> at = (np.arange(32) + 0.5) / 32
        >>> light, lungs = anatomy(at[None], at[:, None], np.zeros(8), False, "PA")
        >>> light.shape, bool(lungs.max() <= 1)
        ((32, 32), True)
    """
    wide, tall, dx, dy, beat, bone, dome, fat = (0.02 * shape).tolist()
    x, y = x - 0.5 - 0.5 * dx, y - 0.5 - 0.5 * dy
    body = ellipse(x, y - 0.1, 0.46 + wide, 0.72, 0.03)
    lungs = np.zeros_like(body)
    for side in (-1, 1):
        lungs += ellipse(x - side * 0.21, y, 0.155 + wide / 2, 0.33 + tall, 0.02)
    below = 0.25 + dome + 0.8 * (abs(x) - 0.2) ** 2  # the diaphragm's domes
    lungs *= inside(below - y, 0.012)
    light = 0.04 + 0.62 * body - (0.42 - fat) * lungs
    light += 0.16 * np.exp(-((x / 0.045) ** 2)) * body  # the spine
    big = (1.15 if view == "AP" else 1.0) * (1 + 2 * beat) * heart
    muscle = ellipse(x - 0.05, y - 0.12, 0.14 * big, 0.14 * big, 0.015)
    light += 0.3 * muscle * lungs
    lungs = lungs * (1 - 0.7 * muscle)
    arc = np.sin(2 * np.pi * (8 + 20 * bone) * (y - 0.9 * x**2 + dy))
    light += RIB * (0.75 + 5 * bone) * inside(arc - 0.55, 0.1) * lungs
    if female:  # soft tissue before the lower lungs
        for side in (-1, 1):
            light += 0.08 * ellipse(x - side * 0.22, y - 0.2, 0.15, 0.12, 0.03)
    return light, lungs


def lateral(x: np.ndarray, y: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Brightness of a chest from its side: float32[S, S]; as `anatomy` but cruder.

    Example:
        >>> at = (np.arange(32) + 0.5) / 32
        >>> lateral(at[None], at[:, None], np.zeros(8)).shape
        (32, 32)
    """
    wide, tall, dx, dy, beat, *_ = (0.02 * shape).tolist()
    x, y = x - 0.5 - 0.5 * dx, y - 0.5 - 0.5 * dy
    body = ellipse(x, y - 0.1, 0.36 + wide, 0.72, 0.03)
    lungs = ellipse(x - 0.05, y, 0.26 + wide / 2, 0.33 + tall, 0.02)
    light = 0.04 + 0.62 * body - 0.38 * lungs
    light += 0.16 * np.exp(-(((x - 0.22) / 0.04) ** 2)) * body  # the spine, behind
    big = 0.13 * (1 + 2 * beat)
    return light + 0.26 * ellipse(x + 0.08, y - 0.12, big, big, 0.02) * lungs


def inside(distance: np.ndarray, softness: float) -> np.ndarray:
    """1 well inside (distance > 0), 0 outside, smooth between.

    Example:
        >>> inside(np.array([0.0]), 0.1)
        array([0.5])
    """
    return 1 / (1 + np.exp(-np.clip(distance / softness, -30, 30)))


def ellipse(
    x: np.ndarray, y: np.ndarray, a: float, b: float, softness: float
) -> np.ndarray:
    """`inside` an ellipse about 0 with half axes a and b.

    Example:
        >>> ellipse(np.zeros(1), np.zeros(1), 0.2, 0.1, 0.01).round(3)
        array([1.])
    """
    return inside((1 - np.hypot(x / a, y / b)) * min(a, b), softness)


def cloud(size: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit spread with about `cells` bumps a side: float32[S, S].

    Example:
        >>> cloud(32, 3, np.random.default_rng(0)).shape
        (32, 32)
    """
    coarse = rng.normal(size=(cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
