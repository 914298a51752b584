"""Reading embeddings part by part, each kept on disk: what a kill cannot undo."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax.config import Embeddings
from equity_jax.data.cxr_source import INFO, csv
from equity_jax.data.embedded import PREPARED, Problem, distinct, frame, summary
from equity_jax.data.embedding_files import precision
from equity_jax.data.embedding_places import Listed, Place, find, remarks
from equity_jax.data.embedding_units import Reader, bear
from equity_jax.files import TEMPORARY, write_csv
from equity_jax.types import InputError

QUARANTINE = "quarantine.csv"
X, TABLE, PROBLEMS = "x.bin", "rows.csv", "problems.csv"


class Part(NamedTuple):
    """One unit of a place as it lies in `folder`; rows: `frame` of a Block."""

    folder: Path
    rows: pd.DataFrame
    problems: list[Problem]

    @property
    def x(self) -> np.ndarray:
        """float32[n, F], mapped into memory."""
        n, size = len(self.rows), os.path.getsize(self.folder / X)
        if not size:
            return np.zeros((0, 0), np.float32)
        return np.memmap(self.folder / X, np.float32, "r").reshape(n, -1)


def prepare(
    source: str, options: Embeddings, data_dir: str, *, quiet: bool = False
) -> tuple[Path, int, int]:
    """Reads all of `source` once: (folder, embeddings, unusable ones).

    options: layout, key, quarantine, sha256 and precision (of the matrix) are used.
    Unusable records are listed in data_dir/embeddings/quarantine.csv, also where they
    are too many. A folder that holds the same is left as it is; a run that was killed
    goes on with the part that it was reading.

    Raises:
        InputError: as `embedding_files.read`; data_dir holds another data set.

    Example:
        >>> prepare("embeddings", Embeddings(), "prepared")  # doctest: +SKIP
    """
    from equity_jax.data.embeddings_builder import read_prepared  # slow to import

    kind = precision(options)
    place = find(source, options)
    target = Path(data_dir).joinpath(*PREPARED)
    lists = target.parent / QUARANTINE
    if not _there(target, place):
        folder = target.parent / f".parts-{place.fingerprint}"
        folder.mkdir(parents=True, exist_ok=True)
        problems: list[Problem] = []
        try:
            parts = _parts(place, options, folder, problems, quiet)
        finally:
            _list(lists, problems)
        _write(place, parts, problems, target, quiet)
        for old in target.parent.glob(".parts-*"):
            shutil.rmtree(old)
    made = read_prepared(target, kind.name, quiet)
    return target, len(made.id), len(csv(lists))


def _there(target: Path, place: Place) -> bool:
    from equity_jax.data.embeddings_builder import about_of

    if not (target / INFO).exists():
        return False
    if about_of(target)["fingerprint"] == place.fingerprint:
        return True
    raise InputError(
        f"{target} was prepared from other files; expected an empty --data_dir"
    )


def _parts(
    place: Place,
    options: Embeddings,
    folder: Path,
    problems: list[Problem],
    quiet: bool,
) -> list[Part]:
    made, reader, rows = [], Reader(place, options), 0
    problems += reader.missing()
    with tqdm(None, "embeddings", place.total, disable=quiet) as bar:
        for number, unit in enumerate(place.units()):
            bear(place, problems, options.quarantine)
            part = _part(folder / f"{number:06d}", reader, unit, bar)
            problems += part.problems
            rows += len(part.rows)
            reader.rows.width = reader.rows.width or part.x.shape[1]
            made.append(part)
    bear(place, problems, options.quarantine, rows)
    return made


def _part(folder: Path, reader: Reader, unit: list[Listed], bar: tqdm) -> Part:
    """The part as it lies there; if it does not, or has problems, it is read."""
    if folder.exists():
        part = _read(folder)
        if not part.problems:
            bar.update(len(part.rows))
            return part
        shutil.rmtree(folder)
    staging = folder.with_name(TEMPORARY + folder.name)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    problems: list[Problem] = []
    with open(staging / X, "wb") as numbers, open(staging / TABLE, "w") as names:
        for block in reader(unit):
            numbers.write(np.ascontiguousarray(block.x, np.float32))
            frame(block.rows).to_csv(names, index=False, header=not names.tell())
            problems += block.problems
            bar.update(len(block.rows))
    _list(staging / PROBLEMS, problems)
    staging.rename(folder)
    return _read(folder)


def _read(folder: Path) -> Part:
    rows = csv(folder / TABLE).astype({"offset": int, "renamed": int})
    table = csv(folder / PROBLEMS).astype({"offset": int, "records": int})
    return Part(folder, rows, [Problem(*one) for one in table.itertuples(index=False)])


def _list(path: Path, problems: list[Problem]) -> None:
    write_csv(path, pd.DataFrame(problems, columns=Problem._fields))


def _write(
    place: Place, parts: list[Part], problems: list[Problem], target: Path, quiet: bool
) -> None:
    from equity_jax.data.embeddings_builder import write

    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    starts = np.cumsum([0, *(len(part.rows) for part in parts)])

    def numbers(row: int) -> np.ndarray:
        part = int(np.searchsorted(starts, row, "right")) - 1
        return parts[part].x[row - starts[part]]

    keep = distinct(rows, numbers, place.source)

    def blocks() -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        for part, start in zip(parts, starts, strict=False):
            kept = keep[start : start + len(part.rows)]
            yield part.rows[kept], part.x[kept]

    left_out, notes = summary(rows[keep], problems, int((~keep).sum()))
    about = {
        "width": int(numbers(0).size),
        "fingerprint": place.fingerprint,
        "left_out": left_out,
        "notes": [*notes, *remarks(place)],
    }
    write(blocks(), rows[keep], about, target, quiet)
