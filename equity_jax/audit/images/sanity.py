"""Does a map depend on what was learned? Weights drawn anew, from the head down.

Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018: the blocks of a trained
network are replaced by random ones, one after the other, the head first. Maps that
stay as they were show edges of the image, not what the network learned. The rank
correlation of each image's map with its first one should fall toward 0.
"""

from typing import Any

import jax
import numpy as np
import pandas as pd
from scipy import stats as tests

from equity_jax.audit.images import rows
from equity_jax.audit.images.saliency import grad_cam
from equity_jax.nouns import Model
from equity_jax.types import Array, PyTree


def sanity(
    model: Model,
    params: PyTree,
    stats: PyTree,
    x: Any,
    classes: np.ndarray,
    key: Array,
    *,
    tap: str = "",
    plus_plus: bool = False,
    patient: np.ndarray | None = None,
    replicates: int = 1000,
) -> pd.DataFrame:
    """Spearman's correlation with the trained network's map, block by block.

    Args:
        model: with `tail`.
        params: trained.
        stats: of the trained network; a block's go with its weights.
        x: uint8[B, H, W, 1].
        classes: int[B], as for `grad_cam`.
        key: a jax key, of the random weights.
        tap: as for `grad_cam`.
        plus_plus: Grad-CAM++.
        patient: int[B], whom the intervals resample.
        replicates: of the patients.

    Returns:
        Table of rows.COLUMNS, a row a block from the head down: `what` says which
        blocks are random; value: the mean over images. Images of which one map is
        zero everywhere have no correlation; `reason` counts them.

    Raises:
        InputError: as `grad_cam`.

    Example:
        >>> sanity(model, params, stats, x, classes, key)[["what", "value", "low"]]
    """
    how = {"tap": tap, "plus_plus": plus_plus}
    first = grad_cam(model, params, stats, x, classes, **how)
    fresh_params, fresh_stats = jax.jit(model.init)(key, np.asarray(x[:1]))
    params, stats = dict(params), {k: dict(v) for k, v in stats.items()}
    records = []
    for block in reversed(model.blocks):
        params[block] = fresh_params[block]
        for kind, values in fresh_stats.items():
            if block in values:
                stats[kind][block] = values[block]
        maps = grad_cam(model, params, stats, x, classes, **how)
        found = rows.mean_of(
            correlations(first, maps), patient, bounds=(-1, 1), replicates=replicates
        )
        what = f"head to {block}" if records else block
        records.append({"control": "randomized weights", "what": what} | found)
    return rows.frame(records).assign(metric="rank correlation", chance=0.0)


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float[B]: Spearman's correlation of maps float[B, H, W]; NaN where one is flat.

    Example:
        >>> maps = np.arange(8.0).reshape(1, 2, 4)
        >>> correlations(maps, maps**2), correlations(maps, 0 * maps)
        (array([1.]), array([nan]))
    """
    a, b = (tests.rankdata(x.reshape(len(x), -1), axis=1) for x in (a, b))
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    nothing = np.full(len(a), np.nan)
    return np.divide((a * b).sum(1), scale, out=nothing, where=scale > 0)
