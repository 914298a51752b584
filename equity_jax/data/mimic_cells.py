"""Cells of text become dates and numbers; what cannot names its file, line, column.

A table is a DataFrame of text ("" = blank) whose index is the number of the row in its
file, from 0, and whose attrs["name"] is the file.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.types import InputError

DAY, MOMENT, COMPACT = "YYYY-MM-DD", "YYYY-MM-DD HH:MM:SS", "YYYYMMDD"
FORMATS = {DAY: "%Y-%m-%d", MOMENT: "%Y-%m-%d %H:%M:%S", COMPACT: "%Y%m%d"}
NO_DAY = np.iinfo(np.int64).min


def refuse(table: pd.DataFrame, row: int, column: str, why: str) -> InputError:
    """An error that names file, line and column of the row-th row.

    Example:
        >>> table = pd.DataFrame({"ef": ["x"]})
        >>> str(refuse(table, 0, "ef", "a word"))
        "table, line 2, column 'ef': a word"
    """
    name, line = table.attrs.get("name", "table"), table.index[row] + 2
    return InputError(f"{name}, line {line}, column {column!r}: {why}")


def dates(
    table: pd.DataFrame, column: str, form: str, blank: bool = False
) -> np.ndarray:
    """Days int64[n] since 1970, time of day dropped; NO_DAY where blank.

    form: a key of FORMATS; blank: whether a cell may be.

    Raises:
        InputError: a cell that is no such date.

    Example:
        >>> dates(pd.DataFrame({"date": ["1970-01-03"]}), "date", DAY).tolist()
        [2]
    """
    cells = table[column].str.strip()
    made = pd.to_datetime(cells, format=FORMATS[form], errors="coerce")
    empty = (cells == "").to_numpy(bool)
    wrong = made.isna().to_numpy() & ~(empty & blank)
    if wrong.any():
        row = int(wrong.argmax())
        why = f"{table[column].iloc[row]!r}; expected a date as {form}"
        raise refuse(table, row, column, why)
    days = made.to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.where(empty, NO_DAY, days)


def numbers(
    table: pd.DataFrame,
    column: str,
    low: float,
    high: float,
    what: str,
    blank: bool = False,
) -> np.ndarray:
    """float64[n], NaN where blank.

    Raises:
        InputError: a cell that is no number of [low, high]; what: such as "a percent".

    Example:
        >>> numbers(pd.DataFrame({"ef": ["35.5"]}), "ef", 0, 100, "a percent").tolist()
        [35.5]
    """
    cells = table[column].str.strip()
    made = pd.to_numeric(cells.mask(cells == ""), errors="coerce").to_numpy(float)
    empty = (cells == "").to_numpy(bool)
    wrong = ~((made >= low) & (made <= high)) & ~(empty & blank)
    if wrong.any():
        row = int(wrong.argmax())
        why = f"{table[column].iloc[row]!r}; expected {what}, {low:g} to {high:g}"
        raise refuse(table, row, column, why)
    return made


def choices(table: pd.DataFrame, column: str, known: dict[str, str]) -> np.ndarray:
    """str[n]: what each word means; known: word -> meaning.

    Raises:
        InputError: a word that is not known.

    Example:
        >>> choices(pd.DataFrame({"gender": ["F"]}), "gender", {"F": "Female"}).tolist()
        ['Female']
    """
    cells = table[column].str.strip()
    wrong = ~cells.isin(list(known)).to_numpy(bool)
    if wrong.any():
        row = int(wrong.argmax())
        words = ", ".join(word or "blank" for word in known)
        why = f"{table[column].iloc[row]!r}; expected one of: {words}"
        raise refuse(table, row, column, why)
    return cells.map(known).to_numpy(str)


def once(table: pd.DataFrame, key: Sequence[str]) -> None:
    """Passes a table in which no two rows have the same key, and none a blank one.

    Raises:
        InputError: the line of the second row and that of the first.

    Example:
        >>> once(pd.DataFrame({"hadm_id": ["1", "2"]}), ["hadm_id"])
    """
    for column in key:
        blank = (table[column].str.strip() == "").to_numpy(bool)
        if blank.any():
            raise refuse(table, int(blank.argmax()), column, "blank; expected an id")
    again = table.duplicated(list(key)).to_numpy()
    if again.any():
        row = int(again.argmax())
        same = (table[list(key)] == table[list(key)].iloc[row]).all(axis=1).to_numpy()
        said = ", ".join(table[list(key)].iloc[row])
        line = table.index[int(same.argmax())] + 2
        why = f"{said} again, as in line {line}; expected each once"
        raise refuse(table, row, " and ".join(key), why)


def take(values: np.ndarray, at: np.ndarray, unknown: Any) -> np.ndarray:
    """values[at], `unknown` where at is -1; values may be none at all.

    Example:
        >>> take(np.array(["x", "y"]), np.array([1, -1]), "").tolist()
        ['y', '']
    """
    if not len(values):
        return np.full(len(at), unknown)
    return np.where(at >= 0, values[at], unknown)
