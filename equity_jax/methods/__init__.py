"""Method shelf: how rows and errors are weighed. One factory and one line each."""

from equity_jax.methods.adversary import cdann, dann, laftr
from equity_jax.methods.base import begin, erm, programs, switch
from equity_jax.methods.invariance import coral, mindiff, mmd
from equity_jax.methods.margin import focal, hinge
from equity_jax.methods.resample import oversample, undersample
from equity_jax.methods.reweight import (
    class_weighted,
    effective_number,
    group_weighted,
)
from equity_jax.methods.robust import group_dro
from equity_jax.registry import Registry

METHODS = Registry(
    "method",
    {
        "erm": erm,
        "class_weighted": class_weighted,
        "group_weighted": group_weighted,
        "oversample": oversample,
        "undersample": undersample,
        "effective_number": effective_number,
        "focal": focal,
        "hinge": hinge,
        "group_dro": group_dro,
        "dann": dann,
        "cdann": cdann,
        "laftr": laftr,
        "mmd": mmd,
        "coral": coral,
        "mindiff": mindiff,
    },
)

__all__ = ["METHODS", "begin", "programs", "switch", *METHODS]
