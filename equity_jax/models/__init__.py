"""Model shelf: x -> logits, features. One factory and one line here per model.

Every factory takes (outputs, constants, *its own arguments).
"""

from equity_jax.models.autoencoder import autoencoder
from equity_jax.models.linear import linear
from equity_jax.models.mlp import mlp
from equity_jax.registry import Registry

MODELS = Registry("model", {"linear": linear, "mlp": mlp})

__all__ = ["MODELS", "autoencoder", "linear", "mlp"]
