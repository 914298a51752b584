"""What the subsample experiment says of a group, in words no wider than intervals."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.pages.page import interval_text

GAP, EQUAL = "gap as trained", "gap at equal size"
LEFT = "gap at equal size and prevalence"
# quantity -> what is said where its interval lies above 0, below 0, or holds it
CROSSED = {
    "harder": (
        "its images are ranked worse whoever teaches",
        "its images are ranked better whoever teaches",
        "that its images are harder to rank whoever teaches",
    ),
    "home": (
        "each group gains from a head of its own, as where images and labels are"
        " related in another way",
        "each group loses by a head of its own",
        "that a head of one's own helps",
    ),
    "teacher": (
        "its labels teach less, as noisy labels and faint signs do",
        "its labels teach more",
        "that its labels teach less",
    ),
}


class Row(NamedTuple):
    """A quantity with its interval; why: the reason where it is not known, or ""."""

    value: float
    low: float
    high: float
    why: str = ""

    @property
    def text(self) -> str:
        """As on the page: "0.12 [0.08, 0.16]"."""
        return interval_text(self.value, self.low, self.high)

    @property
    def unsure(self) -> bool:
        """Whether the interval holds 0."""
        return self.low <= 0 <= self.high

    def turned(self) -> "Row":
        """The same with the other sign."""
        return Row(-self.value, -self.high, -self.low, self.why)


def rows_of(table: pd.DataFrame, group: str) -> dict[str, Row]:
    """Quantity -> Row of a group's gaps and parts, from subsample.csv.

    Example: `rows_of(table, "Black")["size"].text`.
    """
    mine = view(table, group=group)
    return {
        r.quantity: Row(r.value, r.low, r.high, "" if r.status == OK else r.why)
        for r in mine[mine["quantity"] != "auroc"].itertuples()
    }


def sentence(rows: Mapping[str, Row], reference: str) -> str:
    """What may be said of one group.

    Example:
        >>> none = {"gap as trained": Row(0.01, -0.1, 0.1)}
        >>> sentence(none, "White")[:37]
        'no gap to White can be told from 0 (0'
    """
    gap = rows[GAP]
    if gap.why:
        return f"{NOT_ESTIMABLE}, {gap.why}."
    if gap.unsure:
        return (
            f"no gap to {reference} can be told from 0 ({gap.text}), so there is none"
            " to divide."
        )
    word, turned = ("worse", False) if gap.low > 0 else ("better", True)
    mine = {k: r.turned() if turned else r for k, r in rows.items()}
    said = [f"ranked {word} than {reference}, by {mine[GAP].text}"]
    said += [_part(mine["size"], "equal size")]
    said += [_part(mine["prevalence"], "equal prevalence then")]
    said += _left(mine)
    return "; ".join(said) + "." + _crossed(rows)


def _part(row: Row, what: str) -> str:
    if row.why:
        return f"{what}: {NOT_ESTIMABLE}, {row.why}"
    if row.unsure:
        return f"what {what} changes cannot be told from 0 ({row.text})"
    if row.low > 0:
        return f"{what} takes away {row.text}"
    return f"{what} adds {row.turned().text}"


def _left(rows: Mapping[str, Row]) -> list[str]:
    """The gap that remains, at equal prevalence too if that could be had."""
    both = not rows[LEFT].why
    left = rows[LEFT if both else EQUAL]
    if left.why:
        return []
    if left.unsure:
        return [f"what is left, {left.text}, cannot be told from 0"]
    if left.high < 0:
        return [f"then it is the other way round, by {left.turned().text}"]
    cause = "neither size nor prevalence explains" if both else "size does not explain"
    return [f"{left.text} is left, which {cause}"]


def _crossed(rows: Mapping[str, Row]) -> str:
    """What heads taught by one group alone add to it."""
    known = {k: rows[k] for k in CROSSED if not rows[k].why}
    sure = [
        f"{CROSSED[k][0 if row.low > 0 else 1]} ({row.text})"
        for k, row in known.items()
        if not row.unsure
    ]
    open_ = [f"{CROSSED[k][2]} ({row.text})" for k, row in known.items() if row.unsure]
    said = f" Heads of one group alone: {'; '.join(sure)}." if sure else ""
    if open_:
        said += f" Not to be told from 0: {'; '.join(open_)}."
    return said
