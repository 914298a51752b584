"""Section of the embeddings page on the twin: what was planted, and what was found."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from equity_jax.audit import OK, AuditReport, view
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.audit.pages.words import fixed
from equity_jax.run import Result
from experiments.ef_parts import method_name, truth

EVEN = ("group_weighted", "oversample('group')", "undersample('group')")


def planted(
    result: Result, report: AuditReport, probes: pd.DataFrame, remedies: pd.DataFrame
) -> Section | None:
    """Planted beside found, with whether the interval holds it; truth.csv.

    report: of `ef_groups.judge`; probes: probes.csv; remedies: mitigation.csv.
    """
    known = truth(result.dataset)
    if not known:
        return None
    rows = [
        *_gaps(result, report, known),
        *_probes(probes, known),
        *_remedies(remedies, known),
    ]
    table = pd.DataFrame([r for r in rows if np.isfinite(r["value"])])
    table["inside"] = (table["low"] <= table["planted"]) & (
        table["planted"] <= table["high"]
    )
    result.store.write_csv("truth.csv", table)
    held = int(table["inside"].sum())
    text = [
        "The twin was made with these effects, so the study can be held against them."
        " The planted numbers are those of the best linear score on infinitely many"
        " patients: with all rows weighing alike (as found), or every group weighing"
        " the same (balanced). A head learned from few patients falls a little short of"
        " them in every group.",
        f"{held} of {len(table)} planted numbers lie inside their intervals. At"
        f" {100 * result.config.audit.level:g} % some of so many are expected outside.",
    ]
    shown = pd.DataFrame(
        {
            "what": table["what"],
            "planted": [fixed(x, 3) for x in table["planted"]],
            "found": [
                interval_text(r.value, r.low, r.high) for r in table.itertuples()
            ],
            "inside": np.where(table["inside"], "yes", "no"),
        }
    )
    caption = "Planted effects beside what the study found"
    return Section(
        "What was planted, and what was found", text, [Table(caption, shown)]
    )


def _gaps(result: Result, report: AuditReport, known: dict) -> Iterator[dict]:
    spec, plant = result.dataset.spec, known["gap"]["found"]
    where = {"contrast": "difference", "metric": "auroc", "attribute": spec.group}
    for row in view(report.table, **where, status=OK).itertuples():
        if row.group in plant and row.reference == known["reference"]:
            what = f"gap in AUROC, {row.reference} minus {row.group}"
            ends = {"value": -row.value, "low": -row.high, "high": -row.low}
            yield {"kind": "gap", "what": what, "planted": plant[row.group]} | ends


def _probes(probes: pd.DataFrame, known: dict) -> Iterator[dict]:
    rows = view(probes, kind="logistic", control="", status=OK)
    for row in rows.rename(columns={"class": "of"}).itertuples():
        plant = known["readable"].get(row.attribute, {})
        several = len(plant) > 2  # of two groups each is read as well as the other
        group = row.of
        if not plant or (group and not several):
            continue
        value = plant.get(group) if group else float(np.mean(list(plant.values())))
        if value is not None:
            what = f"AUROC of reading {row.attribute}"
            what += f": {group}" if group else ", mean over groups" * several
            ends = {"value": row.auroc, "low": row.low, "high": row.high}
            yield {"kind": "probe", "what": what, "planted": value} | ends


def _remedies(remedies: pd.DataFrame, known: dict) -> Iterator[dict]:
    """The change of the mean gap when every group weighs the same."""
    plain = view(remedies, metric="auroc", what="gap", remedy="plain", status=OK)
    if not len(plain):
        return
    groups = plain["groups"].iloc[0].split(", ")
    gaps = {
        k: np.mean([known["gap"][k][g] for g in groups]) for k in ("found", "balanced")
    }
    changes = view(remedies, metric="auroc", what="change", status=OK)
    words = [method_name(m) for m in EVEN]
    rows = [
        *(("mean gap in AUROC, plain", gaps["found"], r) for r in plain.itertuples()),
        *(
            (f"its change by {r.remedy}", gaps["balanced"] - gaps["found"], r)
            for r in changes.itertuples()
            if r.remedy in words
        ),
    ]
    for what, plant, r in rows:
        ends = {"value": r.value, "low": r.low, "high": r.high}
        yield {"kind": "remedy", "what": what, "planted": plant} | ends
