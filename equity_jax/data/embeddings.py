"""Embeddings of X-rays as a Dataset: numbers of a frozen network, joined to people.

The numbers are read by embedding_files, the tables of MIMIC by mimic_tables and
mimic_join, the one table of scripts.embed by embedding_table. Rows whose label is not
known are left out and counted. Without a source it is the simulated twin, whose tables
go through the same join.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pandas as pd

from equity_jax.config import Data, Embeddings
from equity_jax.data import base, embedding_notes, embedding_people, embedding_scale
from equity_jax.data.cohort import cohort
from equity_jax.data.cxr_source import MADE_UP
from equity_jax.data.embedded import Embedded
from equity_jax.data.embedding_files import precision, read
from equity_jax.data.embedding_people import People
from equity_jax.data.embedding_table import join_table, place
from equity_jax.data.mimic_join import Joined, join
from equity_jax.data.mimic_tables import find, read_tables
from equity_jax.types import TRAIN, Dataset, InputError, Spec

PLANTED = Embeddings()  # the options that the truth of the twin is about


class Found(NamedTuple):
    """Embeddings, their rows in the tables, what was planted; name: of the source."""

    embedded: Embedded
    joined: Joined
    name: str
    truth: Mapping[str, Any] = {}


def load(
    config: Data,
    *,
    seed: int = 0,
    recipe: Mapping[str, Any] | None = None,
    history: pd.DataFrame | None = None,
) -> Dataset:
    """The embeddings that `config` asks for; with a `recipe`, new ones made to score.

    Args:
        config: config.source is a folder, file or fsspec URL of embeddings (see
            embedding_files); empty: the simulated twin of config.cohort.
            config.embeddings says where the tables are and what is predicted.
        seed: of the split by patient, where the tables give none.
        recipe: Dataset.recipe of the run whose model will score these rows: its scales,
            classes and groups. Every row is then a test row, and tables and labels may
            be missing.
        history: not used; embeddings have none.

    Returns:
        x float32 or bfloat16 [N, F], standardised by training rows; y float32[N, 1]
        (NaN unknown), for three classes or more int32[N, 1] (-1 unknown); attributes of
        MIMIC race, sex, insurance, age (bands) and view, else the table's columns;
        table: the joined rows; controls: age in years, where it is recorded. Of the
        twin recipe["truth"] is what was planted for the default label.

    Raises:
        InputError: one line: what is wrong with a file or the config, and where.

    Example:
        >>> dataset = load(Data(name="embeddings"))
        >>> dataset.spec.classes, dataset.spec.reference
        (('EF 40 or more', 'EF below 40'), 'White')
    """
    dtype = precision(config.embeddings)
    found = _read(config, recipe) if config.source else _simulated(config)
    joined, whole = found.joined, found.joined.frame
    rows = np.arange(len(whole)) if recipe else np.flatnonzero(whole["lost"] == "")
    if not len(rows):
        reasons = embedding_notes.reasons(whole)
        raise InputError(f"{found.name}: no row has a label: {reasons}")
    frame = whole.iloc[rows].reset_index(drop=True)
    y, mask = _target(frame["label"].to_numpy(float), joined.target.task)
    people = embedding_people.divide(frame, joined, config, seed, recipe, found.name)
    mean, scale = _scales(found, rows[people.split == TRAIN], recipe)
    spec = _spec(found, config, recipe, people)
    said = embedding_notes.notes(found, spec, frame, people)
    return base.check(
        Dataset(
            spec=spec._replace(notes=said),
            x=embedding_scale.apply(found.embedded.x, rows, mean, scale, dtype),
            y=y,
            mask=mask,
            attributes=people.attributes,
            split=people.split,
            id=frame["dicom_id"].to_numpy(str),
            patient=people.patient,
            recipe=dict(recipe or _recipe(found, config, spec, people, mean, scale)),
            table=frame.drop(columns="lost"),
            controls=_controls(frame),
        )
    )


def _simulated(config: Data) -> Found:
    options = config.embeddings
    embedded, tables, truth = cohort(config.cohort)
    who = embedded.id, embedded.subject, embedded.study
    joined = join(*who, tables, options)
    asked = [(o.label, o.cut, o.race) for o in (options, PLANTED)]
    return Found(
        embedded, joined, "the simulated twin", truth if asked[0] == asked[1] else {}
    )


def _read(config: Data, recipe: Mapping[str, Any] | None) -> Found:
    embedded = read(config.source, config.embeddings, quiet=None)
    id, subject, study = (np.asarray(a, str) for a in embedded[:1] + embedded[2:4])
    embedded = embedded._replace(id=id, subject=subject, study=study)
    return Found(embedded, _joined(embedded, config, recipe), config.source)


def _joined(
    embedded: Embedded, config: Data, recipe: Mapping[str, Any] | None
) -> Joined:
    """New rows to score bring tables of their own, are in those of the run, or in none.

    The run's folder may be on another machine.
    """
    options = config.embeddings
    who = embedded.id, embedded.subject, embedded.study
    places = [config.source, options.tables] if recipe else [options.tables]
    tables: dict[str, pd.DataFrame] = {}
    for folder in [p for p in places if p] or [config.source]:
        url = place(folder)
        if url:
            return join_table(embedded.id, url, options, recipe)
        if not recipe or _has_tables(folder):
            people = set(embedded.subject.tolist())
            people = None if "" in people else people
            tables = read_tables(folder, options, people, strict=not recipe)
            break
    return join(*who, tables, options, strict=not recipe)


def _has_tables(folder: str) -> bool:
    files, top = fsspec.url_to_fs(folder)
    return files.isdir(top) and bool(find(folder))


def _target(y: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    known = ~np.isnan(y)[:, None]
    if task == "binary":
        return y.astype(np.float32)[:, None], known.astype(np.float32)
    return np.where(known, y[:, None], -1).astype(np.int32), known.astype(np.float32)


def _scales(
    found: Found, train: np.ndarray, recipe: Mapping[str, Any] | None
) -> tuple[np.ndarray, np.ndarray]:
    x = found.embedded.x
    if recipe is None:
        return embedding_scale.fit(x, train)
    if len(recipe["mean"]) != x.shape[1]:
        raise InputError(
            f"{found.name}: embeddings of {x.shape[1]} numbers; the run was trained on "
            f"{len(recipe['mean'])}"
        )
    return np.float32(recipe["mean"]), np.float32(recipe["scale"])


def _spec(
    found: Found, config: Data, recipe: Mapping[str, Any] | None, people: People
) -> Spec:
    joined = found.joined
    said = any(note.startswith(MADE_UP) for note in found.embedded.notes)
    rows = pd.util.hash_pandas_object(joined.frame.astype(str), index=False).to_numpy()
    digest = hashlib.sha256(found.embedded.fingerprint.encode() + rows.tobytes())
    return Spec(
        name=config.name,
        task=joined.target.task,
        features=(),
        targets=(config.embeddings.label,),
        classes=joined.target.classes,
        group=people.group,
        groups=people.groups,
        reference=people.reference,
        unit="patient",
        simulated=said or not config.source or bool(recipe and recipe["simulated"]),
        fingerprint=digest.hexdigest()[:16],
        left_out={} if recipe else embedding_notes.left_out(found, people.group),
    )


def _recipe(
    found: Found,
    config: Data,
    spec: Spec,
    people: People,
    mean: np.ndarray,
    scale: np.ndarray,
) -> dict[str, Any]:
    """Nine digits are all that a float32 has."""
    made = {
        "mean": [float(f"{v:.9g}") for v in mean],
        "scale": [float(f"{v:.9g}") for v in scale],
        "label": config.embeddings.label,
        "meaning": dict(found.joined.meaning),
        "classes": list(spec.classes),
        "attributes": list(people.attributes),
        "group": spec.group,
        "groups": list(spec.groups),
        "reference": spec.reference,
        "simulated": spec.simulated,
    }
    return made | ({"truth": dict(found.truth)} if found.truth else {})


def _controls(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """What a head must beat: age alone; an unknown age stands in the middle."""
    years = frame.get("age_years", pd.Series(dtype=float)).to_numpy(float)
    if not len(years) or np.isnan(years).all():
        return {}
    return {"age": np.where(np.isnan(years), np.nanmedian(years), years)}
