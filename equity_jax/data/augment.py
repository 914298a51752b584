"""Training images varied on the device: a pure function of a key, compiled once.

A policy such as "flip,shift(0.05),rotate(10),contrast(0.2),mixup(0.2)" names entries of
AUGMENTS. All Moves together are one bilinear resampling, so that an image is blurred
once however many there are; Shades and Mixes follow in the policy's order. What an
entry draws does not depend on the others in the policy.
"""

import ast
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from equity_jax.data.augmentations import AUGMENTS, Mix, Move, Shade
from equity_jax.types import Array, Batch, InputError

NUMBERS = {name: number for number, name in enumerate(AUGMENTS)}


def make(policy: str) -> Callable[[Array, Batch], Batch] | None:
    """The policy as one function (key, Batch) -> Batch; None for an empty policy.

    Batch.x may be uint8 or float[B, H, W, C] in 0..255 and becomes float32. The same
    key gives the same batch: fold the seed and the step into it.

    Raises:
        InputError: an unknown name, bad arguments, a name twice.

    Example:
        >>> augment = make("flip,rotate(10)")
        >>> augment(jax.random.key(0), batch).x.dtype  # doctest: +SKIP
        dtype('float32')
    """
    entries = _entries(policy)
    if not entries:
        return None
    moves = {k: e.matrix for k, e in entries.items() if isinstance(e, Move)}

    def augment(key: Array, batch: Batch) -> Batch:
        keys = {name: jax.random.fold_in(key, NUMBERS[name]) for name in entries}
        batch = batch._replace(x=jnp.asarray(batch.x, jnp.float32))
        n = len(batch.x)
        if moves:
            mine = {name: jax.random.split(keys[name], n) for name in moves}
            batch = batch._replace(x=jax.vmap(_move(moves))(mine, batch.x))
        for name, entry in entries.items():
            if isinstance(entry, Shade):
                x = jax.vmap(entry.pixels)(jax.random.split(keys[name], n), batch.x)
                batch = batch._replace(x=x)
            if isinstance(entry, Mix):
                batch = entry.rows(keys[name], batch)
        return batch

    return augment


def _entries(policy: str) -> dict[str, Move | Shade | Mix]:
    try:
        parts = ast.parse(f"({policy},)" if policy.strip() else "()", mode="eval").body
    except SyntaxError as error:
        asked = "write names with commas: flip,rotate(10)"
        raise InputError(f"augmentation {policy!r} cannot be read; {asked}") from error
    texts = [ast.unparse(part) for part in parts.elts]
    names = [AUGMENTS.parse(text)[0] for text in texts]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"augmentation {policy!r}: {name} stands there twice")
    return {n: AUGMENTS.get(text) for n, text in zip(names, texts, strict=True)}


def _move(matrices: dict[str, Callable]) -> Callable[[dict, Array], Array]:
    """(keys, one image) -> the image after all moves, the policy's first one first."""

    def move(keys: dict[str, Array], x: Array) -> Array:
        height, width, _ = x.shape
        side = jnp.array([width, height], jnp.float32)
        whole = jnp.eye(3)
        for name, matrix in matrices.items():
            whole = whole @ matrix(keys[name], side)
        return resample(x, whole)

    return move


def resample(x: Array, matrix: Array) -> Array:
    """One image seen through a Move's matrix, bilinear; beyond the edge, the edge.

    x: float[H, W, C]; matrix: float[3, 3].

    Example:
        >>> resample(x, jnp.eye(3)) == x  # doctest: +SKIP
    """
    height, width, _ = x.shape
    right = (jnp.arange(width) - (width - 1) / 2)[None, :]
    down = (jnp.arange(height) - (height - 1) / 2)[:, None]
    u = matrix[0, 0] * right + matrix[0, 1] * down + matrix[0, 2] + (width - 1) / 2
    v = matrix[1, 0] * right + matrix[1, 1] * down + matrix[1, 2] + (height - 1) / 2
    bilinear = partial(map_coordinates, order=1, mode="nearest")
    return jax.vmap(bilinear, in_axes=(-1, None), out_axes=-1)(x, [v, u])
