"""Batch normalization in two halves: moments of the batch, and a multiply-add.

Ioffe & Szegedy, "Batch normalization", ICML 2015. In training

    y = relu((x - mean) / sqrt(var + eps) * scale + bias)

with the biased variance of the batch; the running variance takes the unbiased one with
weight 0.1, as torch does (Keras takes the biased one). In evaluation scale and shift
are folded into one multiply-add of the running statistics. Statistics and parameters
are float32, whatever x is. For the gradient only x and vectors are kept.
"""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from equity_jax.types import Array

MOMENTUM = 0.1  # weight of a new batch in the running statistics, as torch
PARTS = 4  # more cost time to compile and gain nothing


class Norm(nn.Module):
    """Batch norm over all axes but the last, and relu; train: statistics of the batch.

    Parameters scale, bias float32[c]; batch_stats mean, var float32[c].
    """

    eps: float = 1e-5
    relu: bool = True

    @nn.compact
    def __call__(
        self, x: Array, train: bool, known: tuple[Array, Array] | None = None
    ) -> Array:
        """float[..., c] -> the same shape and type; known: moments(x), if at hand."""
        c = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (c,))
        bias = self.param("bias", nn.initializers.zeros, (c,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (c,))
        var = self.variable("batch_stats", "var", jnp.ones, (c,))
        if not train:
            a = scale * jax.lax.rsqrt(var.value + self.eps)
            return _multiply_add(x, a, bias - mean.value * a, self.relu)
        batch_mean, batch_var = moments(x) if known is None else known
        a = scale * jax.lax.rsqrt(batch_var + self.eps)
        y = scaled(x, batch_mean, a, bias, self.relu)
        n = x.size // c
        new_mean, new_var = jax.lax.stop_gradient((batch_mean, batch_var))
        mean.value += MOMENTUM * (new_mean - mean.value)
        var.value += MOMENTUM * (new_var * (n / max(n - 1, 1)) - var.value)
        return y


@jax.custom_vjp
def moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance, float32[c], of x float[..., c].

    Squares are taken about one of the rows: exact enough whatever the mean.

    Example:
        >>> mean, var = moments(jnp.array([[1.0], [3.0]]))
        >>> float(mean[0]), float(var[0])
        (2.0, 1.0)
    """
    rows = x.reshape(-1, x.shape[-1])
    pivot = rows[:1].astype(jnp.float32)
    first = total(lambda v: v - pivot, rows) / len(rows)
    second = total(lambda v: jnp.square(v - pivot), rows) / len(rows)
    return first + pivot[0], jnp.maximum(second - first * first, 0.0)


def _moments_forward(x):
    mean, var = moments(x)
    return (mean, var), (x, mean)


def _moments_backward(kept, grads):
    x, mean = kept
    n = x.size // x.shape[-1]
    slope, shift = (_wide(g / n, x) for g in (2 * grads[1], grads[0]))
    return (((x - _wide(mean, x)) * slope + shift).astype(x.dtype),)


moments.defvjp(_moments_forward, _moments_backward)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def scaled(x: Array, mean: Array, a: Array, bias: Array, relu: bool) -> Array:
    """relu((x - mean) a + bias) by channel: x float[..., c], the rest float32[c]."""
    return _multiply_add(x, a, bias - mean * a, relu)


def _scaled_forward(x, mean, a, bias, relu):
    return scaled(x, mean, a, bias, relu), (x, mean, a, bias)


def _scaled_backward(relu, kept, g):
    x, mean, a, bias = kept
    b = bias - mean * a

    def through(g: Array, x: Array) -> Array:
        g = g.astype(jnp.float32)
        open_ = x * _wide(a, x) + _wide(b, x) > 0
        return jnp.where(open_, g, 0.0) if relu else g

    rows = (g.reshape(-1, x.shape[-1]), x.reshape(-1, x.shape[-1]))
    g_bias = total(through, *rows)
    g_a = total(lambda g, x: through(g, x) * (x - mean[None]), *rows)
    g_x = (through(g, x) * _wide(a, x)).astype(x.dtype)
    return g_x, -a * g_bias, g_a, g_bias


scaled.defvjp(_scaled_forward, _scaled_backward)


def total(f: Callable[..., Array], *arrays: Array) -> Array:
    """float32[c]: the sum over rows of f(*arrays); arrays float[n, c], f elementwise.

    A CPU's reductions over rows neither vectorize nor use all cores: there, f of 4
    parts of the rows is added up in one loop, and a product with ones does the rest.

    Example:
        >>> float(total(lambda x: x * x, jnp.array([[1.0], [2.0]]))[0])
        5.0
    """

    def products(*arrays: Array) -> Array:
        parts = math.gcd(len(arrays[0]), PARTS)
        cut = [a.reshape(parts, -1, a.shape[-1]) for a in arrays]
        folded = sum(f(*(a[i] for a in cut)) for i in range(parts))
        return (jnp.ones((1, len(folded))) @ folded.astype(jnp.float32))[0]

    def reduction(*arrays: Array) -> Array:
        return jnp.sum(f(*arrays), 0, dtype=jnp.float32)

    return jax.lax.platform_dependent(*arrays, cpu=products, default=reduction)


def _multiply_add(x: Array, a: Array, b: Array, relu: bool) -> Array:
    y = x * _wide(a, x) + _wide(b, x)
    return (nn.relu(y) if relu else y).astype(x.dtype)


def _wide(v: Array, x: Array) -> Array:
    return v.reshape((1,) * (x.ndim - 1) + v.shape)
