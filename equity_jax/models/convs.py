"""Convolutions and pooling that are fast on a CPU, with torch's paddings.

A 1x1 convolution is a matrix product. The usual poolings are maxima and sums of
slices: their gradients are elementwise, where the gradient of a window reduction is a
scatter, ten times slower. All arrays are NHWC, kernels HWIO.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from equity_jax.types import Array

LAYOUT = ("NHWC", "HWIO", "NHWC")
HE = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # He et al. 2015


class Conv(nn.Module):
    """A convolution; padding: pixels on every side, or "SAME" as Keras, or "VALID".

    Parameters kernel float32[h, w, in, features] and, where asked, bias[features].
    """

    features: int
    size: int | tuple[int, int] = 3
    stride: int | tuple[int, int] = 1
    padding: int | str = 0
    bias: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """float[B, H, W, in] -> float[B, h, w, features], of the type of x."""
        size, stride = pair(self.size), pair(self.stride)
        kernel = self.param("kernel", HE, (*size, x.shape[-1], self.features))
        y = conv(x, kernel.astype(x.dtype), stride, self.padding)
        if not self.bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return y + bias.astype(y.dtype)[None, None, None]


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """2 -> (2, 2); a pair stays.

    Example:
        >>> pair(3)
        (3, 3)
    """
    return (value, value) if isinstance(value, int) else tuple(value)


def sides(padding: int | str) -> str | list[tuple[int, int]]:
    """Pixels on every side as pairs for the two axes; "SAME" and "VALID" stay.

    Example:
        >>> sides(1)
        [(1, 1), (1, 1)]
    """
    return padding if isinstance(padding, str) else [(padding, padding)] * 2


def conv(x: Array, kernel: Array, stride: tuple[int, int], padding: int | str) -> Array:
    """Map x float[B, H, W, i] by kernel float[h, w, i, o] -> float[B, H', W', o].

    Example:
        >>> conv(x, kernel, (2, 2), 3).shape  # doctest: +SKIP
        (8, 112, 112, 64)
    """
    if kernel.shape[:2] == (1, 1) and padding in (0, "SAME", "VALID"):
        x = x[:, :: stride[0], :: stride[1]]
        return (x.reshape(-1, x.shape[-1]) @ kernel[0, 0]).reshape(*x.shape[:-1], -1)
    if isinstance(padding, int) and max(shape_after(x, kernel, stride, padding)) <= 2:
        return _by_columns(x, kernel, stride, padding)
    return lax.conv_general_dilated(
        x, kernel, stride, sides(padding), dimension_numbers=LAYOUT
    )


def shape_after(
    x: Array, kernel: Array, stride: tuple[int, int], padding: int
) -> tuple[int, ...]:
    """Height and width after a convolution.

    Example:
        >>> shape_after(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), (2, 2), 1)
        (2, 2)
    """
    sizes = zip(x.shape[1:3], kernel.shape[:2], stride, strict=True)
    return tuple((n + 2 * padding - k) // s + 1 for n, k, s in sizes)


def _by_columns(
    x: Array, kernel: Array, stride: tuple[int, int], padding: int
) -> Array:
    """A convolution to at most 2 x 2 as one matrix product.

    There XLA's own takes a path on the CPU that is a hundred times slower.
    """
    x = jnp.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    high, wide = shape_after(x, kernel, stride, 0)
    down, right = stride
    cells = [
        x[
            :,
            i : i + (high - 1) * down + 1 : down,
            j : j + (wide - 1) * right + 1 : right,
        ]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    columns = jnp.concatenate(cells, -1)
    found = columns.reshape(-1, columns.shape[-1]) @ kernel.reshape(-1, kernel.shape[3])
    return found.reshape(-1, high, wide, kernel.shape[3])


def max_pool(
    x: Array,
    size: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | str = 0,
) -> Array:
    """Maxima of windows, float[B, H, W, c] -> float[B, h, w, c]; floor, as torch."""
    if (size, stride, padding) == (3, 2, 1):
        return _max_of_three(_max_of_three(x, 1), 2)
    if (pair(size), pair(stride), padding in (0, "VALID")) == ((2, 2), (2, 2), True):
        return jnp.maximum(*_halves(jnp.maximum(*_halves(x, 1)), 2))
    return nn.max_pool(x, pair(size), pair(stride), sides(padding))


def average_pool(
    x: Array,
    size: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | str = 0,
) -> Array:
    """Means of windows, float[B, H, W, c] -> float[B, h, w, c]; floor, as torch.

    Pixels outside do not count (as Keras; torch has no such padding in these nets).

    Example:
        >>> float(average_pool(jnp.ones((1, 5, 5, 1)), 2, 2).sum())
        4.0
    """
    if (pair(size), pair(stride), padding in (0, "VALID")) == ((2, 2), (2, 2), True):
        return sum(_halves(sum(_halves(x, 1)), 2)) * 0.25
    shape = pair(size), pair(stride), sides(padding)
    return nn.avg_pool(x, *shape, count_include_pad=False)


def adaptive_pool(x: Array, size: int) -> Array:
    """Means of size x size overlapping regions, as torch's AdaptiveAvgPool2d."""
    for axis in (1, 2):
        n = x.shape[axis]
        i = jnp.arange(size)
        low, high = i * n // size, -(-(i + 1) * n // size)
        at = jnp.arange(n)[None]
        inside = (at >= low[:, None]) & (at < high[:, None])
        share = (inside / (high - low)[:, None]).astype(x.dtype)
        x = jnp.moveaxis(jnp.tensordot(share, x, (1, axis)), 0, axis)
    return x


def _halves(x: Array, axis: int) -> tuple[Array, Array]:
    """Rows 0, 2, .. and 1, 3, ..; an odd last row is dropped."""
    half = x.shape[axis] // 2
    x = lax.slice_in_dim(x, 0, 2 * half, axis=axis)
    x = x.reshape(*x.shape[:axis], half, 2, *x.shape[axis + 1 :])
    return tuple(lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in (0, 1))


def _max_of_three(x: Array, axis: int) -> Array:
    """Rows 2i - 1, 2i, 2i + 1 of one axis, as far as they exist."""
    pads = [(0, 0)] * 4
    if x.shape[axis] % 2:
        pads[axis] = (0, 1)
        x = jnp.pad(x, pads, constant_values=-jnp.inf)
    even, odd = _halves(x, axis)
    pads[axis] = (1, 0)
    before = jnp.pad(odd, pads, constant_values=-jnp.inf)
    before = lax.slice_in_dim(before, 0, odd.shape[axis], axis=axis)
    return jnp.maximum(jnp.maximum(even, odd), before)
