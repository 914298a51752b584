"""Weights by cell: the error of a rare class or group counts more."""

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


def class_weighted(normalize: bool = False) -> Method:
    """The weighted loss of AI for Medicine: w_pos = f_neg, w_neg = f_pos.

    With more classes w_c = 1 - f_c; for two both classes contribute equally,
    f_pos w_pos = f_neg w_neg. A label's total weight is 2 f_pos f_neg, so rare labels
    count little: `normalize` divides by it. The optimum is shifted; the calibrated
    probability is sigmoid(z + log(f_pos / f_neg)).

    deeplearning.ai, "AI for Medical Diagnosis", week 1; Rajpurkar et al. 2017
    (CheXNet), section 2.

    Example: 6 normal and 2 mass give w_pos = 6/8, w_neg = 2/8.
    """

    def init(counts: Counts) -> dict:
        share = frequencies(counts)
        weights = 1.0 - share
        if normalize:
            total = jnp.sum(weights * share, 1, keepdims=True)
            weights = weights / jnp.maximum(total, 1e-12)
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

    def init(counts: Counts) -> dict:
        n = counts.by_group
        present = n > 0
        share = jnp.sum(n, 1, keepdims=True) / jnp.maximum(present.sum(1), 1)[:, None]
        weights = jnp.where(present, share / jnp.maximum(n, 1.0), 0.0)
        return {"table": by_group(weights, counts)}

    return Method(lambda counts: None, init, weighted_loss)


def effective_number(beta: float = 0.9999, by: str = "class") -> Method:
    """W = 1 / E_n with E_n = (1 - beta^n) / (1 - beta), scaled to sum to the classes.

    beta = 0 weighs nothing, beta -> 1 is inverse frequency. A class without rows has
    weight 0 and does not enter the scale. `by` is "class" or "group".

    Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019.

    Example: with beta 0.9 and 1 and 1000 rows the weights are about 1.82 and 0.18.

    Raises:
        InputError: beta outside [0, 1), or `by` unknown.
    """
    if not 0 <= beta < 1:
        raise InputError(f"effective_number: beta is {beta}; expected 0 <= beta < 1")
    if by not in ("class", "group"):
        raise InputError(f"effective_number: by is {by!r}; expected 'class' or 'group'")

    def weigh(n: Array) -> Array:
        # expm1 keeps 1 - beta^n exact where beta^n is close to 1; never compare to 1.
        log_beta = jnp.log(beta) if beta else -jnp.inf
        seen = jnp.maximum(n, 1.0)
        raw = jnp.where(n > 0, (1 - beta) / -jnp.expm1(seen * log_beta), 0.0)
        cells = jnp.sum(n > 0, 1, keepdims=True)
        return raw * cells / jnp.maximum(raw.sum(1, keepdims=True), 1e-30)

    def init(counts: Counts) -> dict:
        if by == "group":
            return {"table": by_group(weigh(counts.by_group), counts)}
        weights = weigh(counts.by_class)
        return {"table": by_class(weights, frequencies(counts), counts)}

    return Method(lambda counts: None, init, weighted_loss)
