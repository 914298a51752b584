"""A second player guesses the group, and the model learns to leave it nothing.

The guesser is a small network that reads the model's features. Its parameters live in
the method's memory and take `steps` Adam steps of their own per batch, with the
features held still; the model's step holds the guesser still. That is gradient reversal
as plain steps: each player descends its own objective, so no sign can go astray.

A guesser that falls behind is fooled and hides nothing, as a fresh reader then finds.
So it is given features standardized over the batch, or the model would win by their
scale alone, and five steps for one, as critics have (Gulrajani et al., "Improved
training of Wasserstein GANs", NeurIPS 2017).
"""

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import optax
from jax import lax, nn

from equity_jax.methods.base import lookup, reduce
from equity_jax.nouns import Method, Task
from equity_jax.types import Array, Batch, Counts, InputError, Output, PyTree

RATE = 3e-3  # the guesser's own; it must keep up with the model
TINY = 1e-5  # added to a variance, as batch normalization does
KINDS = {"odds": "label", "parity": "", "opportunity": "positives"}

Cost = Callable[[Array, Array], Array]  # (logits float[B, K, G], group) -> float[B, K]


def dann(strength: float = 1.0, hidden: int = 64, steps: int = 5) -> Method:
    """Features from which the group cannot be told: L = L_y - strength L_a.

    L_a is the guesser's cross-entropy, with every group counting the same, whatever
    its size; the guesser minimizes it. Rows whose group is not recorded do not play.

    Ganin et al., "Domain-adversarial training of neural networks", JMLR 2016, eq. 9.

    Example: dann(0.0) is erm, beside a guesser that nobody listens to.

    Raises:
        InputError: a negative strength, a hidden layer without units, no step.
    """
    return _method("", _surprise, strength, hidden, steps)


def cdann(strength: float = 1.0, hidden: int = 64, steps: int = 5) -> Method:
    """As `dann` among rows of the same label: what the label explains may stay.

    The guesser has an output for every class of every label and is asked with the
    row's own; every cell of class and group counts the same (the class prior of each
    group is normalized), labels are averaged. Rows of undecided class do not play.

    Li et al., "Deep domain generalization via conditional invariant adversarial
    networks", ECCV 2018.

    Example: where sick and healthy groups differ in prevalence, `dann` must blur the
    label to hide the group; `cdann` need not.

    Raises:
        InputError: as `dann`.
    """
    return _method("label", _surprise, strength, hidden, steps)


def laftr(
    kind: str = "odds", strength: float = 1.0, hidden: int = 64, steps: int = 5
) -> Method:
    """L = L_y - strength L_a with L_a the mean over cells of |a - a_hat|.

    For groups of any number |a - a_hat| is 1 minus the guessed probability of the own
    group. Cells are groups ("parity": demographic parity), classes within groups
    ("odds": equalized odds, the guesser knows the label), or the positives of each
    group ("opportunity"). The guesser minimizes L_a: the model's sign is the other.

    Madras et al., "Learning adversarially fair and transferable representations", ICML
    2018.

    Example: laftr('opportunity', strength=3.0)

    Raises:
        InputError: an unknown kind; as `dann`.
    """
    if kind not in KINDS:
        raise InputError(f"laftr: kind is {kind!r}; expected {', '.join(KINDS)}")
    return _method(KINDS[kind], _shortfall, strength, hidden, steps)


def even(counts: Counts, given: str) -> Array:
    """Weights float[K, C + 1, G + 1] under which every cell counts the same.

    given: cells are groups (""), classes within groups ("label"), or the positives of
    each group ("positives"). The mean of the weights over a label's rows is 1; what is
    undecided or not recorded weighs 0.

    Example: 90 rows of one group and 10 of another weigh 0.56 and 5.
    """
    rows = jnp.asarray(counts.table)
    cells = rows[:, :-1, :-1] if given else rows[:, :, :-1].sum(1, keepdims=True)
    if given == "positives":
        cells = cells * (jnp.arange(cells.shape[1]) == 1)[None, :, None]
    share = rows.sum((1, 2), keepdims=True) / jnp.maximum(cells, 1.0)
    number = jnp.maximum(jnp.sum(cells > 0, (1, 2), keepdims=True), 1)
    weight = jnp.where(cells > 0, share / number, 0.0)
    if not given:
        wide = (rows.shape[0], rows.shape[1], cells.shape[2])
        return jnp.pad(jnp.broadcast_to(weight, wide), ((0, 0), (0, 0), (0, 1)))
    return jnp.pad(weight, ((0, 0), (0, 1), (0, 1)))


def guess(params: PyTree, features: Array, classes: Array) -> Array:
    """The guesser's logits float[B, K, G] from float[B, F], asked with int[B, K].

    Where it does not know the label, K is 1 in the answer.
    """
    inner = nn.relu(features @ params["kernel"] + params["bias"][None])
    all_ = jnp.einsum("bh,hkcg->bkcg", inner, params["head"]) + params["prior"][None]
    known = params["head"].shape[2]
    if known == 1:
        return all_[:, :, 0]
    return jnp.sum(all_ * nn.one_hot(classes, known)[..., None], 2)


def standardized(features: Array, weight: Array) -> Array:
    """Features float[B, F] with mean 0 and spread 1 over the rows of the batch.

    weight: float[B], 0 = padding.
    """
    share = weight[:, None] / jnp.maximum(weight.sum(), 1e-12)
    moved = features - jnp.sum(share * features, 0, keepdims=True)
    spread = jnp.sum(share * moved**2, 0, keepdims=True)
    return moved * lax.rsqrt(spread + TINY)


def _surprise(logits: Array, group: Array) -> Array:
    """Cross-entropy float[B, K] of the own group; 0 where it is not recorded."""
    own = nn.one_hot(group, logits.shape[2])[:, None]
    return -jnp.sum(own * nn.log_softmax(logits), 2)


def _shortfall(logits: Array, group: Array) -> Array:
    """1 minus the probability of the own group, float[B, K]."""
    own = nn.one_hot(group, logits.shape[2])[:, None]
    return 1.0 - jnp.sum(own * nn.softmax(logits), 2)


def _method(given: str, cost: Cost, strength: float, hidden: int, steps: int) -> Method:
    if not strength >= 0 or hidden < 1 or steps < 1:
        raise InputError(
            f"an adversary of strength {strength} with {hidden} hidden units and"
            f" {steps} steps; expected a strength of at least 0, one unit, one step"
        )

    def init(counts: Counts) -> PyTree:
        return {"cells": even(counts, given), "strength": jnp.float32(strength)}

    learn = _learn(bool(given), hidden)
    return Method(lambda counts: None, init, _loss(cost, steps), learn)


@lru_cache
def _learn(given: bool, hidden: int) -> Callable[..., PyTree]:
    def learn(key: Array, width: int, counts: Counts) -> PyTree:
        heads = counts.n.shape if given else (1, 1, counts.n.shape[2])
        inner, outer = jax.random.split(key)
        kernel = jax.random.normal(inner, (width, hidden)) * (2 / width) ** 0.5
        head = jax.random.normal(outer, (hidden, *heads)) * 0.01
        params = {"kernel": kernel, "bias": jnp.zeros(hidden), "head": head}
        params["prior"] = jnp.zeros(heads)
        return {"params": params, "moments": optax.adam(RATE).init(params)}

    return learn


@lru_cache
def _loss(cost: Cost, steps: int) -> Callable[..., tuple[Array, PyTree]]:
    """One loss for every strength, so that strengths share a branch of `switch`."""

    def loss(
        aux: PyTree, task: Task, output: Output, batch: Batch, strength: Array
    ) -> tuple[Array, PyTree]:
        classes = task.class_of(batch.y)
        weight = lookup(aux["cells"], classes, batch.group)

        def game(params: PyTree, features: Array) -> Array:
            found = cost(guess(params, features, classes), batch.group)
            return reduce(weight * found, batch)

        seen = standardized(output.features, batch.weight)
        still = lax.stop_gradient(seen)

        def learn(player: PyTree, _: None) -> tuple[PyTree, None]:
            slope = jax.grad(game)(player["params"], still)
            move, moments = optax.adam(RATE).update(slope, player["moments"])
            params = optax.apply_updates(player["params"], move)
            return {"params": params, "moments": moments}, None

        player = lax.stop_gradient(aux["learned"])
        hidden = game(player["params"], seen)  # how well the group hides
        value = reduce(task.nll(output.logits, batch.y), batch)
        learned, _ = lax.scan(learn, player, None, length=steps)
        value = value - aux["strength"] * strength * hidden
        return value, {**aux, "learned": learned}

    return loss
