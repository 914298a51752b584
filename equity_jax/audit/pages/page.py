"""The page: report.md with its figures beside it, report.html all in one file.

A page is data (titles, paragraphs, DataFrames, pictures, Vega-Lite charts); what it
looks like is in page.html.j2, what it does in page.js. Whatever text it is given is
escaped: a group named `<script>` shows as text. A policy in the page's head lets the
browser run its own scripts alone and fetch nothing. Nothing on the page depends on the
time or the machine, so the same page gives the same bytes.
"""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from markupsafe import Markup

from equity_jax.audit.pages import words
from equity_jax.audit.pages.words import interval_text, number_text, plain
from equity_jax.audit.table import NOT_ESTIMABLE, view
from equity_jax.files import atomic
from equity_jax.metrics import FACTS
from equity_jax.types import InputError

__all__ = [
    *("Chart", "Figure", "Page", "Section", "Table"),
    *("answer", "interval_text", "number_text", "write"),
]
BANNER = (
    "SIMULATED. Every number and picture here comes from made-up rows with a planted "
    "disparity, not from real people."
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:"


class Table(NamedTuple):
    """A DataFrame to be shown: its first column names the rows.

    interactive: sorts by its head and filters by a word; choose: column -> the value
    that a menu over it starts with ("" = all). Markdown shows the rows so chosen.
    """

    caption: str
    frame: pd.DataFrame
    note: str = ""
    interactive: bool = False
    choose: Mapping[str, str] = {}


class Figure(NamedTuple):
    """A PNG: `path` absolute or relative to the page's directory; alt says it all."""

    path: str | os.PathLike[str]
    caption: str
    alt: str


class Chart(NamedTuple):
    """A Vega-Lite spec; its PNG for Markdown is figures/`name`.png.

    alt: what the picture shows, in words; data: its numbers, for who cannot see it.
    """

    name: str
    spec: Mapping[str, Any]
    caption: str
    alt: str
    data: pd.DataFrame


class Section(NamedTuple):
    """Paragraphs (plain text; **bold** and `code` are known), a list, what is shown."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    charts: Sequence[Chart] = ()
    items: Sequence[str] = ()


class Page(NamedTuple):
    """A whole report. `answer`: (question, answer) pairs, the first thing one sees."""

    title: str
    subtitle: str
    simulated: bool
    sections: Sequence[Section]
    answer: Sequence[tuple[str, str]] = ()


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
    """Writes charts, report.md and report.html, atomically; returns the last's path.

    Raises:
        InputError: a figure's file does not exist.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    charts = [chart for section in page.sections for chart in section.charts]
    for chart in charts:
        from equity_jax.audit.pages import vega  # a page without charts needs no Vega

        path = directory / "figures" / f"{chart.name}.png"
        path.parent.mkdir(exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(vega.png(chart.spec))
    with atomic(directory / "report.md") as temporary:
        lines = "\n".join(_markdown(page, directory)) + "\n"
        temporary.write_text(lines, encoding="utf-8")
    with atomic(directory / "report.html") as temporary:
        temporary.write_text(_html(page, directory), encoding="utf-8")
    return directory / "report.html"


def _html(page: Page, directory: Path) -> str:
    folder = resources.files("equity_jax.audit.pages")
    scripts = []
    if any(section.charts for section in page.sections):
        from equity_jax.audit.pages import vega

        scripts.append(vega.bundle())
    if scripts or any(t.interactive for s in page.sections for t in s.tables):
        scripts.append(folder.joinpath("page.js").read_text("utf-8"))
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"rich": words.rich, "cells": words.cells}
    environment.filters |= {"png": _png(directory), "json": words.script_json}
    template = environment.from_string(folder.joinpath("page.html.j2").read_text())
    return template.render(
        page=page,
        banner=BANNER,
        policy=Markup(_policy(scripts)),
        scripts=[Markup(text) for text in scripts],
        words=words.WORDS,
    )


def _policy(scripts: Sequence[str]) -> str:
    """Content Security Policy: scripts with these hashes run, nothing is fetched."""
    sums = [hashlib.sha256(text.encode()).digest() for text in scripts]
    known = " ".join(f"'sha256-{base64.b64encode(s).decode()}'" for s in sums)
    return f"{POLICY}; script-src {known}" if known else POLICY


def _of(row: pd.Series) -> str:
    return interval_text(row.value, row.low, row.high)


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
    yield f"# {mark}{plain(page.title)}\n\n{plain(page.subtitle)}\n"
    if page.simulated:
        yield f"> **{BANNER}**\n"
    for question, text in page.answer:
        yield f"- **{plain(question)}**: {plain('; '.join(text.splitlines()))}"
    tables = figures = 0
    for section in page.sections:
        yield f"\n## {plain(section.title)}\n"
        yield from (f"{plain(text)}\n" for text in section.text)
        pictures = [Figure(f"figures/{c.name}.png", *c[2:4]) for c in section.charts]
        for item in (*pictures, *section.tables, *section.figures):
            if isinstance(item, Table):
                tables += 1
                yield f"{mark}**Table {tables}.** {plain(item.caption)}\n"
                yield from words.pipes(_chosen(item))
                yield f"\n{plain(item.note)}\n" if item.note else ""
                continue
            figures += 1
            link = os.path.relpath(_found(directory, item), directory)
            link = link.replace(os.sep, "/").replace(" ", "%20")
            yield f"![{plain(item.alt)}]({link})\n"
            yield f"{mark}**Figure {figures}.** {plain(item.caption)}\n"
        yield from (f"- {plain(item)}" for item in section.items)


def _chosen(table: Table) -> pd.DataFrame:
    """The rows that the table's menus start with."""
    frame = table.frame
    for column, value in table.choose.items():
        frame = frame[frame[column] == value] if value else frame
    return frame
