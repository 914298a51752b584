"""The page: report.md with its figures beside it, report.html all in one file.

A page is data (titles, paragraphs, DataFrames, pictures); what it looks like is in
page.html.j2. Whatever text it is given is escaped: a group named `<script>` shows as
text. Nothing on it depends on the time or the machine, so the same page gives the same
bytes.
"""

import base64
import math
import os
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from equity_jax.audit.table import NOT_ESTIMABLE, view
from equity_jax.metrics import FACTS
from equity_jax.types import InputError

BANNER = (
    "SIMULATED. Every number and picture here comes from made-up rows with a planted "
    "disparity, not from real people."
)
NUMBER = re.compile(r"^([−\-+]?[\d.,]+( ?%)?( \[.*\])?|–|NOT_ESTIMABLE)$")


class Table(NamedTuple):
    """A DataFrame to be shown: its first column names the rows."""

    caption: str
    frame: pd.DataFrame
    note: str = ""


class Figure(NamedTuple):
    """A PNG: `path` absolute or relative to the page's directory; alt says it all."""

    path: str | os.PathLike[str]
    caption: str
    alt: str


class Section(NamedTuple):
    """Paragraphs (plain text; **bold** and `code` are known), then tables, figures."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


class Page(NamedTuple):
    """A whole report. `answer`: (question, answer) pairs, the first thing one sees."""

    title: str
    subtitle: str
    simulated: bool
    sections: Sequence[Section]
    answer: Sequence[tuple[str, str]] = ()


def interval_text(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """A number with its interval, to two digits of the interval's width.

    Example:
        >>> interval_text(0.83214, 0.8012, 0.8619)
        '0.832 [0.801, 0.862]'
        >>> interval_text(math.nan)
        'NOT_ESTIMABLE'
    """
    if not math.isfinite(value):
        return NOT_ESTIMABLE
    width = high - low
    known = math.isfinite(width)
    scale = width if known and width > 0 else abs(value) / 10 or 1.0
    digits = min(max(1 - math.floor(math.log10(scale)), 0), 6)
    if not known:
        return _fixed(value, digits)
    # what is not 0 must not print as 0: whether 0 is inside is what people read
    ends = (low, high, value if abs(value) > width / 100 else 0)
    while digits < 4 and any(x and not float(f"{x:.{digits}f}") for x in ends):
        digits += 1
    return f"{_fixed(value, digits)} [{_fixed(low, digits)}, {_fixed(high, digits)}]"


def number_text(value: Any) -> str:
    """A cell of a table: commas in whole numbers, four digits else, – for NaN."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return _fixed(float(value), 0)
    if isinstance(value, float | np.floating):
        if value == 0 or not math.isfinite(value):
            return "0" if value == 0 else str(value)
        return _fixed(value, min(max(3 - math.floor(math.log10(abs(value))), 0), 6))
    return str(value)


def answer(
    table: pd.DataFrame, *, metric: str, system: str, unit: str, label: str = ""
) -> list[tuple[str, str]]:
    """Who is served worst, by how much, how sure, on how many: for `Page.answer`.

    Args:
        table: the long table of an audit.
        metric: a key of metrics.FACTS.
        system: a value of the column `system`, "method/scheme".
        unit: what a block is.
        label: a value of the column `label`.

    Raises:
        InputError: the table has no such system, metric or label.
    """
    rows = view(table, metric=metric, system=system, label=label)
    if not len(rows):
        raise InputError(f"no row of the audit has {metric}, {system!r}, {label!r}")
    title = FACTS[metric].title
    every = view(rows, contrast="group", group="all").iloc[0]
    size = f"{number_text(every.n)} rows in {number_text(every.patients)} {unit}s"
    gap, worst = (view(rows, contrast=c).iloc[0] for c in ("gap", "worst"))
    if gap.status == NOT_ESTIMABLE:
        text = f"{NOT_ESTIMABLE}: fewer than two groups are large enough"
        return [("Who is served worst", text), ("On how many", size)]
    sure = "Its interval excludes 0: some groups are served differently."
    if gap.low <= 0:
        sure = "Its interval contains 0: the gap may be chance."
    own = f"{number_text(worst.n)} rows in {number_text(worst.patients)}"
    return [
        ("Who is served worst", f"{worst.group}: {title} {_of(worst)}"),
        ("By how much", f"{_of(gap)} between {gap.group} and {gap.reference}"),
        ("How sure", f"{sure} Both intervals allow for looking at all groups."),
        ("On how many", f"{size}; {worst.group}: {own}"),
    ]


def write(page: Page, directory: str | os.PathLike[str]) -> Path:
    """Writes report.md and report.html, atomically, and returns the latter's path.

    Raises:
        InputError: a figure's file does not exist.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _replace(directory / "report.md", "\n".join(_markdown(page, directory)) + "\n")
    source = resources.files("equity_jax.audit").joinpath("page.html.j2").read_text()
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"rich": _rich, "cells": _cells, "png": _png(directory)}
    html = environment.from_string(source).render(page=page, banner=BANNER)
    _replace(directory / "report.html", html)
    return directory / "report.html"


def _of(row: pd.Series) -> str:
    return interval_text(row.value, row.low, row.high)


def _fixed(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    text = text.lstrip("-") if not any(c in "123456789" for c in text) else text
    return text.replace("-", "−")


def _rich(text: str) -> Markup:
    """Escapes first, then **bold** and `code`."""
    safe = str(escape(text))
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", safe))


def _cells(frame: pd.DataFrame) -> dict[str, Any]:
    """Texts of a table, and which columns are numbers (aligned right)."""
    rows = [[number_text(v) for v in row] for row in frame.itertuples(index=False)]
    numeric = [
        all(NUMBER.match(row[j]) for row in rows) and j > 0
        for j in range(frame.shape[1])
    ]
    return {"head": [str(c) for c in frame.columns], "rows": rows, "numeric": numeric}


def _png(directory: Path) -> Any:
    def encode(figure: Figure) -> str:
        data = _found(directory, figure).read_bytes()
        return "data:image/png;base64," + base64.b64encode(data).decode()

    return encode


def _found(directory: Path, figure: Figure) -> Path:
    path = directory / figure.path  # an absolute path stays what it is
    if not path.is_file():
        raise InputError(f"{path}: no such figure")
    return path


def _markdown(page: Page, directory: Path) -> Iterator[str]:
    mark = "SIMULATED · " if page.simulated else ""
    yield f"# {mark}{_plain(page.title)}\n\n{_plain(page.subtitle)}\n"
    if page.simulated:
        yield f"> **{BANNER}**\n"
    for question, text in page.answer:
        yield f"- **{_plain(question)}**: {_plain(text)}"
    tables = figures = 0
    for section in page.sections:
        yield f"\n## {_plain(section.title)}\n"
        yield from (f"{_plain(text)}\n" for text in section.text)
        for table in section.tables:
            tables += 1
            yield f"{mark}**Table {tables}.** {_plain(table.caption)}\n"
            yield from _pipes(table.frame)
            yield f"\n{_plain(table.note)}\n" if table.note else ""
        for figure in section.figures:
            figures += 1
            link = os.path.relpath(_found(directory, figure), directory)
            link = link.replace(os.sep, "/").replace(" ", "%20")
            yield f"![{_plain(figure.alt)}]({link})\n"
            yield f"{mark}**Figure {figures}.** {_plain(figure.caption)}\n"


def _pipes(frame: pd.DataFrame) -> Iterator[str]:
    cells = _cells(frame)
    yield "| " + " | ".join(map(_plain, cells["head"])) + " |"
    yield "|" + "|".join(" ---: " if n else " --- " for n in cells["numeric"]) + "|"
    for row in cells["rows"]:
        yield "| " + " | ".join(map(_plain, row)) + " |"


def _plain(text: str) -> str:
    """Text that Markdown cannot take for a tag, a table's bar or a new block."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(text.split())


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
