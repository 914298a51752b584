"""Likelihoods of counts: Poisson and negative binomial, known exactly or in part.

    Y ~ Poisson(mu)  or  Y ~ NegBin(mu, alpha) with variance mu + alpha mu^2

A published count contributes log P(Y = y), a suppressed one log P(low <= Y <= high)
with low, high in 0..9, and a row of a table from which the counts 1..9 were removed
contributes log P(Y = y) - log P(Y not in 1..9).

Counts of 10 and more use the saddle-point form of Loader ("Fast and accurate
computation of binomial probabilities", 2000): sums of deviances, in which the terms of
size y log y have already cancelled. That keeps float32 good to about 1e-6 of a nat from
alpha = 1e-6 to 1e3 and up to counts of millions. Counts of 0..9 are sums of products:
neighboring probabilities have simple ratios, so that no log-gamma is needed.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from equity_jax.types import Array, Counted

SMALL = 10  # counts below this may be suppressed, 0 apart
LOG_MU = (-30.0, 20.0)  # log of the mean is clipped to this
LOG_ALPHA = (-14.0, 7.0)  # log dispersion: nearly Poisson .. hardly any information


def log_likelihood(y: Counted, log_rate: Array, log_alpha: Array | None) -> Array:
    """Log-likelihood of each row; log mu = log(exposure) + log rate.

    Fields of y, log_rate, log_alpha and the result: float[...], all of one shape.
    log_alpha = None means Poisson. Log mu is clipped to LOG_MU and log alpha to
    LOG_ALPHA (no gradient outside). A row without exposure (0 or NaN) or whose count is
    NaN has likelihood 1 exactly: no deaths of any kind say nothing about their share.

    Example: `log_likelihood(Counted(3., 3., 1., 0.), jnp.log(2.), None)` is
    log(2^3 e^-2 / 3!) = -1.712.
    """
    known = (y.exposure > 0) & (y.low >= 0) & (y.high >= y.low)
    low, high = jnp.where(known, y.low, 0.0), jnp.where(known, y.high, 0.0)
    log_mu = jnp.clip(jnp.log(jnp.where(known, y.exposure, 1.0)) + log_rate, *LOG_MU)
    alpha = None if log_alpha is None else jnp.exp(jnp.clip(log_alpha, *LOG_ALPHA))
    law = _law(log_mu, alpha)
    few = high < SMALL
    inside = _log_prob_small(jnp.where(few, low, 0.0), jnp.where(few, high, 0.0), law)
    exact = _log_prob_large(jnp.where(few, float(SMALL), high), law)
    # P(1..9) stays below 0.98 whatever mu and alpha are, so 1 - P loses nothing
    hidden = jnp.log1p(-jnp.exp(_log_prob_small(1.0, SMALL - 1.0, law)))
    value = jnp.where(few, inside, exact) - y.truncated * hidden
    return jnp.where(known, value, 0.0)


class _Law(NamedTuple):
    mu: Array
    alpha: Array | None
    log_zero: Array  # log P(Y = 0)
    log_step: Array  # log lambda, lambda = mu / (1 + alpha mu)
    rising: list[Array]  # prod_{j<k} (1 + alpha j) for k = 0..10


def _law(log_mu: Array, alpha: Array | None) -> _Law:
    mu = jnp.exp(log_mu)
    rising = [jnp.ones_like(mu)]
    if alpha is None:
        return _Law(mu, None, -mu, log_mu, rising * (SMALL + 1))
    for k in range(SMALL):
        rising.append(rising[-1] * (1 + alpha * k))
    spread = jnp.log1p(alpha * mu)
    return _Law(mu, alpha, -spread / alpha, log_mu - spread, rising)


def _log_prob_small(low: Array | float, high: Array | float, law: _Law) -> Array:
    """Log P(low <= Y <= high) for 0 <= low <= high <= 9; float[...].

    P(Y = k) = P(Y = 0) c_k lambda^k with c_k = prod_{j<k} (1 + alpha j) / k!. With
    q = lambda / (1 + lambda) the sum of c_k lambda^k over low..high is
    lambda^low (1 + lambda)^(high - low) sum_k c_k q^(k - low) (1 - q)^(high - k),
    whose last factor neither overflows nor vanishes.
    """
    step = jnp.exp(law.log_step)
    q, rest = step / (1 + step), 1 / (1 + step)
    chance = power = jnp.ones_like(step)
    for k in range(SMALL):
        weight = law.rising[k] / math.factorial(k)
        more = (low < k) & (k <= high)
        power = jnp.where(more, power * q, power)
        longer = jnp.where(more, chance * rest + weight * power, chance)
        chance = jnp.where(low == k, weight, longer)
    span = low * law.log_step + (high - low) * jnp.log1p(step)
    return law.log_zero + span + jnp.log(chance)


def _log_prob_large(y: Array, law: _Law) -> Array:
    """Log P(Y = y) for y >= 10 in Loader's form; all float[...]."""
    mu, alpha = law.mu, law.alpha
    shape = -0.5 * jnp.log(2 * math.pi * y) - _stirling_rest(y)
    if alpha is None:
        return shape - y * _deviance((mu - y) / y, mu / y)
    a, b = 1 + alpha * mu, 1 + alpha * y
    count = y * _deviance((mu - y) / (y * a), mu * b / (y * a))
    other = _deviance(alpha * (y - mu) / a, b / a) / alpha
    r = 1 / alpha
    # log Gamma(r) by way of r + 10, where Stirling's series is good for any r
    gamma_r = (
        _stirling_rest(r + SMALL)
        + (r + SMALL - 0.5) * jnp.log1p(SMALL * alpha)
        - SMALL
        - jnp.log(law.rising[SMALL])
    )
    return shape - count - other - 0.5 * jnp.log(b) + _stirling_rest(r + y) - gamma_r


def _stirling_rest(z: Array) -> Array:
    """Log Gamma(z + 1) minus Stirling's formula, z >= 10 (error below 2e-14)."""
    s = 1 / (z * z)
    series = 1 / 1260 - s * (1 / 1680 - s / 1188)
    return (1 / 12 - s * (1 / 360 - s * series)) / z


@jax.custom_jvp
def _deviance(u: Array, w: Array) -> Array:
    """U - log(w) with w = 1 + u, precise for small u and for tiny w alike."""
    near = jnp.abs(u) < 0.5
    return u - jnp.where(near, jnp.log1p(jnp.where(near, u, 0.0)), jnp.log(w))


@_deviance.defjvp
def _deviance_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    # 1 - 1 / w would cancel; w moves with u and has no tangent of its own
    u, w = primals
    return _deviance(u, w), u / w * tangents[0]


def burden_edge(exposure: Array, share: float) -> Array:
    """The count from which a cell is of high burden: share * exposure, float[...].

    Lowered by a millionth, so that 3 of 30 is a share of 0.1 in any precision.
    """
    return share * exposure * (1 - 1e-6)
