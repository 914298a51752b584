"""Method shelf: how rows and errors are weighed. One factory and one line each."""

from equity_jax.methods.adversary import cdann, dann, laftr
from equity_jax.methods.auc import auc_margin, soft_average_precision
from equity_jax.methods.base import begin, erm, programs, switch
from equity_jax.methods.environments import irm, vrex
from equity_jax.methods.flat import ema, sam, swa
from equity_jax.methods.invariance import coral, mindiff, mmd
from equity_jax.methods.margin import (
    asymmetric_focal,
    focal,
    hinge,
    label_smoothing,
)
from equity_jax.methods.mixing import lisa, mixup
from equity_jax.methods.prior import balanced_softmax, ldam, logit_adjusted
from equity_jax.methods.resample import oversample, undersample
from equity_jax.methods.reweight import (
    cell_weighted,
    class_weighted,
    effective_number,
    group_weighted,
    sqrt_inverse,
)
from equity_jax.methods.rivals import lff
from equity_jax.methods.robust import chi2, cvar, group_dro
from equity_jax.methods.unaware import arl
from equity_jax.registry import Registry

METHODS = Registry(
    "method",
    {
        "erm": erm,
        "class_weighted": class_weighted,
        "group_weighted": group_weighted,
        "cell_weighted": cell_weighted,
        "sqrt_inverse": sqrt_inverse,
        "oversample": oversample,
        "undersample": undersample,
        "effective_number": effective_number,
        "focal": focal,
        "asymmetric_focal": asymmetric_focal,
        "label_smoothing": label_smoothing,
        "hinge": hinge,
        "ldam": ldam,
        "logit_adjusted": logit_adjusted,
        "balanced_softmax": balanced_softmax,
        "auc_margin": auc_margin,
        "soft_average_precision": soft_average_precision,
        "group_dro": group_dro,
        "cvar": cvar,
        "chi2": chi2,
        "arl": arl,
        "irm": irm,
        "vrex": vrex,
        "dann": dann,
        "cdann": cdann,
        "laftr": laftr,
        "mmd": mmd,
        "coral": coral,
        "mindiff": mindiff,
        "sam": sam,
        "swa": swa,
        "ema": ema,
        "mixup": mixup,
        "lisa": lisa,
        "lff": lff,
    },
)

__all__ = ["METHODS", "begin", "programs", "switch", *METHODS]
