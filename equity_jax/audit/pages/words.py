"""How a page writes numbers, and how it keeps what it is given from being markup."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from equity_jax.audit.table import NOT_ESTIMABLE, SUPPRESSED

NONE = "–"
WORDS = (NOT_ESTIMABLE, SUPPRESSED, NONE)
INTERVAL = re.compile(r"[−\d.,]+ \[[−\d.,]+, [−\d.,]+\]")
NUMBER = re.compile(r"^(<?[−\-+]?[\d.,]+( ?%)?( \[.*\])?)$")


class Cells(NamedTuple):
    """A table as text; keys: what a cell sorts by; kinds: CSS classes of columns."""

    head: list[str]
    rows: list[list[str]]
    keys: list[list[float | None]]
    numeric: list[bool]
    kinds: list[str]


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
        return fixed(value, digits)
    # what is not 0 must not print as 0: whether 0 is inside is what people read
    ends = (low, high, value if abs(value) > width / 100 else 0)
    while digits < 4 and any(x and not float(f"{x:.{digits}f}") for x in ends):
        digits += 1
    return f"{fixed(value, digits)} [{fixed(low, digits)}, {fixed(high, digits)}]"


def number_text(value: Any) -> str:
    """A cell of a table: commas in whole numbers, four digits else, – for NaN."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return NONE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return fixed(float(value), 0)
    if isinstance(value, float | np.floating):
        if value == 0 or not math.isfinite(value):
            return "0" if value == 0 else str(value)
        return fixed(value, min(max(3 - math.floor(math.log10(abs(value))), 0), 6))
    return str(value)


def p_text(p: float) -> str:
    """A p-value to two digits, never a false 0: "0.032", "<0.0001", "–" for NaN."""
    if not math.isfinite(p):
        return NONE
    if p < 0.0001:
        return "<0.0001"
    return f"{p:.{min(max(1 - math.floor(math.log10(p)), 2), 4)}f}"


def fixed(value: float, digits: int) -> str:
    """A number with a true minus sign, commas, and no minus before a printed 0."""
    text = f"{value:,.{digits}f}"
    text = text.lstrip("-") if not any(c in "123456789" for c in text) else text
    return text.replace("-", "−")


def cells(frame: pd.DataFrame) -> Cells:
    """Texts of a table, which columns are numbers (aligned right), their sort keys."""
    rows = [[number_text(v) for v in row] for row in frame.itertuples(index=False)]
    numeric = [
        j > 0
        and any(NUMBER.match(r[j]) for r in rows)
        and all(NUMBER.match(r[j]) or r[j] in WORDS for r in rows)
        for j in range(frame.shape[1])
    ]
    keys = [[_key(text) for text in row] for row in rows]
    long = [max((len(r[j]) for r in rows), default=0) for j in range(frame.shape[1])]
    kinds = ["num" if n else _kind(size) for n, size in zip(numeric, long, strict=True)]
    return Cells([str(c) for c in frame.columns], rows, keys, numeric, kinds)


def _kind(letters: int) -> str:
    """How much width a column of words is given."""
    return "prose" if letters > 90 else "text" if letters > 28 else "word"


def _key(text: str) -> float | None:
    """The number that a cell sorts by; None (sorted last) for a hidden count "<10"."""
    found = re.match(r"(<?)([−\-+]?[\d.,]+)", text)
    if not found:
        return None
    try:
        key = float(found[2].replace("−", "-").replace(",", ""))
    except ValueError:
        return None
    return None if found[1] and key >= 1 else key


def rich(text: str) -> Markup:
    """Escapes first, then **bold** and `code`; an interval stays on one line."""
    safe = str(escape(text))
    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
    safe = INTERVAL.sub(r'<span class="whole">\g<0></span>', safe)
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", safe))


def plain(text: str) -> str:
    """Text that Markdown cannot take for a tag, a link, a table's bar, a new block."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    text = text.replace("](", "]\\(")
    return " ".join(text.split())


def pipes(frame: pd.DataFrame) -> Iterator[str]:
    """The lines of a Markdown table."""
    shown = cells(frame)
    yield "| " + " | ".join(map(plain, shown.head)) + " |"
    yield "|" + "|".join(" ---: " if n else " --- " for n in shown.numeric) + "|"
    for row in shown.rows:
        yield "| " + " | ".join(map(plain, row)) + " |"


def script_json(value: Any) -> Markup:
    r"""JSON that may stand inside a script element: <, >, & and U+2028 as \u003c ...

    Example:
        >>> str(script_json("</script>"))
        '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)
