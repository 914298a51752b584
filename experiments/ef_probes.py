"""Section of the embeddings page: what else can be read from an embedding.

That an attribute can be read says that the embedding holds it. It does not say that a
head uses it: for that, hold the head's own predictions against it.
"""

import numpy as np
import pandas as pd

from equity_jax.audit import OK, view
from equity_jax.audit.controls import simple
from equity_jax.audit.encoding import MATCHED, SHUFFLED, told
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.run import Result
from experiments.ef_parts import label_of
from experiments.page_parts import picture

READ = ("race", "sex", "insurance", "age", "view")
MEAN = ""  # the class that stands for the mean over classes
LINE, NEAR = "straight line", "nearest neighbors"
CONTROLS = {"": LINE, SHUFFLED: "shuffled", MATCHED: "label-matched"}


def read(result: Result) -> pd.DataFrame:
    """probes.csv: every attribute, by every probe, beside its controls; columns as of
    `encoding.told`.
    """
    dataset, config = result.dataset, result.config
    names = dict.fromkeys((dataset.spec.group, *READ))
    label = np.where(dataset.mask[:, 0] > 0, np.asarray(dataset.y, float)[:, 0], np.nan)
    table = told(
        dataset.x,
        {n: dataset.attributes[n] for n in names if n in dataset.attributes},
        dataset.split,
        dataset.patient,
        label=label,
        baselines=simple(dataset.x, seed=config.seed),
        replicates=config.audit.replicates,
        seed=config.seed,
        level=config.audit.level,
    )
    result.store.write_csv("probes.csv", table)
    return table


def encoded(result: Result, table: pd.DataFrame) -> Section:
    """How well each attribute can be read, beside its controls; table: of `read`."""
    spec, label = result.dataset.spec, label_of(result.dataset)
    text = [
        "**Encoding is not using.** A probe is a small model that reads an attribute"
        " from the embedding. Where it succeeds, the embedding holds the attribute, and"
        " a head could use it; that it does, or that removing it would close a gap,"
        " does not follow. And a probe is a lower bound: another reader may read more.",
        "Each group is told from all others of the attribute; AUROC 0.5 is a coin. A"
        " probe's penalty (or number of neighbors) is chosen on validation images."
        f" Controls: **shuffled** gives each {spec.unit} the value of"
        " another one, and must fall to 0.5; **label-matched** thins the images until"
        f" {label} is as frequent in every group, so that reading the label does not"
        " help; a few random directions, and the embedding's length alone, show how"
        " little is enough.",
        *_sentences(table),
    ]
    named = _named(table)
    own = (named["class"] == MEAN) | (named["attribute"] == spec.group)
    drawn = named[named["control"].isin(list(CONTROLS)) & own]
    figure = figures.dots(
        drawn.rename(columns={"auroc": "value"}).assign(group=drawn["what"]),
        title="How well an attribute can be read from the embedding",
        xlabel="AUROC against the other groups (0.5: not at all)",
        by="reader",
        nominal=0.5,
        simulated=spec.simulated,
    )
    caption = "AUROC of probes and of their controls, test images, with intervals"
    return Section(
        "What can be read from an embedding",
        text,
        [_wide(named, caption)],
        [picture(result, "probes", figure, caption, caption)],
    )


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """The rows to show, with what is read and by whom; of two groups one is enough.

    Of the nearest neighbors the controls are in probes.csv alone.
    """
    groups = table.groupby("attribute")["class"].transform("nunique") - 1
    own = (table["kind"] != "knn") | (table["control"] == "")
    rows = table[((table["class"] == MEAN) | (groups > 2)) & own]
    control = rows["control"].map(lambda c: CONTROLS.get(c, c))
    end = rows["class"].where(rows["class"] != MEAN, "mean over groups")
    several = groups[rows.index] > 2
    return rows.assign(
        reader=control.where(rows["kind"] != "knn", NEAR),
        what=rows["attribute"] + (": " + end).where(several, ""),
    )


def _wide(named: pd.DataFrame, caption: str) -> Table:
    """Attributes and their groups × readers."""
    texts = [
        interval_text(r.auroc, r.low, r.high) if r.status == OK else r.status
        for r in named.itertuples()
    ]
    cells = named.assign(text=texts)
    shaped = cells.pivot_table("text", "what", "reader", "first", sort=False)
    shaped = shaped[list(dict.fromkeys(named["reader"]))].fillna("–")
    frame = shaped.reset_index().rename_axis(columns=None)
    return Table(caption, frame.rename(columns={"what": "read"}), "", True)


def _sentences(table: pd.DataFrame) -> list[str]:
    """Which attributes a straight line reads, and which it does not."""
    rows = view(table, kind="logistic", control="", status=OK)
    rows = rows[rows["class"] == MEAN]

    def named(some: pd.DataFrame) -> str:
        return ", ".join(
            f"{r.attribute} {interval_text(r.auroc, r.low, r.high)}"
            for r in some.itertuples()
        )

    sure = rows["low"] > 0.5
    said = {
        "A straight line reads": rows[sure],
        "It does not read, so that these rows could tell,": rows[~sure],
    }
    return [
        f"{words} {named(some)} (AUROC, mean over groups)."
        for words, some in said.items()
        if len(some)
    ]
