"""Losses that change shape with how sure, or how rare, an example is."""

import jax.numpy as jnp

from equity_jax.methods.base import reduce
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Output, PyTree


def focal(gamma: float = 2.0) -> Method:
    """FL = (1 - p_t)^gamma nll with p_t = exp(-nll), the unweighted likelihood.

    Easy examples count less. No class weight alpha: compose with draws for that. For
    counts p_t is the probability of what was observed (a number or an interval), so
    mostly small cells are discounted. `strength` multiplies gamma.

    Lin et al., "Focal loss for dense object detection", ICCV 2017.

    Example: p_t = 0.9 and gamma = 2 leave 1 % of the cross-entropy.
    """

    def loss(
        aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
    ) -> tuple[Array, PyTree]:
        nll = task.nll(output.logits, batch.y)
        # -expm1(-nll) = 1 - p_t; the floor keeps the power's gradient finite at p_t = 1
        miss = jnp.maximum(-jnp.expm1(-jnp.maximum(nll, 0.0)), 1e-7)
        return reduce(miss ** (gamma * strength) * nll, batch), aux

    return Method(lambda counts: None, lambda counts: {}, loss)


def hinge() -> Method:
    """The soft margin of a support vector machine: max(0, 1 - s z), s = 2 y - 1.

    With more classes that of Crammer & Singer: max(0, 1 - z_y + max of the others). The
    mean over observed labels; an unknown label costs 0, a mixed one counts as the class
    of the larger share. `strength` is the margin. The logits are no log-odds: calibrate
    them before they are read as probabilities. For counts the log rate is ranked by
    whether the burden is high, and is no rate any more.

    Cortes & Vapnik, "Support-vector networks", Machine Learning 1995; Crammer & Singer,
    "On the algorithmic implementation of multiclass kernel-based vector machines", JMLR
    2001.

    Example: z = 0.3 of a positive costs 0.7, z = 1 or more nothing.
    """

    def loss(
        aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
    ) -> tuple[Array, PyTree]:
        classes = task.class_of(batch.y)
        ahead = _ahead(output.logits, classes, task.outputs > classes.shape[1])
        short = jnp.maximum(strength - ahead, 0.0)
        return reduce(jnp.where(classes >= 0, short, 0.0), batch), aux

    return Method(lambda counts: None, lambda counts: {}, loss)


def _ahead(logits: Array, classes: Array, exclusive: bool) -> Array:
    """How far the own class leads, float[B, K]; exclusive: one of the O columns."""
    if not exclusive:
        return (2 * classes - 1) * logits[:, : classes.shape[1]]
    own = jnp.arange(logits.shape[1])[None] == classes
    mine = jnp.sum(jnp.where(own, logits, 0.0), 1, keepdims=True)
    return mine - jnp.max(jnp.where(own, -jnp.inf, logits), 1, keepdims=True)
