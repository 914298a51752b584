"""Sections of an audit's page that are tables: every number, power, what is missing."""

from typing import Any

import pandas as pd

from equity_jax.audit.pages import audit_names as names
from equity_jax.audit.pages.audit_names import Primary
from equity_jax.audit.pages.audit_pairs import cross
from equity_jax.audit.pages.page import Section, Table
from equity_jax.audit.pages.style import distinct
from equity_jax.audit.pages.words import NONE, interval_text, number_text, p_text
from equity_jax.audit.resampling.measures import BINARY
from equity_jax.audit.table import NOT_ESTIMABLE, OK, SUPPRESSED, view

KEYS = ["system", "label", "attribute", "metric", "group"]
MOST = 4000  # rows of the large table; above it, the other labels are in audit.csv


def every(report: Any, first: Primary) -> Section:
    """All metrics of all groups and intersections; sorts and filters."""
    rows = view(report.table, contrast="group")
    left = len(rows) > MOST
    rows = view(rows, label=first.label) if left else rows
    rows = names.lead(rows, first)
    for contrast in ("difference", "ratio"):
        other = view(report.table, contrast=contrast)
        other = other[~names.between_models(other)]
        told = [names.told(r) for r in other.itertuples()]
        other = other[KEYS].assign(**{contrast: told})
        rows = rows.merge(other, "left", KEYS)
    each, hidden = list(rows.itertuples()), names.least(report)
    counts = {c: [_count(r, c, hidden) for r in each] for c in COUNTS}
    counts = {c: x for c, x in counts.items() if set(x) - {NONE}}
    frame = names.columns(rows).assign(Value=[names.told(r) for r in each])
    frame["Minus reference"] = rows.difference.fillna(NONE)
    if rows.ratio.notna().any():
        frame["Over reference"] = rows.ratio.fillna(NONE)
    frame = frame.assign(**counts)
    choose = names.menus(frame, first, Metric=names.title(first.metric), Attribute="")
    reference = report.meta.get("reference", {})
    told = ", ".join(f"{a}: {g}" for a, g in dict(reference).items())
    note = f"References: {told}." if told else ""
    note += f" Labels other than {first.label} are in audit.csv." if left else ""
    caption = (
        f"Every group and intersection, {names.counted(report)}: value and interval,"
        " with the difference and the ratio to the reference group"
    )
    text = (
        "Press a column's name to sort, choose a metric, or type a part of a group's"
        " name. audit.csv holds the same and more."
    )
    shown = Table(caption, frame, note, interactive=True, choose=choose)
    tables = [shown, *cross(report, first)]
    return Section("Every group, every metric", [text], tables)


COUNTS = {"Rows": "n", "Patients": "patients", "Positives": "positives"}


def _count(row: Any, column: str, hidden: str) -> str:
    """Rows as "<10" where suppressed; other counts then say so in a word."""
    n = getattr(row, COUNTS[column])
    if column == "Rows":
        return names.count(n, hidden)
    if not pd.isna(n):
        return number_text(int(n))
    labeled = row.metric in BINARY or "@" in row.metric  # a count has no positives
    hidden_class = column == "Positives" and labeled
    return SUPPRESSED if hidden_class or row.status == SUPPRESSED else NONE


def power(report: Any, first: Primary) -> Section:
    """Tests of homogeneity, and what these data could have detected."""
    tests = names.tests(report)
    each = list(tests.itertuples())
    frame = names.tell(
        tests,
        Metric=[names.title(m) for m in tests.metric],
        Gap=[_told(t, t.gap) for t in each],
        p=[p_text(float(x)) for x in tests.p],
        p_adjusted=[p_text(float(x)) for x in tests.p_adjusted],
        Corrected_gap=[names.near(t.gap_corrected, t.low, t.high) for t in each],
        Statistic=[NONE if pd.isna(x) else f"{x:.1f}" for x in tests.statistic],
        df=[NONE if pd.isna(x) else f"{x:g}" for x in tests.df],
        Groups=tests.groups,
    )
    how = ", ".join(str(x) for x in distinct(tests.adjustment) if x) or "none"
    tables = []
    if len(tests):
        caption = f"Are all groups alike? Tests of homogeneity, {names.counted(report)}"
        note = f"Adjustment of p over the metrics: {how}."
        choose = names.menus(frame, first, Attribute="", Metric="")
        tables.append(Table(caption, frame, note, True, choose))
    rows = report.power
    if len(rows):
        tables.append(_detectable(report, rows, first))
    text = [
        "A test that finds nothing is no proof that groups are alike: small groups hide"
        " large gaps. The second table says how large a true difference to the"
        " reference had to be for these data to find it four times in five (80 % power,"
        " 5 % level), and how many rows a group would need to find the one asked for."
    ]
    return Section("Tests, and what these data could have found", text, tables)


def _detectable(report: Any, rows: pd.DataFrame, first: Primary) -> Table:
    hidden = names.least(report)
    wanted = distinct(rows.wanted.dropna())
    asked = f" of {wanted[0]:g}" if len(wanted) == 1 else ""
    frame = names.tell(
        rows,
        Group=rows.group,
        Reference=rows.reference,
        Metric=[names.title(m) for m in rows.metric],
        Rows=[names.count(n, hidden) for n in rows.n],
        **{
            "Detectable difference": [
                _told(r, r.detectable) for r in rows.itertuples()
            ],
            f"Rows to detect one{asked}": [
                _whole(r, r.rows_needed) for r in rows.itertuples()
            ],
        },
    )
    caption = "The smallest true difference each group could have shown"
    metric = names.title(first.metric)
    choose = names.menus(frame, first, Metric=metric, Attribute=first.attribute)
    return Table(caption, frame, "", True, choose)


def _whole(row: Any, x: Any) -> str:
    if row.status != OK:
        return str(row.status)
    return number_text(int(x)) if pd.notna(x) and abs(x) < 1e12 else NONE


def _told(row: Any, x: Any) -> str:
    if row.status != OK:
        return str(row.status)
    ends = (row.low, row.high) if hasattr(row, "low") else ()
    return interval_text(float(x), *map(float, ends))


def sensitivity(report: Any, first: Primary) -> Section | None:
    """What wrong labels and conflicting records could do to a difference."""
    rows = report.sensitivity
    if not len(rows):
        return None
    tables = [
        _moved(report, part, str(kind), first)
        for kind, part in rows.groupby("kind", sort=False)
    ]
    text = (
        "Differences can be made by wrong labels that are more frequent in one group,"
        " and by the choice of one record where a patient has several. These tables say"
        " how far the numbers above could move. A bound holds for the worst possible"
        " choice of wrong labels; it is no interval."
    )
    return Section("How far errors could move a difference", [text], tables)


KINDS = {
    "label error": "A group minus its reference, with bounds if labels were wrong",
    "conflict policy": "A group minus its reference, if other records were believed",
}


def _moved(report: Any, rows: pd.DataFrame, kind: str, first: Primary) -> Table:
    hidden = names.least(report)
    frame = names.columns(rows)
    frame.insert(1, "Reference", list(rows.reference))
    frame["If"] = list(rows.setting)
    frame["Difference"] = [names.told(r) for r in rows.itertuples()]
    frame["Rows"] = [names.count(n, hidden) for n in rows.n]
    metric = names.title(first.metric)
    choose = names.menus(frame, first, Metric=metric, Attribute=first.attribute)
    return Table(KINDS.get(kind, kind), frame, "", True, choose)


def missing(report: Any, first: Primary) -> Section:
    """What could not be estimated, and what is suppressed, with the reason."""
    rows = report.table[report.table.status != OK]
    rows = rows[rows.contrast.isin(["group", "gap", "cross", "summary"])]
    keys = ["system", "label", "attribute", "group", "contrast", "status", "interval"]
    found = rows.groupby(keys, sort=False, dropna=False)["metric"].agg(distinct)
    frame = found.reset_index()
    hidden = names.least(report)
    if not len(frame):
        return Section("What could not be estimated", ["Everything was estimated."])
    known = view(report.table, contrast="group").drop_duplicates(["attribute", "group"])
    sizes = known.set_index(["attribute", "group"])["n"]
    at = zip(frame.attribute, frame.group, strict=True)
    shown = pd.DataFrame(
        {
            "Group": [_what(r) for r in frame.itertuples()],
            "Attribute": frame.attribute.to_numpy(object),
            **{
                names.HEADS[c]: frame[c]
                for c in names.several(frame, "label", "system")
            },
            "Rows": [names.count(sizes.get(key), hidden) for key in at],
            "Status": frame.status,
            "Why": frame.interval.replace("", NONE),
            "Metrics": [", ".join(map(names.title, m)) for m in frame.metric],
        }
    )
    counted = frame.status.value_counts()
    text = (
        f"{counted.get(NOT_ESTIMABLE, 0)} lines are NOT_ESTIMABLE,"
        f" {counted.get(SUPPRESSED, 0)} are SUPPRESSED (fewer than"
        f" {report.meta.get('min_rows', 10)} rows). None of them is counted as 0."
    )
    table = Table("Numbers that are not shown, and why", shown, interactive=True)
    return Section("What could not be estimated", [text], [table])


def _what(row: Any) -> str:
    return (
        row.group
        if row.contrast == "group"
        else f"{row.group} ({row.contrast})".strip()
    )
