"""Section of the chest X-ray page: one network for all, or one for each group."""

import pandas as pd

from equity_jax.arms import GROUPED
from equity_jax.audit import view
from equity_jax.audit.multiclass import multiclass
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, Section, Table
from equity_jax.systems import POOLED
from equity_jax.trials import Result, select
from experiments.cxr_parts import TITLES, picture, wide

WORDS = {
    "mixture": "one for all",
    "alone": "each group alone",
    "transfer('full')": "transfer",
}
COMPARED = ("accuracy", "macro_auroc")


def grouped(result: Result) -> Section | None:
    """Mixture, alone and transfer by group, and what transfer changes."""
    chosen = trials_of(result)
    if len(chosen) < 2:
        return None
    table = judged(result, chosen)
    result.store.write_csv("grouped.csv", table)
    spec = result.dataset.spec
    table = table.assign(learning=table["scheme"].map(WORDS))
    text = [
        "One for all: one network on everybody's images. Each group alone: a network"
        " of its own from random numbers. Transfer: the network of the best"
        f" represented group ({spec.reference}), trained on with the group's own"
        " images. The architecture, the steps and the test images are the same.",
        *_sentences(table),
    ]
    values = view(table, contrast="group", label="", attribute=spec.group)
    tables = [
        Table(
            f"Test {TITLES[metric]} by {spec.group}",
            wide(view(values, metric=metric), "group", "learning"),
        )
        for metric in COMPARED
    ]
    gains = _gains(table).assign(metric=lambda r: r["metric"].map(TITLES))
    tables.append(_differences(gains, spec.group))
    shown = _drawing(result, view(gains, learning=WORDS["transfer('full')"]))
    return Section(f"Learning by group ({spec.group})", text, tables, [shown])


def trials_of(result: Result) -> list[int]:
    """The mixture, alone and transfer of the arm that learns by group, by number.

    The mixture stands among the trials once, with the arm that is alike but for it.
    """
    arms = [t.arm for t in result.trials if t.arm.schemes == GROUPED]
    if not arms:
        return []
    alike = {arms[0], arms[0]._replace(schemes=(POOLED,))}
    mine = dict(enumerate(result.trials))
    return [
        i
        for i, t in mine.items()
        if t.arm._replace(methods=arms[0].methods) in alike
        and t.system.method in arms[0].methods
        and t.system.scheme in WORDS
    ]


def _differences(gains: pd.DataFrame, group: str) -> Table:
    gains = gains.assign(
        row=gains["group"] + ", " + gains["metric"],
        column=gains["learning"] + " minus one for all",
    )
    shaped = wide(gains, "row", "column").rename(columns={"row": group})
    return Table("Differences on the same images", shaped)


def _drawing(result: Result, gains: pd.DataFrame) -> Figure:
    spec = result.dataset.spec
    figure = figures.dots(
        gains,
        title="What transfer changes, by group",
        xlabel="transfer minus one for all (above 0: transfer is better)",
        by="metric",
        nominal=0.0,
        simulated=spec.simulated,
    )
    caption = f"Transfer minus one network for all, by {spec.group}, paired"
    return picture(result.store, "grouped", figure, caption)


def judged(result: Result, chosen: list[int]) -> pd.DataFrame:
    """grouped.csv: the audit of the group-conditional trials, against the mixture."""
    p, config = select(result.every, chosen), result.store.config
    systems = [result.trials[i].system for i in chosen]
    runs = [s._asdict() | {"scheme": s.scheme} for s in systems]
    spec = result.dataset.spec
    return multiclass(
        p._replace(runs=runs, valid=None),
        spec.classes,
        (spec.group,),
        level=config.audit.level,
        replicates=config.audit.replicates,
        seed=config.seed,
        min_rows=config.audit.min_rows,
        against=f"{systems[0].method}/{POOLED}",
        unit=spec.unit,
    )


def _gains(table: pd.DataFrame) -> pd.DataFrame:
    """Rows: a scheme minus the mixture in every group (and in all)."""
    rows = view(table, contrast="difference", label="")
    of_group = rows["attribute"] != ""
    rows = rows[rows["reference"].str.endswith(f"scheme:{POOLED}") & of_group]
    return rows[rows["metric"].isin(COMPARED)]


def _sentences(table: pd.DataFrame) -> list[str]:
    said = []
    rows = view(_gains(table), scheme="transfer('full')")
    rows = rows[rows["group"] != "all"]
    for metric, part in rows.groupby("metric", sort=False):
        better, worse = part["low"] > 0, part["high"] < 0
        listed = [
            ", ".join(part.loc[k, "group"]) or "no group" for k in (better, worse)
        ]
        said.append(
            f"**{TITLES[metric]}**: transfer is better for {listed[0]}, worse"
            f" for {listed[1]}; for the rest the interval contains 0, or it cannot be"
            " estimated."
        )
    return said
