"""Writes the SIMULATED cohort as PhysioNet ships the real one.

One .tfrecord an image below files/pNN/pSUBJECT/sSTUDY, or a few shards of many
records; SHA256SUMS.txt, whose first line is the license; the tables beside them.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax.data.cohort import Simulated
from equity_jax.data.embedded import Embedded
from equity_jax.data.examples import example
from equity_jax.data.tfrecord import frame
from equity_jax.files import TEMPORARY
from equity_jax.types import InputError

FILES = {
    "split": "mimic-cxr-2.0.0-split.csv.gz",
    "chexpert": "mimic-cxr-2.0.0-chexpert.csv.gz",
    "metadata": "mimic-cxr-2.0.0-metadata.csv.gz",
    "admissions": "hosp/admissions.csv.gz",
    "patients": "hosp/patients.csv.gz",
    "diagnoses_icd": "hosp/diagnoses_icd.csv.gz",
    "ejection_fraction": "ejection_fraction.csv",
}
LICENSE = "SIMULATED data: no patient, no X-ray. Use them as you like.\n"


def write(
    simulated: Simulated, folder: Path | str, shards: int = 0, *, quiet: bool = False
) -> Path:
    """The files of the twin in `folder`, all of them or none; equal twins, equal bytes.

    shards: how many files hold the embeddings; 0: one file an image.

    Raises:
        InputError: the folder is not empty, is a file or cannot be written; more shards
            than images.

    Example:
        >>> write(cohort(Cohort()), "twin", shards=8)  # doctest: +SKIP
        PosixPath('twin')
    """
    n = len(simulated.embedded.id)
    if not 0 <= shards <= n:
        raise InputError(f"shards={shards}; expected 0 (a file an image) to {n}")
    with whole(folder) as temporary:
        _fill(temporary, simulated, shards, quiet)
    return Path(folder)


@contextmanager
def whole(folder: Path | str) -> Iterator[Path]:
    """A folder to write in, which then becomes `folder`: all of its files, or none.

    Raises:
        InputError: `folder` is not empty, is a file or cannot be written.

    Example:
        >>> with whole("twin") as place:  # doctest: +SKIP
        ...     (place / "LICENSE.txt").write_text(LICENSE)
    """
    check_empty(folder)
    target = Path(folder).absolute()
    temporary = target.with_name(TEMPORARY + target.name)
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if target.exists():
            target.rmdir()  # it is empty; not every system renames over a folder
        temporary.rename(target)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_empty(folder: Path | str) -> None:
    """Says no to a folder that holds anything.

    Raises:
        InputError: it is a file, or not empty.

    Example:
        >>> check_empty("a folder that does not exist")
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise InputError(f"{folder} is a file; expected a folder")
    if path.is_dir() and any(path.iterdir()):
        raise InputError(f"{folder} is not empty; expected a new or an empty folder")


def _fill(folder: Path, simulated: Simulated, shards: int, quiet: bool) -> None:
    embedded = simulated.embedded
    lines = [_put(folder, "LICENSE.txt", [LICENSE.encode()])]
    with tqdm(None, "embeddings", len(embedded.id), disable=quiet) as bar:
        for path, rows in _plan(embedded, shards):
            lines.append(_put(folder, path, _records(embedded, rows)))
            bar.update(len(rows))
    _put(folder, "SHA256SUMS.txt", ["\n".join([*lines, ""]).encode()])
    for name, path in FILES.items():
        save(simulated.tables[name], folder / path)


def _plan(embedded: Embedded, shards: int) -> Iterator[tuple[str, np.ndarray]]:
    """Each file and its rows."""
    rows = np.arange(len(embedded.id))
    if shards:
        for number, part in enumerate(np.array_split(rows, shards)):
            yield f"embeddings-{number:05d}-of-{shards:05d}.tfrecord", part
        return
    names = zip(embedded.subject, embedded.study, embedded.id, strict=True)
    for row, (subject, study, name) in zip(rows[:, None], names, strict=True):
        yield f"files/p{subject[:2]}/p{subject}/s{study}/{name}.tfrecord", row


def _records(embedded: Embedded, rows: np.ndarray) -> Iterator[bytes]:
    for row in rows.tolist():
        name = str(embedded.id[row]).encode()
        yield frame(example({"image/id": name, "embedding": embedded.x[row]}))


def _put(folder: Path, path: str, parts: Iterator[bytes] | list[bytes]) -> str:
    """Writes a file; its line of SHA256SUMS.txt."""
    target, digest = folder / path, hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
    return f"{digest.hexdigest()} {path}"


def save(table: pd.DataFrame, path: Path) -> None:
    """A table as .csv or .csv.gz, equal tables with equal bytes; makes its folder.

    Example:
        >>> save(twin.tables["patients"], Path("p.csv.gz"))  # doctest: +SKIP
    """
    path.parent.mkdir(exist_ok=True)
    how = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    table.to_csv(path, index=False, lineterminator="\n", compression=how)
