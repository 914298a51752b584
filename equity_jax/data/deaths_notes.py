"""What the page must say about a deaths table: plain sentences, true of this file."""

import numpy as np
import pandas as pd

from equity_jax.config import Data
from equity_jax.data import deaths_names as names
from equity_jax.data.deaths_rows import Rows
from equity_jax.data.deaths_table import Table
from equity_jax.types import LEFT_OUT, TEST, TRAIN, VALID


def notes(
    table: Table, rows: Rows, config: Data, joint: bool, cut: bool
) -> tuple[str, ...]:
    """Sentences for Spec.notes. `joint`: blanks are joint; `cut`: truncated rows.

    Example:
        >>> notes(table, rows, Data(), False, False)[0][:9]  # doctest: +SKIP
        'The table'
    """
    found = [_meaning(table, config), _blank(table, joint)]
    if cut:
        found.append(
            "Usable rows below the national level hold only counts of 0, or 10 and "
            "more: they are fitted with the likelihood conditional on not lying in 1-9."
        )
    unexplained = rows.frame["unexplained"]
    if unexplained.any():
        lines = ", ".join(map(str, rows.frame["line"][unexplained][:10]))
        more = " and more" if unexplained.sum() > 10 else ""
        found.append(
            f"{unexplained.sum()} rows have a blank that no footnote explains (lines "
            f"{lines}{more}): they are masked."
        )
    found += [*_time(table, rows, config), _split(rows)]
    if (rows.frame["race"] == names.UNKNOWN).any():
        found.append("Race `Unknown` is not a group: those rows are kept, without one.")
    return tuple(found)


def _meaning(table: Table, config: Data) -> str:
    if config.task == "burden":
        return (
            f"A cell is of high burden if COVID-19 is at least {config.share:.0%} of "
            "its deaths; cells that their intervals leave undecided are masked."
        )
    if config.population:
        return "Exposure is person-years of population: results are rates of death."
    return (
        "Exposure is total deaths of the cell: results are proportionate mortality "
        "(COVID-19 as a share of deaths), not the risk of dying."
    )


def _blank(table: Table, joint: bool) -> str:
    if table.layout == "weekly":
        return "A 0 in this file means 0 to 9: it writes suppressed counts as 0."
    if table.layout == "cleaned":
        return (
            "This copy dropped every row with a suppressed count: nothing is known of "
            "those cells."
        )
    if joint:
        return (
            "A footnoted row has both counts blank: COVID-19 deaths lie in 0-9 and "
            "total deaths are unknown (they may be large)."
        )
    if not table.footnotes:
        return "This release has no footnotes: nothing explains its blanks."
    return "A blank count with a footnote was suppressed by itself: it lies in 1-9."


def _time(table: Table, rows: Rows, config: Data) -> list[str]:
    frame, found = rows.frame, []
    if rows.grain == "total":
        return [
            "Counts are cumulative from the start date; deaths of the last weeks "
            "before the data date are still incomplete."
        ]
    cut = sorted(set(frame["period"][(rows.split == LEFT_OUT)]))
    if cut:
        found.append(
            f"Left out as incomplete (cut short, or ended less than "
            f"{config.incomplete_days} days before the data date): the {rows.grain}s "
            f"that begin {', '.join(cut)}."
        )
    if frame["as_of"].isna().all():
        found.append("The file has no data date: late reporting cannot be judged.")
    early = frame[frame["period"] < "2020-03-01"]
    if len(early) and (early["low"] == 0).mean() > 0.9:
        found.append(
            "January and February 2020 are almost all zeros; the trend feature is "
            "held at its training limits."
        )
    return found


def _split(rows: Rows) -> str:
    def of(split: int) -> np.ndarray:
        return np.array(sorted(v for v, s in rows.splits.items() if s == split))

    parts = ((TRAIN, "training"), (VALID, "validation"), (TEST, "test"))
    if rows.by == "period":
        said = [f"{name} {of(s)[0]} to {of(s)[-1]}" for s, name in parts if len(of(s))]
        return f"Split by time ({rows.grain} of start): {'; '.join(said)}."
    said = [f"{name} {len(of(s))}" for s, name in parts if len(of(s))]
    return f"Split by region or state, never by row: {', '.join(said)}."


def lost(
    frame: pd.DataFrame, group: np.ndarray, exposure: np.ndarray, layout: str
) -> pd.DataFrame:
    """One row a group: cells, published, suppressed, absent, unknown_exposure, lost.

    frame: canonical rows; group: str[N], "" = not recorded; exposure: float[N], NaN
    where unknown. cells: of the full grid of periods, regions and ages; published: the
    count and its exposure are known; suppressed: the count is only an interval;
    absent: rows the file does not have; lost: share of cells not published.

    Example:
        >>> lost(frame, group, exposure, "regions").columns[-1]  # doctest: +SKIP
        'lost'
    """
    grid = frame.groupby("grain")[["period", "region", "age"]].nunique().prod(axis=1)
    exact = (frame["low"] == frame["high"]).to_numpy()
    known = np.isfinite(exposure)
    found = []
    for name in sorted(set(group)):
        member = group == name
        there = int(member.sum())
        cells = max(there, int(grid.iloc[0])) if layout == "cleaned" else there
        published = int((member & exact & known).sum())
        found.append(
            {
                "group": name or "not recorded",
                "cells": cells,
                "published": published,
                "suppressed": int((member & ~exact).sum()),
                "absent": cells - there,
                "unknown_exposure": int((member & ~known).sum()),
                "lost": (cells - published) / cells,
            }
        )
    return pd.DataFrame(found)
