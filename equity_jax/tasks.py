"""What y means: binary, multiclass, multilabel and count.

A task gives one negative log-likelihood per example and label, unmasked; the method
weighs and reduces. A label that is NaN (unknown) costs exactly 0 and has class -1, so
that it cannot poison a sum that its mask then multiplies by 0. Every task also takes
the two labels of a mixed image (`mixable`).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import nn

from equity_jax.counts import LOG_MU, burden_edge, log_likelihood
from equity_jax.minimize import newton
from equity_jax.nouns import Task
from equity_jax.registry import Registry
from equity_jax.types import Array, Counted, InputError, Mixed


def mixable(task: Task) -> Task:
    """The same task, which also takes a `Mixed` y.

    Its nll is share nll(y) + (1 - share) nll(other), its class that of the label with
    the larger share; an unknown label costs nothing, as ever. Zhang et al., "mixup:
    beyond empirical risk minimization", ICLR 2018.

    Example: of half a 0 and half a 1, `binary()` has the nll of both, halved.
    """

    def nll(logits: Array, y: Any) -> Array:
        if not isinstance(y, Mixed):
            return task.nll(logits, y)
        return y.share * task.nll(logits, y.y) + (1 - y.share) * task.nll(
            logits, y.other
        )

    def class_of(y: Any) -> Array:
        if not isinstance(y, Mixed):
            return task.class_of(y)
        return jnp.where(y.share >= 0.5, task.class_of(y.y), task.class_of(y.other))

    return task._replace(nll=nll, class_of=class_of)


def binary(targets: int = 1) -> Task:
    """K labels, each 0 or 1, by itself: -y log p - (1 - y) log(1 - p), p = sigmoid.

    logits float[B, K], y float[B, K] -> nll float[B, K]; predict: P(y = 1) float[B, K].

    Example: `binary().nll(jnp.zeros((1, 1)), jnp.ones((1, 1)))` is [[log 2]].
    """

    def nll(logits: Array, y: Array) -> Array:
        known = jnp.isfinite(y)
        cross = optax.sigmoid_binary_cross_entropy(
            jnp.asarray(logits), jnp.where(known, y, 0.0)
        )
        return jnp.where(known, cross, 0.0)

    def predict(logits: Array, y: Array) -> Array:
        return nn.sigmoid(logits)

    def class_of(y: Array) -> Array:
        return jnp.where(jnp.isfinite(y), y, -1).astype(int)

    def start(y: Array, mask: Array) -> Array:
        seen = jnp.asarray(mask) * jnp.isfinite(y)
        ones = jnp.sum(jnp.where(seen > 0, y, 0) * seen, 0)
        # half a row of each class: finite where only one class was seen
        return jnp.log(ones + 0.5) - jnp.log(seen.sum(0) - ones + 0.5)

    name = "binary" if targets == 1 else f"multilabel({targets})"
    return mixable(Task(name, targets, 0, 2, nll, predict, class_of, start))


def multilabel(targets: int) -> Task:
    """Binary with several labels; each has its own mask.

    Example: `multilabel(14)` for the fourteen findings of a chest X-ray.
    """
    return binary(targets)


def multiclass(classes: int) -> Task:
    """One of C classes: -log softmax(logits)[y].

    logits float[B, C], y int[B, 1], -1 = unknown -> nll float[B, 1]; predict:
    float[B, C].

    Example: `multiclass(3).nll(jnp.zeros((1, 3)), jnp.zeros((1, 1), int))` is log 3.
    """

    def nll(logits: Array, y: Array) -> Array:
        label = jnp.maximum(y[:, 0], 0)
        cross = optax.softmax_cross_entropy_with_integer_labels(
            jnp.asarray(logits), label
        )
        return jnp.where(y >= 0, cross[:, None], 0.0)

    def start(y: Array, mask: Array) -> Array:
        seen = jnp.asarray(mask) * (jnp.asarray(y) >= 0)
        n = jnp.sum(nn.one_hot(y[:, 0], classes) * seen, 0) + 0.5
        return jnp.log(n) - jnp.log(n).mean()

    def predict(logits: Array, y: Array) -> Array:
        return nn.softmax(logits)

    name = f"multiclass({classes})"
    return mixable(Task(name, classes, 0, classes, nll, predict, jnp.asarray, start))


def count(share: float = 0.1, family: str = "negbin") -> Task:
    """Counts given an exposure; y is `Counted`, log mu = log(exposure) + logits[:, 0].

    family "negbin": logits float[B, 2] = (log rate, log alpha), variance
    mu + alpha mu^2; "poisson": float[B, 1]. nll float[B, 1] knows published, suppressed
    and truncated rows (equity_jax.counts). predict: the expected rate float[B, 1].
    class_of: is the count at least `share` of the exposure? 1 or 0 where the interval
    decides it, -1 where it does not or there is no exposure.

    Hilbe, "Negative binomial regression", 2011 (NB2).

    Raises:
        InputError: an unknown family, a share that is not positive.

    Example: `count(0.1, "poisson")` is Poisson with high burden at 10 %.
    """
    if family not in ("negbin", "poisson"):
        raise InputError(f"count family {family!r}; expected 'negbin' or 'poisson'")
    if not share > 0:
        raise InputError(f"count share {share!r}; expected a number above 0")
    constants = int(family == "negbin")

    def nll(logits: Array, y: Counted) -> Array:
        log_alpha = logits[:, 1:2] if constants else None
        return -log_likelihood(y, logits[:, :1], log_alpha)

    def predict(logits: Array, y: Counted) -> Array:
        return jnp.exp(jnp.clip(logits[:, :1], *LOG_MU))

    def class_of(y: Counted) -> Array:
        edge, there = burden_edge(y.exposure, share), jnp.asarray(y.exposure) > 0
        yes, no = there & (y.low >= edge), there & (y.high < edge)
        return jnp.where(yes, 1, jnp.where(no, 0, -1))

    start = partial(_best_constant, family=family)
    name = f"count({share!r}, {family!r})"
    return mixable(Task(name, 1, constants, 2, nll, predict, class_of, start))


def _best_constant(y: Counted, mask: Array, family: str) -> Array:
    """The maximum likelihood of one rate (and one dispersion) for all rows."""
    rows = Counted(*(jnp.asarray(a, jnp.float32)[:, 0] for a in y))
    return _fit_constant(rows, jnp.asarray(mask, jnp.float32)[:, 0], family == "negbin")


@partial(jax.jit, static_argnums=2)
def _fit_constant(y: Counted, seen: Array, spread: bool) -> Array:
    known = (seen > 0) & (y.exposure > 0) & jnp.isfinite(y.low + y.high)
    middle = jnp.where(known, (y.low + y.high) / 2, 0.0)
    weight = jnp.where(known, seen, 0.0)
    exposed = jnp.sum(weight * jnp.where(known, y.exposure, 0.0))
    rate = (jnp.sum(weight * middle) + 0.5) / (exposed + 1.0)
    total = jnp.maximum(weight.sum(), 1.0)

    def loss(logits: Array) -> Array:
        flat = jnp.broadcast_to(logits[None], (seen.size, logits.size))
        log_alpha = flat[:, 1] if spread else None
        # a whisper of a prior keeps an empty group where it starts
        prior = 0.5 * jnp.sum((logits - first) ** 2) / 1e6
        return (
            prior - jnp.sum(weight * log_likelihood(y, flat[:, 0], log_alpha)) / total
        )

    first = jnp.stack([jnp.log(rate)] + [jnp.zeros(())] * spread)
    best = newton(loss, first, steps=40).params
    # inside the range where the likelihood still has a gradient
    return jnp.where(jnp.isfinite(best), jnp.clip(best, -10.0, 5.0), first)


def reconstruct() -> Task:
    """Denoising pretraining: y is x itself, the loss its mean squared error.

    logits float[B, F], y float[B, F] -> nll float[B, 1]. There are no classes.

    Example: `reconstruct().nll(jnp.zeros((1, 2)), jnp.ones((1, 2)))` is [[1]].
    """

    def nll(logits: Array, y: Array) -> Array:
        return jnp.mean((logits - y) ** 2, 1, keepdims=True)

    def class_of(y: Array) -> Array:
        return jnp.full((y.shape[0], 1), -1)

    return mixable(
        Task("reconstruct", 0, 0, 1, nll, lambda logits, y: logits, class_of)
    )


TASKS = Registry(
    "task",
    {
        "reconstruct": reconstruct,
        "binary": binary,
        "multilabel": multilabel,
        "multiclass": multiclass,
        "count": count,
    },
)
