"""Penalties on how far the groups' features, or scores, lie apart in a batch.

Each compares all pairs of groups that the batch has, and takes the mean. Everything
comes from B x B products of rows, so several labels cost hardly more than one. Rows
whose group is not recorded join no pair. `strength` 0 is erm.
"""

from collections.abc import Callable
from functools import lru_cache

import jax.numpy as jnp
from jax import lax

from equity_jax.methods.base import reduce
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree

GAMMAS = (1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3)
LENGTH = 0.1  # of MinDiff's kernel
SLICES = ("negatives", "positives")

Penalty = Callable[[Array, Task, Output, Batch, str], Array]


def mmd(strength: float = 1.0, given: str = "label") -> Method:
    """L = L_y + strength mean over pairs of MMD^2 of the features.

    MMD^2 = mean k(P, P) + mean k(Q, Q) - 2 mean k(P, Q), the V-statistic, with k the
    sum over gamma in 1e-3 ... 1e3 of exp(-gamma |x - y|^2). given "label": among rows
    of one class of one label, all such cells averaged; "": whatever the label.

    Gretton et al., "A kernel two-sample test", JMLR 2012; Li et al., "Domain
    generalization with adversarial feature learning", CVPR 2018; kernels as in
    DomainBed (Gulrajani & Lopez-Paz, ICLR 2021).

    Example: mmd(3.0, given='')

    Raises:
        InputError: a negative strength, an unknown `given`.
    """
    return _method(_mmd, strength, given, ("", "label"), "given")


def coral(strength: float = 1.0, given: str = "label") -> Method:
    """L = L_y + strength mean over pairs of |mu - mu'|^2 / F + |S - S'|^2 / F^2.

    mu and S are the mean and covariance (n - 1) of a group's features; cells of fewer
    than 2 rows make no pair. `given` as in `mmd`.

    Sun & Saenko, "Deep CORAL", ECCV workshops 2016; with means, as in DomainBed.

    Example: coral(10.0)

    Raises:
        InputError: as `mmd`.
    """
    return _method(_coral, strength, given, ("", "label"), "given")


def mindiff(strength: float = 1.0, slice: str = "negatives") -> Method:
    """L = L_y + strength mean over pairs of MMD^2 of the scores of a slice.

    The scores are probabilities; the slice is "negatives" (false positive rates) or
    "positives" (false negative rates) of each label, of each class against the others
    where there are more; the kernel exp(-|p - q|^2 / 0.1^2).

    Prost et al., "Toward a better trade-off between performance and fairness with
    kernel-based distribution matching", 2019.

    Example: mindiff(slice='positives')

    Raises:
        InputError: a negative strength, an unknown slice.
    """
    return _method(_mindiff, strength, slice, SLICES, "slice")


def between(inner: Array, rows: Array, least: float) -> Array:
    """Mean over pairs of |m_g - m_h|^2 from inner products <m_g, m_h>, a scalar.

    inner: float[J, G, G]; rows: float[J, G]; a pair counts where both have `least` rows
    or more. 0 where there is no pair.
    """
    own = jnp.diagonal(inner, axis1=1, axis2=2)
    square = own[:, :, None] + own[:, None] - 2 * inner
    there = (rows >= least).astype(inner.dtype)
    pair = jnp.triu(there[:, :, None] * there[:, None], 1)
    return jnp.sum(pair * square) / jnp.maximum(pair.sum(), 1.0)


def _mmd(groups: Array, task: Task, output: Output, batch: Batch, given: str) -> Array:
    weight, rows = _cells(groups, task, batch, given)
    products = _products(output.features)
    own = jnp.diagonal(products)
    distance = jnp.maximum(own[:, None] + own[None] - 2 * products, 0.0)
    kernel = sum(jnp.exp(-gamma * distance) for gamma in GAMMAS)
    mean = weight / jnp.maximum(rows, 1e-12)[None]
    return between(_form(mean, kernel), rows, 1e-6)


def _coral(
    groups: Array, task: Task, output: Output, batch: Batch, given: str
) -> Array:
    weight, rows = _cells(groups, task, batch, given)
    products, width = _products(output.features), output.features.shape[1]
    mean = weight / jnp.maximum(rows, 1e-12)[None]
    means = _form(mean, products)  # <mu_g, mu_h>
    # <S_g, S_h> of sums of squares about the mean, term by term; <x, mu_h> is `along`
    along = jnp.einsum("bd,djh->bjh", products, mean)
    mixed = jnp.einsum("bjg,bjh->jgh", weight, along**2) * rows[:, None]
    both = rows[:, :, None] * rows[:, None]
    square = _form(weight, products**2) + both * means**2
    square = square - mixed - jnp.swapaxes(mixed, 1, 2)
    free = jnp.maximum(rows - 1.0, 1.0)
    square = square / (free[:, :, None] * free[:, None])
    return between(means, rows, 2.0) / width + between(square, rows, 2.0) / width**2


def _mindiff(
    groups: Array, task: Task, output: Output, batch: Batch, slice: str
) -> Array:
    score, classes = task.predict(output.logits, batch.y), task.class_of(batch.y)
    positive = classes == 1
    if score.shape[1] > classes.shape[1]:
        positive = classes == jnp.arange(score.shape[1])[None]
    wanted = positive if slice == "positives" else ~positive
    seen = batch.mask * batch.weight[:, None] * (classes >= 0) * wanted
    weight = seen[:, :, None] * _member(groups, batch)[:, None]
    rows = weight.sum(0)
    kernel = jnp.exp(-(((score[:, None] - score[None]) / LENGTH) ** 2))
    mean = weight / jnp.maximum(rows, 1e-12)[None]
    smooth = jnp.einsum("bdk,dkh->bkh", kernel, mean)
    return between(jnp.einsum("bkg,bkh->kgh", mean, smooth), rows, 1e-6)


def _cells(groups: Array, task: Task, batch: Batch, given: str) -> tuple[Array, Array]:
    """Who is in which cell, float[B, J, G], and rows float[J, G]; J is K C, or 1."""
    seen = batch.mask * batch.weight[:, None]
    if given:
        own = task.class_of(batch.y)[..., None] == jnp.arange(task.classes)[None, None]
        seen = (seen[..., None] * own).reshape(seen.shape[0], -1)
    else:
        seen = seen.max(1, keepdims=True)
    weight = seen[:, :, None] * _member(groups, batch)[:, None]
    return weight, weight.sum(0)


def _member(groups: Array, batch: Batch) -> Array:
    """float[B, G]: 1 for the row's own group; nowhere 1 where it is not recorded."""
    return (batch.group[:, None] == groups[None]) * 1.0


def _products(features: Array) -> Array:
    """<x, y> of all rows, float[B, B], about their mean: only differences matter."""
    x = features - lax.stop_gradient(features.mean(0, keepdims=True))
    return jnp.matmul(x, x.T, precision="highest")


def _form(weight: Array, kernel: Array) -> Array:
    """sum_bd w_bjg k_bd w_djh, float[J, G, G]."""
    return jnp.einsum("bjg,bjh->jgh", weight, jnp.einsum("bd,djh->bjh", kernel, weight))


def _method(
    penalty: Penalty, strength: float, choice: str, known: tuple[str, ...], name: str
) -> Method:
    if not strength >= 0:
        raise InputError(f"a penalty of strength {strength}; expected at least 0")
    if choice not in known:
        raise InputError(
            f"{name} is {choice!r}; expected {' or '.join(map(repr, known))}"
        )

    def init(counts: Counts) -> PyTree:
        groups = jnp.arange(counts.n.shape[2])
        return {"groups": groups, "strength": jnp.float32(strength)}

    return Method(lambda counts: None, init, _loss(penalty, choice), dear=True)


@lru_cache
def _loss(penalty: Penalty, choice: str) -> Callable[..., tuple[Array, PyTree]]:
    """One loss for every strength, so that strengths share a branch of `switch`."""

    def loss(
        aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
    ) -> tuple[Array, PyTree]:
        apart = penalty(aux["groups"], task, output, batch, choice)
        value = reduce(task.nll(output.logits, batch.y), batch)
        return value + aux["strength"] * strength * apart, aux

    return loss
