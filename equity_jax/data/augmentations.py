"""What may be done to training images: eight entries, each for one image or a batch.

A Move maps pixels' places and a Shade their values, each written for one image; a Mix
joins rows of a batch. At strength 0 each is the identity. augment.py puts them
together; a new one is a function here and a line in AUGMENTS.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from equity_jax import blend
from equity_jax.registry import Registry
from equity_jax.types import Array, Batch, InputError

WHITE = 255.0


class Move(NamedTuple):
    """matrix: (key, side) -> float[3, 3], from places in the new image to the old.

    Places are (x, y, 1) in pixels from the image's centre, x to the right, y down;
    side is float[2]: width and height.
    """

    matrix: Callable[[Array, Array], Array]


class Shade(NamedTuple):
    """pixels: (key, float[H, W, C] in 0..255) -> the same shape, for one image."""

    pixels: Callable[[Array, Array], Array]


class Mix(NamedTuple):
    """rows: (key, Batch) -> Batch of the same rows."""

    rows: Callable[[Array, Batch], Batch]


def flip(share: float = 0.5) -> Move:
    """Left and right exchanged in `share` of the images (the heart then lies right)."""
    _check("flip", share, 1)

    def matrix(key: Array, side: Array) -> Array:
        x = jnp.where(jax.random.uniform(key) < share, -1.0, 1.0)
        return jnp.diag(jnp.stack([x, jnp.ones(()), jnp.ones(())]))

    return Move(matrix)


def shift(most: float = 0.05) -> Move:
    """Moved by up to `most` of the side, each axis by itself, uniformly."""
    _check("shift", most, 1)

    def matrix(key: Array, side: Array) -> Array:
        by = jax.random.uniform(key, (2,), minval=-most, maxval=most) * side
        return jnp.eye(3).at[:2, 2].set(-by)

    return Move(matrix)


def rotate(degrees: float = 10.0) -> Move:
    """Turned about the centre by up to `degrees`, either way, uniformly."""
    _check("rotate", degrees, 180)

    def matrix(key: Array, side: Array) -> Array:
        turn = jnp.deg2rad(degrees) * jax.random.uniform(key, minval=-1.0)
        c, s = jnp.cos(turn), jnp.sin(turn)
        return jnp.eye(3).at[:2, :2].set(jnp.array([[c, s], [-s, c]]))

    return Move(matrix)


def zoom(most: float = 0.1) -> Move:
    """Both axes grow by one factor, uniform in 1 - most .. 1 + most."""
    _check("zoom", most, 0.9)

    def matrix(key: Array, side: Array) -> Array:
        old = 1 / jax.random.uniform(key, minval=1 - most, maxval=1 + most)
        return jnp.diag(jnp.stack([old, old, jnp.ones(())]))

    return Move(matrix)


def contrast(most: float = 0.2) -> Shade:
    """Stretched about the image's mean, by a factor in 1 - most .. 1 + most."""
    _check("contrast", most, 1)

    def pixels(key: Array, x: Array) -> Array:
        factor = jax.random.uniform(key, minval=1 - most, maxval=1 + most)
        return (x + (factor - 1) * (x - x.mean())).clip(0, WHITE)

    return Shade(pixels)


def noise(sd: float = 0.02) -> Shade:
    """Gaussian noise in every pixel, `sd` a share of white."""
    _check("noise", sd, 1)

    def pixels(key: Array, x: Array) -> Array:
        more = sd * WHITE * jax.random.normal(key, x.shape, x.dtype)
        return (x + more).clip(0, WHITE)

    return Shade(pixels)


def cutout(side: float = 0.2) -> Shade:
    """A square of `side` (a share of the image's) becomes the image's mean.

    Its centre is uniform, so it may stand out over the border (DeVries & Taylor 2017).
    """
    _check("cutout", side, 1)

    def pixels(key: Array, x: Array) -> Array:
        centre = jax.random.uniform(key, (2,))
        inside = [
            abs((jnp.arange(n) + 0.5) / n - at) < side / 2
            for n, at in zip(x.shape[:2], centre, strict=True)
        ]
        hole = inside[0][:, None, None] & inside[1][None, :, None]
        return jnp.where(hole, x.mean(), x)

    return Shade(pixels)


def mixup(alpha: float = 0.2) -> Mix:
    """Rows mixed with rows of the same batch, labels too: y becomes a Mixed.

    Zhang et al., "mixup", ICLR 2018, as in equity_jax.blend.
    """
    _check("mixup", alpha, 100)

    def rows(key: Array, batch: Batch) -> Batch:
        return blend.mixup(key, batch, alpha)

    return Mix(rows)


AUGMENTS = Registry(
    "augmentation",
    {
        "flip": flip,
        "shift": shift,
        "rotate": rotate,
        "zoom": zoom,
        "contrast": contrast,
        "noise": noise,
        "cutout": cutout,
        "mixup": mixup,
    },
)


def _check(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most:
        raise InputError(f"augmentation {name}({value:g}); expected 0 to {most:g}")
