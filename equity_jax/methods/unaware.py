"""Fairness without demographics: a second player finds where the model is worst."""

import jax
import jax.numpy as jnp
import optax
from jax import lax, nn

from equity_jax.methods.adversary import standardized
from equity_jax.methods.base import reduce
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree


def arl(strength: float = 1.0, rate: float = 0.01) -> Method:
    """Adversarially reweighted learning: L = mean_i lambda_i l_i.

    lambda_i = 1 + strength f_i / mean f with f_i = sigmoid(linear(features, class)):
    the adversary raises the loss of the rows where it can tell that the model errs, and
    takes one Adam step of its own rate per batch, uphill, with losses and features held
    still; the model's step holds the weights still. It reads the model's features
    (standardized over the batch; the paper reads its inputs) and the class of each
    label, an undecided one as a class of its own; it knows of no group. It begins with
    even weights. With several labels each has its own. The paper's first steps without
    an adversary are left out: an even one is none.

    Lahoti et al., "Fairness without demographics through adversarially reweighted
    learning", NeurIPS 2020, eq. 3 (strength 1).

    Example: arl(0.0) is erm; before the adversary's first step arl() is twice erm.

    Raises:
        InputError: a negative strength, a rate that is not positive.
    """
    if not (strength >= 0 and rate > 0):
        raise InputError(
            f"arl({strength}, {rate}): expected strength >= 0 and a rate above 0"
        )

    def init(counts: Counts) -> PyTree:
        return {"strength": jnp.float32(strength), "rate": jnp.float32(rate)}

    return Method(lambda counts: None, init, _arl, _learn)


def emphasis(params: PyTree, features: Array, classes: Array, seen: Array) -> Array:
    """The adversary's f over its mean, float[B, K]: where it sees errors.

    features: float[B, F]; classes: int[B, K], -1 = undecided; seen: float[B, K].

    Example: an adversary of zeros answers 1 everywhere.
    """
    label = jnp.arange(params["bias"].shape[0])
    score = features @ params["kernel"] + params["bias"][label[None], classes]
    f = nn.sigmoid(score)
    rows = jnp.maximum(seen.sum(0, keepdims=True), 1e-12)
    return f / jnp.maximum(jnp.sum(f * seen, 0, keepdims=True) / rows, 1e-12)


def _learn(key: Array, width: int, counts: Counts) -> PyTree:
    labels, classes, _ = counts.table.shape  # undecided is a class of its own
    params = {
        "kernel": jnp.zeros((width, labels)),
        "bias": jnp.zeros((labels, classes)),
    }
    return {"params": params, "moments": optax.scale_by_adam().init(params)}


def _arl(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    classes = task.class_of(batch.y)
    seen = batch.mask * batch.weight[:, None]
    features = lax.stop_gradient(standardized(output.features, batch.weight))

    def game(params: PyTree, values: Array) -> Array:
        extra = emphasis(params, features, classes, seen)
        return reduce((1 + aux["strength"] * strength * extra) * values, batch)

    values = task.nll(output.logits, batch.y)
    player = lax.stop_gradient(aux["learned"])
    uphill = jax.grad(game)(player["params"], lax.stop_gradient(values))
    move, moments = optax.scale_by_adam().update(uphill, player["moments"])
    params = jax.tree.map(lambda p, m: p + aux["rate"] * m, player["params"], move)
    learned = {"params": params, "moments": moments}
    return game(player["params"], values), {**aux, "learned": learned}
