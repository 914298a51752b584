"""What every method shares: look-up by cell, reduction, and the plain method.

A method is given `Counts` of the training rows that it will see, and never looks at
validation or test rows.
"""

import jax.numpy as jnp

from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, Output, PyTree


def lookup(table: Array, classes: Array, group: Array) -> Array:
    """Table float[K, C + 1, G + 1] at each row's cell -> float[B, K].

    classes int[B, K] and group int[B] may be -1 (undecided, not recorded): that is
    the last slot, never another class or group.
    """
    label = jnp.arange(table.shape[0])
    return table[label[None], classes, group[:, None]]


def reduce(values: Array, batch: Batch, reduction: str = "mean") -> Array:
    """Mean over observed rows of each label, then "mean" or "sum" over labels.

    values float[B, K] -> scalar; padding and masked labels do not count; a label
    that nobody in the batch has contributes 0.
    """
    weight = batch.mask * batch.weight[:, None]
    per_label = jnp.sum(values * weight, 0) / jnp.maximum(jnp.sum(weight, 0), 1e-12)
    return per_label.sum() if reduction == "sum" else per_label.mean()


def weighted_loss(
    aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
) -> tuple[Array, PyTree]:
    """sum_i w_i^strength nll_i / n with w from aux["table"], float[K, C + 1, G + 1]."""
    values = task.nll(output.logits, batch.y)
    weight = lookup(aux["table"], task.class_of(batch.y), batch.group)
    return reduce(weight**strength * values, batch), aux


def ones(counts: Counts) -> Array:
    """The table of no weighting, float[K, C + 1, G + 1]."""
    return jnp.ones(counts.table.shape)


def erm() -> Method:
    """Empirical risk minimization: every observed row counts the same.

    Example:
        >>> erm().sample(counts) is None
        True
    """
    return Method(lambda counts: None, lambda c: {"table": ones(c)}, weighted_loss)


def switch(*methods: Method) -> tuple[Method, ...]:
    """The same methods with one loss and one shape of aux, so that they vmap together.

    The choice becomes a number inside aux; `lax.switch` picks among the *distinct*
    losses (all weighting methods share one), which keeps gradients finite where
    `where` over branches would not. Draw rates are untouched.

    Example:
        >>> a, b = switch(erm(), focal(2.0))
        >>> a.loss is b.loss
        True
    """
    from jax import lax, tree

    losses = list(dict.fromkeys(m.loss for m in methods))
    firsts = [next(m for m in methods if m.loss is loss) for loss in losses]

    def loss(aux, task, output, batch, strength):
        def branch(i):
            def call(slots):
                value, new = losses[i](slots[i], task, output, batch, strength)
                return value, (*slots[:i], new, *slots[i + 1 :])

            return call

        branches = [branch(i) for i in range(len(losses))]
        value, slots = lax.switch(aux["choice"], branches, aux["slots"])
        return value, {"choice": aux["choice"], "slots": slots}

    def init_of(method: Method, choice: int):
        def init(counts: Counts) -> PyTree:
            slots = [tree.map(jnp.zeros_like, m.init(counts)) for m in firsts]
            slots[choice] = method.init(counts)
            return {"choice": jnp.int32(choice), "slots": tuple(slots)}

        return init

    choices = [losses.index(m.loss) for m in methods]
    return tuple(
        Method(m.sample, init_of(m, c), loss)
        for m, c in zip(methods, choices, strict=True)
    )
