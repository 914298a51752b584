"""CSV files as text, with the number of every line, so that errors can name it."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.data import deaths_names as names
from equity_jax.types import InputError


class Text(NamedTuple):
    """Cells as text: cells[our column], the line of each row, header[our column]."""

    name: str
    lines: np.ndarray
    cells: pd.DataFrame
    header: dict[str, str]
    layout: str


def read_text(source: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and line numbers of a CSV or gzipped CSV; every cell is text.

    Raises:
        InputError: the file is missing, empty, not text, cut short, or ragged.

    Example:
        >>> header, rows, lines = read_text("population.csv")  # doctest: +SKIP
    """
    return rows_of(load_bytes(source), source)


def convert(
    cells: pd.Series,
    parse: Callable[[str], Any],
    lines: np.ndarray,
    name: str,
    title: str,
) -> np.ndarray:
    """Parses each distinct text once: object[N].

    Raises:
        InputError: `parse` raised ValueError; says the file `name`, the line of the
            first bad cell and the column `title`.

    Example:
        >>> convert(pd.Series(["4", "04"]), region, [2, 3], "f.csv", "Region").tolist()
        ['04', '04']
    """
    codes, unique = pd.factorize(cells)
    parsed = np.empty(len(unique), object)
    for i, value in enumerate(unique):
        try:
            parsed[i] = parse(value)
        except ValueError as error:
            line = lines[np.argmax(codes == i)]
            where = f"{name}, line {line}, column {title!r}"
            raise InputError(f"{where}: {error}") from error
    return parsed[codes]


def load_bytes(path: str) -> bytes:
    """The file's bytes.

    Raises:
        InputError: it is missing, a directory, or cannot be read.

    Example:
        >>> raw = load_bytes("deaths.csv.gz")  # doctest: +SKIP
    """
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{path} is a directory; expected a CSV or CSV.gz file")
    try:
        return file.read_bytes()
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"{path}: {why}; expected a CSV or CSV.gz file") from error


def rows_of(raw: bytes, name: str) -> tuple[list[str], list[list[str]], list[int]]:
    r"""Header, rows and their line numbers; gzip is known by its first bytes.

    Raises:
        InputError: empty, not a CSV, a gzip cut short, a row of another length.

    Example:
        >>> rows_of(b"a,b\n1,2\n", "f.csv")
        (['a', 'b'], [['1', '2']], [2])
    """
    try:
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{name}: the gzip is truncated or damaged") from error
    if b"\0" in raw[:4096]:
        raise InputError(f"{name}: not a text file; expected a CSV or CSV.gz file")
    lines, rows = [], []
    # U+FFFD stands in real footnotes already; a byte that is not UTF-8 becomes one
    reader = csv.reader(io.StringIO(raw.decode("utf-8-sig", "replace"), newline=""))
    start = 1
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{name}, line {start}: not a CSV ({error})") from error
    if not rows:
        raise InputError(f"{name}: the file is empty; expected a header and rows")
    header, rows, lines = rows[0], rows[1:], lines[1:]
    if not rows:
        raise InputError(f"{name}: only a header; expected rows below line 1")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"{name}, line {line}, column {min(len(row), len(header))}: the row "
                f"has {len(row)} columns; expected {len(header)}, as "
                "in the header"
            )
    return header, rows, lines


def label(raw: bytes, name: str) -> Text:
    """Finds our columns in any known layout.

    Raises:
        InputError: as `rows_of`, or a column that every known layout needs is missing.

    Example:
        >>> label(load_bytes("deaths.csv"), "deaths.csv").layout  # doctest: +SKIP
        'regions'
    """
    header, rows, lines = rows_of(raw, name)
    index = {names.plain(title): i for i, title in reversed([*enumerate(header)])}
    found = {}  # our column -> number of theirs
    for column, aliases in names.ALIASES.items():
        known = [index[alias] for alias in aliases if alias in index]
        if known:
            found[column] = known[0]
    weekly = "week" in found and "start" not in found and "total" not in found
    layout = "weekly" if weekly else "cleaned" if "period" in found else "regions"
    layout = "states" if "state" in index else layout
    wanted = ["region", "race", "age", "covid"]
    wanted += ["week"] if weekly else ["end", "total"]
    if not weekly and found.get("end") != index.get("week ending date", -1):
        wanted.append("start")  # a week is known by its end alone
    for column in wanted:
        if column not in found:
            title = names.TITLES[column]
            raise InputError(
                f"{name}, line 1, column {title!r}: missing; known layouts: "
                f"{'; '.join(names.LAYOUTS.values())}"
            )
    columns = list(zip(*rows, strict=True))
    cells = pd.DataFrame({c: list(columns[i]) for c, i in found.items()}, dtype=object)
    titles = {column: header[i] for column, i in found.items()}
    return Text(name, np.array(lines), cells, titles, layout)
