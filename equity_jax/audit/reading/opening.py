"""Opens what holds somebody's predictions: a CSV file, a DataFrame or arrays."""

import csv
import difflib
import gzip
import hashlib
import io
import os
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit.reading.sheet import Sheet, as_texts
from equity_jax.types import InputError


def open_sheet(source: Any, columns: Iterable[str]) -> Sheet:
    """The named columns of a file (.csv, .csv.gz), a DataFrame or a dict of arrays.

    Raises:
        InputError: no such file, not a CSV, not UTF-8, a row of another length, a
            column that is missing or there twice, arrays of different lengths.

    Example:
        >>> open_sheet({"y": [0, 1]}, ["y"]).number("y").tolist()
        [0.0, 1.0]
    """
    wanted = tuple(dict.fromkeys(columns))
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        raw = _bytes(path)
        return _csv(raw, path.name, wanted)
    if isinstance(source, pd.DataFrame):
        return _frame(source, "DataFrame", wanted)
    if isinstance(source, Mapping):
        return _frame(_joined(source, wanted), "arrays", wanted)
    kind = type(source).__name__
    raise InputError(f"cannot read {kind}; give a CSV file, a DataFrame or a dict")


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a CSV or CSV.gz file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _csv(raw: bytes, name: str, wanted: Sequence[str]) -> Sheet:
    """Reads with Python's csv, which knows the line that each row begins on."""
    fingerprint = hashlib.sha256(raw).hexdigest()
    stream = io.TextIOWrapper(io.BytesIO(_plain(raw, name)), "utf-8-sig", newline="")
    reader = csv.reader(stream, strict=True)
    start, lines = 1, array("q")
    columns: list[list[str]] = [[] for _ in wanted]
    try:
        first = next((row for row in reader if row), [])
        header, start = [title.strip() for title in first], reader.line_num + 1
        if not any(header):
            raise InputError(f"{name} is empty; expected a header and rows")
        places = _places(header, wanted, name)
        fill = [(column.append, i) for column, i in zip(columns, places, strict=True)]
        for row in reader:
            if len(row) == len(header):
                for append, i in fill:
                    append(row[i])
                lines.append(start)
            elif row and (len(row) > 1 or row[0].strip()):  # else a blank line
                words = f"{len(row)} cells; the header has {len(header)}"
                raise InputError(f"{name}, line {start}: {words}")
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{name}, line {start}: not a CSV ({error})") from error
    if not lines:
        raise InputError(f"{name} has a header but no rows")
    cells, texts = {}, {}
    for title, column in zip(wanted, columns, strict=True):
        cells[title], texts[title] = as_texts(np.array(column, object))
        column.clear()  # texts are kept once
    return Sheet(name, cells, texts, np.array(lines), "line", fingerprint)


def _plain(raw: bytes, name: str) -> bytes:
    """Unzipped (gzip is known by its first bytes) and checked to be UTF-8 text."""
    try:
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{name}: the gzip is truncated or damaged") from error
    if b"\0" in raw:
        raise InputError(f"{name} is not a text file; expected CSV in UTF-8")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        words = f"byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        raise InputError(f"{name}, line {line}: {words}") from error
    return raw


def _frame(frame: pd.DataFrame, name: str, wanted: Sequence[str]) -> Sheet:
    places = _places([str(title).strip() for title in frame.columns], wanted, name)
    if not len(frame):
        raise InputError(f"{name}: no rows")
    cells, texts, digest = {}, {}, hashlib.sha256()
    for title, place in zip(wanted, places, strict=True):
        cells[title] = column = _numbers(frame.iloc[:, place])
        if column.dtype.kind == "O":
            try:
                cells[title], texts[title] = as_texts(column)
            except TypeError as error:
                words = "expected cells of text or numbers"
                raise InputError(f"{name}, column {title!r}: {words}") from error
        about = (title, cells[title].dtype.str, *texts.get(title, ()))
        digest.update("\0".join(about).encode() + b"\0" + cells[title].tobytes())
    row = np.asarray(frame.index)
    return Sheet(name, cells, texts, row, "row", digest.hexdigest())


def _numbers(column: pd.Series) -> np.ndarray:
    """Numbers as numpy's own kind, so that they need no parsing; else objects."""
    if column.dtype.kind not in "fiu":
        return column.to_numpy(object)
    if column.isna().any():
        return column.to_numpy(float, na_value=np.nan)
    return column.to_numpy()


def _joined(arrays: Mapping[Any, Any], wanted: Sequence[str]) -> pd.DataFrame:
    columns = {}
    for title in arrays:
        if str(title).strip() in wanted:
            column = np.asarray(arrays[title])
            if column.ndim != 1:
                shape = f"shape {column.shape}; expected one axis"
                raise InputError(f"arrays, column {str(title)!r}: {shape}")
            columns[title] = column.astype(str) if column.dtype.kind == "S" else column
    lengths = {str(title): len(column) for title, column in columns.items()}
    if len(set(lengths.values())) > 1:
        sizes = ", ".join(f"{title} {n}" for title, n in lengths.items())
        raise InputError(f"arrays have different lengths: {sizes}")
    unused = {t: None for t in arrays if t not in columns}  # to suggest, if one lacks
    return pd.DataFrame(columns).assign(**{str(t): v for t, v in unused.items()})


def _places(header: Sequence[str], wanted: Sequence[str], name: str) -> list[int]:
    """Where each wanted column stands."""
    for column in wanted:
        count = header.count(column)
        if count > 1:
            raise InputError(f"{name} has {count} columns called {column!r}")
        if not count:
            near = difflib.get_close_matches(column, header, 3, 0.6)
            near = near or [h for h in header if h.lower() == column.lower()]
            hint = f"did you mean {' or '.join(map(repr, near))}?"
            shown = ", ".join(header[:12]) + (", ..." if len(header) > 12 else "")
            hint = hint if near else f"it has: {shown}"
            raise InputError(f"{name} has no column {column!r}; {hint}")
    return [header.index(column) for column in wanted]
