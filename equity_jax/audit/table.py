"""The long table: its columns, how a row is written, what may not be shown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit.status import NOT_ESTIMABLE, OK, SMALL, SUPPRESSED

COLUMNS = tuple(
    "run seed system method scheme target split label attribute group reference "
    "contrast n patients positives negatives metric value low high interval status "
    "threshold threshold_source".split()
)
WHOLE = ("run", "seed", "n", "patients", "positives", "negatives")


def shown(ends: Sequence[float], how: str, why: str) -> dict[str, Any]:
    """The columns value, low, high, interval, status."""
    if np.isfinite(ends[0]) and not why:
        value, low, high = ends
        return {"value": value, "low": low, "high": high, "interval": how, "status": OK}
    status = SUPPRESSED if why == SMALL else NOT_ESTIMABLE
    empty = {"value": np.nan, "low": np.nan, "high": np.nan}
    return empty | {"interval": why, "status": status}


def hide(counts: dict[str, int], least: int) -> dict[str, int]:
    """Counts without those from which a cell of 1..least-1 people could be read."""
    if 0 < counts["n"] < least:
        return dict.fromkeys(counts, -1)
    if any(0 < counts[k] < least for k in ("positives", "negatives")):
        return counts | {"positives": -1, "negatives": -1}
    return counts


def frame(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The long DataFrame of COLUMNS; whole numbers are Int64, -1 becomes NA."""
    table = pd.DataFrame.from_records(list(records), columns=list(COLUMNS))
    for name in WHOLE:
        whole = table[name].astype("Int64")
        table[name] = whole.mask(whole == -1)
    return table


def view(table: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Rows where every named column has the value given; the index starts anew."""
    keep = np.ones(len(table), bool)
    for column, value in where.items():
        keep &= (table[column] == value).to_numpy(bool, na_value=False)
    return table[keep].reset_index(drop=True)
