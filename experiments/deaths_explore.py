"""Sections of the deaths page about the data: who died where, what is suppressed."""

import numpy as np
import pandas as pd
from equity_jax.data.deaths import lost_to_suppression

from equity_jax.audit import figures
from equity_jax.audit.page import Section, Table
from equity_jax.run import Result
from equity_jax.types import Counted, Dataset
from experiments import suppression as policy
from experiments.deaths_results import picture, wide


def published(dataset: Dataset) -> pd.DataFrame:
    """Cells whose both counts are known, with covid and total as numbers."""
    table = dataset.table
    known = (table["low"] == table["high"]) & (
        table["total_low"] == table["total_high"]
    )
    known &= table["race"].isin(dataset.spec.groups)
    cells = table[known]
    return cells.assign(covid=cells["low"], total=cells["total_low"])


def share(cells: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Deaths and COVID-19's share of all deaths: sum over sum, per `by`."""
    sums = cells.groupby(by, sort=False)[["covid", "total"]].sum().reset_index()
    return sums.assign(share=sums["covid"] / sums["total"].where(sums["total"] > 0))


def exploration(result: Result) -> Section | None:
    """Deaths and share by group, age, region and time, over published cells."""
    dataset, spec = result.dataset, result.dataset.spec
    cells = published(dataset)
    if not len(cells):
        return None
    shown = [_over_time(result, cells)] if cells["period"].nunique() > 1 else []
    for name, column, title in (
        ("by_age", "age", "COVID-19's share of all deaths, by age and group"),
        ("by_region", "region", "COVID-19's share of all deaths, by region and group"),
    ):
        heat = share(cells, ["race", column]).pivot(
            index=column if column == "region" else "race",
            columns="race" if column == "region" else column,
            values="share",
        )
        order = list(dict.fromkeys(cells["age"])) if column == "age" else None
        heat = heat[order] if order else heat.sort_index()
        figure = figures.heat(heat * 100, title=f"{title}, %", digits=0,
                              simulated=spec.simulated)  # fmt: skip
        shown.append(picture(result, name, figure, title + ", %", title))
    total = share(cells, ["race"])
    names = {"race": "group", "covid": "COVID-19 deaths", "total": "all deaths"}
    total = total.rename(columns={**names, "share": "COVID-19 share"})
    text = [
        "Sums over cells whose two counts are both published. Small cells are missing"
        " from these sums, so the numbers of small groups are too low and their shares"
        " lean toward the cells that COVID-19 made large."
    ]
    tables = [Table("Deaths in published cells", total)]
    return Section("The data, before any model", text, tables, shown)


def _over_time(result: Result, cells: pd.DataFrame):
    by_time = share(cells, ["race", "start"])
    by_time = by_time.assign(share=100 * by_time["share"])
    figure = figures.lines_by_group(
        by_time,
        x="start",
        y="share",
        by="race",
        title="COVID-19's share of all deaths over time",
        xlabel="",
        ylabel="% of deaths in published cells",
        simulated=result.dataset.spec.simulated,
    )
    caption = "COVID-19's share of all deaths over time, by group (published cells)"
    return picture(result, "over_time", figure, caption, caption)


def suppression(result: Result) -> Section:
    """What share of cells each group lost to suppression."""
    lost = lost_to_suppression(result.dataset)
    parts = [c for c in lost.columns if c not in ("group", "cells", "share lost")]
    figure = figures.stack(
        lost.set_index("group")[parts],
        title="What is published of each group's cells",
        xlabel="share of cells",
        simulated=result.dataset.spec.simulated,
    )
    caption = "Cells published, suppressed, and of unknown exposure, by group"
    shown = picture(result, "suppression", figure, caption, caption)
    text = [
        "NCHS suppresses counts of 1 to 9 in regions and states. Small groups lose most"
        " cells, so what is known of them comes from their largest cells."
    ]
    tables = [Table("Cells by group", lost)]
    return Section("What suppression takes from whom", text, tables, [shown])


def policies(result: Result) -> Section | None:
    """One count model; suppressed cells dropped, 0, 5, truncated, or intervals."""
    dataset, spec = result.dataset, result.dataset.spec
    if not isinstance(dataset.y, Counted):
        return None
    title = "Five ways to treat a suppressed cell"
    hidden = (dataset.mask[:, 0] > 0) & (dataset.y.low != dataset.y.high)[:, 0]
    if not hidden.any():
        text = "This table has no cell whose exposure is known and whose count is not,"
        return Section(title, [text + " so the comparison cannot be made on it."])
    rows = (dataset.mask[:, 0] > 0) & (dataset.group >= 0)
    found = policy.compare(
        covariates(dataset, rows),
        Counted(*(a[rows] for a in dataset.y)),
        dataset.group[rows],
        spec.groups,
        dataset.patient[rows],
        reference=spec.reference,
    )
    found = found.assign(status="OK", group=found["group"])
    figure = figures.dots(
        found,
        title=title,
        xlabel=f"log rate ratio to {spec.reference}",
        by="policy",
        nominal=0.0,
        simulated=spec.simulated,
    )
    shown = picture(result, "policies", figure, title, title + ", by group")
    text = [
        "One negative binomial model with age, region and period, fitted five times to"
        f" the same cells ({int(hidden.sum()):,} suppressed). Only the interval"
        " likelihood uses what is known of a suppressed cell, that it lies in 1..9; the"
        " truncated one is right too but throws those cells away."
    ]
    return Section(title, text, [Table(title, wide(found, "policy"))], [shown])


def covariates(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Indicators of age, region and period, first level left out: float[n, F]."""
    columns = [c for c in ("age", "region", "period") if dataset.table[c].nunique() > 1]
    table = dataset.table.loc[rows, columns].astype(str)
    return pd.get_dummies(table, drop_first=True).to_numpy(np.float64)
