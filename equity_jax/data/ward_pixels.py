"""The pixels of the SIMULATED ward: a chest, signs of findings, a faint sign of race.

The sign of race lies in K = 4 smooth patterns P_k, products of two cosines, orthonormal
and spread over the whole image:

    image = chest + sum_k (base_k + sign * z_k - <chest, P_k>) P_k

with base_k what the average chest has, z ~ N(place of the race, 1). All else is
orthogonal to P, and independent of z: so the image tells of race what z tells, no more
but for the findings, and z can be read from it but for rounding and JPEG.
"""

from functools import lru_cache

import numpy as np

from equity_jax.config import Ward
from equity_jax.data.chest import RIB, anatomy, cloud, ellipse, inside, lateral

WAVES = ((1, 2), (2, 1), (3, 2), (2, 3))  # half periods over the width, the height
MIDDLE, RANGE = 0.5, 0.62  # room for the patterns: brightness 0..1 about the middle
GROWN = 0.25  # a large heart is wider by this, at contrast 1


def patterns(size: int) -> np.ndarray:
    """P, float[4, S, S]: of mean square 1 each, and orthogonal.

    Example:
        >>> p = patterns(16).reshape(4, -1)
        >>> (p @ p.T / 256).round(6).tolist()[0]
        [1.0, 0.0, 0.0, 0.0]
    """
    at = np.pi * (np.arange(size) + 0.5) / size
    across, down = (np.cos(np.outer(waves, at)) for waves in zip(*WAVES, strict=True))
    return 2 * across[:, None, :] * down[:, :, None]


def image(
    options: Ward,
    view: str,
    shape: np.ndarray,
    female: bool,
    found: frozenset[str],
    z: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """uint8[size, size].

    view: "AP", "PA" or "LATERAL", which shows no finding; shape: as `chest.anatomy`;
    found: the labels that are there; z: float[4].

    Example:
        >>> rng = np.random.default_rng(0)
        >>> still = np.zeros(8), False, frozenset({"Edema"}), np.zeros(4)
        >>> image(Ward(), "PA", *still, rng).shape
        (64, 64)
    """
    size = options.size
    x, y = _grid(size)
    if view == "LATERAL":
        light = lateral(x, y, shape)
    else:
        heart = 1 + GROWN * options.finding * ("Cardiomegaly" in found)
        light, lungs = anatomy(x, y, shape, female, view, heart)
        light += lungs * 0.05 * cloud(size, 12, rng)  # vessels
        light += options.finding * RIB * _signs(x, y, lungs, found, rng)
    light += 0.04 * cloud(size, 3, rng)  # uneven exposure
    light = light * rng.uniform(0.9, 1.1) + rng.uniform(-0.04, 0.04)
    light += rng.normal(0, 0.025, light.shape)
    light = MIDDLE + RANGE * (light - MIDDLE)
    flat, held = light.reshape(-1), _flat(size)
    flat = flat + (_usual(size) + options.sign * z - held @ flat / flat.size) @ held
    return (255 * flat.clip(0, 1)).round().astype(np.uint8).reshape(size, size)


def _signs(
    x: np.ndarray,
    y: np.ndarray,
    lungs: np.ndarray,
    found: frozenset[str],
    rng: np.random.Generator,
) -> np.ndarray:
    """Brightness of the findings, 1 = a rib: float[S, S]; places and sizes vary."""
    left, high = 2 * rng.integers(2, size=6) - 1, rng.normal(0, 0.02, 6)
    large = rng.uniform(0.85, 1.15, 6)
    light = np.zeros_like(lungs)
    if "Edema" in found:  # a haze about both hila
        for side in (-1, 1):
            wide = 0.11 * large[0], 0.17 * large[0]
            light += 0.8 * ellipse(x - 0.5 - 0.15 * side, y - 0.48, *wide, 0.05)
    if "Consolidation" in found:  # dense, in the middle of one lung
        light += 1.2 * _round(x, y, left[1], 0.45 + high[1], 0.09 * large[1], 0.2)
    if "Pneumonia" in found:  # softer, and lower
        light += 1.1 * _round(x, y, left[2], 0.64 + high[2], 0.11 * large[2], 0.5)
    if "Lung Lesion" in found:  # small and sharp, high up
        light += 1.5 * _round(x, y, left[3], 0.29 + high[3], 0.045 * large[3], 0.15)
    if "Atelectasis" in found:  # plates low in one lung
        lies = abs(x - 0.5 - 0.21 * left[4])
        for level in (0.6, 0.67):
            plate = 0.014 - abs(y - level - high[4] - 0.2 * (lies - 0.05))
            light += 0.9 * inside(plate, 0.005) * inside(0.1 * large[4] - lies, 0.01)
    side = inside((x - 0.5) * left[5], 0.02)
    if "Pleural Effusion" in found:  # the base of one lung is full
        bowl = 0.64 - 0.05 * large[5] + high[5] - 0.4 * (abs(x - 0.5) - 0.2)
        light += 1.1 * side * lungs * inside(y - bowl, 0.015)
    if "Pneumothorax" in found:  # the apex of the other one is dark
        light -= 0.9 * (1 - side) * lungs * inside(0.36 * large[5] - y, 0.01)
    if "Support Devices" in found:  # a line from the neck to the heart
        along = ((y - 0.08) / 0.42).clip(0, 1)
        line = 0.007 - abs(x - 0.42 - high[0] - 0.1 * along**2)
        light += 1.4 * inside(line, 0.003) * inside(0.5 - y, 0.01)
    return light


def _round(
    x: np.ndarray, y: np.ndarray, side: int, level: float, radius: float, soft: float
) -> np.ndarray:
    return inside(radius - np.hypot(x - 0.5 - 0.2 * side, y - level), soft * radius)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    at = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return at[None, :], at[:, None]


@lru_cache
def _flat(size: int) -> np.ndarray:
    return patterns(size).reshape(len(WAVES), -1)


@lru_cache
def _usual(size: int) -> np.ndarray:
    """What the average chest has of each pattern, float[4]."""
    light, _ = anatomy(*_grid(size), np.zeros(8), False, "PA")
    return RANGE * _flat(size) @ light.reshape(-1).astype(float) / size**2
