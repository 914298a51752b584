"""Methods that minimize the worst group's loss."""

import jax.numpy as jnp
from jax import lax, nn

from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, Output, PyTree

ABSENT = -1e9


def group_dro(eta: float = 0.01, adjustment: float = 0.0) -> Method:
    """Online group DRO: q_g <- q_g exp(eta l'_g), L = sum_g q_g l_g.

    l_g is the batch mean of group g, l'_g = l_g + adjustment / sqrt(n_g). log q lives
    in aux (training state: saved with the checkpoint, never touched by evaluation), in
    float32. A group that the batch lacks has l_g = 0, so its q only rescales; a group
    without training rows has q = 0. Rows whose group is not recorded join no group:
    they add their plain mean at their share of the batch. `strength` multiplies eta.

    Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR
    2020, algorithm 1.

    Example: with one group it is erm.
    """

    def init(counts: Counts) -> dict:
        n = counts.by_group.mean(0)
        log_q = jnp.where(n > 0, -jnp.log(jnp.maximum(jnp.sum(n > 0), 1)), ABSENT)
        return {"log_q": log_q.astype(jnp.float32), "n": n.astype(jnp.float32)}

    def loss(
        aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
    ) -> tuple[Array, PyTree]:
        values = task.nll(output.logits, batch.y)
        weight = batch.mask * batch.weight[:, None]
        slots = aux["log_q"].shape[0] + 1  # the last: not recorded
        member = nn.one_hot(batch.group % slots, slots)
        total = member.T @ jnp.sum(values * weight, 1)
        rows = member.T @ jnp.sum(weight, 1)
        mean = total / jnp.maximum(rows, 1e-12)
        shifted = mean[:-1] + adjustment / jnp.sqrt(jnp.maximum(aux["n"], 1.0))
        log_q = aux["log_q"] + eta * strength * lax.stop_gradient(shifted)
        log_q = nn.log_softmax(jnp.where(aux["n"] > 0, log_q, ABSENT))
        robust = jnp.sum(jnp.exp(log_q) * mean[:-1])
        share = rows[-1] / jnp.maximum(rows.sum(), 1e-12)
        value = (1 - share) * robust + share * mean[-1]
        return value, {"log_q": jnp.maximum(log_q, ABSENT), "n": aux["n"]}

    return Method(lambda counts: None, init, loss)
