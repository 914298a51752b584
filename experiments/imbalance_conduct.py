"""The first and the last of the imbalance page: the answer, the worlds, the conduct."""

import itertools

import numpy as np

from equity_jax.audit import OK, view
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.audit.pages.words import NONE
from equity_jax.types import TRAIN, Dataset
from experiments.imbalance_axes import decided
from experiments.imbalance_fits import Result
from experiments.imbalance_worlds import PREVALENCE, SMALLER, rows_of

COUNTS = {
    "train_rows": "training rows",
    "train_rare": "rare",
    "train_small": "of smaller groups",
    "train_small_rare": "rare of these",
    "valid_rows": "validation rows",
    "valid_rare": "rare ones",
}


def answer(result: Result) -> list[tuple[str, str]]:
    """What rarity costs, what helps, and what could not be asked."""
    rows = view(result.cells, axis=PREVALENCE, metric="auroc", group="all")
    rows = rows[rows["depth"].isin(["", "scratch"])]
    mine = view(rows, contrast="group", method=result.plain, status=OK)
    lost = result.worlds[result.worlds["why"] != ""]
    missing = f"{len(lost)} of {len(result.worlds)} worlds cannot be made of these rows"
    missing = missing if len(lost) else "every world could be made"
    if not len(mine):
        return [("What could not be asked", missing)]
    first, last = mine.iloc[0], mine.iloc[-1]
    said = [
        (
            "What rarity costs",
            f"{result.plain} ranks all test rows with an AUROC of {_ends(first)} where"
            f" {100 * first.prevalence:g} % of the training rows are rare, of"
            f" {_ends(last)} where {100 * last.prevalence:g} % are",
        )
    ]
    rows = view(result.cells, axis=PREVALENCE, metric="auroc", group="all")
    rows = view(rows, contrast="difference", status=OK)
    rows = rows[rows["reference"] == f"method:{result.plain}"]
    up, down = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
    text = f"of {len(rows)} cells {up} better than {result.plain}, {down} worse"
    if len(rows):
        best = rows.loc[rows["low"].idxmax()]
        text += f"; the surest gain {_ends(best)}: {best.method}, {best.scheme}"
    said.append(("Does weighting or resampling rank better?", text))
    text = decided(result, PREVALENCE, last.prevalence)
    said.append(("What does it change, then?", text))
    return [*said, ("What could not be asked", missing)]


def _ends(row) -> str:
    return interval_text(row.value, row.low, row.high)


def worlds(result: Result) -> Section:
    """Which worlds were made, with their rows; which were not, and why."""
    frame = result.worlds[["axis", "world", *COUNTS, "why"]]
    for name in COUNTS:
        frame = frame.assign(**{name: [_count(v) for v in frame[name]]})
    frame = frame.rename(columns=COUNTS)
    least = result.config.imbalance.least
    text = [
        "Rows of a world are taken patient by patient, in one random order a draw; a"
        " rarer world lies inside every less rare one. Validation rows are thinned as"
        " the training rows are, as far as there are any; test rows stay. What a world"
        " does not name stays as found. Counts are means over draws.",
        f"A world needs {least} rare rows and, where it names their share, {least} rows"
        f" of the smaller groups. {SMALLER.capitalize()}: all but"
        f" {result.dataset.spec.reference}; rows of nobody's group are in no world that"
        " names a share. A number on test rows has the floors of every audit.",
    ]
    text += confounded(result.dataset)
    return Section("The worlds", text, [Table("Rows of every world", frame, "", True)])


def confounded(dataset: Dataset) -> list[str]:
    """A sentence for each class and group without a training row.

    Example: COVID images that come from sources without any other class.
    """
    _, rows = rows_of(dataset, TRAIN)
    cells = itertools.product(enumerate(dataset.spec.classes), (0, 1))
    return [
        f"**No training row of {dataset.spec.groups[side]} is {name}**: class and group"
        " cannot be told apart there, and what is learned may be either."
        for (code, name), side in cells
        if set(rows.rare[rows.small == side]) == {not code}
    ]


def _count(value: float) -> str:
    return f"{value:,.0f}" if np.isfinite(value) else NONE


def conduct(result: Result) -> Section:
    """Runs, budget, intervals, and what was not done."""
    config, spec = result.config, result.dataset.spec
    train, runs = config.train, result.runs
    keep = {"nll": "log loss", "auroc": "AUROC"}[train.keep]
    stopped = float(np.mean(runs["step"]))
    text = [
        *spec.notes,
        f"{len(runs)} runs of {config.model.name}: {train.seeds} draws of every world,"
        f" each with a random start of its own; at most {train.steps} steps of"
        f" {train.batch} rows, learning rate {train.lr[0]:g}, weight decay"
        f" {train.weight_decay:g}; the step with the best validation {keep} is kept (on"
        f" average step {stopped:,.0f}). All methods have the same budget; none was"
        " tuned.",
        f"Data fingerprint {spec.fingerprint}. Seconds so far: "
        + ", ".join(f"{name} {spent:.0f}" for name, spent in result.seconds.items())
        + ".",
        f"Intervals: {config.audit.level:.0%}, {config.audit.replicates} replicates"
        f" that resample {spec.unit}s of the test set and draws, the same for all"
        " methods. No significance is claimed across the many cells.",
    ]
    items = [
        "Not done: tuning. The protocol (experiments.protocol) tunes all alike.",
        "Not done: another hospital. All rows come from one place.",
        f"The gap between {spec.reference} and the smaller groups is not the methods'"
        " alone: see the section on how many rows a smaller group needs.",
    ]
    return Section("How it was done", text, items=items)
