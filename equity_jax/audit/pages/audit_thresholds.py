"""The threshold panel of an audit's page: three ways to set a threshold."""

from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit.pages import audit_names as names
from equity_jax.audit.pages import charts
from equity_jax.audit.pages.audit_names import Primary
from equity_jax.audit.pages.page import Chart, Section, Table
from equity_jax.audit.pages.style import distinct
from equity_jax.audit.table import OK, SUPPRESSED, view

POLICY = (
    "**Group-blind** takes one threshold for all. **Group-aware** takes one for each"
    " group. **Equalized odds** (Hardt et al. 2016) makes error rates alike: it needs"
    " the attribute of every new patient, and it tosses coins, so that two patients of"
    " one group with the same score may be called differently. It is shown for"
    " comparison, not as advice."
)
KEYS = ["system", "label", "attribute"]


def policies(report: Any, first: Primary) -> Section | None:
    """Group-blind beside group-aware beside equalized odds, and what each costs."""
    rows = report.policies
    if not len(rows):
        return None
    rows = pd.concat(
        [
            rows[rows.attribute == first.attribute],
            rows[rows.attribute != first.attribute],
        ]
    )
    rows = names.drawable(rows, names.least(report))
    title = "Three ways to set a threshold"
    spec = charts.policies(rows, title, simulated=bool(report.meta.get("simulated")))
    metrics = distinct(rows.metric)
    wide = _wide(rows, "told", ["group", "policy"], "metric")
    data = names.tell(wide, Group=wide.group, Policy=wide.policy)
    caption = f"{title}, {names.counted(report)}; a group's rows stand under its name."
    alt = f"{title}: {names.listed(metrics)} by group. The numbers are in the table."
    chart = Chart("policies", spec, caption, alt, data.join(wide[metrics]))
    return Section(
        "Thresholds", [POLICY], [_cost(rows, first), _cuts(rows, first)], charts=[chart]
    )


def _wide(rows: pd.DataFrame, cell: str, lines: list[str], across: str) -> pd.DataFrame:
    index = [*KEYS, *lines]
    wide = rows.pivot_table(cell, index, across, "first", sort=False)
    return wide.fillna("").reset_index()


def _cost(rows: pd.DataFrame, first: Primary) -> Table:
    """What each policy costs in accuracy, and what gaps it leaves."""
    made = []
    named = names.named(view(rows, status=OK))
    for keys, part in named.groupby([*KEYS, "policy"], sort=False):
        made.append(dict(zip([*KEYS, "Policy"], keys, strict=True)))
        for key, found in part.groupby("key", sort=False):
            title, value = names.title(str(key)), found.value
            if key == "accuracy":
                mean = np.average(value, weights=found.n.astype(float))
                made[-1][title] = f"{mean:.3f}"
            else:
                made[-1][f"gap in {title}"] = f"{value.max() - value.min():.3f}"
    frame = pd.DataFrame(made or None, columns=None if made else [*KEYS, "Policy"])
    lead = [c for c in ("Policy", names.title("accuracy")) if c in frame]
    rest = frame.columns.drop([*KEYS, *lead])
    frame = names.tell(frame, **frame[[*lead, *rest]])
    note = (
        "Points without intervals, over the groups that have a value; the figure has"
        " their intervals. A gap is the largest minus the smallest group value."
    )
    caption = "What each policy costs, and the gaps that it leaves"
    choose = names.menus(frame, first, Attribute=first.attribute)
    return Table(caption, frame, note, True, choose)


def _cuts(rows: pd.DataFrame, first: Primary) -> Table:
    """The thresholds themselves."""
    rows = rows.drop_duplicates([*KEYS, "group", "policy"])
    rows = rows.assign(cut=[_cut(r) for r in rows.itertuples()])
    wide = _wide(rows, "cut", ["group"], "policy")
    frame = names.tell(wide, Group=wide.group).join(wide[distinct(rows.policy)])
    note = "Random: two thresholds mixed by a coin (Hardt et al. 2016)."
    caption = "The threshold of each group"
    choose = names.menus(frame, first, Attribute=first.attribute)
    return Table(caption, frame, note, True, choose)


def _cut(row: Any) -> str:
    if row.status == SUPPRESSED:
        return SUPPRESSED
    if pd.notna(row.threshold):
        return f"{row.threshold:.4g}"
    return "random" if row.policy == "equalized odds" else "by group"
