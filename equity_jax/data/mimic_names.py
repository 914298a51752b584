"""What MIMIC's tables are called, which columns are read, what a label needs."""

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from equity_jax.config import Embeddings, Mimic
from equity_jax.types import InputError

Options = Embeddings | Mimic  # both say how the tables are joined
EF, EF_CLASSES, HEART_FAILURE = "ef", "ef_classes", "heart_failure"
LABELERS = ("chexpert", "negbio")
SPLITS = ("official", "patient")
RACE = ("race", "ethnicity")  # since MIMIC-IV 2.0, and before
# ICD codes without dots. 9: 428.x, 398.91, 402.x1, 404.x1, 404.x3; 10: I50.x, I11.0,
# I13.0, I13.2 (hypertensive disease with heart failure).
CODES = {
    "9": r"428\d*|39891|402\d1|404\d[13]",
    "10": r"I50\w*|I110|I130|I132",
}


class Columns(NamedTuple):
    """A table: file, what its name looks like without .csv or .csv.gz; the columns read
    of it (one of RACE is among those of admissions); key: columns that name a row once.
    """

    file: str
    read: tuple[str, ...]
    key: tuple[str, ...] = ()


_STUDY = ("subject_id", "study_id")
TABLES = {
    "metadata": Columns(
        r"mimic-cxr-[\d.]+-metadata",
        ("dicom_id", *_STUDY, "ViewPosition", "StudyDate"),
        ("dicom_id",),
    ),
    "split": Columns(r"mimic-cxr-[\d.]+-split", ("dicom_id", "split"), ("dicom_id",)),
    "chexpert": Columns(r"mimic-cxr-[\d.]+-chexpert", _STUDY, _STUDY),
    "negbio": Columns(r"mimic-cxr-[\d.]+-negbio", _STUDY, _STUDY),
    "admissions": Columns(
        "admissions",
        ("subject_id", "hadm_id", "admittime", "dischtime", "insurance"),
        ("hadm_id",),
    ),
    "patients": Columns(
        "patients",
        ("subject_id", "gender", "anchor_age", "anchor_year"),
        ("subject_id",),
    ),
    "diagnoses_icd": Columns(
        "diagnoses_icd", ("subject_id", "hadm_id", "icd_code", "icd_version")
    ),
    "ejection_fraction": Columns(
        "ejection_fraction", ("subject_id", "study_id", "date", "ef")
    ),
}


def section(options: Options) -> str:
    """Where the options are in the config, for messages.

    Example:
        >>> section(Mimic())
        'data.mimic'
    """
    return f"data.{type(options).__name__.lower()}"


def wanted(options: Options) -> dict[str, str]:
    """The tables that are read: which option needs each, "" = it can be missing.

    Raises:
        InputError: an unknown labeler or split.

    Example:
        >>> [key for key, needs in wanted(Embeddings()).items() if needs]
        ['metadata', 'ejection_fraction']
    """
    part, labeler = section(options), options.labeler
    finds = isinstance(options, Mimic)
    needs = "the views" if finds else f"{part}.label={options.label!r}"
    made = {"metadata": needs, "split": "", "admissions": "", "patients": ""}
    if finds and options.split not in SPLITS:
        raise InputError(
            f"{part}.split={options.split!r}; expected official or patient"
        )
    if finds and options.split == "patient":
        del made["split"]
    elif finds:
        made["split"] = f"{part}.split={options.split!r}"
    elif options.label in (EF, EF_CLASSES):
        return {**made, "ejection_fraction": needs}
    elif options.label == HEART_FAILURE:
        return {**made, "admissions": needs, "diagnoses_icd": needs}
    if labeler not in LABELERS:
        raise InputError(
            f"{part}.labeler={labeler!r}; expected {' or '.join(LABELERS)}"
        )
    return {**made, labeler: f"{part}.labeler={labeler!r}" if finds else needs}


def findings(options: Options, header: Iterable[str]) -> tuple[str, ...]:
    """Which findings are read of a labeler's table: all, or the one that is the label.

    Raises:
        InputError: see `known_label`.

    Example:
        >>> findings(Mimic(), ["subject_id", "study_id", "Edema", "Fracture"])
        ('Edema', 'Fracture')
    """
    header = list(header)
    if isinstance(options, Mimic):
        return tuple(name for name in header if name not in _STUDY)
    known_label(options.label, header)
    return (options.label,)


def known_label(label: str, header: Iterable[str]) -> None:
    """Passes a finding that the labeler's table, of that header, has.

    Raises:
        InputError: it has none of that name; lists all labels there are.

    Example:
        >>> known_label("Edema", ["subject_id", "study_id", "Edema"])
    """
    findings = [name for name in header if name not in _STUDY]
    if label not in findings:
        known = ", ".join((EF, EF_CLASSES, HEART_FAILURE, *findings))
        raise InputError(f"data.embeddings.label={label!r}; known: {known}")


def race_of(header: Iterable[str]) -> str:
    """The column of admissions that holds race, "" where none does.

    Example:
        >>> race_of(["hadm_id", "ethnicity"])
        'ethnicity'
    """
    found = set(header)
    return next((name for name in RACE if name in found), "")


def heart_failure(code: pd.Series, version: pd.Series) -> pd.Series:
    """bool[n]: ICD codes that are heart failure; dots and spaces do not matter.

    version: "9" or "10".

    Example:
        >>> heart_failure(pd.Series(["428.0", "I10"]), pd.Series(["9", "10"])).tolist()
        [True, False]
    """
    plain = code.str.replace(".", "", regex=False).str.strip().str.upper()
    hit = pd.Series(False, code.index)
    for number, pattern in CODES.items():
        hit |= (version.str.strip() == number) & plain.str.fullmatch(pattern)
    return hit
