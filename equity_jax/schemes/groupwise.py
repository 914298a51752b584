"""Mixture, independent, transfer: whose rows a group's parameters are learned from.

Gao & Cui, "Deep transfer learning for reducing health care disparities arising from
biomedical data inequality", Nature Communications 2020.
"""

from equity_jax.nouns import Scheme, Stage
from equity_jax.schemes.align import ccsa_stages
from equity_jax.schemes.base import (
    everyone,
    everything,
    nothing,
    own,
    source,
    trunk,
)
from equity_jax.schemes.freeze import Discriminative, LastBlocks, Uniform
from equity_jax.types import InputError

FULL = Uniform(1.0)
ALONE = Stage(own, nothing, FULL)
SOURCE = Stage(source, nothing, FULL)
FINE = 0.3  # fine-tuning moves slower than training: Gao & Cui use 0.002 after 0.01


def mixture() -> Scheme:
    """One model on all rows; the baseline that pools everybody.

    Example:
        >>> mixture().pooled
        True
    """
    return Scheme((Stage(everyone, nothing, FULL),), pooled=True)


def alone() -> Scheme:
    """Independent: each group's model sees its own rows only.

    Example:
        >>> len(alone().stages)
        1
    """
    return Scheme((ALONE,), (ALONE,))


def transfer(variant: str = "full", *arguments: float) -> Scheme:
    """Learn from the well-represented group, then fine-tune on the target group.

    Variants, each from the same checkpoint of the source model unless said:
        full(scale=0.3)           every leaf moves, slower than in training
        head_only()               only the head moves
        last_blocks(n=2)          only the last n blocks move
        discriminative(decay=0.4) deeper blocks move less (Howard & Ruder 2018)
        probe_then_full()         half the steps head only, then all (LP-FT, Kumar et
                                  al., ICLR 2022)
        ccsa(alpha=0.25)          from scratch with aligned features (Motiian et al.,
                                  ICCV 2017), then the target's rows
        autoencoder()             denoising pretraining on all rows, no labels; then
                                  the target's rows

    The source group itself is scored by the source model.

    Raises:
        InputError: an unknown variant, or more arguments than it takes.

    Example:
        >>> [s.steps for s in transfer("probe_then_full").stages]
        [1.0, 0.5, 0.5]
    """
    if variant not in VARIANTS:
        known = ", ".join(sorted(VARIANTS))
        raise InputError(f"unknown transfer variant {variant!r}; known: {known}")
    try:
        return VARIANTS[variant](*arguments)
    except TypeError as error:
        raise InputError(f"transfer {variant!r}: {error}") from error


def _tuned(*stages: Stage) -> Scheme:
    return Scheme((SOURCE, *stages), (SOURCE,))


def _full(scale: float = FINE) -> Scheme:
    return _tuned(Stage(own, everything, Uniform(scale)))


def _head_only() -> Scheme:
    return _tuned(Stage(own, everything, LastBlocks(1)))


def _last_blocks(n: int = 2) -> Scheme:
    return _tuned(Stage(own, everything, LastBlocks(n)))


def _discriminative(decay: float = 0.4) -> Scheme:
    return _tuned(Stage(own, everything, Discriminative(decay)))


def _probe_then_full(scale: float = FINE) -> Scheme:
    probe = Stage(own, everything, LastBlocks(1), steps=0.5)
    return _tuned(probe, Stage(own, everything, Uniform(scale), steps=0.5))


def _ccsa(alpha: float = 0.25) -> Scheme:
    return Scheme(ccsa_stages(alpha, FINE), (SOURCE,))


def _autoencoder() -> Scheme:
    restore = Stage(everyone, nothing, FULL, objective="autoencode")
    stages = (restore, Stage(own, trunk, FULL))
    return Scheme(stages, stages)


VARIANTS = {
    "full": _full,
    "head_only": _head_only,
    "last_blocks": _last_blocks,
    "discriminative": _discriminative,
    "probe_then_full": _probe_then_full,
    "ccsa": _ccsa,
    "autoencoder": _autoencoder,
}
