"""A denoising autoencoder around any model: x, corrupted, must come back.

Vincent et al., "Extracting and composing robust features with denoising
autoencoders", ICML 2008; corruption 0.3 as in Gao & Cui 2020 (Nature Communications).
"""

from typing import Any

import jax
import jax.numpy as jnp

from equity_jax.nouns import Model
from equity_jax.types import Array, Output


def autoencoder(model: Model, corruption: float = 0.3) -> Model:
    """The model's trunk as encoder, one linear layer as decoder.

    Its logits are the reconstruction, float[B, F]. Parameters are the model's own,
    under the same names, plus the block "decoder": carrying the trunk over is then an
    ordinary carry by path. In training each input is set to 0 (the mean of a
    standardized column) with probability `corruption`.

    Example:
        >>> autoencoder(mlp(1, 0, 8)).blocks
        ('layer0', 'head', 'decoder')
    """

    def init(key: Array, x: Array) -> tuple[Any, Any]:
        params, stats = model.init(key, x)
        output, _ = model.apply(params, stats, x, False, key)
        shape = (output.features.shape[1], x.shape[1])
        kernel = jax.nn.initializers.lecun_normal()(jax.random.fold_in(key, 1), shape)
        decoder = {"kernel": kernel, "bias": jnp.zeros(x.shape[1])}
        return {**params, "decoder": decoder}, stats

    def apply(
        params: Any, stats: Any, x: Array, train: bool, key: Array
    ) -> tuple[Output, Any]:
        keep = jax.random.bernoulli(jax.random.fold_in(key, 2), 1 - corruption, x.shape)
        seen = x * keep if train else x
        trunk = {name: leaf for name, leaf in params.items() if name != "decoder"}
        output, stats = model.apply(trunk, stats, seen, train, key)
        decoder = params["decoder"]
        again = output.features @ decoder["kernel"] + decoder["bias"][None]
        return Output(again, output.features), stats

    return Model(init, apply, (*model.blocks, "decoder"))
