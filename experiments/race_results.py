"""Section of the race page: the disease network, every finding in every group."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit import OK, AuditReport, audit, view
from equity_jax.audit.averages import aurocs, averaged
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table, number_text
from equity_jax.audit.subjects import UNRECORDED
from equity_jax.run import Result
from equity_jax.types import TRAIN
from experiments.cxr_parts import texts, wide
from experiments.page_parts import picture
from experiments.race_parts import disease, names_of, network, options_of


def judge(result: Result) -> AuditReport:
    """The audit of the disease network: AUROC of every label by every attribute;
    equity.csv.
    """
    report = audit(
        disease(result),
        labels=names_of(result.dataset),
        metrics=("auroc",),
        intersections=False,
        **options_of(result),
    )
    result.store.write_csv("equity.csv", report.table)
    return report


def findings(result: Result, report: AuditReport) -> Section:
    """AUROC of each label, in each group; the worst label, and the widest gaps."""
    spec = result.dataset.spec
    rows = view(report.table, contrast="group", metric="auroc")
    rows = rows[rows["group"] != UNRECORDED]
    mine = view(rows, attribute=spec.group)
    known = mine.groupby("label")["status"].transform(lambda s: s.eq(OK).any())
    drawn = mine[known] if known.any() else mine
    title = f"AUROC of each label by {spec.group}"
    figure = figures.dots(
        drawn.assign(group=drawn["label"], who=drawn["group"]),
        title=title,
        xlabel="AUROC (0.5: a coin)",
        by="who",
        nominal=0.5,
        simulated=spec.simulated,
    )
    caption = f"{title}; test {spec.unit}s, with intervals"
    text = [
        _what(result),
        *_worst(view(mine, group="all")),
        *_gaps(report, spec.group),
    ]
    tables = [
        _means(averages(result)),
        Table(title, wide(mine, "label", "group")),
        *_others(rows, spec.group),
    ]
    return Section(
        "The disease network",
        text,
        tables,
        [picture(result, "findings", figure, caption, caption)],
    )


def _what(result: Result) -> str:
    """How the network was made."""
    config, spec, train = result.config, result.dataset.spec, result.config.train
    rows = int(np.sum(result.dataset.split == TRAIN))
    best = result.choices.systems[result.choices.selected[0]]
    seeds = "" if train.seeds == 1 else f" Numbers are means over {train.seeds} seeds."
    labels = _labels(len(names_of(result.dataset)))
    epochs = train.steps * train.batch / rows
    return (
        f"{network(result)}; {best.method}, {best.scheme}; {labels}, at most"
        f" {train.steps} steps of {train.batch} images ({epochs:.1f} passes over"
        f" {number_text(rows)} training images), learning rate {train.lr[0]:g}."
        " A label that is not known costs nothing. The best step on validation images"
        f" is kept.{seeds} Intervals are {config.audit.level:.0%} and resample"
        f" {spec.unit}s."
    )


def averages(result: Result) -> pd.DataFrame:
    """The mean AUROC over labels, of everybody and in every group; macro.csv."""
    spec, p, config = result.dataset.spec, disease(result), result.config.audit
    found = averaged(
        p,
        aurocs(p, names_of(result.dataset)),
        attribute=spec.group,
        reference=spec.reference,
        replicates=config.replicates,
        seed=result.config.seed,
        level=config.level,
        min_rows=config.min_rows,
        unit=spec.unit,
    )
    result.store.write_csv("macro.csv", found)
    return found


def _means(found: pd.DataFrame) -> Table:
    """Everybody, then the groups, whose means are over labels that all can have."""
    rows = view(found, contrast="group", metric="macro_auroc")
    rows = rows[rows["group"] != UNRECORDED]
    whole = rows["attribute"].eq("")
    rows = rows[whole | rows["group"].ne("all")]
    frame = {"group": rows["group"], "labels": rows["label"], "images": rows["n"]}
    frame |= {"AUROC": texts(rows)}
    note = "Groups are compared on labels that every one of them has rows enough of."
    return Table("AUROC, mean over labels", pd.DataFrame(frame), note)


def _labels(n: int) -> str:
    return f"{n} label{'s' * (n != 1)}"


def _worst(rows: pd.DataFrame) -> list[str]:
    """The labels that are told worst and best, of everybody."""
    known = rows[rows["status"] == OK].sort_values("value", kind="stable")
    if len(known) < 2:
        return []
    worst, best = (f"{r.label} {t}" for r, t in both(known.iloc[[0, -1]]))
    return [f"Worst label: {worst}. Best label: {best}."]


def both(rows: pd.DataFrame) -> Iterator[tuple[Any, str]]:
    """Rows of the long table, each with its number as a text."""
    return zip(rows.itertuples(), texts(rows), strict=True)


def _gaps(report: AuditReport, name: str) -> list[str]:
    """The gaps in AUROC between groups that exclude 0, and how many were looked at."""
    rows = view(report.table, contrast="gap", attribute=name, metric="auroc", status=OK)
    if not len(rows):
        return [f"No label has test images enough to compare groups of {name}."]
    sure = rows[rows["low"] > 0].sort_values("value", ascending=False, kind="stable")
    listed = "; ".join(
        f"{r.label} {t} between {r.group} and {r.reference}" for r, t in both(sure)
    )
    said = f"In {len(sure)} of {len(rows)} labels the gap in AUROC between groups of"
    said += f" {name} has an interval that excludes 0"
    return [said + (f": {listed}." if listed else ".")]


def _others(rows: pd.DataFrame, name: str) -> list[Table]:
    """Labels by the groups of the other attributes, which a menu chooses."""
    rest = rows[(rows["attribute"] != name) & (rows["group"] != "all")]
    if not len(rest):
        return []
    columns = ["label", "attribute", "group", "n", "positives"]
    frame = rest[columns].assign(AUROC=texts(rest)).rename(columns={"n": "images"})
    choose = {"attribute": rest["attribute"].iloc[0]}
    caption = "AUROC of each label by other attributes"
    return [Table(caption, frame.reset_index(drop=True), "", True, choose)]
