"""Sections of the deaths page about the data: who died where, what is suppressed."""

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table
from equity_jax.data.deaths import lost_to_suppression
from equity_jax.run import Result
from equity_jax.types import Counted, Dataset
from experiments import policies as policy
from experiments.page_parts import picture, wide

FIVE = "Five ways to treat a suppressed cell"


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
    cells = published(result.dataset)
    if not len(cells):
        return None
    shown = [_over_time(result, cells)] if cells["period"].nunique() > 1 else []
    ages = sorted(set(cells["age"]), key=_first_year)
    shown.append(_share_map(result, cells, "age", ages))
    regions, tables = sorted(set(cells["region"])), []
    if len(regions) <= 12:
        shown.append(_share_map(result, cells, "region", regions))
    else:
        by_region = _shares(cells, "region", regions).T * 100
        caption = "COVID-19's share of all deaths by state and group, %"
        tables.append(Table(caption, by_region.rename_axis("state").reset_index()))
    total = share(cells, ["race"])
    names = {"race": "group", "covid": "COVID-19 deaths", "total": "all deaths"}
    total = total.rename(columns={**names, "share": "COVID-19 share"})
    text = [
        "Sums over cells whose two counts are both published. Small cells are missing"
        " from these sums, so the numbers of small groups are too low and their shares"
        " lean toward the cells that COVID-19 made large."
    ]
    tables = [Table("Deaths in published cells", total), *tables]
    return Section("The data, before any model", text, tables, shown)


def _first_year(age: str) -> int:
    digits = "".join(c if c.isdigit() else " " for c in age).split()
    return -1 if age.startswith("Under") else int(digits[0])


def _shares(cells: pd.DataFrame, column: str, order: list[str]) -> pd.DataFrame:
    sums = share(cells, ["race", column])
    return sums.pivot(index="race", columns=column, values="share")[order]


def _share_map(result: Result, cells: pd.DataFrame, column: str, order: list[str]):
    title = f"COVID-19's share of all deaths, by {column} and group, %"
    figure = figures.heat(
        _shares(cells, column, order) * 100,
        title=title,
        digits=0,
        simulated=result.dataset.spec.simulated,
    )
    return picture(result, f"by_{column}", figure, title, title)


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
    whole = lost["cells"] + lost["absent"]
    parts = pd.DataFrame(
        {
            "group": lost["group"],
            "both counts published": lost["published"],
            "exposure known, COVID-19 count suppressed": whole
            - lost[["published", "unknown_exposure", "absent"]].sum(axis=1),
            "exposure unknown": lost["unknown_exposure"],
            "row left out of the file": lost["absent"],
        }
    ).set_index("group")
    parts = parts.loc[:, parts.sum() > 0]
    figure = figures.stack(
        parts,
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
    shares = (100 * lost["lost"]).round(1)
    tables = [Table("Cells by group", parts.assign(**{"lost, %": shares.to_numpy()}))]
    tables[0] = tables[0]._replace(frame=tables[0].frame.reset_index())
    return Section("What suppression takes from whom", text, tables, [shown])


def policies(result: Result) -> Section | None:
    """One count model; suppressed cells dropped, 0, 5, truncated, or intervals."""
    dataset, spec = result.dataset, result.dataset.spec
    if not isinstance(dataset.y, Counted):
        return None
    hidden = (dataset.mask[:, 0] > 0) & (dataset.y.low != dataset.y.high)[:, 0]
    if not hidden.any():
        text = "This table has no cell whose exposure is known and whose count is not,"
        return Section(FIVE, [text + " so the comparison cannot be made on it."])
    found = _compare(dataset)
    figure = figures.dots(
        found[found["measure"] == policy.RATIO],
        title=FIVE,
        xlabel=f"log rate ratio to {spec.reference}",
        by="policy",
        nominal=0.0,
        simulated=spec.simulated,
    )
    shown = picture(result, "policies", figure, FIVE, FIVE + ", by group")
    text = [
        "One negative binomial model with age, region and period, fitted five times to"
        f" the same cells ({int(hidden.sum()):,} suppressed). Only the interval"
        " likelihood uses what is known of a suppressed cell, that it lies in 1..9; the"
        " truncated one throws those cells away and leans on the model's shape instead."
        " Dropping them biases all groups alike, so it shows in the rates more than in"
        " their ratios."
    ]
    tables = [
        Table(f"{FIVE}: {measure}", wide(part, "policy"))
        for measure, part in found.groupby("measure", sort=False)
    ]
    return Section(FIVE, text, tables, [shown])


def _compare(dataset: Dataset) -> pd.DataFrame:
    rows = (dataset.mask[:, 0] > 0) & (dataset.group >= 0)
    found = policy.compare(
        covariates(dataset, rows),
        Counted(*(a[rows] for a in dataset.y)),
        dataset.group[rows],
        dataset.spec.groups,
        dataset.patient[rows],
        reference=dataset.spec.reference,
    )
    known = found["value"].notna()
    return found.assign(status=np.where(known, "OK", NOT_ESTIMABLE))


def covariates(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Indicators of age, region and period, first level left out: float[n, F]."""
    columns = [c for c in ("age", "region", "period") if dataset.table[c].nunique() > 1]
    table = dataset.table.loc[rows, columns].astype(str)
    return pd.get_dummies(table, drop_first=True).to_numpy(np.float64)
