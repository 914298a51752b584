"""Weights by cell: the error of a rare class or group counts more."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from equity_jax.methods.base import weighted_loss
from equity_jax.nouns import Method
from equity_jax.types import Array, Counts, InputError


def frequencies(counts: Counts) -> Array:
    """Share of each class among a label's decided rows, float[K, C]."""
    n = counts.by_class
    return n / jnp.maximum(n.sum(1, keepdims=True), 1.0)


def by_class(weights: Array, share: Array, counts: Counts) -> Array:
    """float[K, C] -> table float[K, C + 1, G + 1]; undecided rows get the mean."""
    neutral = jnp.sum(weights * share, 1, keepdims=True)
    column = jnp.concatenate([weights, neutral], 1)[:, :, None]
    return jnp.broadcast_to(column, counts.table.shape)


def by_group(weights: Array, counts: Counts) -> Array:
    """float[K, G] -> table float[K, C + 1, G + 1]; unrecorded rows get 1."""
    row = jnp.concatenate([weights, jnp.ones((weights.shape[0], 1))], 1)[:, None]
    return jnp.broadcast_to(row, counts.table.shape)


def by_cell(weights: Array, counts: Counts) -> Array:
    """float[K, C, G] -> table float[K, C + 1, G + 1]; others get the mean of the rows.

    Others: the class is undecided or the group not recorded.
    """
    n = counts.n
    mean = jnp.sum(weights * n, (1, 2)) / jnp.maximum(n.sum((1, 2)), 1.0)
    table = jnp.broadcast_to(mean[:, None, None], counts.table.shape)
    return table.at[:, :-1, :-1].set(weights)


def inverse(n: Array, power: float) -> Array:
    """n^-power, scaled to a mean of 1 over the rows; n: float[K, cells].

    A cell without rows has weight 0.
    """
    raw = jnp.where(n > 0, jnp.maximum(n, 1.0) ** -power, 0.0)
    total = jnp.sum(raw * n, 1, keepdims=True)
    return raw * jnp.sum(n, 1, keepdims=True) / jnp.maximum(total, 1e-30)


def table_of(by: str, weigh: Callable[[Array], Array], counts: Counts) -> Array:
    """The table of weights by "class", "group" or "both", float[K, C + 1, G + 1].

    weigh: rows float[K, cells] -> weights of the same shape.
    """
    if by == "group":
        return by_group(weigh(counts.by_group), counts)
    if by == "both":
        n = counts.n
        return by_cell(weigh(n.reshape(len(n), -1)).reshape(n.shape), counts)
    return by_class(weigh(counts.by_class), frequencies(counts), counts)


def effective(n: Array, beta: float) -> Array:
    """Weights of `effective_number`, float[K, cells] as n."""
    # expm1 keeps 1 - beta^n exact where beta^n is close to 1; never compare to 1.
    log_beta = jnp.log(beta) if beta else -jnp.inf
    seen = jnp.maximum(n, 1.0)
    raw = jnp.where(n > 0, (1 - beta) / -jnp.expm1(seen * log_beta), 0.0)
    cells = jnp.sum(n > 0, 1, keepdims=True)
    return raw * cells / jnp.maximum(raw.sum(1, keepdims=True), 1e-30)


def class_weighted(normalize: bool = False, reduction: str = "mean") -> Method:
    """The weighted loss of AI for Medicine: w_pos = f_neg, w_neg = f_pos.

    With more classes w_c = 1 - f_c; for two both classes contribute equally,
    f_pos w_pos = f_neg w_neg. A label's total weight is 2 f_pos f_neg, so rare labels
    count little: `normalize` divides by it. The optimum is shifted; the calibrated
    probability is sigmoid(z + log(f_pos / f_neg)). `reduction` is over labels: "mean",
    or "sum" as in the course.

    deeplearning.ai, "AI for Medical Diagnosis", week 1; Rajpurkar et al. 2017
    (CheXNet), section 2.

    Example: 6 normal and 2 mass give w_pos = 6/8, w_neg = 2/8.

    Raises:
        InputError: an unknown reduction.
    """
    if reduction not in ("mean", "sum"):
        raise InputError(
            f"class_weighted: reduction is {reduction!r}; expected 'mean' or 'sum'"
        )

    def init(counts: Counts) -> dict:
        share = frequencies(counts)
        weights = 1.0 - share
        if normalize:
            total = jnp.sum(weights * share, 1, keepdims=True)
            weights = weights / jnp.maximum(total, 1e-12)
        if reduction == "sum":
            weights = weights * len(weights)
        return {"table": by_class(weights, share, counts)}

    return Method(lambda counts: None, init, weighted_loss)


def group_weighted() -> Method:
    """Every recorded group has the same total weight: w_g = N / (G n_g).

    N counts recorded rows, G the groups that have rows; an empty group has weight 0;
    rows whose group is not recorded keep weight 1. Inverse-frequency weights as the
    reweighting baseline of Sagawa et al. 2020 (ICML, "An investigation of why
    overparameterization exacerbates spurious correlations").

    Example: 90 and 10 rows give weights 0.56 and 5.
    """
    return _weighing("group", partial(inverse, power=1.0))


def cell_weighted() -> Method:
    """Every class within every group has the same total weight: w = N / (M n_cell).

    N counts rows of known class and recorded group, M their cells that have rows; of
    several labels each by itself. An empty cell has weight 0; rows whose class is
    undecided or whose group is not recorded keep weight 1. Groups as in Sagawa et al.
    2020 (see `group_weighted`); Idrissi et al., "Simple data balancing achieves
    competitive worst-group-accuracy", CLeaR 2022.

    Example: cells of 60, 30, 9 and 1 rows have weights 0.42, 0.83, 2.8 and 25.
    """
    return _weighing("both", partial(inverse, power=1.0))


def sqrt_inverse(by: str = "class") -> Method:
    """Weights 1 / sqrt(n), scaled to a mean of 1 over the rows: half way to balance.

    `by` is "class", "group" or "both". An empty cell has weight 0; rows whose class is
    undecided, or whose group is not recorded, keep weight 1.

    Mahajan et al., "Exploring the limits of weakly supervised pretraining", ECCV 2018,
    section 2.2 (there as draws).

    Example: 90 and 10 rows give weights 0.79 and 2.4; 1 : 3 rather than 1 : 9.

    Raises:
        InputError: `by` unknown.
    """
    return _weighing(_known(by, "sqrt_inverse"), partial(inverse, power=0.5))


def effective_number(beta: float = 0.9999, by: str = "class") -> Method:
    """W = 1 / E_n with E_n = (1 - beta^n) / (1 - beta), scaled to sum to the classes.

    beta = 0 weighs nothing, beta -> 1 is inverse frequency. A class without rows has
    weight 0 and does not enter the scale. `by` is "class", "group", or "both": each
    class within each group. Rows of no cell get the mean weight of the others, by
    "group" 1.

    Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019.

    Example: with beta 0.9 and 1 and 1000 rows the weights are about 1.82 and 0.18.

    Raises:
        InputError: beta outside [0, 1), or `by` unknown.
    """
    if not 0 <= beta < 1:
        raise InputError(f"effective_number: beta is {beta}; expected 0 <= beta < 1")
    return _weighing(_known(by, "effective_number"), partial(effective, beta=beta))


def _known(by: str, name: str) -> str:
    if by not in ("class", "group", "both"):
        raise InputError(f"{name}: by is {by!r}; expected 'class', 'group' or 'both'")
    return by


def _weighing(by: str, weigh: Callable[[Array], Array]) -> Method:
    def init(counts: Counts) -> dict:
        return {"table": table_of(by, weigh, counts)}

    return Method(lambda counts: None, init, weighted_loss)
