"""Sections of the deaths page about what the models do."""

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, figures, view
from equity_jax.audit.page import Figure, Section, Table, interval_text
from equity_jax.run import Result
from equity_jax.systems import at

TITLES = {
    "deviance": "Mean deviance (-2 log-likelihood a cell)",
    "observed_expected": "Observed / expected deaths",
    "coverage90": "Coverage of the 90 % predictive interval",
    "auroc": "AUROC of high burden",
}
HEADLINE = ("mixture", "alone", "transfer")


def main_metric(result: Result) -> str:
    """What groups are compared by: calibration for counts, ranking for classes."""
    there = set(result.report.table["metric"])
    return "observed_expected" if "observed_expected" in there else "auroc"


def plain_method(result: Result) -> str:
    """The method of the headline: erm where it was run."""
    methods = result.store.config.train.methods
    return "erm" if "erm" in methods else methods[0]


def wide(table: pd.DataFrame, column: str = "scheme") -> pd.DataFrame:
    """Groups × `column`, cells "value [low, high]"."""
    text = [
        interval_text(r.value, r.low, r.high) if r.status != NOT_ESTIMABLE else r.status
        for r in table.itertuples()
    ]
    cells = table.assign(text=text)
    names = list(dict.fromkeys(cells[column]))
    shaped = cells.pivot_table("text", "group", column, "first", sort=False)[names]
    return shaped.reset_index()


def picture(result: Result, name: str, figure, caption: str, alt: str) -> Figure:
    """Saves a figure in the run directory and gives its place on the page."""
    with result.store.place(f"figures/{name}.png") as path:
        figures.save(figure, path)
    return Figure(f"figures/{name}.png", caption, alt)


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
    figure = figures.dots(
        rows,
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
        f" resample {spec.unit}s and seeds, the same for both systems.",
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
    spec = result.dataset.spec
    figure = figures.curves(
        curve,
        x="rows",
        title="How the gain of transfer depends on a group's rows",
        xlabel="training rows of the group (nested subsets of its blocks)",
        ylabel="difference of mean deviance",
        by="pair",
        simulated=spec.simulated,
    )
    shown = picture(
        result,
        "gain_by_rows",
        figure,
        "Gain of transfer('full') against the number of the group's training rows",
        "Curves of the difference of mean deviance over training rows, by group",
    )
    columns = ["group", "fraction", "rows", "pair", "value", "low", "high", "status"]
    text = [
        "Each group's training blocks were thinned to nested subsets; other groups'"
        " rows stayed, and so did validation and test. Fractions are fitted for"
        f" {plain_method(result)} only."
    ]
    tables = [Table("Gain by fraction", curve[columns])]
    return Section("Gain against the number of rows", text, tables, [shown])


def gain_curve(result: Result) -> pd.DataFrame | None:
    """group, fraction, rows, pair, value, low, high, status of transfer('full')."""
    train, scheme = result.store.config.train, "transfer('full')"
    if not train.fractions or scheme not in train.schemes:
        return None
    method, names = plain_method(result), result.dataset.spec.groups
    runs, parts = result.choices.table, []
    for fraction in sorted({*train.fractions, 1.0}):
        for base in ("mixture", "alone"):
            found = view(
                result.report.table,
                metric="deviance",
                method=method,
                scheme=at(scheme, fraction),
                contrast="difference",
                reference=f"scheme:{at(base, fraction)}",
            )
            size = runs[(runs["scheme"] == scheme) & (runs["fraction"] == fraction)]
            rows = size.groupby("target")["rows"].mean()
            rows.index = [names[t] for t in rows.index]
            found = found.assign(rows=found["group"].map(rows), fraction=fraction)
            parts.append(found.assign(pair=f"minus {base}"))
    curve = pd.concat(parts)
    named = curve["group"].isin(names) & curve["rows"].notna()
    return curve[named & (curve["group"] != result.dataset.spec.reference)]


def grid(result: Result) -> Section:
    """All methods × all schemes, the small groups together."""
    spec, table = result.dataset.spec, result.report.table
    rows = view(table, metric="deviance", contrast="group", group="all")
    rows = rows[~rows["scheme"].str.contains("@")]
    shaped = rows.pivot_table("value", "method", "scheme", sort=False)
    heat = figures.heat(
        shaped,
        title="Mean deviance over all groups",
        digits=3,
        simulated=spec.simulated,
    )
    alt = "Mean deviance for each method and scheme"
    shown = picture(result, "grid", heat, "Mean deviance, methods × schemes", alt)
    score = result.choices.score.rename("validation nll").reset_index()
    text = [
        "Every method under every scheme: same network, steps, draws and stopping rule."
        " Weighted losses and resampling change what is estimated, so they can cost"
        " deviance; they are shown, not retuned. Choices use validation only."
    ]
    picks = [result.choices.systems[i] for i in result.choices.selected]
    chosen = pd.DataFrame(
        {
            "scheme": [s.scheme for s in picks],
            "method chosen on validation": [s.method for s in picks],
            "fitted as": [s.source for s in picks],
        }
    )
    tables = [
        Table("What predictions.csv holds", chosen),
        Table("Validation, all groups", score),
    ]
    return Section("Methods and schemes", text, tables, [shown])


def burden(result: Result) -> Section | None:
    """Task (b) beside its control."""
    table, method = result.report.table, plain_method(result)
    rows = view(table, metric="auroc", contrast="group")
    ours = rows[(rows["method"] == method) & rows["scheme"].isin(HEADLINE)]
    control = rows[rows["method"] == "control"]
    if not len(ours):
        return None
    spec, share = result.dataset.spec, result.store.config.data.share
    both = pd.concat([ours, control])
    figure = figures.dots(
        both,
        title="AUROC of high burden, beside its control",
        xlabel="AUROC",
        nominal=0.5,
        simulated=spec.simulated,
    )
    text = [
        f"High burden: COVID-19 is at least {share:.0%} of all deaths in the cell,"
        " decided by interval logic; cells that the interval cannot decide are left"
        " out and counted. Where small cells are blank, this largely measures which"
        " cells are published: the control knows nothing but log(total deaths)."
    ]
    alt = "AUROC by group for three schemes and the control"
    shown = picture(result, "burden", figure, "AUROC of high burden", alt)
    columns = ["scheme", "group", "n", "positives", "negatives"]
    sizes = ours[ours["scheme"] == "mixture"][columns[1:]]
    tables = [Table("AUROC", wide(both)), Table("Decided cells", sizes)]
    return Section("Task (b): high burden", text, tables, [shown])


def not_estimable(result: Result) -> Section:
    """What could not be estimated, listed."""
    rows = result.report.not_estimable
    columns = ["metric", "contrast", "group", "n", "positives", "negatives"]
    listed = rows[columns].drop_duplicates(["metric", "contrast", "group"])
    text = [
        f"{len(rows):,} numbers of {len(result.report.table):,} are {NOT_ESTIMABLE}:"
        " too few rows or blocks, or only one class. They are in audit.csv, empty."
    ]
    tables = [Table("Not estimable, once per metric", listed)] if len(rows) else []
    return Section("What could not be estimated", text, tables)


def conduct(result: Result) -> Section:
    """Data, splits, rows left out, and how it was done."""
    spec, dataset, config = (
        result.dataset.spec,
        result.dataset,
        result.store.config,
    )
    out = pd.DataFrame(spec.left_out).fillna(0).astype(int).T if spec.left_out else None
    borrowed = {
        "not recorded": int(np.sum(dataset.group == -1)),
        **_without_own(result),
    }
    text = [
        f"Data fingerprint {spec.fingerprint}. {len(result.choices.table)} runs:"
        f" {config.train.seeds} seeds × {len(config.train.methods)} methods ×"
        f" {len(config.train.schemes)} schemes × groups, {config.train.steps} steps of"
        f" {config.train.batch} rows, {config.model.name}.",
        f"Intervals: {config.audit.level:.0%}, {config.audit.replicates} replicates"
        f" that resample {spec.unit}s, the same for all groups and systems. No"
        " significance is claimed across the many cells of these tables.",
        "Rows scored by the mixture model for want of own parameters: "
        + ", ".join(f"{name}: {n:,}" for name, n in borrowed.items())
        + ".",
        "Seconds so far: "
        + ", ".join(f"{k} {v:.0f}" for k, v in result.seconds.items())
        + ".",
    ]
    tables = []
    if out is not None:
        reasons = out.rename_axis("reason").reset_index()
        tables.append(Table("Rows left out, by reason and group", reasons))
    return Section("How it was done", text, tables)


def _without_own(result: Result) -> dict[str, int]:
    dataset, names = result.dataset, result.dataset.spec.groups
    fitted = set(result.choices.table["target"])
    return {
        names[code]: int(np.sum(dataset.group == code))
        for code in range(len(names))
        if code not in fitted
    }
