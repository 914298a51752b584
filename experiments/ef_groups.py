"""Sections of the embeddings page: who is served worse, by every recorded attribute.

The sweep's own audit compares all systems by one attribute. Here the plain head (all
rows, no weights) is judged by race, sex, insurance and age, by every crossing of them,
and under thresholds of three kinds.
"""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from equity_jax.audit import OK, AuditReport, audit, view
from equity_jax.audit.pages import audit_curves, audit_sections, audit_tables
from equity_jax.audit.pages.audit_names import Primary, primary
from equity_jax.audit.pages.audit_text import answer
from equity_jax.audit.pages.audit_thresholds import policies
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.audit.subjects import CROSS
from equity_jax.run import Result
from equity_jax.systems import POOLED
from equity_jax.types import Dataset, Predictions
from equity_jax.verdict import labels_of
from experiments.page_parts import plain_method

PEOPLE = ("race", "sex", "insurance", "age")  # what groups of people are made of
THRESHOLD = "spec@0.9"
METRICS = (
    *("auroc", "auprc", "recall", "fnr", "specificity", "fpr", "precision"),
    *("selection_rate", "accuracy", "brier", "log_loss", "calibration_intercept"),
    "calibration_slope",
)


def people(dataset: Dataset) -> tuple[str, ...]:
    """The attributes to judge by: the data's group first; two values at least.

    Example: ("race", "sex", "insurance", "age") of the twin.
    """
    names = dict.fromkeys((dataset.spec.group, *PEOPLE))
    there = (n for n in names if n in dataset.attributes)
    return tuple(n for n in there if len(set(dataset.attributes[n]) - {""}) > 1)


def select(p: Predictions, systems: Sequence[int]) -> Predictions:
    """The predictions of some systems, by number, on test and validation rows."""
    at = list(systems)
    valid = None if p.valid is None else select(p.valid, at)
    ratios = {k: type(r)(r.num[at], r.den[at]) for k, r in p.ratios.items()}
    runs = [p.runs[i] for i in at]
    return p._replace(prob=p.prob[at], runs=runs, ratios=ratios, valid=valid)


def plain_systems(result: Result) -> list[int]:
    """The numbers of the plain head's systems, one a seed."""
    method = plain_method(result)
    runs = enumerate(result.test.runs)
    return [i for i, r in runs if (r["method"], r["scheme"]) == (method, POOLED)]


def judge(result: Result) -> AuditReport:
    """The audit of the plain head by all attributes, crossed; equity.csv, policies.csv.

    Metrics: METRICS; decisions at 90 % specificity, the threshold from validation rows.
    The companions of the table are about single attributes.
    """
    spec, config = result.dataset.spec, result.config
    plain = select(result.test, plain_systems(result))._replace(ratios={})
    plain = plain._replace(valid=plain.valid._replace(ratios={}))
    names = people(result.dataset)
    options = {
        "attributes": names,
        "reference": {spec.group: spec.reference} if spec.group in names else "",
        "metrics": METRICS,
        "threshold": THRESHOLD,
        "replicates": config.audit.replicates,
        "level": config.audit.level,
        "min_rows": config.audit.min_rows,
        "seed": config.seed,
        "target": spec.targets[0],
        "labels": labels_of(result.dataset.spec),
        "unit": spec.unit,
        "simulated": spec.simulated,
    }
    single = audit(plain, intersections=False, **options)
    crossed = audit(plain, extras=False, **options)
    crossings = crossed.table["attribute"].str.contains(CROSS, regex=False)
    table = pd.concat([single.table, crossed.table[crossings]], ignore_index=True)
    result.store.write_csv("equity.csv", table)
    result.store.write_csv("policies.csv", single.policies)
    made = dataclasses.replace(single, table=table, tests=crossed.tests)
    return dataclasses.replace(made, meta=crossed.meta)


def sections(result: Result, report: AuditReport) -> list[Section]:
    """Gaps, groups, curves, crossings, thresholds, power: of the plain head."""
    first, single = primary(report), alone(report)
    gaps = audit_sections.gaps(report, first)
    gaps = gaps._replace(
        title="Who is served worse", text=[_what(result), *_sentences(report, first)]
    )
    groups = audit_sections.groups(single, first)
    curves = audit_curves.curves(report, first)
    thresholds = policies(report, first)
    made = [gaps, groups, curves, crossed(report), thresholds]
    made += [audit_tables.every(report, first), audit_tables.power(single, first)]
    return [s for s in made if s is not None]


def alone(report: AuditReport) -> AuditReport:
    """The report without crossings of attributes."""

    def keep(table: pd.DataFrame) -> pd.DataFrame:
        crossing = table["attribute"].str.contains(CROSS, regex=False)
        return table[~crossing].reset_index(drop=True)

    return dataclasses.replace(
        report, table=keep(report.table), tests=keep(report.tests)
    )


def told(report: AuditReport) -> list[tuple[str, str]]:
    """Who is served worse by the data's group, by how much, how sure: the answer."""
    return answer(report, primary(report))


def _what(result: Result) -> str:
    spec, config = result.dataset.spec, result.config
    seeds = config.train.seeds
    kind = "" if seeds == 1 else f", the mean of {seeds} seeds"
    calibrated = "recalibrated on validation rows" if config.audit.calibrate else "raw"
    return (
        f"The plain head ({config.model.name}{kind}; all rows, no weights;"
        f" {calibrated}), on the test rows. Sensitivity, FNR and specificity are at the"
        " threshold that had 90 % specificity on the validation rows of everybody."
        f" Intervals resample {spec.unit}s: several images of one {spec.unit} stay"
        " together."
    )


def _sentences(report: AuditReport, first: Primary) -> list[str]:
    """One sentence an attribute: the gap in AUROC, and whether it is sure."""
    said = []
    for name in report.meta["attributes"]:
        where = {"attribute": name, "metric": first.metric, "label": first.label}
        for row in view(report.table, contrast="gap", **where).itertuples():
            if row.status != OK:
                said.append(f"**By {name}**: groups cannot be compared.")
                continue
            gap = interval_text(row.value, row.low, row.high)
            sure = "excludes 0" if row.low > 0 else "contains 0: it may be chance"
            said.append(
                f"**By {name}**: the AUROC of {row.group} is the lowest, that of"
                f" {row.reference} the highest; the gap is {gap}, and its interval"
                f" {sure}."
            )
    return said


def crossed(report: AuditReport, most: int = 12) -> Section | None:
    """The crossings in which the head ranks worst, with how many rows they rest on."""
    ours = view(report.table, metric="auroc", label=primary(report).label)
    rows = view(ours, contrast="group")
    rows = rows[rows["attribute"].str.contains(CROSS, regex=False)]
    rows = rows[~rows["group"].isin(["all", "not recorded"])]
    known = rows[rows["status"] == OK].sort_values("value", kind="stable")
    if not len(known):
        return None
    band = view(ours, contrast="band", status=OK)
    band = band.set_index(["attribute", "group"])
    every = view(ours, contrast="group", group="all")
    whole = float(every["value"].iloc[0])
    worst = known.head(most)
    keys = list(zip(worst["attribute"], worst["group"], strict=True))
    ends = [band.loc[key] if key in band.index else None for key in keys]
    frame = pd.DataFrame(
        {
            "crossing": worst["group"].to_numpy(),
            "of": worst["attribute"].to_numpy(),
            "images": worst["n"].to_numpy(),
            "patients": worst["patients"].to_numpy(),
            "AUROC": [
                interval_text(r.value, r.low, r.high) for r in worst.itertuples()
            ],
            "for all crossings at once": [
                "–" if e is None else f"[{e.low:.2f}, {e.high:.2f}]" for e in ends
            ],
        }
    )
    below = sum(e is not None and e.high < whole for e in ends)
    lost = len(rows) - len(known)
    text = [
        f"{len(known)} crossings could be estimated; {lost} have too few rows, or of"
        f" one class. The table has the {len(worst)} with the lowest AUROC, which is"
        " how chance looks too: the smaller a group, the farther it falls. Of them"
        f" {below} lie below the AUROC of all rows ({whole:.3f}) with an interval that"
        " holds for all groups of the same crossing at once.",
    ]
    table = Table("The crossings with the lowest AUROC", frame)
    return Section("Where attributes cross", text, [table])
