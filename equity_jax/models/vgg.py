"""VGG: 3x3 convolutions in five stages, with or without batch norm.

Simonyan & Zisserman, "Very deep convolutional networks", ICLR 2015. Without its two
fully connected layers (`top=False`, the default) features are the mean of the last
512 maps, at any image size. With them style="torch" averages to 7x7 first, as
torchvision, and style="keras" flattens as it is; both flatten in the order h, w, c.
"""

from functools import partial

import flax.linen as nn

from equity_jax.models.convs import Conv, adaptive_pool, max_pool
from equity_jax.models.images import Network, image_model
from equity_jax.models.norms import Norm
from equity_jax.nouns import Model
from equity_jax.types import Array, InputError


class Stage(nn.Module):
    """Convolutions of one width; every stage but the first pools before them."""

    convs: int
    width: int
    norm: bool
    pool: bool

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, h, w, c] -> float[B, h', w', width]."""
        x = max_pool(x, 2, 2) if self.pool else x
        for i in range(1, self.convs + 1):
            x = Conv(self.width, 3, padding=1, bias=True, name=f"conv{i}")(x)
            x = Norm(name=f"norm{i}")(x, train) if self.norm else nn.relu(x)
        return x


class Dense(nn.Module):
    """Maps, pooled and flattened, through two dense layers with dropout."""

    width: int
    dropout: float
    style: str

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """float[B, h, w, c] -> float[B, width]."""
        x = max_pool(x, 2, 2)
        x = adaptive_pool(x, 7) if self.style == "torch" else x
        x = x.reshape(x.shape[0], -1)
        for i in (1, 2):
            x = nn.relu(nn.Dense(self.width, dtype=x.dtype, name=f"fc{i}")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return x


def vgg(
    outputs: int,
    constants: int = 0,
    *,
    norm: bool = False,
    convs: tuple[int, ...] = (2, 2, 4, 4, 4),
    width: int = 64,
    top: bool = False,
    hidden: int = 4096,
    dropout: float = 0.5,
    style: str = "torch",
    normalize: str = "imagenet",
    channels: int = 1,
    dtype: str = "float32",
    remat: bool = False,
) -> Model:
    """A VGG net; convs: of each stage; width: of the first, doubled up to 8 times it.

    normalize, channels: as in `images.prepare`; dtype: of the arithmetic, "float32" or
    "bfloat16"; remat: activations of a stage are computed again in the backward pass.

    Raises:
        InputError: style is unknown.

    Example:
        >>> vgg(3, convs=(1, 1), top=True).blocks
        ('stage1', 'stage2', 'fc', 'head')
    """
    if style not in ("torch", "keras"):
        raise InputError(f"style={style!r}: expected one of torch, keras")
    kind = nn.remat(Stage, static_argnums=(2,)) if remat else Stage
    steps = []
    for i, n in enumerate(convs):
        stage = partial(kind, n, width * min(2**i, 8), norm, i > 0)
        steps.append((f"stage{i + 1}", stage))
    if top:
        steps.append(("fc", partial(Dense, hidden, dropout, style)))
    finish = partial(max_pool, size=2, stride=2)
    options = normalize, channels, dtype, finish
    return image_model(Network(tuple(steps), outputs, constants, *options))


vgg19 = vgg
vgg19_bn = partial(vgg, norm=True)
