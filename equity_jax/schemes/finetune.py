"""Fine-tuning: which leaves move how fast, and the scheme of all rows from a start."""

from collections.abc import Callable, Mapping, Sequence

from equity_jax.nouns import Scheme, Stage
from equity_jax.schemes.base import everyone, everything, trunk
from equity_jax.schemes.freeze import Discriminative, LastBlocks, Uniform
from equity_jax.types import InputError, Path

FINE = 0.3  # fine-tuning moves slower than training: Gao & Cui use 0.002 after 0.01

Rate = Callable[[Path, tuple[str, ...]], float]
Pace = tuple[Rate, float]  # a rate per leaf, and for which share of the steps


def finetune(variant: str = "full", *arguments: float) -> Scheme:
    """One model on all rows that starts from given weights (`fit(..., start=...)`).

    Variants; the head is fresh in all of them:
        full(scale=0.3)           every leaf moves, slower than in training
        head_only()               only the head moves
        last_blocks(n=2)          only the last n blocks move, the head among them
        discriminative(decay=0.4) deeper blocks move less (Howard & Ruder 2018)
        probe_then_full(scale=0.3) half the steps head only, then all (LP-FT)

    Kumar et al., "Fine-tuning can distort pretrained features and underperform
    out-of-distribution", ICLR 2022 (LP-FT).

    Raises:
        InputError: an unknown variant, or more arguments than it takes.

    Example:
        >>> [s.steps for s in finetune("probe_then_full").stages]
        [0.5, 0.5]
    """
    paces = choose("finetune", PACES, variant, arguments)
    carried = (trunk, *[everything] * (len(paces) - 1))
    stages = (
        Stage(everyone, carry, rate, steps)
        for carry, (rate, steps) in zip(carried, paces, strict=True)
    )
    return Scheme(tuple(stages), pooled=True)


def choose(
    kind: str,
    known: Mapping[str, Callable[..., object]],
    variant: str,
    arguments: Sequence[float],
) -> object:
    """What the variant of that name makes of its arguments.

    Raises:
        InputError: an unknown variant, or more arguments than it takes.

    Example:
        >>> choose("finetune", PACES, "full", (0.1,))
        ((Uniform(scale=0.1), 1.0),)
    """
    if variant not in known:
        names = ", ".join(sorted(known))
        raise InputError(f"unknown {kind} variant {variant!r}; known: {names}")
    try:
        return known[variant](*arguments)
    except TypeError as error:
        raise InputError(f"{kind} {variant!r}: {error}") from error


def _full(scale: float = FINE) -> tuple[Pace, ...]:
    return ((Uniform(scale), 1.0),)


def _head_only() -> tuple[Pace, ...]:
    return ((LastBlocks(1), 1.0),)


def _last_blocks(n: int = 2) -> tuple[Pace, ...]:
    return ((LastBlocks(n), 1.0),)


def _discriminative(decay: float = 0.4) -> tuple[Pace, ...]:
    return ((Discriminative(decay), 1.0),)


def _probe_then_full(scale: float = FINE) -> tuple[Pace, ...]:
    return ((LastBlocks(1), 0.5), (Uniform(scale), 0.5))


PACES = {
    "full": _full,
    "head_only": _head_only,
    "last_blocks": _last_blocks,
    "discriminative": _discriminative,
    "probe_then_full": _probe_then_full,
}
