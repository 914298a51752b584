"""Sections of an audit's page about scores and calls: curves and confusion matrices."""

from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit.pages import audit_names as names
from equity_jax.audit.pages import charts
from equity_jax.audit.pages.audit_names import Primary
from equity_jax.audit.pages.page import Chart, Section
from equity_jax.audit.pages.style import distinct
from equity_jax.audit.pages.words import NONE, interval_text
from equity_jax.audit.table import view

PANELS = 12  # groups of an attribute that small multiples show, the largest
WHERE = ["system", "label", "attribute", "group"]
RATES = (0.05, 0.1, 0.2, 0.3, 0.5)  # false positive rates of the table under a ROC
CELLS = {
    "tp": ("has it", "called\npositive"),
    "fn": ("has it", "called\nnegative"),
    "fp": ("has it not", "called\npositive"),
    "tn": ("has it not", "called\nnegative"),
}


def curves(report: Any, first: Primary) -> Section | None:
    """ROC and calibration by group."""
    shown = []
    if not len(report.curves):
        return None
    roc = _panels(report, view(report.curves, kind="roc"))
    if len(roc):
        shown.append(_roc(report, roc, first))
    bins = _panels(report, view(report.curves, kind="calibration"))
    if len(bins):
        shown.append(_calibration(report, bins, first))
    if not shown:
        return None
    text = (
        "Each panel is one group; gray lines are the other groups. A ROC curve nearer"
        " the upper left corner ranks better. In the calibration panels the dashed line"
        " is right: points above it had more events than the scores said."
    )
    return Section("ROC and calibration by group", [text], charts=shown)


def _panels(report: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the largest groups of an attribute, with the text of their panel."""
    sizes = view(report.table, contrast="group").drop_duplicates(WHERE)
    sizes = sizes[[*WHERE, "n"]].rename(columns={"n": "rows"})
    rows = rows.merge(sizes, "left", WHERE)
    each = rows.groupby(["attribute", "group"], sort=False)["rows"].max()
    order = each.fillna(0).astype(float).groupby(level=0).rank("first", ascending=False)
    kept = order[order <= PANELS].index
    rows = rows[pd.MultiIndex.from_frame(rows[["attribute", "group"]]).isin(kept)]
    hidden = names.least(report)
    panel = [names.line(r.group, r.rows, hidden) for r in rows.itertuples()]
    return rows.assign(panel=panel)


def _roc(report: Any, rows: pd.DataFrame, first: Primary) -> Chart:
    simulated = bool(report.meta.get("simulated"))
    spec = charts.roc(rows, "ROC curves", simulated=simulated)
    curve = rows.groupby(WHERE, sort=False)
    heads = curve.first().reset_index()
    at = {
        f"at FPR {rate:g}": [f"{np.interp(rate, c.x, c.y):.2f}" for _, c in curve]
        for rate in RATES
    }
    data = names.tell(heads, Group=heads.group, **at)
    caption = (
        f"ROC curves by group, {names.counted(report)}; rows of a group in its panel."
        f"{_most(report)} The table gives the true positive rate at some false positive"
        " rates (FPR)."
    )
    mine = data[
        (heads[["system", "label", "attribute"]] == list(first[:3])).all(axis=1)
    ]
    told = "; ".join(f"{r.Group}: {r[-3]}" for r in mine.itertuples(index=False))
    alt = f"ROC curves by group. True positive rate at false positive rate 0.2: {told}."
    return Chart("roc", spec, caption, alt, data)


def _most(report: Any) -> str:
    groups = report.curves.groupby("attribute").group.nunique()
    return f" The {PANELS} largest groups are drawn." if groups.max() > PANELS else ""


def _calibration(report: Any, rows: pd.DataFrame, first: Primary) -> Chart:
    simulated = bool(report.meta.get("simulated"))
    spec = charts.calibration(rows, "Calibration", simulated=simulated)
    data = names.tell(
        rows,
        Group=rows.group,
        Mean_score=[f"{x:.3f}" for x in rows.x],
        Observed=[interval_text(r.y, r.low, r.high) for r in rows.itertuples()],
        Rows=rows.n,
    )
    caption = (
        f"Calibration by group, {names.counted(report)}: the share that has the label"
        " over the mean score of a bin, with its interval. Bins of fewer than"
        f" {report.meta.get('min_rows', 10)} rows are suppressed.{_most(report)}"
    )
    alt = (
        f"Observed share against mean score, by {first.attribute}: "
        f"{names.listed(distinct(view(rows, attribute=first.attribute).group))}."
        " The numbers are in the table."
    )
    return Chart("calibration", spec, caption, alt, data)


def confusion(report: Any, first: Primary) -> Section | None:
    """The four cells of every group; a small cell prints as "<10"."""
    if not len(report.confusion):
        return None
    counts = report.confusion.merge(
        view(report.table, contrast="group").drop_duplicates(WHERE)[[*WHERE, "n"]],
        "left",
        WHERE,
    )
    long = pd.concat([_cell(counts, cell, report) for cell in CELLS])
    rows = _panels(report, long)
    simulated = bool(report.meta.get("simulated"))
    spec = charts.confusion(rows, "Confusion matrices", simulated=simulated)
    hidden = names.least(report)
    data = names.tell(
        counts,
        Group=counts.group,
        Threshold=[NONE if pd.isna(t) else f"{t:.4g}" for t in counts.threshold],
        **{CELL_NAMES[c]: [names.count(n, hidden) for n in counts[c]] for c in CELLS},
    )
    caption = (
        f"Confusion matrices by group, {names.counted(report)}: rows, and their share"
        f" of those that have the label or have it not. {hidden}: suppressed."
    )
    alt = f"Four cells a group, by {first.attribute}. The numbers are in the table."
    text = (
        "Left column: rows that have the label; right column: rows that have it not."
        " A darker cell holds a larger share of its column."
    )
    chart = Chart("confusion", spec, caption, alt, data)
    return Section("Confusion matrices by group", [text], charts=[chart])


CELL_NAMES = {
    "tp": "True positives",
    "fn": "False negatives (missed)",
    "fp": "False positives",
    "tn": "True negatives",
}


def _cell(counts: pd.DataFrame, cell: str, report: Any) -> pd.DataFrame:
    """One cell of all matrices, as charts.confusion reads it."""
    truth, called = CELLS[cell]
    both = ("tp", "fn") if cell in ("tp", "fn") else ("fp", "tn")
    whole = sum(counts[c].astype("Float64") for c in both)
    share = (counts[cell].astype("Float64") / whole.mask(whole == 0)).astype(float)
    hidden = names.least(report)
    return counts[WHERE].assign(
        truth=truth,
        called=called,
        count=[names.count(n, hidden) for n in counts[cell]],
        share=share,
        percent=[_percent(*cell) for cell in zip(counts[cell], share, strict=True)],
    )


def _percent(count: Any, share: float) -> str:
    if pd.isna(count):
        return "suppressed"
    return "" if np.isnan(share) else f"{100 * share:.0f} %"
