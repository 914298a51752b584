"""CDC deaths tables of any layout -> one canonical table of intervals.

Each count column is suppressed by its own blank plus the footnote: 1 to 9. A blank that
no footnote explains says nothing. The weekly copy writes suppressed counts as 0, so its
0 means 0 to 9; the cleaned copy dropped every row with a blank (methods.md 22).
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.data import deaths_names as names
from equity_jax.data.deaths_names import NATION
from equity_jax.data.deaths_text import Text, convert, label, load_bytes
from equity_jax.types import InputError

COLUMNS = (
    *("line", "as_of", "start", "end", "grain", "period", "region", "race", "age"),
    *("low", "high", "total_low", "total_high", "footnote", "unexplained"),
)
CELL = ["grain", "period", "region", "race", "age"]  # what names a cell of the table
SUPPRESSED = (1.0, 9.0)


class Table(NamedTuple):
    """A canonical table and where it came from.

    frame: COLUMNS (line int; as_of, start, end datetime64, NaT where unknown; grain
    "week", "month", "year" or "total"; period: ISO start date; low <= COVID-19 deaths
    <= high, NaN high where nothing is known; total_low, total_high: NaN where unknown);
    layout: a key of deaths_names.LAYOUTS; name: the file's, for messages; fingerprint:
    16 hex digits of the SHA-256 of the file's bytes; footnotes: the file has a footnote
    column.
    """

    frame: pd.DataFrame
    layout: str
    name: str
    fingerprint: str
    footnotes: bool


def read(source: str | pd.DataFrame) -> Table:
    """The canonical table of a CSV, a gzipped CSV, or a DataFrame of text.

    Raises:
        InputError: one line with file, line, column and what was expected: a missing,
            empty or truncated file, unknown columns, a cell that cannot be read, a
            count above its total, a cell given twice.

    Example:
        >>> read("deaths.csv.gz").frame[["period", "low", "high"]]  # doctest: +SKIP
    """
    if isinstance(source, pd.DataFrame):
        raw, name = source.to_csv(index=False).encode(), "simulated twin"
    else:
        name = str(source)
        raw = load_bytes(name)
    text = label(raw, name)
    frame = _frame(text)
    _check(text, frame)
    fingerprint = hashlib.sha256(raw).hexdigest()[:16]
    return Table(frame, text.layout, name, fingerprint, "footnote" in text.cells)


def _column(text: Text, column: str, parse: Callable[[str], Any]) -> np.ndarray:
    cells, title = text.cells[column], text.header[column]
    return convert(cells, parse, text.lines, text.name, title)


def _frame(text: Text) -> pd.DataFrame:
    n, weekly = len(text.lines), text.layout == "weekly"
    frame = pd.DataFrame({"line": text.lines})
    never = np.full(n, np.datetime64("NaT", "s"))
    stated = "as_of" in text.cells
    frame["as_of"] = _days(_column(text, "as_of", names.date)) if stated else never
    end = _days(_column(text, "week" if weekly else "end", names.day))
    start = end - np.timedelta64(6, "D")
    if "start" in text.cells:
        start = _days(_column(text, "start", names.day))
    frame["start"], frame["end"] = start, end
    frame["grain"] = _grain(text, frame)
    frame["period"] = np.datetime_as_string(start, "D")
    state = text.layout == "states"
    frame["region"] = _column(text, "region", names.state if state else names.region)
    frame["race"] = _column(text, "race", names.race)
    frame["age"] = _column(text, "age", names.age)
    intervals = _intervals(text, _column(text, "covid", names.count).astype(float))
    return frame.assign(**intervals)[list(COLUMNS)]


def _days(values: np.ndarray) -> np.ndarray:
    return values.astype("datetime64[s]")


def _grain(text: Text, frame: pd.DataFrame) -> np.ndarray:
    if text.layout == "states":
        return np.full(len(frame), "total", object)
    if text.layout == "weekly":
        return np.full(len(frame), "week", object)
    if "group" in text.cells:
        return _column(text, "group", names.grain)
    start, end = frame["start"].dt, frame["end"].dt  # the earliest releases
    same_year = start.year == end.year
    week = (frame["end"] - frame["start"]).dt.days == 6
    month = (start.day == 1) & (start.month == end.month) & same_year
    year = (start.day_of_year == 1) & (end.month == 12) & (end.day == 31) & same_year
    return np.select([week, month, year], ["week", "month", "year"], "total")


def _intervals(text: Text, covid: np.ndarray) -> dict[str, np.ndarray]:
    n = len(covid)
    total, blank_total = np.full(n, np.nan), np.zeros(n, bool)
    if "total" in text.cells:
        total = _column(text, "total", names.count).astype(float)
        blank_total = np.isnan(total)
    footnote = np.zeros(n, bool)
    if "footnote" in text.cells:
        footnote = text.cells["footnote"].str.strip().ne("").to_numpy(bool)
    blank = np.isnan(covid)
    zero = (text.layout == "weekly") & (covid == 0)
    low = np.where(blank, np.where(footnote, SUPPRESSED[0], 0.0), covid)
    high = np.where((blank & footnote) | zero, SUPPRESSED[1], covid)
    high = np.where(blank | zero, np.fmin(high, total), high)
    hidden = blank_total & footnote
    least = np.clip(low, *SUPPRESSED)  # a total is at least its part
    return {
        "low": low,
        "high": high,
        "total_low": np.where(hidden, least, total),
        "total_high": np.where(hidden, SUPPRESSED[1], total),
        "footnote": footnote,
        "unexplained": (blank | blank_total) & ~footnote,
    }


def _check(text: Text, frame: pd.DataFrame) -> None:
    backwards = (frame["end"] < frame["start"]).to_numpy()
    if backwards.any():
        raise InputError(
            f"{text.name}, line {text.lines[backwards.argmax()]}, column "
            f"{text.header['end']!r}: before the start date; expected a later day"
        )
    above = (frame["low"] > frame["total_high"]).to_numpy()
    if above.any():
        row = frame.iloc[above.argmax()]
        raise InputError(
            f"{text.name}, line {row['line']}, column {text.header['covid']!r}: at "
            f"least {row['low']:.0f}, above the {row['total_high']:.0f} of "
            f"{text.header['total']!r}; expected at most the total"
        )
    again = frame.duplicated(CELL).to_numpy()
    if again.any():
        row = frame.iloc[again.argmax()]
        same = (frame[CELL] == row[CELL]).all(axis=1).to_numpy()
        first = frame["line"].iloc[same.argmax()]
        raise InputError(
            f"{text.name}, line {row['line']}, columns {text.header['region']!r}, "
            f"{text.header['race']!r}, {text.header['age']!r}: the cell of line {first}"
            f" again ({', '.join(row[c] for c in CELL)}); expected each cell once"
        )


def suppressible(frame: pd.DataFrame) -> np.ndarray:
    """bool[N]: rows that CDC suppresses; the nation's own rows are published whole."""
    return (frame["region"] != NATION).to_numpy()


def joint(frame: pd.DataFrame) -> bool:
    """Whether no footnoted row has exactly one blank, and some have both.

    Then the blanks were put back for whole rows and say only that one of the two counts
    was suppressed.
    """
    rows = frame[suppressible(frame) & frame["footnote"].to_numpy()]
    covid = rows["low"].ne(rows["high"]).to_numpy()
    total = rows["total_low"].ne(rows["total_high"]).to_numpy()
    return bool((covid & total).any() and not (covid ^ total).any())
