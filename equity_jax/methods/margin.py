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
