"""The nouns of a generalized linear model: rows, families, layout, result."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import nn

from equity_jax.counts import LOG_ALPHA, LOG_MU, log_likelihood
from equity_jax.minimize import Solution
from equity_jax.types import Array, Counted


class Rows(NamedTuple):
    """The rows of one fit.

    x: float[N, F]; y: float[N], int[N] classes, or Counted of float[N]; offset:
    float[N]; weight: float[N], 0 = padding; tail: float[J], the weighted number of rows
    with y > j, only for plainly published counts: sums over rows of log-gammas of y are
    then sums over j, which do not depend on N.
    """

    x: Array
    y: Any
    offset: Array
    weight: Array
    tail: Array | None = None


class Problems(NamedTuple):
    """R logistic or multinomial fits on one x (equity_jax.wide).

    x: float[N, F]; y: float[R or 1, N] in [0, 1], or int of a class; weight:
    float[R or 1, N], 0 = not in it; l2: float[R].
    """

    x: Array
    y: Array
    weight: Array
    l2: Array

    def goal(self, outputs: int) -> Array:
        """float[R or 1, M, N]: what the outputs should say."""
        if outputs == 1:
            return self.y[:, None]
        number = jnp.arange(outputs, dtype=self.y.dtype)[None, :, None]
        return (self.y[:, None] == number).astype(self.x.dtype)


class GLM(NamedTuple):
    """A fitted model of M linear predictors and E constants.

    coef: float[M, F]; intercept: float[M] (0 if not asked for); constants: float[E],
    for "negbin" the log dispersion; covariance: float[P, P], the inverse Hessian;
    robust: the sandwich over clusters, or None; both in the order coef (predictor by
    predictor), intercept, constants; of `subsets` the covariance is not known, [0, 0];
    log_likelihood: the sum, without penalty, with every constant term; gradient_norm:
    of the mean loss; iterations; converged.
    """

    coef: Array
    intercept: Array
    constants: Array
    covariance: Array
    robust: Array | None
    log_likelihood: Array
    gradient_norm: Array
    iterations: Array
    converged: Array

    @property
    def dispersion(self) -> Array:
        """Alpha of the negative binomial, float[E]."""
        return jnp.exp(self.constants)


class Family(NamedTuple):
    """nll: (logits float[N, M + E], y) -> float[N]; constants: E; count: y is one."""

    nll: Callable[[Array, Any], Array]
    constants: int = 0
    count: bool = False


def _logistic(logits: Array, y: Array) -> Array:
    return nn.softplus(logits[:, 0]) - y * logits[:, 0]


def _multinomial(logits: Array, y: Array) -> Array:
    label = nn.one_hot(y, logits.shape[1], dtype=logits.dtype)
    return jax.scipy.special.logsumexp(logits, axis=1) - jnp.sum(label * logits, 1)


def _poisson(logits: Array, y: Any) -> Array:
    if isinstance(y, Counted):
        return -log_likelihood(y, logits[:, 0], None)
    log_mu = jnp.clip(logits[:, 0], *LOG_MU)
    return jnp.exp(log_mu) - y * log_mu  # the rest is in `shared`


def _negbin(logits: Array, y: Any) -> Array:
    if isinstance(y, Counted):
        return -log_likelihood(y, logits[:, 0], logits[:, 1])
    log_mu = jnp.clip(logits[:, 0], *LOG_MU)
    alpha = jnp.exp(jnp.clip(logits[:, 1], *LOG_ALPHA))
    return (y + 1 / alpha) * jnp.log1p(alpha * jnp.exp(log_mu)) - y * log_mu


def shared(constants: Array, tail: Array) -> Array:
    """Sum over rows of log y! - log(Gamma(y + r) / (Gamma(r) r^y)), r = 1 / alpha.

    constants: float[0] (Poisson) or float[1] (log alpha); tail: float[J], see Rows.

    Example: one row with y = 3 has tail (1, 1, 1); Poisson: log 6.
    """
    j = jnp.arange(tail.size, dtype=tail.dtype)
    value = jnp.sum(tail * jnp.log1p(j))
    if constants.size:
        alpha = jnp.exp(jnp.clip(constants[0], *LOG_ALPHA))
        value = value - jnp.sum(tail * jnp.log1p(alpha * j))
    return value


FAMILIES = {
    "logistic": Family(_logistic),
    "multinomial": Family(_multinomial),
    "poisson": Family(_poisson, 0, True),
    "negbin": Family(_negbin, 1, True),
}


class Layout(NamedTuple):
    """How parameters lie in one vector: theta float[M, D] then constants float[E]."""

    family: Family
    outputs: int  # M
    width: int  # D: features, and the intercept last
    intercept: bool

    @property
    def size(self) -> int:
        """P."""
        return self.outputs * self.width + self.family.constants

    def split(self, at: Array) -> tuple[Array, Array]:
        """float[P] -> theta float[M, D], constants float[E]."""
        cut = self.outputs * self.width
        return at[:cut].reshape(self.outputs, self.width), at[cut:]

    def design(self, x: Array) -> Array:
        """float[N, F] -> float[N, D]."""
        if not self.intercept:
            return x
        return jnp.concatenate([x, jnp.ones((len(x), 1), x.dtype)], 1)

    def logits(self, at: Array, design: Array, offset: Array) -> Array:
        """float[N, M + E]."""
        theta, constants = self.split(at)
        eta = design @ theta.T + offset[:, None]
        flat = jnp.broadcast_to(constants[None], (len(design), constants.size))
        return jnp.concatenate([eta, flat], 1)

    def order(self) -> Array:
        """int[P]: coef, intercept, constants as places in the vector."""
        places = jnp.arange(self.size)
        theta, constants = self.split(places)
        cut = self.width - self.intercept
        return jnp.concatenate(
            [theta[:, :cut].ravel(), theta[:, cut:].ravel(), constants]
        )

    def unpack(
        self, best: Solution, plain: Array, bread: Array, robust: Array | None = None
    ) -> GLM:
        """A Solution over float[P], the log-likelihood and float[P, P]s as a GLM."""
        theta, constants = self.split(best.params)
        cut, order = self.width - self.intercept, self.order()
        none = jnp.zeros(self.outputs, theta.dtype)
        return GLM(
            *(theta[:, :cut], theta[:, cut] if self.intercept else none, constants),
            bread[order][:, order],
            None if robust is None else robust[order][:, order],
            *(plain, best.gradient_norm, best.iterations, best.converged),
        )


def layout(family: str, features: int, classes: int, intercept: bool) -> Layout:
    """The layout of a fit; classes matters to "multinomial" alone."""
    outputs = classes if family == "multinomial" else 1
    return Layout(FAMILIES[family], outputs, features + intercept, intercept)


def penalty(at: Array, l2: Array | float, lay: Layout) -> Array:
    """Half of l2 times the squared coefficients, without intercept and constants.

    Example: `penalty(jnp.array([3.0, 1.0]), 2.0, lay)` is 9 with one feature.
    """
    theta, _ = lay.split(at)
    cut = lay.width - lay.intercept
    # classes: a constant added to all changes nothing, so their sum is held at 0
    free = jnp.sum(theta.sum(0) ** 2) if lay.outputs > 1 else 0.0
    return 0.5 * l2 * jnp.sum(theta[:, :cut] ** 2) + 0.5 * free
