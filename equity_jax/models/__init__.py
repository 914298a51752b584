"""Model shelf: x -> logits, features. One factory and one line here per model.

Every factory takes (outputs, constants, *its own arguments).
"""

from equity_jax.models.autoencoder import autoencoder
from equity_jax.models.cnn import cnn, cnn_deep, cnn_small
from equity_jax.models.densenet import densenet, densenet121, densenet201
from equity_jax.models.linear import linear
from equity_jax.models.mlp import mlp
from equity_jax.models.resnet import resnet, resnet50, resnet101
from equity_jax.models.rival import beside, without
from equity_jax.models.vgg import vgg, vgg19, vgg19_bn
from equity_jax.registry import Registry

MODELS = Registry(
    "model",
    {
        "linear": linear,
        "mlp": mlp,
        "cnn_small": cnn_small,
        "cnn_deep": cnn_deep,
        "vgg19": vgg19,
        "vgg19_bn": vgg19_bn,
        "resnet50": resnet50,
        "resnet101": resnet101,
        "densenet": densenet,
        "densenet121": densenet121,
        "densenet201": densenet201,
    },
)

__all__ = [
    "MODELS",
    "autoencoder",
    "beside",
    "cnn",
    "densenet",
    "linear",
    "mlp",
    "resnet",
    "vgg",
    "without",
]
