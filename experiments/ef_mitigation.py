"""Section of the embeddings page: what each remedy does to the gap, and who pays."""

import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.run import Result
from experiments.cxr_parts import texts
from experiments.ef_parts import remedy_name
from experiments.ef_remedies import TITLES
from experiments.page_parts import picture, plain_method

SHOWN = ("gap", "change", "reference's change", "smaller groups' change")


def mitigation(result: Result, table: pd.DataFrame) -> Section:
    """Gap of every remedy, its change against the plain head, and who pays.

    table: of `ef_remedies.remedies`.
    """
    result.store.write_csv("mitigation.csv", table)
    spec = result.dataset.spec
    others = table["groups"].iloc[0] or NOT_ESTIMABLE
    text = [
        f"The gap is the number of {spec.reference} minus the mean of the others'"
        f" ({others}); above 0, they are served worse. A remedy that narrows it by"
        f" making {spec.reference} worse off helps nobody, so both sides are shown. A"
        " gap in sensitivity is the same gap in false negatives (FNR), the sign turned."
        " Thresholds come from validation rows and do not change a ranking: AUROC stays"
        " as it was. One for each group gives every group 90 % specificity: false"
        " alarms become alike, misses need not.",
        *_verdicts(table),
    ]
    drawn = table[table["what"] == "gap"]
    figure = figures.dots(
        drawn.assign(
            group=drawn["remedy"], n=pd.NA, metric=drawn["metric"].map(TITLES)
        ),
        title=f"The gap between {spec.reference} and the other groups",
        xlabel="reference minus mean of the others (0: no gap)",
        by="metric",
        nominal=0.0,
        simulated=spec.simulated,
    )
    caption = f"Gap by {spec.group} under each remedy, with intervals"
    shown = picture(result, "mitigation", figure, caption, caption)
    tables = [_wide(result, table, metric) for metric in TITLES]
    return Section("What the remedies do", text, tables, [shown])


def _verdicts(table: pd.DataFrame) -> list[str]:
    """In words: which remedies narrow a gap, which widen it, which cannot be told."""
    said = []
    for metric, title in TITLES.items():
        rows = table[(table["metric"] == metric) & (table["what"] == "change")]
        rows = rows[rows["status"] == OK]
        plain = table[(table["metric"] == metric) & (table["what"] == "gap")].iloc[0]
        start = interval_text(plain["value"], plain["low"], plain["high"])
        kinds = {
            "narrowed by": rows[rows["high"] < 0],
            "widened by": rows[rows["low"] > 0],
            "not measurably moved by": rows[(rows["low"] <= 0) & (rows["high"] >= 0)],
        }
        parts = [f"{word} {_named(part)}" for word, part in kinds.items() if len(part)]
        said.append(
            f"**The gap in {title}**, {start} when plain, is"
            f" {'; '.join(parts) or 'not to be compared'}."
            f"{_paid(table, metric, kinds['narrowed by'])}"
        )
    return said


def _paid(table: pd.DataFrame, metric: str, narrowing: pd.DataFrame) -> str:
    """Where a gap is narrowed: whether the others gain, or the reference loses."""
    if not len(narrowing):
        return ""
    rows = table[table["metric"].eq(metric) & table["remedy"].isin(narrowing["remedy"])]
    gain = view(rows, what="smaller groups' change")
    lost = view(rows, what="reference's change")
    gained = ", ".join(gain.loc[gain["low"] > 0, "remedy"]) or "none of these"
    losing = ", ".join(lost.loc[lost["high"] < 0, "remedy"]) or "none"
    return (
        f" The other groups gain measurably under {gained}; the reference measurably"
        f" loses under {losing}."
    )


def _named(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{r.remedy} ({interval_text(r.value, r.low, r.high)})"
        for r in rows.itertuples()
    )


def _wide(result: Result, table: pd.DataFrame, metric: str) -> Table:
    """Gap, its change, who pays, and the group served worst, a remedy a line."""
    rows = table[(table["metric"] == metric) & table["what"].isin(SHOWN)]
    shaped = rows.assign(text=texts(rows)).pivot_table(
        "text", "remedy", "what", "first", sort=False
    )[list(SHOWN)]
    home, plain = result.dataset.spec.reference, plain_method(result)
    worst = view(result.report.table, contrast="worst", metric=metric)
    worst = worst[worst["label"] == worst["label"].iloc[0]]
    told = {
        remedy_name(r.method, r.scheme, plain): f"{r.group} {text}".strip()
        for r, text in zip(worst.itertuples(), texts(worst), strict=True)
    }
    shaped["served worst"] = pd.Series(told, dtype=object)
    frame = shaped.fillna("–").reset_index().rename_axis(columns=None)
    frame = frame.rename(columns={"reference's change": f"change of {home}"})
    frame = frame.rename(columns={"smaller groups' change": "change of the others"})
    note = (
        "Changes are against the plain head, on the same rows and replicates; a change"
        " of the gap below 0 narrows it where the gap is above 0. The interval of the"
        " group served worst allows for looking at all groups. More is in"
        " mitigation.csv."
    )
    return Table(f"{TITLES[metric]}: the gap, who pays, who is worst off", frame, note)
