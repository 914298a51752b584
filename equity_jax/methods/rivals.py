"""A second network that takes the easy way, so that the first learns the other."""

import jax.numpy as jnp
from jax import lax, nn

from equity_jax.methods.base import labels_only, reduce
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree

FADE = 0.99  # a class's largest loss is forgotten so fast, a batch
TINY = 1e-8


def lff(q: float = 0.7) -> Method:
    """Learning from failure: rows that the rival gets wrong count more.

    The rival learns what is easy, by L_r = (1 - p_y^q) / q; the model by W nll with
    the relative difficulty W = b / (b + d), b and d the rival's and the model's nll
    over the largest of their class; no gradient flows through W. The authors keep a
    running mean of every row's loss; here a row's loss in this batch stands for it,
    and the largest of a class is that of all batches, forgotten by 1 % a batch. Each
    of several labels has its own W; an unknown label costs nothing. No attribute is
    looked at. `strength` multiplies q; q near 0 makes the rival an erm. Two networks
    are trained, their gradients clipped together, and the first is kept.

    Nam et al., "Learning from failure: training debiased classifier from biased
    classifier", NeurIPS 2020; Zhang & Sabuncu, "Generalized cross entropy loss",
    NeurIPS 2018.

    Example: a row that both find as hard as can be, or equally hard, weighs 1/2.

    Raises:
        InputError: q outside (0, 1]; counts.
    """
    if not 0 < q <= 1:
        raise InputError(f"lff: q is {q}; expected 0 < q <= 1")

    def init(counts: Counts) -> PyTree:
        labels, classes, _ = counts.n.shape
        return {"q": jnp.float32(q), "top": jnp.zeros((2, labels, classes))}

    return Method(lambda counts: None, init, _loss, rival=True)


def _loss(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    labels_only(task, "lff")
    rival = task.nll(output.taps.get("rival", output.logits), batch.y)
    mine = task.nll(output.logits, batch.y)
    both = lax.stop_gradient(jnp.stack([rival, mine]))
    own = nn.one_hot(task.class_of(batch.y), aux["top"].shape[2])  # -1: no class
    seen = own * (batch.mask * batch.weight[:, None])[..., None]
    top = jnp.maximum(FADE * aux["top"], jnp.max(both[..., None] * seen[None], 1))
    largest = jnp.sum(own[None] * top[:, None], 3)
    easy, hard = both / jnp.maximum(largest, TINY)
    weight = easy / (easy + hard + TINY)
    q = aux["q"] * strength
    shortcut = -jnp.expm1(-q * rival) / q
    return reduce(weight * mine + shortcut, batch), {**aux, "top": top}
