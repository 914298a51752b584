"""Logits moved by how rare their class is, so that rare ones win a wider margin."""

import jax.numpy as jnp

from equity_jax.methods.base import labels_only, lookup, reduce
from equity_jax.methods.margin import mixed
from equity_jax.methods.reweight import by_class, effective, frequencies
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree

NAMES = ("class", "group")


def ldam(
    margin: float = 0.5, scale: float = 1.0, defer: float = 0.8, beta: float = 0.9999
) -> Method:
    """The nll after the own class's logit gives up s m_y; rare classes are owed more.

    m_c = margin n_c^(-1/4) / max_k n_k^(-1/4), s = scale. Softmax: z_y - s m_y, the
    other logits stay. Labels that are 0 or 1 each: z - s m_1 of a positive, z + s m_0
    of a negative. The paper's logits are s times cosines (s = 30); those of a plain
    head have no such scale, and scale = 1 is the margin in their own unit. From the
    share `defer` of the steps on (160 of 200 epochs), errors weigh as by
    `effective_number` with beta, by class: deferred re-weighting. A class without rows
    has margin and weight 0. `strength` multiplies the margin.

    Cao et al., "Learning imbalanced datasets with label-distribution-aware margin
    loss", NeurIPS 2019.

    Example: of 10,000 and 16 rows the margins are 0.1 and 0.5.

    Raises:
        InputError: a negative margin or scale, defer outside 0..1, beta outside [0, 1);
            counts.
    """
    fine = min(margin, scale) >= 0 and 0 <= defer <= 1 and 0 <= beta < 1
    if not fine:
        raise InputError(
            f"ldam: margin {margin}, scale {scale}, defer {defer}, beta {beta};"
            " expected at least 0, at least 0, 0..1, and 0 <= beta < 1"
        )

    def init(counts: Counts) -> PyTree:
        n = counts.by_class
        rare = jnp.where(n > 0, jnp.maximum(n, 1.0) ** -0.25, 0.0)
        rare = rare / jnp.maximum(rare.max(1, keepdims=True), 1e-12)
        weights = effective(n, beta)
        return {
            "margin": by_class(scale * margin * rare, jnp.zeros_like(n), counts),
            "table": by_class(weights, frequencies(counts), counts),
            "defer": jnp.float32(defer),
        }

    return Method(lambda counts: None, init, _ldam_loss)


def logit_adjusted(tau: float = 1.0, by: str = "class") -> Method:
    """The nll of z + tau log pi: z itself is the score without the prior pi.

    Softmax: z_c + tau log pi_c; labels that are 0 or 1 each: z + tau log(pi_1 / pi_0).
    pi are the shares of the classes among the training rows; by "group" among those of
    the row's group, pi_{c|g}, for which only the loss needs the group: a row without
    one, or of a group without rows, has the shares of all. A class without rows counts
    as half a row. `strength` multiplies tau.

    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021.

    Example: with 90 and 10 rows z = 0 stands for the odds 1 : 9 in training.

    Raises:
        InputError: `by` unknown; counts.
    """
    if by not in NAMES:
        raise InputError(f"logit_adjusted: by is {by!r}; expected 'class' or 'group'")

    def init(counts: Counts) -> PyTree:
        shift = _log_prior(counts.by_class)[:, :, None]
        shift = jnp.broadcast_to(shift, (*shift.shape[:2], counts.table.shape[2]))
        if by == "group":
            there = counts.by_group[:, None] > 0
            own = jnp.where(there, _log_prior(counts.n), shift[:, :, :-1])
            shift = shift.at[:, :, :-1].set(own)
        return {"shift": tau * shift}

    return Method(lambda counts: None, init, _adjusted_loss)


def balanced_softmax(by: str = "class") -> Method:
    """-log(n_y e^{z_y} / sum_c n_c e^{z_c}): `logit_adjusted` with tau = 1.

    Rows n_c in place of their shares change nothing. For labels that are 0 or 1 each:
    the two terms of each label.

    Ren et al., "Balanced meta-softmax for long-tailed visual recognition", NeurIPS
    2020.

    Example: balanced_softmax('group')

    Raises:
        InputError: `by` unknown; counts.
    """
    return logit_adjusted(1.0, by)


def _log_prior(n: Array) -> Array:
    """Rows float[K, C, ...] -> log of the classes' shares."""
    seen = jnp.maximum(n, 0.5)
    return jnp.log(seen) - jnp.log(seen.sum(1, keepdims=True))


def _adjusted_loss(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    labels_only(task, "logit_adjusted")
    shift = strength * jnp.moveaxis(aux["shift"][:, :, batch.group], 2, 0)
    if task.name.startswith("multiclass"):
        shift = shift[:, 0]
    else:
        shift = shift[:, :, 1] - shift[:, :, 0]
    return reduce(task.nll(output.logits + shift, batch.y), batch), aux


def _ldam_loss(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    labels_only(task, "ldam")
    spent = 1.0 if batch.spent is None else batch.spent
    late = spent >= aux["defer"]

    def value(y: Array) -> Array:
        classes = task.class_of(y)
        owed = strength * lookup(aux["margin"], classes, batch.group)
        if task.name.startswith("multiclass"):
            owed = owed * (jnp.arange(task.classes)[None] == classes)
        else:
            owed = owed * (2 * classes - 1)
        weight = jnp.where(late, lookup(aux["table"], classes, batch.group), 1.0)
        return weight * task.nll(output.logits - owed, y)

    return reduce(mixed(value, batch.y), batch), aux
