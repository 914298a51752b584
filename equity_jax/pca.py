r"""Principal components of a wide table, and the rows that lie far from the others.

The components are eigenvectors of the covariance, $\frac1{N-1}\sum_i(x_i-\bar x)
(x_i-\bar x)^\top$, which is summed over chunks of rows on the device and kept in
float64, so that the table is never copied (Jolliffe, "Principal component analysis",
2002). A component's largest loading is positive, as in scikit-learn.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg, stats

from equity_jax.glm_rows import table_of
from equity_jax.types import Array, InputError

CHUNK = 4096  # rows of one product
MAD = 1.4826  # times the median absolute deviation: the spread of a normal sample
BEYOND = 0.999  # quantile of rows without outliers that counts as far


class Pca(NamedTuple):
    """K components of F features, the strongest first.

    mean: float64[F]; components: float64[K, F], of length 1; variance: float64[K] along
    them (N - 1); share: float64[K] of the variance of all features.
    """

    mean: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    share: np.ndarray

    def transform(self, x: Array) -> np.ndarray:
        """float32[N, K]: coordinates of rows float[N, F] along the components."""
        x, axes = np.asarray(x), jnp.asarray(self.components.T, jnp.float32)
        parts = [np.asarray(_product(c, axes)) for c in _chunks(x, self.mean)]
        return np.concatenate(parts) if parts else np.zeros((0, axes.shape[1]))


class Outliers(NamedTuple):
    """How far rows lie from the others (Hubert, Rousseeuw & Vanden Branden 2005).

    score: float[N], distance within the components, each in units of its robust spread;
    residual: float[N], distance from what the components can draw; bounds: the two
    above which a row is far; far: bool[N].
    """

    score: np.ndarray
    residual: np.ndarray
    bounds: tuple[float, float]
    far: np.ndarray


def fit(x: Array, components: int) -> Pca:
    """The strongest components of a table.

    Args:
        x: float[N, F], perhaps a memory map; standardize it first where features have
            units of their own.
        components: K, at most N - 1 and F.

    Raises:
        InputError: values that are not finite, K out of its range.

    Example:
        >>> fit(np.array([[0.0, 0], [1, 1], [2, 2]]), 1).components.round(3)
        array([[0.707, 0.707]])
    """
    x = table_of(x, None)
    n, f = x.shape
    if not 1 <= components <= min(n - 1, f):
        raise InputError(f"components={components}: expected 1..{min(n - 1, f)}")
    starts = range(0, n, CHUNK)
    total = sum(x[i : i + CHUNK].sum(0, dtype=np.float64) for i in starts)
    mean, covariance = total / n, np.zeros((f, f))
    for part in _chunks(x, mean):
        covariance += np.asarray(_product(part.T, part))
    covariance /= n - 1
    kept = [f - components, f - 1]
    variance, axes = linalg.eigh(covariance, subset_by_index=kept)
    variance, axes = np.maximum(variance[::-1], 0.0), axes.T[::-1]
    largest = np.argmax(np.abs(axes), axis=1)
    sign = np.sign(np.take_along_axis(axes, largest[:, None], axis=1))
    whole = np.trace(covariance)
    share = variance / whole if whole > 0 else np.zeros(components)
    return Pca(mean, axes * sign, variance, share)


def outliers(pca: Pca, x: Array, beyond: float = BEYOND) -> Outliers:
    """Which rows float[N, F] lie far, within the components or away from them.

    Center and spread of each coordinate are median and MAD, so that outliers do not
    hide themselves. A far score exceeds the chi-squared quantile `beyond`; a far
    residual that quantile of a normal distribution of residual^(2/3) (Wilson-Hilferty).

    Example:
        >>> outliers(fit(x, 10), x).far.mean()  # about 0.002 of normal rows
    """
    x, at = np.asarray(x), pca.transform(x)
    middle = np.median(at, axis=0)
    spread = MAD * np.median(np.abs(at - middle), axis=0)
    scaled = (at - middle) / np.where(spread > 0, spread, 1.0)
    score = np.sqrt(np.sum(np.square(scaled, dtype=np.float64), axis=1))
    parts = zip(_chunks(x, pca.mean), _chunks(at, np.zeros(at.shape[1])), strict=True)
    axes = jnp.asarray(pca.components, jnp.float32)
    left = [np.asarray(_length(part, of, axes)) for part, of in parts]
    residual = np.concatenate(left).astype(float)
    power = np.cbrt(residual) ** 2
    center = np.median(power)
    wide = MAD * np.median(np.abs(power - center))
    limit = (center + wide * stats.norm.ppf(beyond)) ** 1.5
    bounds = float(np.sqrt(stats.chi2.ppf(beyond, at.shape[1]))), float(limit)
    return Outliers(score, residual, bounds, (score > bounds[0]) | (residual > limit))


def _chunks(x: np.ndarray, mean: np.ndarray) -> Iterator[Array]:
    for first in range(0, len(x), CHUNK):
        yield jnp.asarray(x[first : first + CHUNK] - mean, jnp.float32)


@jax.jit
def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")


@jax.jit
def _length(part: Array, at: Array, axes: Array) -> Array:
    """float[N]: how long the rows are without what the components draw."""
    left = part - jnp.matmul(at, axes, precision="highest")
    return jnp.sqrt(jnp.sum(left**2, axis=1))
