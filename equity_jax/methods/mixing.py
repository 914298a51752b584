"""Rows in between: each row is blended with another of its batch, labels too."""

import jax
import jax.numpy as jnp

from equity_jax import blend
from equity_jax.methods.base import ones, weighted_loss
from equity_jax.methods.resample import balanced_rates
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, PyTree


def mixup(alpha: float = 0.2) -> Method:
    """Each row is blended with a random other: loss = s l(y) + (1 - s) l(y').

    The share s ~ Beta(alpha, alpha) is one a row, the larger part the row's own. Every
    task takes mixed labels, several with their masks; groups play no part.

    Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.

    Example: mixup(0.0) is erm.

    Raises:
        InputError: a negative alpha; rows that an augmentation mixes already.
    """
    _positive("mixup", alpha)

    def init(counts: Counts) -> PyTree:
        return {"table": ones(counts), "alpha": jnp.float32(alpha)}

    return Method(lambda counts: None, init, weighted_loss, mix=_anyone)


def lisa(p: float = 0.5, alpha: float = 2.0) -> Method:
    """Selective mixup: the label without the group, or the group without the label.

    A share p of the batches blends every row with one of its own class and another
    group, so that the group no longer goes with the class; the others blend rows of
    one group and different classes. Shares s ~ Beta(alpha, alpha), one a row. Cells of
    class and group are drawn equally often, as in the authors' code, and partners from
    the batch. A row without a partner there, of unknown class or unrecorded group
    stays as it is.

    Yao et al., "Improving out-of-distribution robustness via selective augmentation",
    ICML 2022.

    Example: a sick man is blended with a sick woman, or with a healthy man.

    Raises:
        InputError: p outside [0, 1], a negative alpha, fewer than two groups; when
            rows are drawn, several labels; rows that an augmentation mixes already.
    """
    _positive("lisa", alpha)
    if not 0 <= p <= 1:
        raise InputError(f"lisa: p is {p}; expected 0 <= p <= 1")

    def init(counts: Counts) -> PyTree:
        if counts.n.shape[2] < 2:
            raise InputError("lisa blends across groups; the data have only one")
        numbers = {"p": jnp.float32(p), "alpha": jnp.float32(alpha)}
        return {"table": ones(counts), **numbers}

    def sample(counts: Counts) -> Array:
        return balanced_rates(counts, "both", down=False)

    return Method(sample, init, weighted_loss, mix=_chosen)


def partners(key: Array, allowed: Array) -> tuple[Array, Array]:
    """For each row one of its allowed rows, each as likely: int[B], and who has one.

    allowed: bool[B, B]; a row without any is its own partner.

    Example: a diagonal of False and True elsewhere gives anybody but oneself.
    """
    number = allowed.sum(1)
    wanted = jnp.floor(jax.random.uniform(key, number.shape) * number)
    found = jnp.argmax(jnp.cumsum(allowed, 1) > wanted[:, None], 1)
    return jnp.where(number > 0, found, jnp.arange(len(number))), number > 0


def _anyone(aux: PyTree, key: Array, task: Task, batch: Batch) -> Batch:
    return blend.mixup(key, batch, aux["alpha"])


def _chosen(aux: PyTree, key: Array, task: Task, batch: Batch) -> Batch:
    side, who, much = jax.random.split(key, 3)
    classes = task.class_of(batch.y)[:, 0]
    known = (classes >= 0) & (batch.mask[:, 0] * batch.weight > 0) & (batch.group >= 0)
    alike = classes[:, None] == classes[None]
    together = batch.group[:, None] == batch.group[None]
    across = jax.random.bernoulli(side, aux["p"])
    allowed = jnp.where(across, alike & ~together, ~alike & together)
    partner, any_ = partners(who, allowed & known[:, None] & known[None])
    share = blend.shares(much, aux["alpha"], len(partner))
    return blend.blend(batch, partner, jnp.where(any_, share, 1.0))


def _positive(name: str, alpha: float) -> None:
    if not alpha >= 0:
        raise InputError(f"{name}: alpha is {alpha}; expected at least 0")
