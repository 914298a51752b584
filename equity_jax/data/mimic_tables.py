"""Reads the tables of MIMIC-CXR-JPG and MIMIC-IV: few columns, few rows, as text.

Johnson et al., "MIMIC-CXR-JPG", PhysioNet 2019, and "MIMIC-IV", Sci Data 2023. Files
are found by their name, wherever PhysioNet's folders were put. The ejection fractions
are a table of our own, for MIMIC-IV has them only in notes and reports:
ejection_fraction.csv, columns subject_id, study_id (may be blank), date (YYYY-MM-DD, as
shifted by MIMIC; blank only beside a study_id), ef (percent).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import fsspec
import pandas as pd
from tqdm import tqdm

from equity_jax.data import mimic_names as names
from equity_jax.data.mimic_names import TABLES, Options
from equity_jax.types import InputError

ROWS = 200_000  # read at a time
SKIPPED = re.compile(r"p\d\d+|\..*")  # folders of images or embeddings; hidden ones
ENDS = r"\.csv(\.gz)?"
HOSPITAL = ("admissions", "patients", "diagnoses_icd")


def find(folder: str) -> dict[str, str]:
    """Which of mimic_names.TABLES lie below `folder`: key -> URL or path.

    Raises:
        InputError: no such folder; two files of one table.

    Example:
        >>> find("physionet.org/files")["patients"]  # doctest: +SKIP
        'physionet.org/files/mimiciv/2.2/hosp/patients.csv.gz'
    """
    files, top = fsspec.url_to_fs(folder)
    if not files.isdir(top):
        raise InputError(f"{folder}: no such folder of tables")
    found: dict[str, str] = {}
    for place, below, here in files.walk(top):
        below[:] = sorted(name for name in below if not SKIPPED.fullmatch(name))
        for file in sorted(here):
            path = f"{place.rstrip('/')}/{file}"
            for key, table in TABLES.items():
                if not re.fullmatch(table.file + ENDS, file):
                    continue
                if key in found:
                    raise InputError(f"{found[key]} and {path}: expected one of them")
                found[key] = path
    return {key: files.unstrip_protocol(path) for key, path in found.items()}


def read_tables(
    folder: str,
    options: Options,
    subjects: set[str] | None = None,
    *,
    beside: str = "",
    strict: bool = True,
    quiet: bool | None = None,
) -> dict[str, pd.DataFrame]:
    """The tables that the options need, and those they can do without.

    folder: a path or an fsspec URL; subjects: of the images (None: all of metadata's),
    other people's rows of the hospital's tables are not kept; beside: another folder,
    for tables that `folder` lacks; strict: False for new rows to score, where no table
    is needed; quiet: no progress bar (None: only in a terminal).

    Cells are text, "" = blank; attrs["name"] is the file and the index the number of
    the row in it, from 0. Of diagnoses_icd only codes of heart failure are kept, and
    one row more of each admission.

    Raises:
        InputError: a table that an option needs is missing; a column is missing; a
            label that the labeler's table does not have; not a CSV.

    Example:
        >>> read_tables("mimic", Embeddings())["patients"].columns  # doctest: +SKIP
    """
    found = (find(beside) if beside else {}) | find(folder)
    if getattr(options, "ef", ""):
        found["ejection_fraction"] = options.ef
    made: dict[str, pd.DataFrame] = {}
    for key, needs in names.wanted(options).items():
        if key in found:
            made[key] = _read(key, found[key], options, subjects, quiet)
        elif needs and strict:
            raise InputError(
                f"{folder}: no {key} table below it, which {needs} needs "
                f"(columns {', '.join(TABLES[key].read)})"
            )
        if subjects is None and "metadata" in made:
            subjects = set(made["metadata"]["subject_id"])
    return made


@contextmanager
def opened(url: str, name: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """An open file and how pandas reads it, all cells as text.

    Raises:
        InputError: what goes wrong inside, if it is the file's fault.

    Example:
        >>> with opened("patients.csv", "patients.csv") as (file, how):
        ...     table = pd.read_csv(file, **how)  # doctest: +SKIP
    """
    how = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    how["compression"] = "gzip" if name.endswith(".gz") else None
    try:
        with fsspec.open(url, "rb") as file:
            yield file, how
    except InputError:
        raise
    except (ValueError, OSError, EOFError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{name}: not a whole CSV of UTF-8 text ({why})") from error


def _read(
    key: str,
    url: str,
    options: Options,
    subjects: set[str] | None,
    quiet: bool | None,
) -> pd.DataFrame:
    name = url.removeprefix("file://")
    with opened(url, name) as (file, how):
        header = pd.read_csv(file, nrows=0, **how).columns
    columns = _columns(key, name, header, options)
    parts = []
    with (
        opened(url, name) as (file, how),
        tqdm(None, key, unit=" rows", disable=quiet, leave=False) as bar,
    ):
        settings = {"usecols": columns, "chunksize": ROWS, "skip_blank_lines": False}
        for part in pd.read_csv(file, **how, **settings):
            bar.update(len(part))
            parts.append(_kept(part, key, subjects))
    table = pd.concat(parts)[columns]
    table.attrs["name"] = name
    return table


def _columns(key: str, name: str, header: pd.Index, options: Options) -> list[str]:
    columns = list(TABLES[key].read)
    if key in names.LABELERS:
        columns += names.findings(options, header)
    if key == "admissions":
        columns.append(names.race_of(header) or names.RACE[0])
    for column in columns:
        if column not in header:
            raise InputError(
                f"{name}, line 1, column {column!r}: missing; the columns are "
                f"{', '.join(header)}"
            )
    return columns


def _kept(part: pd.DataFrame, key: str, subjects: set[str] | None) -> pd.DataFrame:
    """The rows that matter: not blank lines, not other people's, few diagnoses."""
    part = part.fillna("")  # a line that ends early
    part = part[(part != "").any(axis=1)]
    if subjects is not None and key in HOSPITAL:
        part = part[part["subject_id"].isin(subjects)]
    if key == "diagnoses_icd":
        hit = names.heart_failure(part["icd_code"], part["icd_version"])
        part = part[hit | ~part["hadm_id"].duplicated()]
    return part
