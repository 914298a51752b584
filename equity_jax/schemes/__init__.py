"""Scheme shelf: whose rows, what is carried over, which leaves move."""

from equity_jax.registry import Registry
from equity_jax.schemes.align import csa_loss
from equity_jax.schemes.finetune import finetune
from equity_jax.schemes.groupwise import VARIANTS, alone, mixture, transfer
from equity_jax.schemes.second import crt, eiil, jtt, last_layer, lp_ft

SCHEMES = Registry(
    "scheme",
    {
        "mixture": mixture,
        "alone": alone,
        "transfer": transfer,
        "finetune": finetune,
        "jtt": jtt,
        "eiil": eiil,
        "crt": crt,
        "last_layer": last_layer,
        "lp_ft": lp_ft,
    },
)

__all__ = [
    "SCHEMES",
    "VARIANTS",
    "alone",
    "crt",
    "csa_loss",
    "eiil",
    "finetune",
    "jtt",
    "last_layer",
    "lp_ft",
    "mixture",
    "transfer",
]
