"""Groups as environments: predictors that are as good, and as calibrated, in each.

An environment is a recorded group; each that the batch has counts the same. Rows whose
group is not recorded are in no environment: they add their plain mean at their share of
the batch. Several labels are treated one by one and averaged. The penalty counts 1
during the first `anneal` share of the steps and `strength` afterwards; at the switch
the optimizer forgets its moments, which belong to another objective.
"""

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import nn

from equity_jax.methods.base import labels_only
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree

TINY = 1e-12


def irm(strength: float = 100.0, anneal: float = 0.1) -> Method:
    """IRMv1: L = mean_e R_e + strength mean_e |d R_e(s z) / ds at s = 1|^2.

    R_e is the environment's mean loss. The square is the unbiased product of the
    slopes of two halves of the environment's rows (every other one), so it may be
    negative; an environment with less than two rows in the batch has no penalty. The
    `strength` of the loss multiplies this one.

    Arjovsky et al., "Invariant risk minimization", 2019; halves, schedule and the
    optimizer's reset as in DomainBed (Gulrajani & Lopez-Paz, ICLR 2021), 500 of whose
    5,000 steps are annealed.

    Example: irm(1.0, anneal=0.0)

    Raises:
        InputError: a negative strength, anneal outside [0, 1], fewer than two groups;
            counts.
    """
    return _method("irm", strength, anneal)


def vrex(strength: float = 10.0, anneal: float = 0.1) -> Method:
    """Risk extrapolation: L = mean_e R_e + strength mean_e (R_e - mean_e R_e)^2.

    R_e and `strength` as in `irm`.

    Krueger et al., "Out-of-distribution generalization via risk extrapolation (REx)",
    ICML 2021; mean, variance, strength and schedule as in DomainBed.

    Example: losses of 0.2 and 0.6 in two environments add 0.04 strength.

    Raises:
        InputError: as `irm`.
    """
    return _method("vrex", strength, anneal)


def _method(name: str, strength: float, anneal: float) -> Method:
    if not strength >= 0:
        raise InputError(f"{name}: strength is {strength}; expected at least 0")
    if not 0 <= anneal <= 1:
        raise InputError(f"{name}: anneal is {anneal}; expected 0 <= anneal <= 1")

    def init(counts: Counts) -> PyTree:
        rows = np.asarray(counts.by_group).max(0)
        if np.sum(rows > 0) < 2:
            raise InputError(
                f"method {name} compares groups; the rows have one or none"
            )
        knobs = {"strength": jnp.float32(strength), "anneal": jnp.float32(anneal)}
        return {"groups": jnp.arange(len(rows)), "spent": jnp.float32(0.0), **knobs}

    return Method(lambda counts: None, init, _loss(name), forget=_forget)


def _forget(aux: PyTree, spent: Array) -> Array:
    """Whether this step is the first one under the full strength."""
    return (aux["spent"] < aux["anneal"]) & (spent >= aux["anneal"])


@lru_cache
def _loss(name: str) -> Callable[..., tuple[Array, PyTree]]:
    """One loss for every strength, so that strengths share a branch of `switch`."""

    def loss(
        aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
    ) -> tuple[Array, PyTree]:
        labels_only(task, name)
        weight = _member(aux["groups"], batch)
        risk, rows = _means(task.nll(output.logits, batch.y), weight)
        there = rows[:, :-1] > 0
        even = _mean(risk[:, :-1], there)
        if name == "vrex":
            penalty = _mean((risk[:, :-1] - even[:, None]) ** 2, there)
        else:
            penalty = _slopes(task, output, batch, weight[..., :-1])
        share = rows[:, -1] / jnp.maximum(rows.sum(1), TINY)
        spent = jnp.float32(1.0 if batch.spent is None else batch.spent)
        full = aux["strength"] * strength
        now = jnp.where(spent < aux["anneal"], 1.0, full)
        value = (1 - share) * even + share * risk[:, -1] + now * penalty
        return value.mean(), {**aux, "spent": spent.astype(aux["spent"].dtype)}

    return loss


def _slopes(task: Task, output: Output, batch: Batch, weight: Array) -> Array:
    """The product of both halves' slopes, mean over environments: float[K]."""
    z = output.logits
    _, slope = jax.jvp(lambda z: task.nll(z, batch.y), (z,), (z,))
    turn = jnp.cumsum(weight > 0, 0) % 2
    (one, n), (two, m) = (_means(slope, weight * (turn == t)) for t in (1, 0))
    return _mean(one * two, (n > 0) & (m > 0))


def _member(groups: Array, batch: Batch) -> Array:
    """Weights float[B, K, G + 1] of the rows in their group; the last: in none."""
    slots = len(groups) + 1
    own = nn.one_hot(batch.group % slots, slots)
    return (batch.mask * batch.weight[:, None])[:, :, None] * own[:, None]


def _means(values: Array, weight: Array) -> tuple[Array, Array]:
    """Means of values float[B, K] under weights float[B, K, G], and rows: [K, G]."""
    rows = weight.sum(0)
    return jnp.sum(values[:, :, None] * weight, 0) / jnp.maximum(rows, TINY), rows


def _mean(values: Array, there: Array) -> Array:
    """The mean over those environments that are there, float[K]; 0 if none is."""
    return jnp.sum(values * there, 1) / jnp.maximum(there.sum(1), 1)
