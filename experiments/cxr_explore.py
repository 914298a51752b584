"""Section of the chest X-ray page: the images, before any network."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from equity_jax.audit.pages import image_figures
from equity_jax.audit.pages.page import Figure, Section, Table, number_text
from equity_jax.data import cxr
from equity_jax.keys import generator
from equity_jax.trials import JUDGED, Result
from equity_jax.types import LEFT_OUT, SPLITS, Dataset
from experiments.cxr_confounded import confounded
from experiments.cxr_parts import picture

SHOWN = 6  # sample images of each class
MANY = 12  # rows of a table of sources before the small ones are joined


def exploration(result: Result) -> Section:
    """What the images are, and how class, source, age and sex hang together."""
    dataset = result.dataset
    rows = described(dataset)
    names = [n for n in JUDGED if n in rows]
    result.store.write_csv("exploration.csv", counted(rows, names))
    tables = [Table("Images and patients by class and split", by_split(rows))]
    tables += [
        Table(f"Images by {name} and class", crossed(rows, name)) for name in names
    ]
    tables += [*_files(dataset), *_left_out(result)]
    text = [
        *dataset.spec.notes,
        *_apart(rows, dataset),
        *confounded(rows[rows["split"] != "left out"], names),
    ]
    return Section("The images, before any network", text, tables, [samples(result)])


def _apart(rows: pd.DataFrame, dataset: Dataset) -> list[str]:
    """Patients and look-alikes that lie in more than one split."""
    used = rows[rows["split"] != "left out"]
    unit = dataset.spec.unit
    several = int((used.groupby("patient")["split"].nunique() > 1).sum())
    said = f"{number_text(several)} {unit}s have images in more than one split"
    if "alike" in dataset.table:
        alike = dataset.table["alike"].to_numpy()[used.index]
        pictures = used[alike >= 0].groupby(alike[alike >= 0])["split"]
        several = int((pictures.nunique() > 1).sum())
        said += (
            f"; of {pictures.ngroups} pictures that several files show (look-alikes),"
            f" {several} lie in more than one split"
        )
    return [f"{said}."]


def described(dataset: Dataset) -> pd.DataFrame:
    """One row an image: class, split, patient, and each recorded attribute."""
    spec, code = dataset.spec, np.asarray(dataset.y)[:, 0]
    splits = {c: name for name, c in SPLITS.items()} | {LEFT_OUT: "left out"}
    names = np.array([*spec.classes, "unknown"])
    columns = {
        "class": names[code],
        "split": [splits[int(s)] for s in dataset.split],
        "patient": dataset.patient,
    }
    recorded = {
        name: np.where(values == "", "not recorded", values)
        for name, values in dataset.attributes.items()
    }
    return pd.DataFrame(columns | recorded)


def counted(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """exploration.csv: attribute, value, class, split, images, patients."""
    parts = []
    for name in names:
        by = rows.groupby([name, "class", "split"], sort=True)["patient"]
        found = by.agg(images="size", patients="nunique").reset_index()
        found.insert(0, "attribute", name)
        parts.append(found.rename(columns={name: "value"}))
    whole = rows.groupby(["class", "split"])["patient"]
    whole = whole.agg(images="size", patients="nunique").reset_index()
    whole = whole.assign(attribute="all", value="all")
    return pd.concat([whole[["attribute", "value", *whole.columns[:4]]], *parts])


def by_split(rows: pd.DataFrame) -> pd.DataFrame:
    """Classes × splits: images, and patients in brackets."""
    by = rows.groupby(["class", "split"], sort=True)["patient"]
    found = by.agg(["size", "nunique"])
    text = [f"{a:,} ({b:,})" for a, b in found.itertuples(index=False)]
    shaped = found.assign(text=text)["text"].unstack("split", fill_value="0 (0)")
    order = [s for s in (*SPLITS, "left out") if s in shaped]
    shaped = shaped[order].rename(columns={s: f"{s}: images (patients)" for s in order})
    return shaped.reset_index().rename_axis(columns=None)


def crossed(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Values of an attribute × classes; then images and patients. No row is left out.

    The rarest values are joined where there are many.
    """
    values = rows[name]
    common = values.value_counts().index[: MANY - 1]
    if values.nunique() > MANY:
        values = values.where(values.isin(common), "all others")
    shaped = pd.crosstab(values, rows["class"])
    shaped["images"] = shaped.sum(axis=1)
    shaped["patients"] = rows.groupby(values)["patient"].nunique()
    return shaped.reset_index().rename_axis(columns=None)


def samples(result: Result) -> Figure:
    """A row of images for each class, drawn from the training rows."""
    dataset, title = result.dataset, "Images of each class, as the networks see them"
    names = [n for n in JUDGED if n in dataset.attributes]
    images, captions = {}, {}
    for c, name in enumerate(dataset.spec.classes):
        mine = np.flatnonzero((np.asarray(dataset.y)[:, 0] == c) & (dataset.split == 0))
        rng = generator(result.store.config.seed, "samples", name)
        some = np.sort(rng.permutation(mine)[:SHOWN])
        images[name] = list(np.asarray(dataset.x[some])[..., 0])
        said = [[dataset.attributes[n][i] for n in names] for i in some]
        captions[name] = [", ".join(filter(None, words)) for words in said]
    simulated = dataset.spec.simulated
    figure = image_figures.samples(images, captions, title=title, simulated=simulated)
    caption = f"{title}: training images drawn at random, and what is recorded of them"
    return picture(result.store, "samples", figure, caption)


def _files(dataset: Dataset) -> list[Table]:
    """Size and mode of the files, by class."""
    table = dataset.table
    if table is None or not {"width", "height"} <= set(table.columns):
        return []
    names = np.array([*dataset.spec.classes, "unknown"])
    by = table.assign(label=names[np.asarray(dataset.y)[:, 0]]).groupby("label")
    size = pd.DataFrame(
        {
            f"{side}: least, median, most": by[side].agg(
                lambda n: f"{n.min():,}, {n.median():,.0f}, {n.max():,}"
            )
            for side in ("width", "height")
        }
    )
    if "mode" in table:
        modes = by["mode"].agg(lambda m: ", ".join(sorted(set(m.astype(str)))))
        size["color modes"] = modes
    frame = size.reset_index().rename(columns={"label": "class"})
    note = "Size, mode and compression can tell a class before any lung is seen."
    return [Table("Files by class: pixels and color modes", frame, note)]


def _left_out(result: Result) -> list[Table]:
    """What was not used, and why; quarantine.csv lists what could not be read."""
    dataset, tables = result.dataset, []
    found = pd.DataFrame(dataset.spec.left_out).fillna(0).astype(int).T
    if len(found):
        frame = found.rename_axis("reason").reset_index()
        tables.append(Table(f"Left out, by reason and {dataset.spec.group}", frame))
    unread = cxr.quarantine(dataset)
    if len(unread):
        result.store.write_csv("quarantine.csv", unread)
        caption = f"Files that could not be read: {len(unread)}, all in quarantine.csv"
        tables.append(Table(caption, unread.head(MANY)))
    return tables
