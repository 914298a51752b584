"""Somebody's table: columns of text or numbers, whose rows errors can name.

Cells of text stay text (ids keep their leading zeros) until a column is asked for as
numbers. A cell is missing when it is empty, NaN, None or the word nan.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd

from equity_jax.types import InputError


class Sheet(NamedTuple):
    """The columns that were asked for, and what errors call them.

    cells: column -> [N], numbers, or places in its texts; texts: column -> its distinct
    texts, object[T], missing is ""; row: [N], the line of each row in the file (a
    quoted cell may span lines) or its label in the DataFrame's index; word: "line" or
    "row"; fingerprint: sha256 of the file's bytes, or of the columns.
    """

    name: str
    cells: Mapping[str, np.ndarray]
    texts: Mapping[str, np.ndarray]
    row: np.ndarray
    word: str
    fingerprint: str

    def take(self, rows: np.ndarray) -> "Sheet":
        """The rows int[n] or bool[N], under the names that they had."""
        cells = {name: column[rows] for name, column in self.cells.items()}
        return self._replace(cells=cells, texts=dict(self.texts), row=self.row[rows])

    def where(self, i: int) -> str:
        """What row number i is called: "line 7"."""
        return f"{self.word} {self.row[i]}"

    def fail(self, i: int, column: str, words: str) -> NoReturn:
        """Raises InputError for one cell: the file, the row, the column, the words."""
        raise InputError(f"{self.name}, {self.where(i)}, column {column!r}: {words}")

    def cell(self, i: int, column: str) -> str:
        """The text of one cell, for people."""
        value = self.cells[column][i]
        text = self.texts[column][value] if column in self.texts else str(value)
        return text or "an empty cell"

    def coded(self, column: str) -> tuple[np.ndarray, list[str]]:
        """A column as text: int[N] and the texts they stand for, as they come.

        Example:
            >>> sheet = Sheet("a.csv", {"age": np.array([7, 9, 7])}, {}, [], "", "")
            >>> code, texts = sheet.coded("age")
            >>> code.tolist(), texts
            ([0, 1, 0], ['7', '9'])
        """
        cells, texts = self.cells[column], self.texts.get(column)
        if texts is None:
            cells, texts = self.cells[column], self.texts[column] = as_texts(cells)
        code, present = pd.factorize(cells)
        return code, texts[present].tolist()

    def text(self, column: str) -> np.ndarray:
        """A column as str[N]; missing is ""."""
        code, texts = self.coded(column)
        return np.array(texts, str)[code]

    def number(self, column: str) -> np.ndarray:
        """A column as float[N]; missing is NaN.

        Raises:
            InputError: a cell that is no number; names its row.
        """
        if column not in self.texts:
            return self.cells[column].astype(float)
        code, texts = self.coded(column)
        values = [_number(text) for text in texts]
        if None in values:
            wrong = int(np.argmax(code == values.index(None)))
            found = texts[code[wrong]]
            self.fail(wrong, column, f"expected a number, found {found!r}")
        return np.array(values, float)[code]


def as_texts(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells of any kind as a Sheet keeps text: codes int[N] and distinct texts.

    Raises:
        TypeError: cells that are neither text nor numbers.

    Example:
        >>> code, texts = as_texts(np.array(["F", None, " F"], object))
        >>> code.tolist(), texts.tolist()
        ([0, 1, 0], ['F', ''])
    """
    code, distinct = pd.factorize(column)
    if column.dtype.kind in "iu":  # whole numbers are texts already
        return code, np.asarray(distinct).astype(str).astype(object)
    return _merged(code, [*distinct, ""])  # missing is -1 and reaches the last


def _merged(code: np.ndarray, distinct: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Codes of distinct cells -> codes of distinct texts, trimmed; those texts."""
    place, texts = pd.factorize(np.array([_text(value) for value in distinct], object))
    return place[code], texts


def _text(value: Any) -> str:
    text = str(value).strip()
    return "" if text in ("nan", "NaN") else text


def _number(text: str) -> float | None:
    """The number a text stands for; None if it is none. Python would read 1_0 as 10."""
    try:
        return math.nan if not text else None if "_" in text else float(text)
    except ValueError:
        return None
