"""Sections of an audit's page: every gap at a glance, every group with its interval."""

import re
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit.pages import audit_names as names
from equity_jax.audit.pages import charts
from equity_jax.audit.pages.audit_names import Primary
from equity_jax.audit.pages.audit_pairs import summaries
from equity_jax.audit.pages.page import Chart, Section, Table
from equity_jax.audit.pages.words import NONE, interval_text, p_text
from equity_jax.audit.table import OK, view
from equity_jax.metrics import FACTS

KEYS = ["system", "label", "attribute", "metric", "group"]


def gaps(report: Any, first: Primary) -> Section:
    """The gap of the main metric for every attribute, label and model."""
    rows = view(report.table, contrast="gap", metric=first.metric)
    tests = view(names.tests(report), metric=first.metric)
    keys = ["system", "label", "attribute"]
    rows = rows.merge(tests, "left", keys, suffixes=("", "_test"))
    title, each = names.title(first.metric), list(rows.itertuples())
    alpha = 1 - report.meta.get("level", 0.95)
    frame = names.tell(rows.drop(columns="attribute"), Attribute=rows.attribute)
    frame = frame.assign(
        **{
            f"Gap in {title}": [names.told(r) for r in each],
            "Reading": [_reading(r, alpha) for r in each],
            "p": [p_text(x) for x in rows.p.astype(float)],
            "p adjusted": [p_text(x) for x in rows.p_adjusted.astype(float)],
            "Corrected": [names.near(r.gap_corrected, r.low, r.high) for r in each],
            "Between": [names.pair(r) for r in each],
        }
    )
    note = (
        "Gap: largest minus smallest group value with its simultaneous interval."
        " Corrected: less what chance alone adds. p: of the test that all groups are"
        " alike; adjusted over the metrics"
        f" ({report.meta.get('adjustment') or 'not adjusted'})."
    )
    caption = f"Gap in {title} between groups, {names.counted(report)}"
    tables = [Table(caption, frame, note, interactive=len(frame) > 8)]
    return Section("Every gap at a glance", [], [*tables, *summaries(report, first)])


def _reading(row: Any, level: float) -> str:
    if row.status != OK:
        return row.interval or row.status
    if row.low <= 0:
        return "may be chance"
    return "groups differ" + ", before adjustment" * (row.p_adjusted > level)


def groups(report: Any, first: Primary) -> Section:
    """Dots with single and simultaneous intervals, a chart an attribute."""
    level = f"{100 * report.meta.get('level', 0.95):g} %"
    text = (
        f"A dot is a group's value; the dark line is its own {level} interval; the pale"
        " band holds for all groups of the picture at once and is the one to compare"
        " groups by. Two groups whose pale bands do not touch are told apart. The"
        " dotted line is the value of all rows together."
    )
    parts = _dot_rows(report, first).groupby("attribute", sort=False)
    shown = [
        _dots(report, rows, str(attribute), first, f"groups_{i}_{_slug(attribute)}")
        for i, (attribute, rows) in enumerate(parts, 1)
    ]
    return Section("Each group, with how sure we are", [text], charts=shown)


def _dot_rows(report: Any, first: Primary) -> pd.DataFrame:
    """What charts.intervals reads, for all attributes; the main metric comes first."""
    rows = view(report.table, contrast="group")
    bands = view(report.table, contrast="band")[[*KEYS, "low", "high"]]
    bands = bands.rename(columns={"low": "band_low", "high": "band_high"})
    rows = rows.merge(bands, "left", KEYS)
    main = rows.metric == first.metric
    rows = pd.concat([rows[main], rows[~main]])
    rows = rows.assign(nominal=[_nominal(m) for m in rows.metric])
    return names.drawable(rows, names.least(report))


def _nominal(metric: str) -> float:
    """The value that is right, for metrics that have one."""
    known = metric.partition("@")[0] in FACTS
    right = known and FACTS[metric].worse.startswith("far")
    return FACTS[metric].nominal if right else np.nan


def _dots(
    report: Any, rows: pd.DataFrame, attribute: str, first: Primary, name: str
) -> Chart:
    main = rows[rows.key == first.metric]
    title, simulated = names.title(first.metric), bool(report.meta.get("simulated"))
    spec = charts.intervals(rows, f"by {attribute}", simulated=simulated)
    bands = [interval_text(r.value, r.band_low, r.band_high) for r in main.itertuples()]
    data = names.tell(
        main.drop(columns="attribute"),
        Group=main.group,
        Rows=[names.count(n, names.least(report)) for n in main.n],
        **{title: main.told},
        Simultaneous_band=[b[b.find("[") :] if "[" in b else NONE for b in bands],
    )
    several = rows.key.nunique() > 1
    caption = (
        f"{title} by {attribute}, {names.counted(report)}; each group's rows stand"
        " under its name." + " The menu shows the other metrics." * several
    )
    mine = view(main, system=first.system, label=first.label)
    told = "; ".join(f"{r.group}: {r.told}" for r in mine.itertuples())
    alt = f"Dots with intervals, {title} by {attribute}. {told}."
    return Chart(name, spec, caption, alt, data)


def _slug(name: Any) -> str:
    """A name as part of a file's: letters, digits and underscores alone."""
    text = str(name).replace("×", "by")
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
