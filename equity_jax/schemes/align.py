"""CCSA: pull together source and target rows of one class, push apart the others.

Motiian et al., "Unified deep supervised domain adaptation and generalization", ICCV
2017, in the form of Gao & Cui 2020.
"""

import jax.numpy as jnp

from equity_jax.nouns import Stage
from equity_jax.schemes.base import everything, nothing, own
from equity_jax.schemes.freeze import Uniform
from equity_jax.types import Array


def ccsa_stages(alpha: float, scale: float) -> tuple[Stage, ...]:
    """Fit both groups with aligned features, then fine-tune on the target's rows."""
    joint = Stage(own, nothing, Uniform(1.0), align=alpha)
    return joint, Stage(own, everything, Uniform(scale))


def csa_loss(
    features: Array,
    classes: Array,
    weight: Array,
    other: Array,
    other_classes: Array,
    other_weight: Array,
    margin: float = 1.0,
) -> Array:
    """Mean over pairs of s d^2 + (1 - s) max(0, margin - d)^2, a scalar.

    d is the distance between features float[B, F] of a target row and float[B', F] of
    a source row, s = 1 where their classes (int[B]) agree. Gao & Cui take every pair
    of one class and at random three times as many of different classes; here all
    different pairs enter with the weight that gives the same expectation. Rows of
    undecided class (-1) make no pair; a batch without pairs gives 0.

    Example:
        >>> float(csa_loss(z, y, ones, z[:, ::-1], y, ones)) >= 0
        True
    """
    # |u - v|^2 from one matrix product: B x B' x F differences would dominate a step
    own, theirs = jnp.sum(features**2, 1), jnp.sum(other**2, 1)
    square = own[:, None] + theirs[None] - 2 * features @ other.T
    distance = jnp.sqrt(jnp.maximum(square, 1e-8))
    usable = (weight * (classes >= 0))[:, None] * (other_weight * (other_classes >= 0))[
        None
    ]
    same = usable * (classes[:, None] == other_classes[None])
    differ = usable - same
    share = jnp.minimum(1.0, 3.0 * same.sum() / jnp.maximum(differ.sum(), 1e-12))
    apart = jnp.maximum(0.0, margin - distance) ** 2
    total = jnp.sum(same * distance**2) + share * jnp.sum(differ * apart)
    return total / jnp.maximum(same.sum() + share * differ.sum(), 1e-12)
