"""Images meet the tables of the hospital: one row an image, with all that it recorded.

metadata on dicom_id; split on dicom_id; patients on the subject; admissions: race is
one of the patient (see mimic_race), insurance that of the admission which holds the
study or lies nearest to it in days. Age = anchor_age + year of the study - anchor_year,
which MIMIC cuts at 91.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.data import mimic_cells as cells
from equity_jax.data import mimic_names as names
from equity_jax.data.cxr_labels import LATERAL
from equity_jax.data.cxr_names import FRONTAL, OLDEST, bands, view
from equity_jax.data.mimic_nearest import Nearest, nearest
from equity_jax.data.mimic_race import one_race, read_map
from equity_jax.types import InputError

SPLITS = {"train": "train", "validate": "valid", "test": "test"}
SEXES = {"F": "Female", "M": "Male", "": ""}
NO_METADATA, NO_SPLIT = "no row in metadata", "no row in split"
RACES_DIFFER = "race records that differ"


class Met(NamedTuple):
    """frame: as `meet` fills it; day: int64[N], of the study, NO_DAY = unknown; stay:
    the row of admissions nearest each image.
    """

    frame: pd.DataFrame
    day: np.ndarray
    stay: Nearest
    notes: tuple[str, ...]


def meet(
    frame: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    options: names.Options,
    *,
    views: str = "all",
    strict: bool = True,
) -> Met:
    """Adds view, study_date, split, race, insurance, hadm_id, hadm_days, sex, age_years
    (NaN unknown), age (band) and lost (why a row has no part) to N images.

    Args:
        frame: dicom_id, subject_id and study_id, "" where only metadata know it.
        tables: of `mimic_tables.read_tables`, or of a twin.
        options: race, races and conflicts are used.
        views: "frontal": other views are lost.
        strict: False for new rows to score, where metadata may know none of them.

    Raises:
        InputError: no id is in metadata; a path that names another patient than
            metadata; a key twice; a cell that cannot be read; an option that cannot be.

    Example:
        >>> meet(frame, tables, Embeddings()).frame["race"]  # doctest: +SKIP
    """
    for key, table in tables.items():
        if names.TABLES[key].key:
            cells.once(table, names.TABLES[key].key)
    frame = frame.assign(lost="")
    day = _metadata(frame, tables.get("metadata"), strict)
    if views == "frontal":
        unfit = (frame["view"] != "") & ~frame["view"].str.startswith(FRONTAL)
        lose(frame, unfit.to_numpy(bool), LATERAL)
    _split(frame, tables.get("split"))
    stay, notes = _admissions(frame, day, tables.get("admissions"), options)
    _patients(frame, day, tables.get("patients"))
    notes += tuple(
        f"No table {key}: {what} not recorded."
        for key, what in (
            ("admissions", "race and insurance are"),
            ("patients", "sex and age are"),
        )
        if key not in tables
    )
    return Met(frame, day, stay, notes)


def lose(frame: pd.DataFrame, rows: np.ndarray, why: str | np.ndarray) -> None:
    """Rows bool[N] have no part, for that reason; the first reason counts.

    Example:
        >>> frame = pd.DataFrame({"lost": ["", "early"]})
        >>> lose(frame, np.array([True, True]), "late")
        >>> frame["lost"].tolist()
        ['late', 'early']
    """
    new = rows & (frame["lost"] == "").to_numpy(bool)
    frame.loc[new, "lost"] = why if isinstance(why, str) else why[new]


def _rows(table: pd.DataFrame, key: str, wanted: pd.Series) -> np.ndarray:
    """int[N]: the row of each of `wanted` in a table of unique keys, -1 = none."""
    return pd.Index(table[key].str.strip()).get_indexer(wanted)


def _metadata(
    frame: pd.DataFrame, table: pd.DataFrame | None, strict: bool
) -> np.ndarray:
    """Fills subject, study, view, date; returns the day of each study, int64[N]."""
    day = np.full(len(frame), cells.NO_DAY)
    frame["view"], frame["study_date"] = "", ""
    if table is None:
        return day
    at = _rows(table, "dicom_id", frame["dicom_id"])
    if strict and not (at >= 0).any():
        example = table["dicom_id"].iloc[0] if len(table) else "(none)"
        raise InputError(
            f"none of {len(frame):,} embeddings is in {table.attrs.get('name')}: an "
            f"embedding's id is {frame['dicom_id'].iloc[0]!r}, a dicom_id of the table "
            f"{example!r}"
        )
    for column in ("subject_id", "study_id"):
        said = cells.take(table[column].str.strip().to_numpy(str), at, "")
        mine = frame[column].to_numpy(str)
        wrong = (mine != "") & (said != "") & (mine != said)
        if wrong.any():
            row = int(wrong.argmax())
            why = f"{said[row]}, but the embedding's path says {mine[row]}"
            raise cells.refuse(table, int(at[row]), column, why)
        frame[column] = np.where(mine == "", said, mine)
    used = table.iloc[at[at >= 0]]
    day[at >= 0] = cells.dates(used, "StudyDate", cells.COMPACT)
    frame["view"] = cells.take(table["ViewPosition"].map(view).to_numpy(str), at, "")
    frame["study_date"] = _text(day)
    lose(frame, at < 0, NO_METADATA)
    return day


def _split(frame: pd.DataFrame, table: pd.DataFrame | None) -> None:
    frame["split"] = ""
    if table is not None:
        at = _rows(table, "dicom_id", frame["dicom_id"])
        frame["split"] = cells.take(cells.choices(table, "split", SPLITS), at, "")
        lose(frame, at < 0, NO_SPLIT)


def _admissions(
    frame: pd.DataFrame,
    day: np.ndarray,
    table: pd.DataFrame | None,
    options: names.Options,
) -> tuple[Nearest, tuple[str, ...]]:
    n = len(frame)
    for column in ("race", "insurance", "hadm_id"):
        frame[column] = ""
    if table is None:
        return Nearest(np.full(n, -1), np.zeros(n, np.int64)), ()
    who = table["subject_id"].str.strip().to_numpy(str)
    start = cells.dates(table, "admittime", cells.MOMENT)
    end = np.maximum(cells.dates(table, "dischtime", cells.MOMENT), start)
    said = table[names.race_of(table.columns)].to_numpy(str)
    mapping = read_map(options.races)
    races = one_race(who, start, said, mapping, options)
    frame["race"] = [races.known.get(one, "") for one in frame["subject_id"]]
    excluded = frame["subject_id"].isin(races.excluded).to_numpy(bool)
    lose(frame, excluded, RACES_DIFFER)
    stay = nearest(frame["subject_id"].to_numpy(str), day, who, start, end)
    for column in ("insurance", "hadm_id"):
        words = table[column].str.strip().to_numpy(str)
        frame[column] = cells.take(words, stay.row, "")
    frame["hadm_days"] = np.where(stay.row >= 0, stay.days, np.nan)
    return stay, races.notes


def _patients(frame: pd.DataFrame, day: np.ndarray, table: pd.DataFrame | None) -> None:
    years = np.full(len(frame), np.nan)
    frame["sex"] = ""
    if table is not None:
        at = _rows(table, "subject_id", frame["subject_id"])
        frame["sex"] = cells.take(cells.choices(table, "gender", SEXES), at, "")
        born = cells.numbers(table, "anchor_year", 1800, 2300, "a year")
        born -= cells.numbers(table, "anchor_age", 0, OLDEST, "an age")
        year = day.astype("datetime64[D]").astype("datetime64[Y]").astype(float) + 1970
        years = np.where(
            day == cells.NO_DAY, np.nan, year - cells.take(born, at, np.nan)
        )
        years = np.where((years >= 0) & (years <= OLDEST), years, np.nan)
    frame["age_years"], frame["age"] = years, bands(years)


def _text(day: np.ndarray) -> np.ndarray:
    text = np.datetime_as_string(day.astype("datetime64[D]"))
    return np.where(day == cells.NO_DAY, "", text)
