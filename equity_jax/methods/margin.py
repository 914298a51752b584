"""Losses that change shape with how sure, or how rare, an example is."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import nn

from equity_jax.methods.base import labels_only, reduce
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Mixed, Output, PyTree


def focal(gamma: float = 2.0) -> Method:
    """FL = (1 - p_t)^gamma nll with p_t = exp(-nll), the unweighted likelihood.

    Easy examples count less. No class weight alpha: compose with draws for that. For
    counts p_t is the probability of what was observed (a number or an interval), so
    mostly small cells are discounted. `strength` multiplies gamma.

    Lin et al., "Focal loss for dense object detection", ICCV 2017.

    Example: p_t = 0.9 and gamma = 2 leave 1 % of the cross-entropy.
    """

    def init(counts: Counts) -> PyTree:
        return {"gamma": jnp.float32(gamma)}

    return Method(lambda counts: None, init, _focal_loss)


def asymmetric_focal(
    gamma_pos: float = 0.0, gamma_neg: float = 4.0, clip: float = 0.05
) -> Method:
    """Focal with a power of its own for each side, and no cost for easy negatives.

    y = 1: (1 - p)^gamma_pos (-log p); y = 0: q^gamma_neg (-log(1 - q)) with
    q = max(p - clip, 0). For labels that are 0 or 1 each by itself; the mean over
    labels. `strength` multiplies the powers. The logits are no log-odds: calibrate
    them before they are read as probabilities.

    Ridnik et al., "Asymmetric loss for multi-label classification", ICCV 2021.

    Example: a negative with p = 0.05 or less costs nothing at all.

    Raises:
        InputError: a negative power, a clip outside [0, 1); more than two classes (with
            a softmax only the own class would count: that is `focal`); counts.
    """
    if min(gamma_pos, gamma_neg) < 0 or not 0 <= clip < 1:
        raise InputError(
            f"asymmetric_focal: powers {gamma_pos}, {gamma_neg}, clip {clip}; expected"
            " powers of at least 0 and 0 <= clip < 1"
        )

    def init(counts: Counts) -> PyTree:
        _two_sided(counts.n.shape[1] > 2)
        gamma = jnp.float32([gamma_neg, gamma_pos])
        return {"gamma": gamma, "clip": jnp.float32(clip)}

    return Method(lambda counts: None, init, _asymmetric_loss)


def label_smoothing(epsilon: float = 0.1) -> Method:
    """(1 - epsilon) nll(y) + epsilon / C sum_c nll(c): no class is ever quite certain.

    For two classes the label is 1 - epsilon / 2 or epsilon / 2. An unknown label costs
    0. `strength` multiplies epsilon. Probabilities are drawn towards the middle.

    Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR
    2016, section 7.

    Example: label_smoothing(0.0) is erm.

    Raises:
        InputError: epsilon outside [0, 1); counts.
    """
    if not 0 <= epsilon < 1:
        raise InputError(
            f"label_smoothing: epsilon is {epsilon}; expected 0 <= epsilon < 1"
        )

    def init(counts: Counts) -> PyTree:
        return {"epsilon": jnp.float32(epsilon)}

    return Method(lambda counts: None, init, _smooth_loss)


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


def mixed(value: Callable[[Array], Array], y: Any) -> Array:
    """value(y), or of a mixed label the mean of both, by their shares; float[B, K].

    Example: `mixed(lambda y: y * 1.0, y)` is y.
    """
    if not isinstance(y, Mixed):
        return value(y)
    return y.share * value(y.y) + (1 - y.share) * value(y.other)


def _focal_loss(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    nll = task.nll(output.logits, batch.y)
    return reduce(_discounted(nll, aux["gamma"] * strength), batch), aux


def _discounted(nll: Array, gamma: Array) -> Array:
    # -expm1(-nll) = 1 - p_t; the floor keeps the power's gradient finite at p_t = 1
    return jnp.maximum(-jnp.expm1(-jnp.maximum(nll, 0.0)), 1e-7) ** gamma * nll


def _asymmetric_loss(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    labels_only(task, "asymmetric_focal")
    _two_sided(task.name.startswith("multiclass"))
    gamma = aux["gamma"] * strength

    def value(y: Array) -> Array:
        # 1 - q = min(1 - p + clip, 1), in logs
        rest = jnp.logaddexp(nn.log_sigmoid(-output.logits), jnp.log(aux["clip"]))
        positive, negative = -nn.log_sigmoid(output.logits), -jnp.minimum(rest, 0.0)
        nll = jnp.where(y > 0.5, positive, negative)
        cost = _discounted(nll, jnp.where(y > 0.5, gamma[1], gamma[0]))
        return jnp.where(jnp.isfinite(y), cost, 0.0)

    return reduce(mixed(value, batch.y), batch), aux


def _two_sided(more: bool) -> None:
    if more:
        raise InputError("method asymmetric_focal needs labels that are 0 or 1 each")


def _smooth_loss(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    labels_only(task, "label_smoothing")
    epsilon = aux["epsilon"] * strength

    def value(y: Array) -> Array:
        every = [task.nll(output.logits, jnp.full_like(y, c)) for c in range(classes)]
        even = jnp.where(task.class_of(y) >= 0, sum(every) / classes, 0.0)
        return (1 - epsilon) * task.nll(output.logits, y) + epsilon * even

    classes = task.classes
    return reduce(mixed(value, batch.y), batch), aux


def _ahead(logits: Array, classes: Array, exclusive: bool) -> Array:
    """How far the own class leads, float[B, K]; exclusive: one of the O columns."""
    if not exclusive:
        return (2 * classes - 1) * logits[:, : classes.shape[1]]
    own = jnp.arange(logits.shape[1])[None] == classes
    mine = jnp.sum(jnp.where(own, logits, 0.0), 1, keepdims=True)
    return mine - jnp.max(jnp.where(own, -jnp.inf, logits), 1, keepdims=True)
