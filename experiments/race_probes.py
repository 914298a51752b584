"""Section of the race study: what can be read from the frozen disease network.

Every probe is trained on the training patients of the disease network, tuned on its
validation patients and tested on its test patients.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.decisions.curves import roc
from equity_jax.audit.encoding import MATCHED, SHUFFLED, told
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from equity_jax.audit.pages.probe_figures import rocs
from equity_jax.probes import KINDS
from equity_jax.run import Result
from equity_jax.types import Dataset, Predictions
from experiments.cxr_parts import picture, wide
from experiments.cxr_parts import told as apart
from experiments.race_parts import HEALTHY
from experiments.race_views import HISTOGRAM, THUMBNAIL, UNTRAINED, Views

LINE, NEAR = "logistic", "knn"
READERS = {
    LINE: "logistic regression",
    NEAR: "nearest neighbors",
    "ridge": "ridge regression",
    "mlp": "small MLP",
}
CONTROLS = (SHUFFLED, MATCHED, HISTOGRAM, THUMBNAIL, UNTRAINED)
MEAN, LAST = "mean over groups", "features (last)"


class Probed(NamedTuple):
    """What the probes found.

    table: probes.csv, columns as of `encoding.told`; classes: the groups that are read;
    test: the test rows' Predictions by every kind (method) and control (scheme), id:
    the row of the data set; None where nothing can be asked; blocks: controls that are
    blocks of the disease network, shallow to deep.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    test: Predictions | None
    blocks: tuple[str, ...]


def read(result: Result, views: Views, quiet: bool = True) -> Probed:
    """Probes of every kind on the features, logistic ones on controls and blocks.

    Example:
        >>> view(read(result, views).table, kind="knn", control="")  # doctest: +SKIP
    """
    dataset, config, kept = result.dataset, result.config, {}
    name = dataset.spec.group
    groups = np.array([*dataset.spec.groups, ""], object)[dataset.group].astype(str)
    table = told(
        views.features,
        {name: groups},
        dataset.split,
        dataset.patient,
        label=sick(dataset),
        baselines={**views.controls, **views.depth},
        kinds=tuple(KINDS),
        against=LINE,
        simple=(LINE,),
        replicates=config.audit.replicates,
        seed=config.seed,
        level=config.audit.level,
        quiet=quiet,
        kept=kept,
    )
    result.store.write_csv("probes.csv", table)
    classes, test = kept.get(name, ((), None))
    return Probed(table, tuple(classes), test, tuple(views.depth))


def sick(dataset: Dataset) -> np.ndarray:
    """float[N]: what groups are matched by; NaN = unknown.

    The finding HEALTHY where it is a label, else whether there is any finding; of
    classes, the class.
    """
    y, mask = np.asarray(dataset.y, float), np.asarray(dataset.mask) > 0
    names = dataset.spec.targets
    if HEALTHY in names or y.shape[1] == 1:
        k = names.index(HEALTHY) if HEALTHY in names else 0
        return np.where(mask[:, k], y[:, k], np.nan)
    any_ = (mask & (y > 0)).any(axis=1)
    return np.where(any_ | mask.all(axis=1), any_, np.nan)


def sections(
    result: Result, probed: Probed, more: Predictions | None = None
) -> list[Section]:
    """The probes beside their controls, and probes by depth.

    more: Predictions of the same rows by another reader, for the ROC curves.
    """
    return [_encoded(result, probed, more), _deep(result, probed)]


def _encoded(result: Result, probed: Probed, more: Predictions | None) -> Section:
    name, text = result.dataset.spec.group, _words(result)
    title = f"What can be read from the frozen network: {name}"
    if probed.test is None:
        why = probed.table["reason"].iloc[0]
        return Section(title, [*text, f"{NOT_ESTIMABLE}: {why}."])
    rows = named(probed.table)
    plain = rows[rows["control"] == ""].assign(probe=rows["reader"])
    others = rows[rows["control"].isin(CONTROLS) & (rows["kind"] == LINE)]
    others = others.assign(probe=others["control"])
    tables = [
        _wide(plain, f"Reading {name} from the frozen features: AUROC, test"),
        _wide(others, "Controls, by logistic regression: AUROC, test"),
    ]
    caption = "AUROC of probes and of their controls, test images, with intervals"
    shown = [dots(result, "probes", pd.concat([plain, others]), caption)]
    shown.append(_curves(result, probed, more))
    return Section(title, [*text, *compared(probed.table)], tables, shown)


def _words(result: Result) -> list[str]:
    spec = result.dataset.spec
    return [
        "**Encoding is not using.** The network was trained for the disease; its last"
        " layer is taken off, nothing else moves, and a probe learns to read"
        f" {spec.group} from what is left. Where it succeeds, the network's features"
        " hold it. That the network leans on it, or that taking it out would close a"
        " gap, does not follow. And a probe is a **lower bound**: another reader may"
        " read more.",
        "Each group is told from all others; AUROC 0.5 is a coin. Probes learn from the"
        " training, are tuned on the validation and tested on the test patients of the"
        f" network itself; intervals are by {spec.unit}.",
        f"Controls: **{SHUFFLED}** gives each {spec.unit} the value of another and must"
        f" fall to 0.5; **{MATCHED}** thins the images until the disease is as frequent"
        " in every group; the others are the same probe on a histogram of the pixels,"
        " on a thumbnail, and on an untrained network of the same design: how little is"
        " enough.",
    ]


def compared(table: pd.DataFrame) -> list[str]:
    """Logistic regression against every other probe, paired, in words.

    table: probes.csv.
    """
    rows = view(table, control="", status=OK)
    rows = rows[(rows["class"] == "") & (rows["kind"] != LINE)]
    said = []
    for r in rows.itertuples():
        low, high = -r.difference_high, -r.difference_low
        text = interval_text(-r.difference, low, high)
        said.append(f"minus that of {READERS[r.kind]} {text} ({apart(low, high)})")
    start = f"Macro AUROC of {READERS[LINE]} on the same test rows, paired: "
    return [f"{start}{'; '.join(said)}."] if said else []


def _curves(result: Result, probed: Probed, more: Predictions | None) -> Figure:
    """The ROC of every group, by the probes and by another reader."""
    rows = list(_points(probed, more))
    figure = rocs(
        pd.concat(rows, ignore_index=True),
        title="Each group told from the others: ROC, test images",
        simulated=result.dataset.spec.simulated,
    )
    caption = "ROC curves of reading each group, a line a reader"
    return picture(result.store, "probe_roc", figure, caption)


def _points(probed: Probed, more: Predictions | None) -> Iterator[pd.DataFrame]:
    p = probed.test
    asked = [(READERS[k], p, i) for i, k in _systems(p) if k in (LINE, NEAR)]
    if more is not None:
        asked += [(r["method"], more, i) for i, r in enumerate(more.runs)]
    for c, group in enumerate(probed.classes):
        for reader, q, i in asked:
            fpr, tpr = roc(q.prob[i, :, c], q.y[:, 0] == c)
            line = {"group": group, "reader": reader, "fpr": fpr, "tpr": tpr}
            yield pd.DataFrame(line)


def _systems(p: Predictions) -> Iterator[tuple[int, str]]:
    """(place, kind) of the probes of the features themselves."""
    for i, run in enumerate(p.runs):
        if not run["scheme"]:
            yield i, run["method"]


def _deep(result: Result, probed: Probed) -> Section:
    """How well it is read after each block."""
    spec, title = result.dataset.spec, "Where in the network it can be read"
    rows = view(named(probed.table), kind=LINE, status=OK)
    last = rows[rows["control"] == ""].assign(control=LAST)
    rows = pd.concat([rows[rows["control"].isin(probed.blocks)], last])
    rows = rows.assign(probe=rows["control"])
    if not len(rows):
        return Section(title, [f"{NOT_ESTIMABLE}: {spec.group} cannot be read."])
    text = (
        "The same logistic probe on the maps that leave each block, averaged over the"
        f" picture; {LAST} is what the network's own last layer sees. A block has as"
        " many numbers as it has channels, and more channels may tell more."
    )
    caption = "AUROC of a logistic probe after each block, test images, with intervals"
    shown = dots(result, "probe_depth", rows, caption)
    return Section(title, [text], [_wide(rows, caption)], [shown])


def dots(result: Result, file: str, rows: pd.DataFrame, caption: str) -> Figure:
    """A line a probe, a dot a group."""
    spec = result.dataset.spec
    figure = figures.dots(
        rows.assign(reads=rows["group"], group=rows["probe"]),
        title=f"How well {spec.group} can be read",
        xlabel="AUROC against the other groups (0.5: not at all)",
        by="reads",
        nominal=0.5,
        simulated=spec.simulated,
    )
    return picture(result.store, file, figure, caption)


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Rows to show, with `group` (of two, the mean alone), `reader` and `value`.

    Example: `named(probed.table)["reader"]` has the probes' names in words.
    """
    groups = table.loc[table["class"] != "", "class"].nunique()
    rows = table[(table["class"] == "") | (groups > 2)]
    return rows.assign(
        group=rows["class"].where(rows["class"] != "", MEAN),
        reader=rows["kind"].map(READERS),
        value=rows["auroc"],
    )


def _wide(rows: pd.DataFrame, caption: str) -> Table:
    """Probes × groups, cells "value [low, high]"; why some are missing."""
    why = (rows["probe"] + ": " + rows["reason"])[rows["reason"] != ""]
    return Table(caption, wide(rows, "probe", "group"), "; ".join(why.unique()))
