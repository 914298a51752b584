"""Losses about the order of the scores: how well positives stand above negatives.

They rank and do not estimate: the scores are no probabilities, calibrate them before
they are read as such. Several labels are ranked one by one, more than two classes each
against the others, and the mean is taken. Rows of undecided class are not ranked, a
mixed row has the class of its larger share. None looks at a group.
"""

import jax
import jax.numpy as jnp
from jax import lax, nn

from equity_jax.methods.base import labels_only
from equity_jax.methods.reweight import frequencies
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree

TINY = 1e-12


def auc_margin(margin: float = 1.0, rate: float = 0.1, version: int = 1) -> Method:
    """The AUC margin loss of LibAUC: min over w, a, b of the max over alpha >= 0 of F.

    With h = sigmoid(z) (of several classes p_c) and p the training share of positives,

        F1 = (1 - p)(h - a)^2 [y=1] + p (h - b)^2 [y=0] - p (1 - p) alpha^2
             + 2 alpha (p (1 - p) m + p h [y=0] - (1 - p) h [y=1]),  averaged;
        F2 = E+ (h - a)^2 + E- (h - b)^2 + 2 alpha (m + E- h - E+ h) - alpha^2,

    E+ and E- the means of the batch (version 2; a batch that has not both adds 0). a, b
    and alpha begin at 0, one of each per label or class, and take a step of their own
    per batch, from where the model's step found them: a, b down and alpha up, then back
    to 0 if below. At a fixed model they reach a = E+ h, b = E- h, alpha =
    max(0, m + b - a). `strength` multiplies the margin m.

    Yuan et al., "Large-scale robust deep AUC maximization", ICCV 2021. Its optimizer's
    reference weights are left to ours.

    Example: auc_margin(margin=0.6, version=2)

    Raises:
        InputError: a margin or a rate that is not positive, another version; counts.
    """
    if not (margin > 0 and rate > 0):
        raise InputError(f"auc_margin({margin}, {rate}): expected numbers above 0")
    if version not in (1, 2):
        raise InputError(f"auc_margin: version is {version!r}; expected 1 or 2")

    def init(counts: Counts) -> PyTree:
        share = frequencies(counts)
        share = share[0] if share.shape[1] > 2 else share[:, 1]
        aux = {name: jnp.zeros_like(share) for name in ("a", "b", "alpha")}
        knobs = {"margin": jnp.float32(margin), "rate": jnp.float32(rate)}
        return aux | knobs | {"share": share, "within": jnp.bool_(version == 2)}

    return Method(lambda counts: None, init, _auc_margin)


def soft_average_precision(temperature: float = 1.0) -> Method:
    """1 - AP with ranks made smooth, mean over labels; nothing is learned beside.

    AP = mean over positives i of R(i, positives) / R(i, all), where the rank among a
    set is R(i, S) = 1 + sum over j in S, j != i of sigmoid((s_j - s_i) / temperature).
    s are log-odds, so a temperature of 1 is one logit (the paper's 0.01 is for cosines
    in [-1, 1]). Ranks are those within the batch, which flatters: the smaller the
    batch, the rarer a negative above a positive. SOAP's moving averages of each row's
    ranks (Qi et al., "Stochastic optimization of areas under precision-recall curves
    with provable convergence", NeurIPS 2021) would need a memory of every row. Costs
    B x B numbers a label; a label without positives in the batch adds 0.

    Brown et al., "Smooth-AP: smoothing the path towards large-scale image retrieval",
    ECCV 2020.

    Example: soft_average_precision(0.1) is nearly 1 - AP of the batch itself.

    Raises:
        InputError: a temperature that is not positive; counts.
    """
    if not temperature > 0:
        raise InputError(
            f"soft_average_precision: temperature is {temperature}; expected above 0"
        )

    def init(counts: Counts) -> PyTree:
        return {"temperature": jnp.float32(temperature)}

    return Method(lambda counts: None, init, _soft_average_precision, dear=True)


def against_rest(
    task: Task, output: Output, batch: Batch
) -> tuple[Array, Array, Array]:
    """Log-odds, whether positive, and how much seen: float[B, J] each.

    J are the labels, or the classes where there are more than two.

    Example: of logits (0, 0, 0) every class has log-odds -log 2 against the others.
    """
    classes, z = task.class_of(batch.y), output.logits
    seen = batch.mask * batch.weight[:, None] * (classes >= 0)
    if task.classes <= 2:
        return z[:, : classes.shape[1]], (classes == 1) * 1.0, seen
    own = jnp.eye(task.classes, dtype=bool)[None]
    others = nn.logsumexp(jnp.where(own, -jnp.inf, z[:, None]), 2)
    positive = classes == jnp.arange(task.classes)[None]
    return z - others, positive * 1.0, jnp.broadcast_to(seen, z.shape)


def _auc_margin(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    labels_only(task, "auc_margin")
    score, positive, seen = against_rest(task, output, batch)
    h, margin = nn.sigmoid(score), aux["margin"] * strength
    up, down, size = _weights(aux, positive, seen)

    def game(players: PyTree, h: Array) -> Array:
        a, b, alpha = players["a"], players["b"], players["alpha"]
        above = jnp.sum(up * ((h - a[None]) ** 2 - 2 * alpha[None] * h), 0)
        below = jnp.sum(down * ((h - b[None]) ** 2 + 2 * alpha[None] * h), 0)
        return above + below + size * (2 * alpha * margin - alpha**2)

    players = {name: lax.stop_gradient(aux[name]) for name in ("a", "b", "alpha")}
    slope = jax.grad(lambda p: game(p, lax.stop_gradient(h)).sum())(players)
    new = {name: players[name] - aux["rate"] * slope[name] for name in ("a", "b")}
    alpha = players["alpha"] + aux["rate"] * slope["alpha"]
    return game(players, h).mean(), {**aux, **new, "alpha": jnp.maximum(alpha, 0.0)}


def _weights(aux: PyTree, positive: Array, seen: Array) -> tuple[Array, Array, Array]:
    """What positives and negatives count, float[B, J], and their pairs, float[J]."""
    each = seen / jnp.maximum(seen.sum(0, keepdims=True), TINY)
    up, down, p = each * positive, each * (1 - positive), aux["share"]
    plus, minus = up.sum(0), down.sum(0)
    both = (plus > 0) & (minus > 0)
    within = both[None] * up / jnp.maximum(plus, TINY)[None]
    without = both[None] * down / jnp.maximum(minus, TINY)[None]
    pairs = p * (1 - p) * (plus + minus)  # 0 where nobody is seen
    return (
        jnp.where(aux["within"], within, (1 - p)[None] * up),
        jnp.where(aux["within"], without, p[None] * down),
        jnp.where(aux["within"], both * 1.0, pairs),
    )


def _soft_average_precision(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    labels_only(task, "soft_average_precision")
    score, positive, seen = against_rest(task, output, batch)
    ahead = nn.sigmoid((score[None] - score[:, None]) / aux["temperature"])
    ahead = ahead * (1 - jnp.eye(len(score)))[:, :, None]  # nobody is ahead of itself
    wanted = seen * positive
    among = 1 + jnp.einsum("ijk,jk->ik", ahead, wanted)
    precision = among / (1 + jnp.einsum("ijk,jk->ik", ahead, seen))
    missed = jnp.sum(wanted * (1 - precision), 0)
    return jnp.mean(missed / jnp.maximum(wanted.sum(0), TINY)), aux
