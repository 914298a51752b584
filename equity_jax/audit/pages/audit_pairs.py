"""Sections of an audit's page about pairs: models, groups' scores, whole attributes."""

from typing import Any

import numpy as np

from equity_jax.audit.pages import audit_names as names
from equity_jax.audit.pages import charts
from equity_jax.audit.pages.audit_names import Primary
from equity_jax.audit.pages.page import Chart, Section, Table
from equity_jax.audit.table import view


def paired(report: Any, first: Primary) -> Section | None:
    """One model minus another in every group, on the same rows and replicates."""
    rows = view(report.table, contrast="difference")
    rows = rows[names.between_models(rows)]
    if not len(rows):
        return None
    rows = names.lead(rows, first)
    against = rows.reference.str.partition(":")[2]
    rows = rows.assign(system=rows.system + " minus " + against)
    title, hidden = names.title(first.metric), names.least(report)
    drawn = names.drawable(view(rows, attribute=first.attribute), hidden)
    spec = charts.intervals(
        drawn.assign(band_low=np.nan, band_high=np.nan, nominal=0.0),
        f"between models, by {first.attribute}",
        simulated=bool(report.meta.get("simulated")),
    )
    frame = names.columns(rows, "Models")
    frame["Difference"] = [names.told(r) for r in rows.itertuples()]
    frame["Rows"] = [names.count(n, hidden) for n in rows.n]
    mine = view(drawn, key=first.metric, label=first.label)
    told = "; ".join(f"{r.group}, {r.system}: {r.told}" for r in mine.itertuples())
    caption = f"{title} of one model minus another, {names.counted(report)}"
    data = frame[frame.Metric == title]
    chart = Chart("models", spec, caption, f"{caption}. {told}.", data)
    text = (
        "Models are compared on the same rows and the same replicates, so that what"
        " they share drops out. An interval that contains 0 tells no difference."
    )
    choose = names.menus(frame, first, Metric=title, Attribute=first.attribute)
    table = Table(
        f"Model against model, {names.counted(report)}", frame, "", True, choose
    )
    return Section("Model against model", [text], [table], charts=[chart])


def cross(report: Any, first: Primary) -> list[Table]:
    """The xAUC of every pair of groups; no table where none was asked for."""
    rows = view(report.table, contrast="cross")
    if not len(rows):
        return []
    frame = names.columns(rows)
    frame.insert(1, "Against", list(rows.reference))
    frame["Value"] = [names.told(r) for r in rows.itertuples()]
    caption = f"Scores of one group against another (xAUC), {names.counted(report)}"
    note = (
        "The chance that a row with the label in the one group scores higher than a row"
        " without it in the other (Kallus & Zhou 2019)."
    )
    metric = frame.Metric.iloc[0]
    choose = names.menus(frame, first, Metric=metric, Attribute=first.attribute)
    return [Table(caption, frame, note, True, choose)]


def summaries(report: Any, first: Primary) -> list[Table]:
    """Numbers of a whole attribute, such as the equalized-odds difference."""
    rows = view(report.table, contrast="summary")
    if not len(rows):
        return []
    frame = names.columns(rows).drop(columns="Group")
    frame["Value"] = [names.told(r) for r in rows.itertuples()]
    note = (
        "Largest differences (or smallest ratios) between groups. They depend on the"
        " number of groups and on noise: no model should be ranked by them."
    )
    caption = f"Whole attributes in one number, {names.counted(report)}"
    choose = names.menus(frame, first, Attribute=first.attribute)
    return [Table(caption, frame, note, len(frame) > 8, choose)]
