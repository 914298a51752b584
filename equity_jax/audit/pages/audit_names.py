"""What an audit's page calls things: groups, counts, metrics; and what comes first."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.audit.pages.style import distinct, wrap
from equity_jax.audit.pages.words import NONE, interval_text, number_text
from equity_jax.audit.subjects import ALL, UNRECORDED
from equity_jax.audit.table import NOT_ESTIMABLE, OK, SUPPRESSED, view
from equity_jax.metrics import FACTS, badness

MAIN = ("auroc", "observed_expected", "brier")
HEADS = {"label": "Label", "system": "Model", "attribute": "Attribute"}


class Primary(NamedTuple):
    """The one question that the first screen answers: the first of everything."""

    system: str
    label: str
    attribute: str
    metric: str


def primary(report: Any) -> Primary:
    """The first system, label and attribute; AUROC, else the first metric of MAIN."""
    groups = view(report.table, contrast="group")
    first = groups.iloc[0]
    there = distinct(groups.metric)
    metric = next((m for m in MAIN if m in there), there[0])
    return Primary(first.system, first.label, first.attribute, str(metric))


def title(metric: str) -> str:
    """The metric's title; its bare name where FACTS has none.

    Example:
        >>> title("auroc"), title("cost_per_case")
        ('AUROC', 'cost per case')
    """
    known = metric.partition("@")[0] in FACTS
    return FACTS[metric].title if known else metric.replace("_", " ")


def least(report: Any) -> str:
    """What is printed for a suppressed number of rows: "<10"."""
    return f"<{report.meta.get('min_rows', 10)}"


def count(n: Any, hidden: str) -> str:
    """A number of rows, or `hidden` where it may not be shown."""
    return hidden if n is None or pd.isna(n) else number_text(int(n))


def line(group: str, n: Any, hidden: str, width: int = 22) -> str:
    """A group's name on lines of at most `width` letters, its rows under it."""
    name = "all rows" if group == ALL else wrap(group, width)
    return f"{name}\n{count(n, hidden)} rows"


def told(row: Any) -> str:
    """The value with its interval, or its status."""
    return (
        interval_text(row.value, row.low, row.high) if row.status == OK else row.status
    )


def short(row: Any) -> str:
    """The value alone, or why there is none, for a picture."""
    if row.status == OK:
        return interval_text(row.value, row.low, row.high).split(" [")[0]
    why = getattr(row, "interval", "")
    if row.status == NOT_ESTIMABLE and why:
        return wrap(f"not estimable: {why}", 26)
    return {SUPPRESSED: "suppressed", NOT_ESTIMABLE: "not estimable"}[row.status]


def several(frame: pd.DataFrame, *names: str) -> list[str]:
    """Those of label, system, attribute that differ in the frame and need a column."""
    return [n for n in names or HEADS if n in frame and frame[n].nunique() > 1]


def tell(frame: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    """A table for reading: the first column, those of HEADS that differ, the others.

    Example:
        >>> rows = pd.DataFrame({"label": ["a", "b"]})
        >>> tell(rows, Group=["x", "y"], Rows=[1, 2]).columns.tolist()
        ['Group', 'Label', 'Rows']
    """
    told = {name.replace("_", " "): list(values) for name, values in columns.items()}
    first = next(iter(told))
    differ = {HEADS[n]: list(frame[n]) for n in several(frame)}
    return pd.DataFrame({first: told[first]} | differ | told)


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of groups that were recorded: not "all", not "not recorded"."""
    return frame[~frame.group.isin([ALL, UNRECORDED])]


def apart(bands: pd.DataFrame, metric: str) -> list[tuple[str, str]]:
    """(group, better group): whose simultaneous bands do not touch, worst first.

    The bands hold all at once, so every pair so found holds at their level. A better
    group is the one that lies farthest away.

    Args:
        bands: group, value, low, high of the named groups that have a value.
        metric: decides which side is worse.
    """
    ends = [badness(metric, bands[c].to_numpy(float)) for c in ("low", "high")]
    least_bad, most_bad = np.minimum(*ends), np.maximum(*ends)
    fact = FACTS[metric]
    if fact.worse.startswith("far"):  # a band around the nominal value may be right
        inside = (bands.low < fact.nominal) & (bands.high > fact.nominal)
        least_bad = np.where(inside, 0.0, least_bad)
    bad = badness(metric, bands.value.to_numpy(float))
    found = []
    for i in np.argsort(-bad):
        room = least_bad[i] - most_bad
        if len(room) and np.nanmax(room, initial=-np.inf) > 0:
            found.append(
                (bands.group.iloc[i], bands.group.iloc[int(np.nanargmax(room))])
            )
    return found


def told_apart(rows: pd.DataFrame, metric: str) -> list[tuple[str, str]]:
    """(group, better group) that these rows of one metric tell apart, worst first.

    By the simultaneous intervals of all pairs (contrast "pair") where the table has
    them, else by the simultaneous bands, which say less.
    """
    pairs = view(rows, contrast="pair", status=OK)
    side = {"lower": -1.0, "higher": 1.0}.get(FACTS[metric].worse)
    if side is None or not len(pairs):
        return apart(named(view(rows, contrast="band", status=OK)), metric)
    # both ways round, as how much worse the group is at least
    least = np.concatenate([side * pairs.low, -side * pairs.high])
    other = np.concatenate([side * pairs.high, -side * pairs.low])
    ends = {"group": [*pairs.group, *pairs.reference]}
    ends |= {"better": [*pairs.reference, *pairs.group]}
    found = pd.DataFrame(ends).assign(least=np.minimum(least, other))
    found = found[found.least > 0].sort_values("least", ascending=False, kind="stable")
    found = found.drop_duplicates("group")
    return list(zip(found.group, found.better, strict=True))


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def counted(report: Any) -> str:
    """All rows and units: "9,433 rows of 7,100 patients"."""
    meta = report.meta
    text, unit = f"{number_text(meta.get('rows'))} rows", meta.get("unit", "row")
    both = f"{text} of {number_text(meta.get('patients'))} {unit}s"
    return text if unit == "row" else both


def pair(row: Any) -> str:
    """The two groups that a gap lies between."""
    return f"{row.group} and {row.reference}" if row.group else NONE


def near(x: Any, low: float, high: float) -> str:
    """A number with the digits of the interval that it belongs to."""
    if pd.isna(x):
        return NONE
    return interval_text(float(x), float(low), float(high)).split(" [")[0]


def drawable(rows: pd.DataFrame, hidden: str) -> pd.DataFrame:
    """Rows of the table with what the dots of charts.py read; `key` is the metric."""
    order = {g: i for i, g in enumerate(distinct(rows.group))}
    each = list(rows.itertuples())
    return rows.assign(
        key=rows.metric,
        metric=rows.metric.map(title),
        place=rows.group.map(order),
        line=[line(r.group, r.n, hidden) for r in each],
        short=[short(r) for r in each],
        told=[told(r) for r in each],
        whole=rows.group == ALL,
    )


TESTS = (
    *("system", "label", "attribute", "metric", "groups", "statistic", "df", "p"),
    *("p_adjusted", "adjustment", "gap", "low", "high", "gap_corrected", "status"),
)


def tests(report: Any) -> pd.DataFrame:
    """The tests of homogeneity; with its columns even if there are none."""
    return report.tests if len(report.tests) else pd.DataFrame(columns=list(TESTS))


def between_models(rows: pd.DataFrame) -> pd.Series:
    """bool: differences of two systems, whose reference reads "method:OTHER"."""
    return rows.reference.str.match(r"(method|scheme|system):")


def lead(rows: pd.DataFrame, first: Primary) -> pd.DataFrame:
    """The rows with the main metric before the others, and so in every menu."""
    main = rows.metric == first.metric
    return pd.concat([rows[main], rows[~main]], ignore_index=True)


def columns(rows: pd.DataFrame, system: str = "Model") -> pd.DataFrame:
    """Group, attribute, then label and system where they differ, and metric."""
    made = {"Group": rows.group, "Attribute": rows.attribute}
    made |= {c: rows[c] for c in several(rows, "label", "system")}
    heads = {"label": "Label", "system": system}
    frame = pd.DataFrame({heads.get(k, k): list(v) for k, v in made.items()})
    return frame.assign(Metric=[title(m) for m in rows.metric])


def menus(frame: pd.DataFrame, first: Primary, **values: str) -> dict[str, str]:
    """The menus of a table: `values`, the first label; all where there is no such row.

    Example:
        >>> rows = pd.DataFrame({"Group": ["a"], "Metric": ["AUROC"]})
        >>> menus(rows, Primary("m", "", "race", "auroc"), Metric="AUROC", Attribute="")
        {'Metric': 'AUROC'}
    """
    values |= {"Label": first.label, "Model": ""}
    there = {k: v for k, v in values.items() if k in frame}
    return {k: v if v in set(frame[k]) else "" for k, v in there.items()}
