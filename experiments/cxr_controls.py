"""Section of the chest X-ray page: honest controls, beside the accuracy.

What could be had without the lungs, and what is left where the source is of no help.
"""

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE
from equity_jax.audit.images import regions
from equity_jax.audit.images.shortcuts import told_from_pixels
from equity_jax.audit.images.within import scored, within_source
from equity_jax.audit.multiclass import confusion as counts_of
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from equity_jax.train import score
from equity_jax.trial_files import softmax
from equity_jax.trials import Result
from equity_jax.types import Predictions
from experiments.cxr_parts import (
    measured,
    name_of,
    paired,
    picture,
    tested_rows,
    texts,
)

WHOLE, BLANK = "the whole image", "lungs blanked"
COLUMNS = {"control": "control: what is told", "system": "by", "metric": "metric"}
COLUMNS |= {"n": "images", "text": "value", "chance": "knowing nothing"}
COLUMNS |= {"reason": "note"}


def controls(result: Result) -> Section:
    """Border and thumbnail, one source at a time, lungs blanked; controls.csv."""
    spec, config = result.dataset.spec, result.store.config
    drawn = {"replicates": config.audit.replicates, "seed": config.seed}
    whole, blank = renamed(result, result.test), blanked(result)
    parts = [
        scored(whole, spec.classes, {"control": WHOLE, "what": "class"}, **drawn),
        scored(blank, spec.classes, {"control": BLANK, "what": "class"}, **drawn),
        from_pixels(result, drawn),
    ]
    if "source" in whole.attributes:
        source = whole.attributes["source"]
        parts.append(within_source(whole, spec.classes, source, **drawn))
    table = pd.concat(parts, ignore_index=True)
    result.store.write_csv("controls.csv", table)
    best = name_of(result.chosen[0])
    text = [
        "A network can name the class without seeing the disease: by the hospital's"
        " marks, the border of the film, the patient's age. These controls ask how far"
        " that alone would go.",
        *without_lungs(table, best),
        *lungs_blanked(result, whole, blank),
        *within(table, best),
    ]
    place = table["control"].where(table["source"] == "", "within " + table["source"])
    shaped = table.assign(text=texts(table), control=place + ": " + table["what"])
    shaped = shaped[list(COLUMNS)].rename(columns=COLUMNS)
    note = (
        "The border is the outer 9 % on each side. The lung area is two ellipses at a"
        " fixed place, 48 % of the picture, not a segmentation. Knowing nothing: always"
        " the commonest class for accuracy, chance for the others."
    )
    menus = {"metric": "accuracy"}
    tables = [Table("All controls", shaped, note, True, menus)]
    return Section("Honest controls", text, tables, [drawing(result, table, best)])


def renamed(result: Result, p: Predictions) -> Predictions:
    """Predictions whose systems are called as the page calls the networks."""
    runs = [{"seed": 0, "method": name_of(t), "scheme": ""} for t in result.chosen]
    return p._replace(runs=runs, valid=None)


def blanked(result: Result) -> Predictions:
    """The best networks' scores of test images whose lung area is one gray."""
    x = regions.blank(result.held.x[tested_rows(result)])
    mine = [t.network for t in result.chosen]
    prob = np.stack([softmax(score(n.model, [n.weights], x)[0]) for n in mine])
    return renamed(result, result.test._replace(prob=prob))


def from_pixels(result: Result, drawn: dict[str, int]) -> pd.DataFrame:
    """Class and source by logistic regression on the border, and on a thumbnail."""
    dataset = result.dataset
    code = np.asarray(dataset.y)[:, 0]
    known = (code >= 0) & (np.asarray(dataset.mask)[:, 0] > 0)
    targets = {"class": np.where(known, np.array(dataset.spec.classes)[code], "")}
    if "source" in dataset.attributes:
        targets["source"] = dataset.attributes["source"]
    split, patient = dataset.split, dataset.patient
    return told_from_pixels(dataset.x, targets, split, patient, **drawn)


def row(table: pd.DataFrame, **where: str) -> pd.Series | None:
    """The one row with these values that could be estimated; None if there is none."""
    keep = table["status"] != NOT_ESTIMABLE
    for column, value in where.items():
        keep &= table[column] == value
    return table[keep].iloc[0] if keep.any() else None


def without_lungs(table: pd.DataFrame, best: str) -> list[str]:
    """What border and thumbnail tell, in words."""
    said = []
    pixels = table[table["control"] == "told from pixels"]
    ours = row(table, control=WHOLE, system=best, metric="accuracy")
    for what, view in pixels[["what", "system"]].drop_duplicates().itertuples(False):
        r = row(pixels, what=what, system=view, metric="accuracy")
        if r is None:
            continue
        line = (
            f"A logistic regression on the **{view}** alone names the {what} of"
            f" {percent(r)} of the test images; always naming the commonest would be"
            f" right for {r.chance:.0%}."
        )
        if r.low <= r.chance:
            said.append(f"{line} This cannot be told from knowing nothing.")
        elif what == "class" and ours is not None and ours.value > r.chance:
            share = (r.value - r.chance) / (ours.value - r.chance)
            said.append(
                f"{line} {best} reaches {percent(ours)}: {min(share, 1):.0%} of what it"
                " adds to knowing nothing can be had this way, so its accuracy alone"
                " does not show that it learned the disease."
            )
        else:
            said.append(f"{line} So {what} shows in these pixels.")
    return said


def lungs_blanked(result: Result, whole: Predictions, blank: Predictions) -> list[str]:
    """What is lost where the lungs are blanked: paired, for each network."""
    config, classes = result.store.config, result.dataset.spec.classes
    prob = np.concatenate([whole.prob, blank.prob])
    both = whole._replace(prob=prob, runs=[*whole.runs, *blank.runs])
    found, count = measured(both, classes, config)["accuracy"], len(result.chosen)
    said = []
    for i, t in enumerate(result.chosen):
        lost = paired(found, [(i, count + i)], config.audit.level)
        ends = (100 * lost[k] for k in ("value", "low", "high"))
        text = interval_text(*ends)
        sure = " (it may be none)" if lost["low"] <= 0 else ""
        said.append(
            f"{name_of(t)} goes from {found.value[i]:.0%} to"
            f" {found.value[count + i]:.0%}, a loss of {text} points{sure}"
        )
    common = counts_of(whole, classes)[0].sum(1).max() / len(whole.id)
    ends = (
        f"What is left was not read from the lungs; knowing nothing gives {common:.0%}."
    )
    return [f"**With the lung area blanked**, accuracy: {'; '.join(said)}. {ends}"]


def within(table: pd.DataFrame, best: str) -> list[str]:
    """Accuracy where the source is of no help, in words."""
    rows = table[table["control"] == "within one source"]
    if not len(rows):
        return ["No source is recorded, so nothing can be compared within one source."]
    said = []
    for source, part in rows.groupby("source", sort=False):
        r = row(part, system=best, metric="accuracy")
        if r is None:
            why = part["reason"].iloc[0] or "too few images"
            said.append(f"**Within {source}**: {NOT_ESTIMABLE} ({why}).")
            continue
        auroc = row(part, system=best, metric="macro AUROC")
        ranks = "" if auroc is None else f", AUROC {number(auroc)}"
        better = "more than" if r.low > r.chance else "not told from"
        said.append(
            f"**Within {source}** ({r.what}): {best} is right for {percent(r)}{ranks};"
            f" {better} always naming the commonest ({r.chance:.0%})."
        )
    return said


def drawing(result: Result, table: pd.DataFrame, best: str) -> Figure:
    """The best network beside its controls: accuracy, and macro AUROC."""
    metrics = ["accuracy", "macro AUROC"]
    rows = table[table["metric"].isin(metrics) & table["what"].eq("class")]
    ours = rows["control"].isin([WHOLE, BLANK]) & rows["system"].eq(best)
    pixels = rows["control"].eq("told from pixels")
    rows = rows[ours | pixels]
    named = best + ", " + rows["control"]
    group = np.where(rows["control"].eq("told from pixels"), rows["system"], named)
    figure = figures.dots(
        rows.assign(group=group),
        title="The class, told with and without the lungs",
        xlabel="1 is perfect",
        by="metric",
        simulated=result.dataset.spec.simulated,
    )
    caption = (
        "Test accuracy and macro AUROC: the best network on whole images, on images"
        " without lungs, and logistic regressions on the border and on a thumbnail"
    )
    return picture(result.store, "controls", figure, caption)


def percent(r: pd.Series) -> str:
    """A share with its interval: "85 % [80, 90]"."""
    return f"{100 * r.value:.0f} % [{100 * r.low:.0f}, {100 * r.high:.0f}]"


def number(r: pd.Series) -> str:
    """A number with its interval."""
    return interval_text(r.value, r.low, r.high)
