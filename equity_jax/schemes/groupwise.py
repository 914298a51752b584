"""Mixture, independent, transfer: whose rows a group's parameters are learned from.

Gao & Cui, "Deep transfer learning for reducing health care disparities arising from
biomedical data inequality", Nature Communications 2020.
"""

from collections.abc import Callable
from functools import partial

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
from equity_jax.schemes.finetune import FINE, PACES, Pace, choose
from equity_jax.schemes.freeze import Uniform

FULL = Uniform(1.0)
ALONE = Stage(own, nothing, FULL)
SOURCE = Stage(source, nothing, FULL)


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
    return choose("transfer", VARIANTS, variant, arguments)


def _tuned(pace: Callable[..., tuple[Pace, ...]], *arguments: float) -> Scheme:
    tuned = (Stage(own, everything, rate, steps) for rate, steps in pace(*arguments))
    return Scheme((SOURCE, *tuned), (SOURCE,))


def _ccsa(alpha: float = 0.25) -> Scheme:
    return Scheme(ccsa_stages(alpha, FINE), (SOURCE,))


def _autoencoder() -> Scheme:
    restore = Stage(everyone, nothing, FULL, objective="autoencode")
    stages = (restore, Stage(own, trunk, FULL))
    return Scheme(stages, stages)


VARIANTS = {
    **{name: partial(_tuned, pace) for name, pace in PACES.items()},
    "ccsa": _ccsa,
    "autoencoder": _autoencoder,
}
