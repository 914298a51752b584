"""Sections of the deaths page: methods, the control, what is missing, conduct."""

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table
from equity_jax.run import Result
from equity_jax.types import TEST, VALID
from experiments.page_parts import HEADLINE, picture, plain_method, short, wide


def grid(result: Result) -> Section:
    """All methods × all schemes, the small groups together."""
    spec, table = result.dataset.spec, result.report.table
    rows = view(table, metric="deviance", contrast="group", group="all")
    rows = rows[~rows["scheme"].str.contains("@")]
    shaped = rows.assign(scheme=rows["scheme"].map(short)).pivot_table(
        "value", "method", "scheme", sort=False
    )
    heat = figures.heat(
        shaped,
        title="Mean deviance over all groups",
        digits=3,
        simulated=spec.simulated,
    )
    alt = "Mean deviance for each method and scheme"
    shown = picture(result, "grid", heat, "Mean deviance, methods × schemes", alt)
    score = result.choices.score.unstack("scheme").rename(columns=short)
    score = score.loc[list(result.store.config.train.methods)].reset_index()
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
        Table("Validation, negative log-likelihood a cell, all groups", score),
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
    spec, config = result.dataset.spec, result.store.config
    out = pd.DataFrame(spec.left_out).fillna(0).astype(int).T if spec.left_out else None
    borrowed = _borrowed(result)
    text = [
        f"Data fingerprint {spec.fingerprint}. {len(result.choices.table)} runs:"
        f" {config.train.seeds} seeds × {len(config.train.methods)} methods ×"
        f" {len(config.train.schemes)} schemes × groups, {config.train.steps} steps of"
        f" {config.train.batch} rows, {config.model.name}.",
        f"Intervals: {config.audit.level:.0%}, {config.audit.replicates} replicates"
        f" that resample {spec.unit}s, the same for all groups and systems. No"
        " significance is claimed across the many cells of these tables.",
        "Validation and test rows scored by the mixture for want of own parameters: "
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


def _borrowed(result: Result) -> dict[str, int]:
    """Validation and test rows scored by the mixture, for want of own parameters."""
    dataset, names = result.dataset, dict(enumerate(result.dataset.spec.groups))
    held = dataset.group[np.isin(dataset.split, (VALID, TEST))]
    fitted = set(result.choices.table["target"])
    counts = {"not recorded": int(np.sum(held == -1))}
    missing = (code for code in names if code not in fitted)
    return counts | {names[c]: int(np.sum(held == c)) for c in missing}
