"""What is predicted: ejection fraction, heart failure by its codes, or a finding.

Where a label is unknown the reason is told, and the row has no part in training.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Embeddings
from equity_jax.data import mimic_names as names
from equity_jax.data.cxr_labels import UNCERTAIN
from equity_jax.data.cxr_source import NOTHING
from equity_jax.data.mimic_cells import DAY, NO_DAY, dates, numbers, refuse, take
from equity_jax.data.mimic_nearest import Nearest, nearest
from equity_jax.types import InputError

EDGES = (40.0, 50.0)  # of the three classes of ejection fraction, percent
CLASSES = ("EF below 40", "EF 40-49", "EF 50 and over")
NO_TABLE = "no table of labels"


class Target(NamedTuple):
    """y: float64[N], 0 and 1 or the class's number, NaN = unknown; why: str[N], why it
    is ("" = known); columns: what the table of rows also says (ef, ef_days).
    """

    y: np.ndarray
    why: np.ndarray
    classes: tuple[str, ...]
    task: str
    columns: Mapping[str, np.ndarray] = {}
    notes: tuple[str, ...] = ()


def label(
    frame: pd.DataFrame,
    day: np.ndarray,
    tables: Mapping[str, pd.DataFrame],
    options: Embeddings,
    stay: Nearest,
) -> Target:
    """The labels of N images: data.embeddings.label.

    "ef": 1 where the ejection fraction is below data.embeddings.cut; "ef_classes":
    below 40, 40 to 49, 50 and over; "heart_failure": 1 where the admission has a code
    of it; else a finding of data.embeddings.labeler.

    Args:
        frame: subject_id and study_id of N images.
        day: int64[N], of the X-ray, NO_DAY = unknown.
        tables: of `mimic_tables`; without the label's own every label is unknown.
        options: data.embeddings.
        stay: the row of tables["admissions"] nearest each image.

    Raises:
        InputError: an option or a cell that cannot be; an unknown label.

    Example:
        >>> label(frame, day, tables, Embeddings(), stay).classes  # doctest: +SKIP
        ('EF 40 or more', 'EF below 40')
    """
    if not options.window >= 0:
        raise InputError(
            f"data.embeddings.window={options.window}; expected 0 days or more"
        )
    if options.label in (names.EF, names.EF_CLASSES):
        return _fraction(frame, day, tables.get("ejection_fraction"), options)
    if options.label == names.HEART_FAILURE:
        return _failure(tables, options.window, stay)
    return _finding(frame, tables.get(options.labeler), options)


def _fraction(
    frame: pd.DataFrame,
    day: np.ndarray,
    table: pd.DataFrame | None,
    options: Embeddings,
) -> Target:
    if not 0 < options.cut < 100:
        raise InputError(
            f"data.embeddings.cut={options.cut}; expected a percent between 0 and 100"
        )
    binary = options.label == names.EF
    cut = f"{options.cut:g}"
    classes = (f"EF {cut} or more", f"EF below {cut}") if binary else CLASSES
    task = "binary" if binary else f"multiclass({len(CLASSES)})"
    if table is None:
        return _unknown(len(frame), classes, task)
    ef, days, notes = _echo(frame, day, table, options.window)
    known = ~np.isnan(ef)
    if binary:
        y = np.where(known, ef < options.cut, np.nan)
    else:
        y = np.where(known, np.searchsorted(EDGES, ef, side="right"), np.nan)
    why = np.where(known, "", f"no ejection fraction within {options.window:g} days")
    columns = {"ef": ef, "ef_days": days}
    return Target(y, why.astype(object), classes, task, columns, notes)


def _echo(
    frame: pd.DataFrame, day: np.ndarray, table: pd.DataFrame, window: float
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Ejection fraction of each image, the days to it, notes.

    A row that names the image's study is its own, if its date is blank or within the
    window. Else the nearest in days of the same patient counts, within the window;
    several X-rays may share one echo. Of equally near ones the earlier, of one day the
    first in the file.
    """
    percent = numbers(table, "ef", 0, 100, "a percent")
    if len(percent) and percent.max() <= 1:
        raise refuse(table, 0, "ef", "no value above 1; expected percent, not shares")
    when = dates(table, "date", DAY, blank=True)
    who, study = (
        table[c].str.strip().to_numpy(str) for c in ("subject_id", "study_id")
    )
    lost = (study == "") & ((who == "") | (when == NO_DAY))
    if lost.any():
        why = "blank; expected a study_id, or a subject_id and a date"
        raise refuse(table, int(lost.argmax()), "study_id", why)
    named = {s: row for row, s in reversed([*enumerate(study)]) if s}
    own = np.array([named.get(s, -1) for s in frame["study_id"]], int)
    own[_apart(day, take(when, own, NO_DAY)) > window] = -1
    near = nearest(frame["subject_id"].to_numpy(str), day, who, when, when)
    row = np.where(own >= 0, own, np.where(near.days <= window, near.row, -1))
    away = _apart(day, take(when, row, NO_DAY))
    ef = take(percent, row, np.nan)
    used = row[row >= 0]
    said = (
        f"{len(np.unique(used)):,} of {len(table):,} ejection fractions label "
        f"{len(used):,} images."
    )
    return ef, away, (said,)


def _apart(day: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Days between, float64[N], NaN where either is unknown."""
    known = (day != NO_DAY) & (then != NO_DAY)
    return np.abs(np.where(known, day, 0) - np.where(known, then, np.nan))


def _failure(
    tables: Mapping[str, pd.DataFrame], window: float, stay: Nearest
) -> Target:
    classes = ("no heart failure", "heart failure")
    codes = tables.get("diagnoses_icd")
    if codes is None or "admissions" not in tables:
        return _unknown(len(stay.row), classes, "binary")
    hit = names.heart_failure(codes["icd_code"], codes["icd_version"])
    hadm = take(tables["admissions"]["hadm_id"].to_numpy(str), stay.row, "")
    coded = np.isin(hadm, codes["hadm_id"].to_numpy(str))
    y = np.isin(hadm, codes["hadm_id"][hit].to_numpy(str)).astype(float)
    near = (stay.row >= 0) & (stay.days <= window)
    why = np.where(coded, "", "the admission has no ICD codes")
    why = np.where(near, why, f"no admission within {window:g} days")
    return Target(np.where(why == "", y, np.nan), why.astype(object), classes, "binary")


def _finding(
    frame: pd.DataFrame, table: pd.DataFrame | None, options: Embeddings
) -> Target:
    """1 and 0 as the labeler says, -1 by the policy, blank = not mentioned = unknown.

    As in Google's demo of CXR Foundation, which keeps 0 and 1. Of "No Finding", which
    is never 0, a blank is 0: there is a finding.
    """
    finding = options.label
    if options.uncertain not in UNCERTAIN:
        known = ", ".join(UNCERTAIN)
        raise InputError(
            f"data.embeddings.uncertain={options.uncertain!r}; known: {known}"
        )
    none = finding == NOTHING
    classes = ("a finding", finding) if none else (f"no {finding}", finding)
    if table is None:
        return _unknown(len(frame), classes, "binary")
    names.known_label(finding, table.columns)
    value, place = findings(frame, table, [finding])
    found = value[:, 0]
    blank = "" if none else f"{finding} is not mentioned"
    unsure = f"{finding} is uncertain (-1)"
    y = np.where(found == -1, UNCERTAIN[options.uncertain], found)
    y = np.where(np.isnan(found) & (place >= 0) & none, 0.0, y)
    why = np.where(np.isnan(found), blank, np.where(np.isnan(y), unsure, ""))
    why = np.where(place < 0, f"no row in {options.labeler}", why)
    n = int((found == -1).sum())
    notes = (f"{n:,} uncertain labels: policy {options.uncertain}.",) if n else ()
    return Target(y, why.astype(object), classes, "binary", notes=notes)


def findings(
    frame: pd.DataFrame, table: pd.DataFrame, wanted: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """What a labeler says of N images: float64[N, K] (1, 0, -1, NaN = not mentioned),
    and the row of each in the table, int[N], -1 = none.

    frame: subject_id and study_id of the images; wanted: K columns of the table.

    Raises:
        InputError: a cell that is none of these.

    Example:
        >>> findings(frame, tables["chexpert"], ["Edema"])  # doctest: +SKIP
    """
    key = ["subject_id", "study_id"]
    place = pd.MultiIndex.from_frame(table[key]).get_indexer(
        pd.MultiIndex.from_frame(frame[key])
    )
    columns = []
    for name in wanted:
        value = numbers(table, name, -1, 1, "1, 0, -1 or blank", blank=True)
        odd = ~np.isnan(value) & ~np.isin(value, (-1, 0, 1))
        if odd.any():
            row = int(odd.argmax())
            why = f"{table[name].iloc[row]!r}; expected 1, 0, -1 or blank"
            raise refuse(table, row, name, why)
        columns.append(take(value, place, np.nan))
    return np.stack(columns, axis=1), place


def _unknown(n: int, classes: tuple[str, ...], task: str) -> Target:
    return Target(np.full(n, np.nan), np.full(n, NO_TABLE, object), classes, task)
