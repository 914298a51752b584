"""Sections of the deaths page: who is served worse, and what transfer changes."""

import pandas as pd

from equity_jax.audit import view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.audit.subjects import UNRECORDED
from equity_jax.run import Result
from equity_jax.systems import at
from experiments.page_parts import (
    HEADLINE,
    TITLES,
    main_metric,
    picture,
    plain_method,
    short,
    wide,
)


def headline(result: Result) -> Section:
    """Mixture, independent, transfer side by side, by group."""
    spec, method = result.dataset.spec, plain_method(result)
    table, metrics = result.report.table, [m for m in TITLES]
    tables, chosen = [], result.choices.variants.get(method, "")
    for metric in metrics:
        rows = view(table, metric=metric, method=method, contrast="group")
        rows = rows[rows["scheme"].isin(HEADLINE)]
        if len(rows):
            tables.append(Table(f"{TITLES[metric]}, {method}, test", wide(rows)))
    main = main_metric(result)
    rows = view(table, metric=main, method=method, contrast="group")
    rows = rows[rows["scheme"].isin(HEADLINE)]
    # Rows of nobody's group have wide intervals that would hide all others.
    figure = figures.dots(
        rows[rows["group"] != UNRECORDED],
        title=f"{TITLES[main]} by group",
        xlabel=TITLES[main],
        nominal=1.0 if main == "observed_expected" else None,
        simulated=spec.simulated,
    )
    text = [
        f"Mixture fits one model to all rows, alone one model to each group's rows,"
        f" transfer starts from the model of {spec.reference} and continues on the"
        f" group's rows. On validation the transfer variant **{chosen}** was best for"
        f" {method}; the column transfer is that variant.",
        "Deviance compares systems within a group, lower is better; it grows with the"
        " size of the counts, so it does not compare groups. Observed / expected and"
        " coverage do: 1 and 0.90 are right, whatever the group's size. Both look at"
        " published cells and condition on their being published.",
        *spec.notes,
    ]
    alt = f"{TITLES[main]} with intervals for each group under three schemes"
    shown = picture(result, "by_group", figure, TITLES[main] + " by group", alt)
    return Section("Who is served worse", text, tables, [shown])


def gain(result: Result) -> Section | None:
    """Transfer minus mixture and minus independent, paired, and the no-harm check."""
    method, spec = plain_method(result), result.dataset.spec
    rows = view(result.report.table, metric="deviance", method=method)
    rows = rows[(rows["contrast"] == "difference") & (rows["group"] != "all")]
    paired = rows[rows["reference"].isin(["scheme:mixture", "scheme:alone"])]
    paired = paired[~paired["scheme"].str.contains("@")]
    if not len(paired):
        return None
    against = paired["reference"].map(
        {"scheme:mixture": "minus mixture", "scheme:alone": "minus alone"}
    )
    paired = paired.assign(pair=against)
    best = paired[paired["scheme"] == "transfer"]
    home = best[(best["group"] == spec.reference) & (best["pair"] == "minus mixture")]
    text = [
        "Differences of mean deviance on the same cells, below 0 is a gain. Intervals"
        f" resample {spec.unit}s and seeds, the same for both systems: they speak of"
        " other blocks of the same period, not of later ones.",
        *(_no_harm(r, spec.reference) for r in home.itertuples()),
        *_wins(best[best["pair"] == "minus mixture"]),
    ]
    figure = figures.dots(
        best,
        title="What transfer changes, by group",
        xlabel="difference of mean deviance (below 0: transfer is better)",
        by="pair",
        nominal=0.0,
        simulated=spec.simulated,
    )
    alt = "Differences of mean deviance with intervals for each group"
    shown = picture(result, "gain", figure, "Gain of transfer, by group", alt)
    rest = paired[paired["pair"] == "minus mixture"]
    rest = rest.assign(scheme=rest["scheme"].map(short))
    tables = [
        Table("Transfer minus mixture and minus alone", wide(best, "pair")),
        Table("Every scheme minus mixture", wide(rest)),
    ]
    return Section("What transfer gains and costs", text, tables, [shown])


def _no_harm(row, reference: str) -> str:
    words = interval_text(row.value, row.low, row.high)
    verdict = "no harm is seen" if row.low <= 0 else "**it is harmed**"
    return (
        f"No-harm check on the source group, {reference}: its own model minus the"
        f" mixture is {words}; {verdict}."
    )


def _wins(rows: pd.DataFrame) -> list[str]:
    def names(mask) -> str:
        return ", ".join(rows.loc[mask, "group"]) or "no group"

    return [
        f"Transfer beats the mixture for {names(rows['high'] < 0)}; it loses for"
        f" {names(rows['low'] > 0)}; for the rest the interval contains 0."
    ]


def amount(result: Result) -> Section | None:
    """Gain against the number of the group's rows, from nested fractions."""
    curve = gain_curve(result)
    if curve is None:
        return None
    figure = figures.curves(
        curve,
        x="rows",
        title="How the gain of transfer depends on a group's rows",
        xlabel="training rows of the group (nested subsets of its blocks)",
        ylabel="difference of mean deviance",
        by="pair",
        simulated=result.dataset.spec.simulated,
    )
    caption = "Gain of transfer('full') against the number of the group's training rows"
    shown = picture(result, "gain_by_rows", figure, caption, caption + ", by group")
    least = result.store.config.audit.min_rows
    text = [
        "Each group's training blocks were thinned to nested subsets; other groups'"
        " rows stayed, and so did validation and test. Fractions are fitted for"
        f" {plain_method(result)}, and where they leave at least {least} rows. Below 0:"
        " transfer is better.",
    ]
    label = [f"{f:.0%}" for f in curve["fraction"]]
    curve = curve.assign(column=label)
    tables = [
        Table(f"transfer('full') {pair}, by share of the group's rows", shaped)
        for pair, part in curve.groupby("pair", sort=False)
        for shaped in [wide(part, "column")]
    ]
    return Section("Gain against the number of rows", text, tables, [shown])


def gain_curve(result: Result) -> pd.DataFrame | None:
    """group, fraction, rows, pair, value, low, high, status of transfer('full')."""
    train, scheme = result.store.config.train, "transfer('full')"
    if not train.fractions or scheme not in train.schemes:
        return None
    parts = [
        _at_fraction(result, scheme, base, fraction)
        for fraction in sorted({*train.fractions, 1.0})
        for base in ("mixture", "alone")
    ]
    curve = pd.concat(parts)
    return curve[curve["rows"].notna()] if curve["rows"].notna().any() else None


def _at_fraction(
    result: Result, scheme: str, base: str, fraction: float
) -> pd.DataFrame:
    spec, runs = result.dataset.spec, result.choices.table
    found = view(
        result.report.table,
        metric="deviance",
        method=plain_method(result),
        scheme=at(scheme, fraction),
        contrast="difference",
        reference=f"scheme:{at(base, fraction)}",
    )
    size = runs[(runs["scheme"] == scheme) & (runs["fraction"] == fraction)]
    rows = size.groupby("target")["rows"].mean()
    rows.index = [spec.groups[t] for t in rows.index]
    rows = rows.drop(spec.reference, errors="ignore")
    return found.assign(
        rows=found["group"].map(rows), fraction=fraction, pair=f"minus {base}"
    )
