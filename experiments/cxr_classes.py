"""Sections of the chest X-ray page: every class, and who is served worse."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from equity_jax import calibration
from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.multiclass import confusion as counts_of
from equity_jax.audit.pages import figures, image_figures, page
from equity_jax.audit.pages.page import Section, Table
from equity_jax.audit.statistics import inference
from equity_jax.trial_files import softmax
from equity_jax.trials import JUDGED, Result
from experiments.cxr_parts import (
    TITLES,
    mean_of,
    name_of,
    named,
    paired,
    picture,
    system_of,
    tested_rows,
    texts,
    wide,
)

PER_CLASS = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC"}
COMPARED = ("accuracy", "macro_f1", "macro_auroc")


def confusion(result: Result) -> Section:
    """Which class is taken for which; numbers of each class; calibration."""
    spec, names = result.dataset.spec, [name_of(t) for t in result.chosen]
    counts = counts_of(result.test, spec.classes)
    result.store.write_csv("confusion.csv", _long(counts, names, spec.classes))
    figure = image_figures.confusions(
        dict(zip(names, counts, strict=True)),
        spec.classes,
        title="Confusion matrices, test images",
        simulated=spec.simulated,
    )
    caption = "Rows: the true class. Columns: what the network called it"
    shown = picture(result.store, "confusion", figure, caption)
    calibrated = pd.DataFrame(_calibrated(result))
    result.store.write_csv("calibration.csv", calibrated)
    text = [
        "Precision: of the images called so, how many are. Recall: of the images that"
        " are so, how many were called so. F1 joins the two (their harmonic mean).",
        "Recalibration multiplies a network's scores by one number and shifts each"
        " class, both found on validation images, so that it is as sure as it is right"
        " (bias-corrected temperature scaling; Alexandari et al. 2020). Log loss"
        " punishes confident errors, lower is better. Overconfidence is the mean"
        " probability of the called class minus the share of images called right; 0 is"
        " honest.",
        *(
            f"{name_of(t)} is left as it was: {t.network.calibration.why}."
            for t in result.chosen
            if t.network.calibration.why
        ),
    ]
    calibrated = calibrated.assign(
        row=calibrated["network"] + ": " + calibrated.measure
    )
    shaped = wide(calibrated, "row", "when").rename(columns={"row": "network: measure"})
    tables = [
        _each(result),
        Table("As trained, and recalibrated; test images", shaped),
    ]
    return Section("Every class", text, tables, [shown])


def _each(result: Result) -> Table:
    """Precision, recall, F1 and AUROC of each class, of a network that a menu names."""
    rows = named(result, view(result.overall, attribute="", contrast="group"))
    rows = rows[rows["label"].ne("") & rows["metric"].isin(PER_CLASS)]
    each = rows.assign(text=texts(rows), metric=rows["metric"].map(PER_CLASS))
    each = each.pivot_table("text", ["network", "label"], "metric", "first", sort=False)
    each = each[list(PER_CLASS.values())].reset_index().rename_axis(columns=None)
    each, first = each.rename(columns={"label": "class"}), name_of(result.chosen[0])
    return Table(
        "Each class against the rest, test", each, "", True, {"network": first}
    )


def _long(counts: np.ndarray, names: list[str], classes: tuple[str, ...]):
    """confusion.csv: network, class, called, images."""
    columns = ["network", "class", "called"]
    index = pd.MultiIndex.from_product([names, classes, classes], names=columns)
    return pd.Series(counts.ravel(), index, name="images").reset_index()


def _calibrated(result: Result) -> Iterator[dict[str, object]]:
    """calibration.csv: network, measure, when, value, low, high, status."""
    config, rows, test = result.store.config, tested_rows(result), result.test
    y = np.asarray(result.held.y)[rows, 0]
    place = np.arange(len(rows))
    loss, over = [], []
    for t in result.chosen:
        logits = t.logits[rows]
        for p in softmax(logits), calibration.apply(logits, t.network.calibration):
            loss.append(-np.log(np.asarray(p)[place, y].clip(1e-12)))
            over.append(np.max(p, axis=1) - (np.argmax(p, axis=1) == y))
    for name, values in ("log loss", loss), ("overconfidence", over):
        found = mean_of(test, np.where(y >= 0, values, np.nan), config)
        low, high = inference.interval(found, config.audit.level)
        for s, t in enumerate(result.chosen):
            base = {"network": name_of(t), "measure": name}
            for i, how in ((2 * s, "as trained"), (2 * s + 1, "recalibrated")):
                ends = {"value": found.value[i], "low": low[i], "high": high[i]}
                yield base | {"when": how} | ends | {"status": OK}
            gain = paired(found, [(2 * s + 1, 2 * s)], config.audit.level)
            yield base | {"when": "change"} | gain


def groups(result: Result) -> Section:
    """The best networks by sex, age, source and view, and who is served worse."""
    spec, best = result.dataset.spec, result.chosen[0]
    names = [n for n in JUDGED if n in result.test.attributes]
    if not names:
        text = "No sex, age, source or view is recorded: nobody can be compared."
        return Section("Who is served worse", [text])
    rows = named(result, view(result.overall, contrast="group", label=""))
    rows = rows[rows["metric"].isin(COMPARED)]
    text = [
        f"Of the best network, {name_of(best)}. A group's accuracy depends on which"
        " classes it holds: a group with many images of an easy class looks better"
        " served. Macro AUROC does not depend on the shares of the classes, and is"
        f" {NOT_ESTIMABLE} where a group lacks one.",
        *(sentence(result, name) for name in names),
    ]
    tables = [_of_all(rows, names), _of_classes(result, names)]
    shown = []
    for name in names:
        mine = view(rows, attribute=name, metric="accuracy")
        known = mine[mine["status"].eq(OK) & mine["group"].ne("all")]
        if known["group"].nunique() < 2:
            continue
        figure = figures.dots(
            mine,
            title=f"Accuracy by {name}",
            xlabel="share of test images called right",
            by="network",
            simulated=spec.simulated,
        )
        caption = f"Test accuracy by {name}, each network, with intervals"
        shown.append(picture(result.store, f"by_{name}", figure, caption))
    return Section("Who is served worse", text, tables, shown)


def answer(result: Result) -> list[tuple[str, str]]:
    """The best network, then who is served worst, by how much, how sure.

    By the first recorded attribute (sex, if it is) in which groups can be compared.
    """
    names = [n for n in JUDGED if n in result.test.attributes]
    best = [("Which network is best", _best(result))]
    if not names:
        text = "no sex, age, source or view is recorded"
        return [*best, ("Who is served worst", f"{NOT_ESTIMABLE}: {text}")]
    known = [n for n in names if _gap(result, n)["status"] == OK]
    name = (known or names)[0]
    found = _answer(result, name)
    return [*best, *((f"{q}, by {name}" if "worst" in q else q, a) for q, a in found)]


def _best(result: Result) -> str:
    """The first on validation, with its test numbers."""
    where = {"system": system_of(result.chosen[0]), "label": "", "attribute": ""}
    rows = view(result.overall, contrast="group", **where)
    rows = rows[rows["metric"].isin(["accuracy", "macro_auroc"])]
    numbers = zip(rows["metric"].map(TITLES), texts(rows), strict=True)
    listed = ", ".join(f"{title} {text}" for title, text in numbers)
    return f"{name_of(result.chosen[0])}: test {listed}"


def sentence(result: Result, name: str) -> str:
    """Who is served worse by one attribute, as a sentence."""
    gap, said = _gap(result, name), dict(_answer(result, name))
    worst = said["Who is served worst"]
    if gap["status"] != OK:
        return f"**By {name}**: {worst} ({_reasons(result, name)})."
    far = said["By how much"]
    return f"**By {name}**: served worst {worst}; {far}. {said['How sure']}"


def _reasons(result: Result, name: str) -> str:
    """Why groups cannot be compared: "Female: fewer than 10 effective patients"."""
    where = {"attribute": name, "label": "", "metric": "accuracy", "contrast": "group"}
    rows = view(result.overall, system=system_of(result.chosen[0]), **where)
    lost = rows[(rows["status"] != OK) & (rows["group"] != "all")]
    return "; ".join(f"{r.group}: {r.interval}" for r in lost.itertuples())


def _gap(result: Result, name: str) -> pd.Series:
    where = {"attribute": name, "label": "", "metric": "accuracy", "contrast": "gap"}
    system = system_of(result.chosen[0])
    return view(result.overall, system=system, **where).iloc[0]


def _answer(result: Result, name: str) -> list[tuple[str, str]]:
    rows = view(result.overall, attribute=name)
    system, unit = system_of(result.chosen[0]), result.dataset.spec.unit
    return page.answer(rows, metric="accuracy", system=system, unit=unit)


def _of_all(rows: pd.DataFrame, names: list[str]) -> Table:
    """Groups × networks, of an attribute and a metric that menus choose."""
    parts = []
    rows = rows[rows["attribute"].isin(names)]
    for (name, metric), part in rows.groupby(["attribute", "metric"], sort=False):
        shaped = wide(part, "group", "network")
        sizes = part.groupby("group")["n"].first()
        shaped.insert(1, "attribute", name)
        shaped.insert(2, "metric", TITLES[metric])
        shaped.insert(3, "images", shaped["group"].map(sizes))
        parts.append(shaped)
    note = (
        f"{NOT_ESTIMABLE}: too few patients, or a class that the group does not have."
        " SUPPRESSED: so few images that a count could point at a person."
    )
    choose = {"attribute": names[0], "metric": TITLES["accuracy"]}
    frame = pd.concat(parts, ignore_index=True)
    return Table("All classes together, by group", frame, note, True, choose)


def _of_classes(result: Result, names: list[str]) -> Table:
    """Groups × metrics of the best network, each class against the rest."""
    where = {"system": system_of(result.chosen[0]), "contrast": "group"}
    rows = view(result.report.table, **where)
    asked = ["auroc", "recall", "specificity", "precision"]
    rows = rows[rows["metric"].isin(asked) & rows["attribute"].isin(names)]
    by = ["group", "attribute", "label"]
    shaped = rows.assign(text=texts(rows)).pivot_table(
        "text", by, "metric", "first", sort=False
    )
    shaped = shaped.reset_index().rename_axis(columns=None)
    shaped = shaped.rename(columns={"label": "class", "auroc": "AUROC"})
    note = (
        "Of the best network; called positive at the threshold that is best on"
        " validation images (Youden's J). Why a number is missing stands in audit.csv,"
        " in the column interval."
    )
    caption, choose = "Each class against the rest, by group", {"attribute": names[0]}
    return Table(caption, shaped, note, True, choose)
