"""Every random draw of the package comes from here: a key of (seed, purpose, name).

Because the name is part of the key, adding a method, a group or a scheme never
changes what another one draws.
"""

import zlib

import jax
import numpy as np

from equity_jax.types import Array


def key(seed: int, purpose: str, name: str = "") -> Array:
    """A jax key.

    Example:
        >>> key(0, "init").shape
        ()
    """
    return jax.random.fold_in(jax.random.key(seed), _number(purpose, name))


def generator(seed: int, purpose: str, name: str = "") -> np.random.Generator:
    """A numpy generator, for draws on the host.

    Example:
        >>> generator(0, "twin").random() == generator(0, "twin").random()
        True
    """
    return np.random.default_rng([seed, _number(purpose, name)])


def _number(purpose: str, name: str) -> int:
    return zlib.crc32(f"{purpose}/{name}".encode())
