"""Chest X-rays as a Dataset: folders, tables, NIH, CheXpert, MIMIC, DICOM, or a twin.

The layouts are in cxr_layouts; what becomes of odd pixels is said in pixels. Outcomes:
an unreadable file is left out, listed and counted, and too many of them stop; a class
folder without an image stops; a patient in two classes keeps both labels and stays in
one split, which a note says; of two sexes or races of a patient the first is kept.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax.config import Data
from equity_jax.data import base, cxr_notes, cxr_people, cxr_twins, lookalikes
from equity_jax.data.cxr_labels import Labels, labels
from equity_jax.data.cxr_layouts import find
from equity_jax.data.cxr_pixels import UNREADABLE, Limit, look, reader, rest
from equity_jax.data.cxr_source import MADE_UP, Seen, Source
from equity_jax.data.stream import Stream
from equity_jax.types import Dataset, InputError, Spec

GIB = 2**30
FACTS = ("file", "label", "patient", "source", *cxr_people.ATTRIBUTES[:-1], "lesion")


class Rows(NamedTuple):
    """What is left after unreadable files: n rows, and their pixels.

    frame: with `label`; at: int[n], rows of the source; reasons: (file, reason) of what
    could not be read; everything: the frame of all rows, `lost` says why.
    """

    frame: pd.DataFrame
    at: np.ndarray
    made: Labels
    seen: Seen
    everything: pd.DataFrame
    reasons: list[tuple[str, str]]
    notes: tuple[str, ...]


def load(
    config: Data,
    *,
    seed: int = 0,
    recipe: Mapping[str, Any] | None = None,
    history: pd.DataFrame | None = None,
) -> Dataset:
    """The images that `config` asks for; with a `recipe`, new ones made to score.

    Args:
        config: config.source is a folder (see cxr_layouts) or the --data_dir of
            scripts.prepare; empty: the simulated twin of config.name (see cxr_twins).
            config.images says how it is read.
        seed: of the split by patient, in strata of class and group.
        recipe: Dataset.recipe of the run whose model will score these images: its
            size, equalization, classes and groups. Every row is then a test row, and
            one of another class, or of none, has an unknown label.
        history: not used; images have none.

    Returns:
        x uint8[N, S, S, 1], or a Stream of it beyond images.memory; y int32[N, 1]
        (-1 unknown) or float32[N, K]; attributes race, sex, insurance, age (bands),
        view and source, as far as recorded; table: FACTS as known, width, height and
        mode of the files, and `alike`, the number of the picture that several rows show
        (-1: it is alone). `quarantine` lists what could not be read. Of the twin of
        MIMIC-CXR-JPG recipe["truth"] is what was planted.

    Raises:
        InputError: one line: what is wrong with the folder or the config, and where.

    Example:
        >>> dataset = load(Data(name="cxr", source="cxr_radiography"))  # doctest: +SKIP
        >>> dataset.spec.classes, dataset.x.shape  # doctest: +SKIP
    """
    with _source(config, recipe) as source:
        rows = _rows(source, config, recipe)
        frame, made = rows.frame, rows.made
        x = _x(source, rows, config, recipe)
    alike = lookalikes.pairs(rows.seen.thumbs, config.images.alike)
    people = cxr_people.divide(frame, made, alike, config, seed, recipe)
    if not recipe and not people.trained.any():
        raise InputError(f"{source.name}: no labelled image in the training split")
    spec = _spec(source, rows, config, recipe, people)
    said = cxr_notes.notes(spec, frame, rows, source, alike, people.split)
    return base.check(
        Dataset(
            spec=spec._replace(notes=said),
            x=x,
            y=made.y,
            mask=made.mask,
            attributes=people.attributes,
            split=people.split,
            id=frame["file"].to_numpy(str),
            patient=np.unique(frame["patient"], return_inverse=True)[1],
            recipe=dict(recipe) if recipe else _recipe(source, spec, config, people),
            table=_table(rows, alike),
        )
    )


def quarantine(dataset: Dataset) -> pd.DataFrame:
    """The files that could not be read: file, reason.

    Example:
        >>> quarantine(load(Data(name="cxr"))).columns.tolist()  # doctest: +SKIP
        ['file', 'reason']
    """
    found = dataset.table.attrs["quarantine"]
    return pd.DataFrame(found, columns=["file", "reason"])


@contextmanager
def _source(config: Data, recipe: Mapping[str, Any] | None) -> Iterator[Source]:
    """The rows of config.source; the twin is written, and read like any other."""
    layout = "auto" if recipe else config.images.layout
    if config.source:
        yield find(config.source, layout, config)
        return
    with tempfile.TemporaryDirectory() as folder:
        cxr_twins.write(folder, config)
        yield find(folder, layout, config)._replace(name="the simulated twin")


def _rows(source: Source, config: Data, recipe: Mapping[str, Any] | None) -> Rows:
    images = config.images
    made = labels(source, images, recipe)
    at = np.flatnonzero(made.lost == "")
    size, equalize = _how(source, config, recipe)
    if not len(at):
        raise InputError(f"{source.name}: no image is left to read")
    keep = not config.source or len(at) * size * size <= images.memory * GIB
    limit = Limit(len(at), 1.0 if recipe else images.quarantine, source.name)
    with tqdm(None, "images", len(at), disable=None, leave=False) as bar:
        seen = look(source, at, size, equalize, keep, limit, bar)
    whole, notes = cxr_people.one_each(source.frame.assign(label=made.label))
    bad = at[seen.reason != ""]
    made.lost[bad] = UNREADABLE
    whole["lost"] = made.lost
    good = np.flatnonzero(seen.reason == "")
    at = at[good]
    made = made._replace(label=made.label[at], y=made.y[at], mask=made.mask[at])
    frame = whole.iloc[at].reset_index(drop=True)
    return Rows(frame, at, made, _only(seen, good), whole, limit.found, notes)


def _only(seen: Seen, good: np.ndarray) -> Seen:
    """The readable rows; pixels move up in place, for they may fill the memory."""
    if seen.pixels is not None and len(good) < len(seen.pixels):
        for to, row in enumerate(good):
            seen.pixels[to] = seen.pixels[row]
    return Seen(
        seen.thumbs[good],
        seen.facts.iloc[good].reset_index(drop=True),
        seen.reason[good],
        None if seen.pixels is None else seen.pixels[: len(good)],
    )


def _how(
    source: Source, config: Data, recipe: Mapping[str, Any] | None
) -> tuple[int, str]:
    """Pixels of a side, and how they are still to be equalized."""
    asked = (config.images.size, _equalize(source, config))
    size, equalize = (recipe["size"], recipe["equalize"]) if recipe else asked
    return size, rest(source, size, equalize)


def _equalize(source: Source, config: Data) -> str:
    return config.images.equalize or source.equalize


def _x(
    source: Source, rows: Rows, config: Data, recipe: Mapping[str, Any] | None
) -> Any:
    if rows.seen.pixels is not None:
        return rows.seen.pixels[..., None]
    size, equalize = _how(source, config, recipe)
    return Stream(reader(source, size, equalize), rows.at, size)


def _table(rows: Rows, alike: np.ndarray) -> pd.DataFrame:
    known = (rows.frame != "") & rows.frame.notna()
    table = rows.frame[[name for name in FACTS if known[name].any()]]
    table = pd.concat([table, rows.seen.facts], axis=1)
    if (rows.frame["finding"] != rows.frame["label"]).any():  # a class of several
        table["finding"] = rows.frame["finding"]
    linked = lookalikes.together(np.arange(len(table)), alike)
    alone = np.bincount(linked)[linked] == 1
    table["alike"] = np.where(alone, -1, linked)
    table.attrs["quarantine"] = rows.reasons
    return table


def _spec(
    source: Source,
    rows: Rows,
    config: Data,
    recipe: Mapping[str, Any] | None,
    people: cxr_people.People,
) -> Spec:
    made = rows.made
    return Spec(
        name=config.name,
        task=made.task,
        features=(),
        targets=made.targets,
        classes=made.classes,
        group=people.group,
        groups=people.groups,
        reference=people.reference,
        unit="patient",
        simulated=not config.source
        or any(note.startswith(MADE_UP) for note in source.notes)
        or bool(recipe and recipe["simulated"]),
        fingerprint=source.fingerprint,
        left_out=cxr_notes.left_out(rows.everything, people.group),
    )


def _recipe(
    source: Source, spec: Spec, config: Data, people: cxr_people.People
) -> dict[str, Any]:
    many = spec.task.startswith("multilabel")
    planted = {} if config.source else cxr_twins.truth(config)
    return {
        "size": config.images.size,
        "equalize": _equalize(source, config),
        "classes": list(spec.classes),
        "labels": list(spec.targets) if many else [],
        "attributes": list(people.attributes),
        "group": spec.group,
        "groups": list(spec.groups),
        "reference": spec.reference,
        "simulated": spec.simulated,
        **({"truth": planted} if planted else {}),
    }
