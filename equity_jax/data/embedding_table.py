"""The one table of scripts.embed: who is on each embedded image, and what is on it.

table.csv beside the embeddings: id, patient, label (a class's name, or 0 and 1), split
("train", "valid", "test", blank = free), file; every other column is an attribute, and
an `age` in years becomes a band. Blank = not recorded.
"""

from collections.abc import Mapping
from typing import Any

import fsspec
import numpy as np
import pandas as pd

from equity_jax.config import Embeddings
from equity_jax.data import mimic_cells as cells
from equity_jax.data.cxr_names import OLDEST, bands
from equity_jax.data.mimic_join import Joined
from equity_jax.data.mimic_labels import Target
from equity_jax.data.mimic_tables import opened
from equity_jax.types import SPLITS, InputError

NAME = "table.csv"
NEEDED = ("id", "patient", "label")
OURS = (*NEEDED, "split", "file")
NO_ROW, NO_LABEL = "no row in table.csv", "no label is recorded"
DEFAULT = Embeddings().label
ALL = "label"
BINARY = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}


def place(folder: str) -> str:
    """The table's URL or path: `folder` itself if it is a CSV, or NAME in it; "": none.

    Example:
        >>> place("labels/table.csv")
        'labels/table.csv'
    """
    if folder.endswith((".csv", ".csv.gz")):
        return folder
    files, top = fsspec.url_to_fs(folder)
    path = f"{top.rstrip('/')}/{NAME}"
    return files.unstrip_protocol(path) if files.isfile(path) else ""


def join_table(
    id: np.ndarray,
    url: str,
    options: Embeddings,
    recipe: Mapping[str, Any] | None = None,
) -> Joined:
    """The rows of N embeddings, as `mimic_join.join` gives them.

    Args:
        id: str[N].
        url: of the table.
        options: data.embeddings.label: a class against all others, "A|B" for A against
            B alone, "label" for all classes; 0 and 1 stay what they are.
        recipe: of the run that will score these rows: its classes; another label, and
            an id that the table lacks, are unknown.

    Raises:
        InputError: no id is in the table; a column is missing; an id twice; an age or a
            split that cannot be; a class that no row has.

    Example:
        >>> join_table(embedded.id, "table.csv", options).frame  # doctest: +SKIP
    """
    table = _read(url)
    at = pd.Index(table["id"]).get_indexer(pd.Series(id, dtype=str))
    if recipe is None and not (at >= 0).any():
        raise InputError(
            f"none of {len(id):,} embeddings is in {table.attrs['name']}: the id of an "
            f"embedding is {str(id[0])!r}, one of the table {table['id'].iloc[0]!r}"
        )
    if recipe is None:
        words = sorted(set(table["label"]) - {""})
        means, classes, notes = mean(words, options.label)
    else:
        means, classes, notes = recipe["meaning"], tuple(recipe["classes"]), ()
    y = cells.take(table["label"].map(means).to_numpy(float), at, np.nan)
    frame = pd.DataFrame({c: cells.take(table[c].to_numpy(str), at, "") for c in table})
    frame["id"], frame["dicom_id"], frame["subject_id"] = id, id, frame["patient"]
    if "age" in frame:
        years = cells.take(_years(table), at, np.nan)
        frame["age_years"], frame["age"] = years, bands(years)
    other = ("class: " + frame["label"]).mask(frame["label"] == "", NO_LABEL)
    why = np.where(np.isnan(y), np.where(at < 0, NO_ROW, other), "").astype(object)
    frame = frame.assign(**{"class": frame["label"], "label": y, "lost": why})
    task = "binary" if len(classes) == 2 else f"multiclass({len(classes)})"
    kept = tuple(c for c in table if c not in OURS)
    return Joined(frame, Target(y, why, classes, task), notes, kept, means)


def mean(
    words: list[str], asked: str
) -> tuple[dict[str, float], tuple[str, ...], tuple[str, ...]]:
    """What each of the sorted `words` is as a label; names of the classes; notes.

    Raises:
        InputError: fewer than two words; `asked` is none of them.

    Example:
        >>> mean(["COVID", "Normal", "Other"], "COVID|Normal")[0]
        {'COVID': 1.0, 'Normal': 0.0}
    """
    if len(words) < 2:
        raise InputError(f"{NAME}: labels {words}; expected two classes or more")
    if set(words) <= set(BINARY):
        return {w: BINARY[w] for w in words}, ("negative", "positive"), ()
    if asked in words:
        made = {w: float(w == asked) for w in words}
        return made, (f"not {asked}", asked), ()
    pair = asked.split("|")
    if len(pair) == 2 and pair[0] != pair[1] and set(pair) <= set(words):
        return {pair[0]: 1.0, pair[1]: 0.0}, (pair[1], pair[0]), ()
    if asked == DEFAULT and len(words) == 2:
        made, classes, _ = mean(words, "|".join(words))
        return made, classes, (f"{words[0]!r} is 1: the first of two by name.",)
    if asked == ALL:
        return {w: float(i) for i, w in enumerate(words)}, tuple(words), ()
    raise InputError(
        f"data.embeddings.label={asked!r} is no class of {NAME}; expected one of "
        f"{', '.join(words)}, two of them as 'A|B', or {ALL!r} for all"
    )


def _read(url: str) -> pd.DataFrame:
    name = url.removeprefix("file://")
    with opened(url, name) as (file, how):
        table = pd.read_csv(file, **how).fillna("")
    table.attrs["name"] = name
    for column in NEEDED:
        if column not in table:
            columns = ", ".join(table.columns)
            raise InputError(
                f"{name}, line 1, column {column!r}: missing; the columns are {columns}"
            )
    cells.once(table, ["id"])
    table["split"] = table["split"] if "split" in table else ""
    cells.choices(table, "split", {"": "", **{word: word for word in SPLITS}})
    return table


def _years(table: pd.DataFrame) -> np.ndarray:
    return cells.numbers(table, "age", 0, OLDEST, "an age in years", blank=True)
