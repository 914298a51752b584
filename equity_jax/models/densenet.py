"""DenseNet: every layer sees the maps of all layers before it.

Huang et al., "Densely connected convolutional networks", CVPR 2017. Blocks and names
follow torchvision; Keras Applications has the same network with eps=1.001e-5. A
transition averages before its 1x1 convolution: the same numbers (both are linear, and
the one acts on pixels, the other on channels) at a quarter of the work.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from equity_jax.models.convs import Conv, average_pool, max_pool
from equity_jax.models.images import Network, image_model
from equity_jax.models.norms import Norm, moments
from equity_jax.nouns import Model
from equity_jax.types import Array

Moments = tuple[Array, Array]


class Stem(nn.Module):
    """7x7 convolution of stride 2, norm, relu; the pooling opens the next block."""

    width: int
    eps: float

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, H, W, c] -> float[B, H/2, W/2, width]."""
        x = Conv(self.width, 7, 2, 3, name="conv")(x)
        return Norm(self.eps, name="norm")(x, train)


class DenseLayer(nn.Module):
    """norm, relu, 1x1 to 4 growth, norm, relu, 3x3 to growth: the new maps only."""

    growth: int
    eps: float

    @nn.compact
    def __call__(self, x: Array, train: bool, known: Moments | None) -> Array:
        """float[B, h, w, c] -> float[B, h, w, growth]; known: moments of x."""
        x = Norm(self.eps, name="norm1")(x, train, known)
        x = Conv(4 * self.growth, 1, name="conv1")(x)
        x = Norm(self.eps, name="norm2")(x, train)
        return Conv(self.growth, 3, padding=1, name="conv2")(x)


class DenseBlock(nn.Module):
    """`layers` dense layers; pool: the stem's maximum comes first.

    The moments of a map are the same for every layer that sees it: taken once.
    """

    layers: int
    growth: int
    eps: float
    remat: bool = False
    pool: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, h, w, c] -> float[B, h, w, c + layers growth]."""
        x = max_pool(x, 3, 2, 1) if self.pool else x
        kind = nn.remat(DenseLayer, static_argnums=(2,)) if self.remat else DenseLayer
        known = moments(x) if train else None
        for i in range(self.layers):
            layer = kind(self.growth, self.eps, name=f"layer{i + 1}")
            new = layer(x, train, known)
            x = jnp.concatenate([x, new], -1)
            if train:
                known = tuple(map(jnp.append, known, moments(new)))
        return x


class Transition(nn.Module):
    """norm, relu, mean of 2x2, 1x1 convolution to half the channels."""

    eps: float

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, h, w, c] -> float[B, h/2, w/2, c/2]."""
        x = average_pool(Norm(self.eps, name="norm")(x, train), 2, 2)
        return Conv(x.shape[-1] // 2, 1, name="conv")(x)


def densenet(
    outputs: int,
    constants: int = 0,
    *,
    layers: tuple[int, ...] = (6, 12, 24, 16),
    growth: int = 32,
    eps: float = 1e-5,
    normalize: str = "imagenet",
    channels: int = 1,
    dtype: str = "float32",
    remat: bool = False,
) -> Model:
    """A DenseNet of any depth; layers: dense layers of each block.

    normalize, channels: as in `images.prepare`; dtype: of the arithmetic, "float32" or
    "bfloat16"; remat: activations of a layer are computed again in the backward pass.

    Example:
        >>> densenet(3, layers=(2, 2), growth=8).blocks
        ('stem', 'dense1', 'transition1', 'dense2', 'norm', 'head')
    """
    steps = [("stem", partial(Stem, 2 * growth, eps))]
    for i, n in enumerate(layers, 1):
        block = partial(DenseBlock, n, growth, eps, remat, pool=i == 1)
        steps.append((f"dense{i}", block))
        if i < len(layers):
            steps.append((f"transition{i}", partial(Transition, eps)))
    steps.append(("norm", partial(Norm, eps)))
    net = Network(tuple(steps), outputs, constants, normalize, channels, dtype)
    return image_model(net)


densenet121 = partial(densenet, layers=(6, 12, 24, 16))
densenet201 = partial(densenet, layers=(6, 12, 48, 32))
