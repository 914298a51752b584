"""The worked example of the weighted loss: six normal X-rays and two with a mass."""

import jax.numpy as jnp
import numpy as np
import pandas as pd

from equity_jax.audit.pages.page import Section, Table
from equity_jax.methods import METHODS
from equity_jax.types import Counts

NORMAL, MASS = 6, 2
SCORE = 0.5  # what a network that knows nothing says of everybody


def weights() -> tuple[float, float]:
    """(of a normal X-ray, of one with a mass), as `class_weighted` has them.

    Example:
        >>> weights()
        (0.25, 0.75)
    """
    table = jnp.array([[[NORMAL, 0.0], [MASS, 0.0], [0.0, 0.0]]])
    made = METHODS.get("class_weighted").init(Counts(table))["table"]
    return float(made[0, 0, 0]), float(made[0, 1, 0])


def worked() -> pd.DataFrame:
    """A line a class: rows, the share of the other class, the loss with and without.

    Example:
        >>> worked()["weighted loss, all of them"].round(2).tolist()
        [1.04, 1.04]
    """
    nll = -np.log(SCORE)
    lines = []
    for name, n, other, w in zip(
        ("normal", "mass"), (NORMAL, MASS), (MASS, NORMAL), weights(), strict=True
    ):
        lines.append(
            {
                "class": name,
                "X-rays": n,
                "weight": f"{other}/{NORMAL + MASS} = {w:.2f}",
                "loss of one": round(nll, 2),
                "loss, all of them": round(n * nll, 2),
                "weighted loss, all of them": round(n * w * nll, 2),
            }
        )
    return pd.DataFrame(lines)


def example() -> Section:
    """The section of the page."""
    text = [
        f"Of {NORMAL + MASS} X-rays {NORMAL} are normal and {MASS} show a mass. A"
        f" network that says {SCORE} of everybody loses 0.69 on each: the normal ones"
        " make up three quarters of the loss, so that is whom it learns to please."
        f" `class_weighted` weighs an X-ray by the share of the other class, a mass"
        f" by {NORMAL}/{NORMAL + MASS} and a normal one by {MASS}/{NORMAL + MASS}: both"
        " classes count the same. The total weight falls from 8 to 3, more the rarer"
        " the class; `class_weighted(True)` scales it back.",
        "Weights move the probabilities, and with them every decision at a fixed"
        " threshold: the calibrated probability is sigmoid(z + log(f_pos / f_neg)). A"
        " ranking they need not change at all. So every method is judged twice: by"
        " AUROC, which knows no threshold, and by whom it calls rare at 0.5.",
    ]
    table = Table("The weighted loss, by hand", worked())
    return Section("What a weighted loss does", text, [table])
