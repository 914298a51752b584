"""What hangs together with the class: source, age, sex, view. All of it computed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

STRONG, WEAK = 0.3, 0.1  # Cramér's V; Cohen (1988) calls 0.3 medium and 0.1 small
KNOWN = {"kermany": "children of one to five years (Kermany et al. 2018)"}


def confounded(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Whether class hangs together with each attribute, in words and numbers."""
    rows = rows[rows["class"] != "unknown"]
    # images of one patient agree, so patients are counted
    rows = rows.drop_duplicates(["patient", "class", *names])
    said = [_related(rows, name) for name in names]
    if "source" in names:
        said += _facts(rows)
    if "age" not in names:
        said.append(
            "**Age is not recorded** for these images, so nothing here can tell what a"
            " network learned of the disease from what it learned of age."
        )
    return said


def cramers_v(table: np.ndarray) -> float:
    r"""Bias-corrected Cramér's V of counts int[A, B] (Bergsma 2013); 0 = unrelated.

    $\tilde\varphi^2 = \max(0, \chi^2/n - (a-1)(b-1)/(n-1))$ over
    $\min(\tilde a, \tilde b) - 1$ with $\tilde a = a - (a-1)^2/(n-1)$.

    Example:
        >>> round(cramers_v(np.array([[50, 0], [0, 50]])), 2)
        1.0
    """
    table = np.asarray(table, float)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    (a, b), n = table.shape, table.sum()
    if min(a, b) < 2 or n < 3:
        return float("nan")
    expected = np.outer(table.sum(1), table.sum(0)) / n
    square = float(np.sum((table - expected) ** 2 / expected)) / n
    square = max(0.0, square - (a - 1) * (b - 1) / (n - 1))
    least = min(x - (x - 1) ** 2 / (n - 1) for x in (a, b)) - 1
    return float(np.sqrt(min(1.0, square / least)))


def guessed(table: np.ndarray) -> float:
    """Share guessed right from the row alone, were all classes equally common.

    table: int[A, C], values × classes. Knowing nothing gives 1 / C.

    Example:
        >>> guessed(np.array([[9, 0], [1, 10]]))
        0.95
    """
    share = table / np.maximum(table.sum(0), 1)[None]
    return float(share.max(1).sum() / table.shape[1])


def _related(rows: pd.DataFrame, name: str) -> str:
    known = rows[rows[name] != "not recorded"]
    table = pd.crosstab(known[name], known["class"]).to_numpy()
    v = cramers_v(table)
    if not np.isfinite(v):
        return f"Class and {name}: only one value is recorded, nothing to compare."
    words = (
        f"**The classes are confounded with {name}**"
        if v >= STRONG
        else f"Class and {name} are weakly related"
        if v >= WEAK
        else f"Class and {name} are hardly related"
    )
    few = f", recorded for {len(known) / len(rows):.0%}" * (len(known) < len(rows))
    return (
        f"{words}{few}: Cramér's V is {v:.2f} (0: unrelated, 1: {name} decides). Were"
        f" all classes equally common, whoever knows the {name} alone, and no pixel,"
        f" would guess the class of {guessed(table):.0%} of the patients right; whoever"
        f" knows nothing, of {1 / table.shape[1]:.0%}."
    )


def _facts(rows: pd.DataFrame) -> list[str]:
    """What is known of a source by its name."""
    said = []
    for source, who in KNOWN.items():
        mine = rows["source"] == source
        shares = mine.groupby(rows["class"]).mean()
        listed = ", ".join(f"{share:.0%} of {c}" for c, share in shares.items())
        if mine.any():
            said.append(
                f"The source {source} holds {who}. It gave {listed}: there the class"
                " is confounded with age, whether or not age is recorded."
            )
    return said
