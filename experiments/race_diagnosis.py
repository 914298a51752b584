"""Section of the race page: who is called healthy though sick.

Underdiagnosis is a sick person called healthy: a false positive of "No Finding";
overdiagnosis is a healthy person called sick (Seyyed-Kalantari et al., "Underdiagnosis
bias of artificial intelligence algorithms applied to chest radiographs in under-served
patient populations", Nature Medicine 2021). The threshold is the one with the best F1
of "No Finding" on the validation images of everybody.
"""

import pandas as pd

from equity_jax.audit import OK, AuditReport, audit, view
from equity_jax.audit.pages import figures, page
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.audit.subjects import CROSS, UNRECORDED
from equity_jax.run import Result
from experiments.cxr_parts import texts
from experiments.page_parts import picture
from experiments.race_parts import (
    HEALTHY,
    disease,
    healthy,
    names_of,
    options_of,
    truth,
)
from experiments.race_results import both

RATES = {"fpr": "underdiagnosis", "fnr": "overdiagnosis"}  # of HEALTHY


def judge(result: Result) -> AuditReport:
    """The rates of HEALTHY by every attribute and every crossing; diagnosis.csv."""
    report = audit(
        healthy(disease(result), names_of(result.dataset)),
        labels=(HEALTHY,),
        metrics=tuple(RATES),
        threshold="f1",
        **options_of(result),
    )
    result.store.write_csv("diagnosis.csv", report.table)
    return report


def diagnosis(result: Result, report: AuditReport) -> Section:
    """Who is called healthy though sick, and sick though healthy; crossings too."""
    spec = result.dataset.spec
    rows = view(report.table, contrast="group")
    rows = rows[rows["group"] != UNRECORDED]
    rows = rows.assign(rate=rows["metric"].map(RATES))
    mine = view(rows, attribute=spec.group)
    title = f"Under- and overdiagnosis by {spec.group}"
    figure = figures.dots(
        mine,
        title=title,
        xlabel="share of the sick (of the healthy) that is called wrong",
        by="rate",
        simulated=spec.simulated,
    )
    caption = f"{title}; test {spec.unit}s, with intervals"
    threshold = float(mine["threshold"].iloc[0])
    text = [
        "**Underdiagnosis** is the share of the sick that the network calls healthy"
        f" (false positives of {HEALTHY!r}), **overdiagnosis** the share of the healthy"
        f" that it calls sick. {_healthy(result)} The threshold, {threshold:.3f}, has"
        " the best F1 on the validation images of everybody.",
        *(_told(report, spec.group, metric) for metric in RATES),
        "These rates believe the labels. Where a label misses the findings of a group"
        " more often, that group looks healthier than it is, and nothing here tells.",
    ]
    single = rows[~rows["attribute"].str.contains(CROSS, regex=False)]
    tables = [_rates(single, "Under- and overdiagnosis", spec.group)]
    tables += planted(result, mine)
    crossed = rows.drop(single.index)
    if len(crossed):
        first = next(a for a in crossed["attribute"] if a.startswith(spec.group))
        tables.append(_rates(crossed, "Where attributes cross", first))
    shown = [picture(result, "diagnosis", figure, caption, caption)]
    return Section("Who is called healthy though sick", text, tables, shown)


def planted(result: Result, rows: pd.DataFrame) -> list[Table]:
    """What was planted in the twin, beside what was found; rows: of its groups."""
    known = truth(result.dataset)
    if "clear" not in known or result.dataset.spec.group != "race":
        return []
    missed, best = known["underdiagnosis"], known["clear"]
    frame = {"group": list(missed)}
    frame["truly sick, recorded as healthy"] = list(missed.values())
    for metric, name in RATES.items():
        mine = view(rows, metric=metric)
        found = dict(zip(mine["group"], texts(mine), strict=True))
        frame[f"{name} of a perfect reader"] = [best[metric][g] for g in missed]
        frame[f"{name} found"] = [found.get(g, "–") for g in missed]
    note = (
        "A perfect reader sees every sick person and is told wrong by the labels that"
        " missed a finding: what looks like overdiagnosis of a group can be"
        " underdiagnosis by its labels."
    )
    return [Table("What was planted, by race", pd.DataFrame(frame), note)]


def _rates(rows: pd.DataFrame, caption: str, name: str) -> Table:
    """Groups, both rates and the rows behind each; a menu chooses the attribute."""
    under, over = (view(rows, metric=metric) for metric in RATES)
    columns = {
        "group": under["group"],
        "attribute": under["attribute"],
        "images": under["n"],
        "sick": under["negatives"],
        "underdiagnosis": texts(under),
        "healthy": over["positives"],
        "overdiagnosis": texts(over),
    }
    return Table(caption, pd.DataFrame(columns), "", True, {"attribute": name})


def answer(result: Result, report: AuditReport) -> list[tuple[str, str]]:
    """Who is most often called healthy though sick, by how much, how sure."""
    name = result.dataset.spec.group
    rows = view(report.table, attribute=name)
    about = {"metric": "fpr", "system": rows["system"].iloc[0], "label": HEALTHY}
    found = page.answer(rows, unit=result.dataset.spec.unit, **about)
    usual, ours = "false positive rate", "underdiagnosis rate"
    asked = {"Who is served worst": "Who is most often called healthy though sick"}
    return [(asked.get(q, q), a.replace(usual, ours)) for q, a in found]


def _told(report: AuditReport, name: str, metric: str) -> str:
    """Whether groups differ in one rate."""
    where = {"attribute": name, "metric": metric}
    gap = view(report.table, contrast="gap", **where).iloc[0]
    if gap["status"] != OK:
        return f"{RATES[metric].capitalize()}: groups of {name} cannot be compared."
    test = view(report.tests, **where).iloc[0]
    rows = view(report.table, contrast="group", status=OK, **where)
    ends = {r.group: t for r, t in both(rows)}
    return (
        f"**{RATES[metric].capitalize()}** is highest in {gap['group']}"
        f" ({ends[gap['group']]}) and lowest in {gap['reference']}"
        f" ({ends[gap['reference']]}); the gap is"
        f" {interval_text(gap['value'], gap['low'], gap['high'])}, and a test that all"
        f" groups are alike gives p = {test['p']:.2g}."
    )


def _healthy(result: Result) -> str:
    names = names_of(result.dataset)
    if HEALTHY in names:
        return ""
    if len(names) == 1:
        return f"Here sick means {names[0]}, healthy all the rest."
    return "Here healthy means none of the labels; its score is 1 minus the largest."
