"""What every method shares: look-up by cell, reduction, and the plain method.

A method is given `Counts` of the training rows that it will see, and never looks at
validation or test rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax, tree

from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Mixed, Output, PyTree

IDLE = {"radius": 0.0, "newest": 1.0, "forget": False}  # of methods without
FLAGS = ("rival", "dear")


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


def labels_only(task: Task, name: str) -> None:
    """Refuses counts, for methods that move or compare the logits of classes.

    Raises:
        InputError: a count task.

    Example: `labels_only(binary(), "ldam")` is silent.
    """
    if task.name.startswith("count"):
        raise InputError(f"method {name} needs classes; {task.name} is about a rate")


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


def begin(method: Method, key: Array, width: int, counts: Counts) -> PyTree:
    """The aux of a run's first step; width: of the model's features.

    Example:
        >>> sorted(begin(dann(), jax.random.key(0), 64, counts))
        ['cells', 'learned', 'strength']
    """
    aux = method.init(counts)
    if method.learn is None:
        return aux
    return {**aux, "learned": method.learn(key, width, counts)}


def switch(*methods: Method) -> tuple[Method, ...]:
    """The same methods with one loss and one shape of aux, so that they vmap together.

    The choice becomes a number inside aux; `lax.switch` picks among the *distinct*
    losses (all weighting methods share one, and so do all strengths of a method), which
    keeps gradients finite where `where` over branches would not. Draw rates are
    untouched. What one method has beside its loss, all have, idle.

    Example:
        >>> a, b = switch(erm(), focal(2.0))
        >>> a.loss is b.loss
        True
    """
    kinds = [method[2:] for method in methods]
    distinct = list(dict.fromkeys(kinds))
    firsts = [methods[kinds.index(kind)] for kind in distinct]
    common = {"loss": _pick(firsts), "mix": _mixer(firsts)}
    common |= {name: _number(firsts, name, idle) for name, idle in IDLE.items()}
    common |= {name: any(getattr(m, name) for m in methods) for name in FLAGS}
    adversarial = any(m.learn for m in methods)

    def init_of(method: Method, choice: int) -> Any:
        def init(counts: Counts) -> PyTree:
            some = Counts(jnp.ones_like(counts.table))  # idle ones refuse no rows
            slots = [tree.map(jnp.zeros_like, m.init(some)) for m in firsts]
            slots[choice] = method.init(counts)
            return {"choice": jnp.int32(choice), "slots": tuple(slots)}

        return init

    def learn_of(method: Method, choice: int) -> Any:
        def learn(key: Array, width: int, counts: Counts) -> PyTree:
            all_ = [m.learn and m.learn(key, width, counts) for m in firsts]
            idle = [tree.map(jnp.zeros_like, one) for one in all_]
            return tuple(_put(idle, choice, all_[choice]))

        return learn if adversarial else None

    return tuple(
        Method(m.sample, init_of(m, c), learn=learn_of(m, c), **common)
        for m, c in zip(methods, map(distinct.index, kinds), strict=True)
    )


def programs(methods: Mapping[str, Method]) -> list[dict[str, Method]]:
    """Which methods share a compiled program, each already through `switch`.

    Side by side `switch` computes every loss for every run. That is cheap for most, and
    not for those that learn, mix, climb, average, have a rival or compare pairs of
    rows: each of these kinds has a program of its own.

    Example:
        >>> [list(p) for p in programs({"a": erm(), "b": focal(1.0), "c": mmd()})]
        [['a', 'b'], ['c']]
    """
    found: dict[Any, dict[str, Method]] = {}
    for name, method in methods.items():
        plain = not any(method._replace(forget=None)[3:])  # forgetting costs nothing
        found.setdefault(None if plain else method[2:], {})[name] = method
    return [dict(zip(p, switch(*p.values()), strict=True)) for p in found.values()]


def unmixed(batch: Batch) -> Batch:
    """The batch as a method without `mix` has it beside one that mixes."""
    whole = jnp.ones((batch.weight.shape[0], 1))
    return batch._replace(
        x=batch.x.astype(jnp.float32), y=Mixed(batch.y, batch.y, whole)
    )


def _mixer(methods: Sequence[Method]) -> Any:
    """The `mix` of the method whose number is in aux["choice"]; None: nobody mixes."""
    if not any(m.mix for m in methods):
        return None

    def mix(aux: PyTree, key: Array, task: Task, batch: Batch) -> Batch:
        def branch(own: Any, slot: PyTree) -> Any:
            return lambda: own(slot, key, task, batch) if own else unmixed(batch)

        pairs = zip(methods, aux["slots"], strict=True)
        return lax.switch(aux["choice"], [branch(m.mix, slot) for m, slot in pairs])

    return mix


def _number(methods: Sequence[Method], name: str, idle: Any) -> Any:
    """That optional function of the method chosen, `idle` where it has none."""
    owned = [getattr(m, name) for m in methods]
    if not any(owned):
        return None

    def number(aux: PyTree, *given: Array) -> Array:
        pairs = zip(owned, aux["slots"], strict=True)
        found = [own(slot, *given) if own else idle for own, slot in pairs]
        return jnp.stack(list(map(jnp.asarray, found)))[aux["choice"]]

    return number


def _pick(methods: Sequence[Method]) -> Any:
    """The loss of the method whose number is in aux["choice"]."""

    def branch(i: int, task: Task, output: Output, batch: Batch, strength: Array):
        def call(slots: PyTree, learned: PyTree) -> tuple[Array, PyTree, PyTree]:
            mine = slots[i] | ({"learned": learned[i]} if learned[i] else {})
            value, new = methods[i].loss(mine, task, output, batch, strength)
            slot = {name: new[name] for name in slots[i]}
            return value, _put(slots, i, slot), _put(learned, i, new.get("learned"))

        return call

    def loss(aux, task, output, batch, strength):
        given = task, output, batch, strength
        branches = [branch(i, *given) for i in range(len(methods))]
        learned = aux.get("learned", (None,) * len(methods))
        slots = aux["slots"]
        value, slots, learned = lax.switch(aux["choice"], branches, slots, learned)
        after = {"choice": aux["choice"], "slots": slots}
        return value, after | ({"learned": learned} if "learned" in aux else {})

    return loss


def _put(items: Sequence[PyTree], at: int, item: PyTree) -> tuple[PyTree, ...]:
    return (*items[:at], item, *items[at + 1 :])
