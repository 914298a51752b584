"""Flat minima: weights whose neighbors do well too, or the average of many steps."""

import jax.numpy as jnp

from equity_jax.methods.base import ones, weighted_loss
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree


def sam(rho: float = 0.05) -> Method:
    """The gradient of erm taken uphill: at w + rho g / |g|, |g| over all that moves.

    Two forward and backward passes a step. Batch statistics and what else a step
    leaves behind are those of the first pass, at w.

    Foret et al., "Sharpness-aware minimization for efficiently improving
    generalization", ICLR 2021, algorithm 1 (p = 2).

    Example: sam(0.0) is erm at twice the price.

    Raises:
        InputError: a negative rho.
    """
    if not rho >= 0:
        raise InputError(f"sam: rho is {rho}; expected at least 0")

    def init(counts: Counts) -> PyTree:
        return {"table": ones(counts), "rho": jnp.float32(rho)}

    return Method(lambda counts: None, init, weighted_loss, radius=_radius)


def swa(start: float = 0.75) -> Method:
    """Stochastic weight averaging: the mean of the weights after every step since.

    Before `start` (a share of the run's steps) the weights themselves are judged, from
    then on the plain mean w <- w + (w_n - w) / n of the n weights so far. The rate
    keeps falling as for all methods, where the paper holds it high, and the mean is
    over steps, not epochs; batch statistics are averaged, not computed anew. A run
    that stops early may stop before its average begins.

    Izmailov et al., "Averaging weights leads to wider optima and better
    generalization", UAI 2018.

    Example: swa(0.75) of 400 steps averages the last 100 weights.

    Raises:
        InputError: a start outside [0, 1).
    """
    if not 0 <= start < 1:
        raise InputError(f"swa: start is {start}; expected 0 <= start < 1")
    return _average(start, 0.0)


def ema(decay: float = 0.999) -> Method:
    """A running mean of the weights: w <- a w + (1 - a) w_n after every step n.

    a = min(decay, 1 - 1 / n), so that the mean is plain until it is as long as the
    decay's memory and never holds the weights before the first step.

    Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J.
    Control Optim. 1992; the ramp is that of Tarvainen & Valpola, "Mean teachers are
    better role models", NeurIPS 2017.

    Example: ema(0.0) is erm.

    Raises:
        InputError: a decay outside [0, 1).
    """
    if not 0 <= decay < 1:
        raise InputError(f"ema: decay is {decay}; expected 0 <= decay < 1")
    return _average(0.0, 1.0 - decay)


def _average(start: float, least: float) -> Method:
    def init(counts: Counts) -> PyTree:
        numbers = {"start": start, "least": least, "seen": 0.0}
        numbers = {name: jnp.float32(value) for name, value in numbers.items()}
        return {"table": ones(counts), **numbers}

    return Method(lambda counts: None, init, _counted, newest=_newest)


def _counted(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    """The loss of erm, which counts the steps since the average began."""
    value, aux = weighted_loss(aux, task, output, batch, strength)
    spent = 1.0 if batch.spent is None else batch.spent
    return value, {**aux, "seen": aux["seen"] + (spent >= aux["start"])}


def _newest(aux: PyTree, spent: Array) -> Array:
    """1 / n of the n-th weights, but at least `least`; 1 before the average begins."""
    return jnp.maximum(aux["least"], 1 / jnp.maximum(aux["seen"], 1.0))


def _radius(aux: PyTree) -> Array:
    return aux["rho"]
