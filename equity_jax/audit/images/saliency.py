r"""Where a network looks: Grad-CAM and Grad-CAM++ of any model that can be cut.

With $A^k_{ij}$ the maps of a tap and $S_c$ the logit of class c, Grad-CAM (Selvaraju
et al., ICCV 2017) is
$$L_{ij} = \max\Big(0, \sum_k \alpha_k A^k_{ij}\Big),\quad
\alpha_k = \frac1{hw} \sum_{ij} g^k_{ij},\quad
g^k_{ij} = \frac{\partial S_c}{\partial A^k_{ij}}.$$
Grad-CAM++ (Chattopadhay et al., WACV 2018) takes instead
$$\alpha_k = \sum_{ij} \frac{(g^k_{ij})^2}{2 (g^k_{ij})^2 + (g^k_{ij})^3 \sum_{ab}
A^k_{ab}} \max(0, g^k_{ij})$$
(its factor $\exp S_c$ is one number an image, and goes when the map is scaled).

A map shows where the logit would rise, not why, and not that the place is the right
one: see sanity.py and regions.py.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax.nouns import Model
from equity_jax.types import Array, InputError, PyTree


def grad_cam(
    model: Model,
    params: PyTree,
    stats: PyTree,
    x: Any,
    classes: np.ndarray,
    tap: str = "",
    *,
    plus_plus: bool = False,
    batch: int = 32,
) -> np.ndarray:
    """Maps float32[B, H, W] in 0..1, the largest value of each being 1.

    A map that is zero everywhere (no place speaks for the class) stays zero: whoever
    shows or measures it must say so.

    Args:
        model: with `tail`.
        params: of the model.
        stats: of the model.
        x: uint8[B, H, W, 1], or a Stream.
        classes: int[B], the logit that is explained, such as the predicted class.
        tap: a name of Output.taps with a height and width; empty: the deepest.
        plus_plus: Grad-CAM++.
        batch: images at once.

    Raises:
        InputError: the model cannot be cut; no such tap; a class that is no logit.

    Example:
        >>> maps = grad_cam(model, params, stats, x[:8], np.zeros(8, int))
        >>> maps.shape == x[:8].shape[:3]
        True
    """
    if model.tail is None:
        raise InputError("Grad-CAM needs a model with a tail (Model.tail); it has none")
    classes, count = np.asarray(classes, np.int32), len(x)
    if classes.shape != (count,):
        raise InputError(f"classes has shape {classes.shape}, expected ({count},)")
    found = []
    for first in range(0, count, batch):
        rows = np.arange(first, first + batch).clip(max=count - 1)  # one shape for all
        args = np.asarray(x[rows]), classes[rows], tap, plus_plus
        maps, outputs = _maps(model, params, stats, *args)
        if classes.min() < 0 or classes.max() >= outputs:
            raise InputError(f"classes: expected 0..{int(outputs) - 1}")
        found.append(np.asarray(maps))
    return np.concatenate(found)[:count]


@partial(jax.jit, static_argnums=(0, 5, 6))
def _maps(
    model: Model,
    params: PyTree,
    stats: PyTree,
    x: Array,
    classes: Array,
    tap: str,
    plus_plus: bool,
) -> tuple[Array, Array]:
    """(maps float32[B, H, W], the number of logits)."""
    output, _ = model.apply(params, stats, x, False, None)
    maps = {name: a for name, a in output.taps.items() if a.ndim == 4}
    names = list(maps)  # shallow to deep
    if not names or tap not in ("", *names):
        raise InputError(f"no tap {tap!r}; the model has: {', '.join(names) or 'none'}")
    tap = tap or names[-1]
    a = maps[tap]

    def chosen(a: Array) -> Array:
        logits = model.tail(params, stats, tap, a)
        return jnp.take_along_axis(logits, classes[:, None], axis=1).sum()

    g = jax.grad(chosen)(a).astype(jnp.float32)
    cam = _weighted(a.astype(jnp.float32), g, _squared if plus_plus else _mean)
    cam = jax.image.resize(cam, (*cam.shape[:1], *x.shape[1:3]), "bilinear")
    top = cam.max((1, 2), keepdims=True)
    return cam / jnp.where(top > 0, top, 1.0), jnp.asarray(output.logits.shape[1])


def _weighted(a: Array, g: Array, alpha: Callable[[Array, Array], Array]) -> Array:
    """float[B, h, w]: the maps a float[B, h, w, c] weighted by alpha, above 0."""
    return jnp.maximum(jnp.einsum("bhwc,bc->bhw", a, alpha(a, g)), 0)


def _mean(a: Array, g: Array) -> Array:
    """float[B, c]: the weights of Grad-CAM."""
    return g.mean((1, 2))


def _squared(a: Array, g: Array) -> Array:
    """float[B, c]: the weights of Grad-CAM++; a gradient of 0 counts 0."""
    below = 2 * g**2 + g**3 * a.sum((1, 2), keepdims=True)
    share = jnp.where(below != 0, g**2 / jnp.where(below != 0, below, 1.0), 0.0)
    return (share * jnp.maximum(g, 0)).sum((1, 2))
