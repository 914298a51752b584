"""The simulated twins of chest X-rays: which data.name has which."""

from typing import Any

from equity_jax.config import Data
from equity_jax.data import phantom, ward

MIMIC = "mimic_cxr"


def write(folder: str, config: Data) -> None:
    """Writes the twin of config.name: a ward in MIMIC's own files, or phantoms.

    Example:
        >>> write("twin", Data(name="mimic_cxr"))  # doctest: +SKIP
    """
    if config.name == MIMIC:
        ward.write(folder, config.ward, quiet=None)
    else:
        phantom.write(folder, config.phantom, config.phantom.seed)


def truth(config: Data) -> dict[str, Any]:
    """What is planted in the twin of config.name, as numbers, where that is known.

    Example:
        >>> truth(Data(name="cxr"))
        {}
    """
    if config.name != MIMIC or config.mimic.race != "coarse":
        return {}
    return ward.truth(config.ward, config.mimic.keep)
