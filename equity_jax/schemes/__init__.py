"""Scheme shelf: whose rows, what is carried over, which leaves move."""

from equity_jax.registry import Registry
from equity_jax.schemes.align import csa_loss
from equity_jax.schemes.finetune import finetune
from equity_jax.schemes.groupwise import VARIANTS, alone, mixture, transfer

SCHEMES = Registry(
    "scheme",
    {"mixture": mixture, "alone": alone, "transfer": transfer, "finetune": finetune},
)

__all__ = [
    "SCHEMES",
    "VARIANTS",
    "alone",
    "csa_loss",
    "finetune",
    "mixture",
    "transfer",
]
