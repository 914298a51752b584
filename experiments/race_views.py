"""What probes of the race study look at: the frozen network's features, and controls.

The last layer is taken off and nothing else moves. Features are streamed to disk once
(equity_jax.train.harvest) and memory-mapped ever after.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from equity_jax.audit.images.shortcuts import THUMB, histogram, reduced
from equity_jax.keys import key
from equity_jax.nouns import Model
from equity_jax.run import Result
from equity_jax.train import Weights, harvest
from equity_jax.types import Array, PyTree

HISTOGRAM, UNTRAINED = "pixel histogram", "untrained network"
THUMBNAIL = f"{THUMB} × {THUMB} thumbnail"


class Views(NamedTuple):
    """The images of a data set, row for row, as others see them.

    model, weights: the disease network; features: float32[N, F], what its last layer
    is given; depth: block -> float32[N, c], means of the maps that leave it, shallow to
    deep; controls: name -> float32[N, f], what sees little or has learned nothing.
    """

    model: Model
    weights: Weights
    features: np.ndarray
    depth: Mapping[str, np.ndarray]
    controls: Mapping[str, np.ndarray]


def views(result: Result, quiet: bool = True) -> Views:
    """Runs the disease network and an untrained one over all images, once.

    Both leave their files below features/ of the run, where a run that was killed goes
    on.

    Example:
        >>> views(result).features.shape  # doctest: +SKIP
        (227827, 1024)
    """
    x, folder = result.dataset.x, result.store.folder("features")
    model, weights = disease_network(result)
    blocks = blocks_of(model, weights, x)
    found = harvest(model, weights, x, folder / "disease", blocks, quiet=quiet)
    fresh = jax.jit(model.init)(key(result.config.seed, "untrained"), np.asarray(x[:1]))
    blank = harvest(model, Weights(*fresh), x, folder / "untrained", quiet=quiet)
    controls = {
        HISTOGRAM: histogram(x),
        THUMBNAIL: reduced(x, THUMB).reshape(len(x), -1),
        UNTRAINED: blank.features,
    }
    return Views(model, weights, found.features, found.taps, controls)


def disease_network(result: Result) -> tuple[Model, Weights]:
    """The network that validation chose, of the first seed, and its weights."""
    best = result.choices.systems[result.choices.selected[0]]
    return result.swept.model, result.swept.fitted.of(best.fallback)


def blocks_of(model: Model, weights: Weights, x: Array) -> tuple[str, ...]:
    """The blocks after which maps can be seen; of a densenet its dense blocks alone.

    Example:
        >>> blocks_of(densenet121, weights, x)  # doctest: +SKIP
        ('dense1', 'dense2', 'dense3', 'dense4')
    """

    def taps(params: PyTree, stats: PyTree, x: Array) -> PyTree:
        return model.apply(params, stats, x, False, None)[0].taps

    one = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
    shown = jax.eval_shape(taps, *weights, one)
    names = [name for name in model.blocks if name in shown]
    dense = [name for name in names if name.startswith("dense")]
    return tuple(dense or names)
