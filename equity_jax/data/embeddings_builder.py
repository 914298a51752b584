"""Embeddings as a tfds data set in array_record, and the matrix that is made of it.

Records stand in the order of the source; rows.csv beside them says which row each id
has. The first start writes the matrix of all rows, later ones only map it into memory.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from tqdm import tqdm

from equity_jax.data.array_records import write_in_order
from equity_jax.data.cxr_source import INFO, csv
from equity_jax.data.embedded import PRECISIONS, PREPARED, Embedded
from equity_jax.data.embedding_records import Parser
from equity_jax.files import TEMPORARY, atomic
from equity_jax.types import InputError

KEY, NAMES = "embedding", ("id", "subject", "study")
TABLE, ABOUT = "rows.csv", "about.json"
READ, SHARD = 1024, 16384  # records at once, and of a file
DAMAGE = (OSError, ValueError, RuntimeError, IndexError, KeyError)
DESCRIPTION = "Embeddings of chest X-rays; one record an image."


def write(
    blocks: Iterable[tuple[pd.DataFrame, np.ndarray]],
    rows: pd.DataFrame,
    about: dict[str, Any],
    target: Path,
    quiet: bool,
) -> None:
    """Records, rows.csv and about.json to the folder `target`, all at once.

    blocks: (rows, x) of some images each, in the order of `rows`, all of them; about:
    width, fingerprint, left_out and notes.

    Example:
        >>> write(blocks, rows, about, Path("out"), True)  # doctest: +SKIP
    """
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=TEMPORARY))
    try:
        features = {name: tfds.features.Text() for name in NAMES}
        width = (about["width"],)
        features[KEY] = tfds.features.Tensor(shape=width, dtype=np.float32)
        with tqdm(None, "records", len(rows), disable=quiet) as bar:
            some = _examples(blocks, bar)
            write_in_order(staging, PREPARED, DESCRIPTION, features, some, SHARD)
        rows[list(NAMES)].to_csv(staging / TABLE, index=False)
        (staging / ABOUT).write_text(json.dumps(about, indent=1), "utf-8")
        staging.chmod(target.parent.stat().st_mode)  # mkdtemp's is private
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _examples(
    blocks: Iterable[tuple[pd.DataFrame, np.ndarray]], bar: tqdm
) -> Iterator[list[dict[str, Any]]]:
    for rows, x in blocks:
        names = rows[list(NAMES)].to_dict("records")
        for top in range(0, len(names), READ):
            pairs = zip(names[top : top + READ], x[top : top + READ], strict=True)
            yield [{**said, KEY: numbers} for said, numbers in pairs]
            bar.update(min(READ, len(names) - top))


def read_prepared(folder: Path, precision: str, quiet: bool = True) -> Embedded:
    """What `write` was given; `folder` holds its dataset_info.json.

    precision: of PRECISIONS. x is a read-only memory map of a file that the first call
    of a precision writes; in a folder that cannot be written it is held in memory.

    Raises:
        InputError: another data set, or a damaged one.

    Example:
        >>> read_prepared(Path("out/embeddings/1.0.0"), "float32")  # doctest: +SKIP
    """
    about = about_of(folder)
    path = folder / f"x-{precision}.npy"
    try:
        rows = csv(folder / TABLE)
        shape = (len(rows), about["width"])
        if path.exists():
            x = np.load(path, mmap_mode="r")
        else:
            x = _materialize(folder, rows["id"], path, shape, precision, quiet)
        if x.shape != shape:
            raise ValueError(f"{path.name} holds {x.shape}, expected {shape}")
    except DAMAGE as error:
        raise _damaged(folder, error) from error
    names = {name: rows[name].to_numpy(object) for name in NAMES}
    return Embedded(
        **names,
        x=x.view(PRECISIONS[precision]),
        left_out=about["left_out"],
        fingerprint=about["fingerprint"],
        notes=tuple(about["notes"]),
    )


def about_of(folder: Path) -> dict[str, Any]:
    """What `write` was told: fingerprint, width, left_out, notes.

    Raises:
        InputError: another data set.

    Example:
        >>> about_of(Path("out/embeddings/1.0.0"))["width"]  # doctest: +SKIP
        1376
    """
    try:
        name = json.loads((folder / INFO).read_text("utf-8"))["name"]
        if name != PREPARED[0]:
            raise InputError(f"{folder}: holds {name}, not embeddings")
        return json.loads((folder / ABOUT).read_text("utf-8"))
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> InputError:
    why = str(error).split("\n")[0]
    return InputError(f"{folder}: damaged, prepare it again ({why})")


def _materialize(
    folder: Path,
    ids: pd.Series,
    path: Path,
    shape: tuple[int, int],
    precision: str,
    quiet: bool,
) -> np.ndarray:
    """The matrix of all records, written to `path`, or in memory where that fails."""
    kind = PRECISIONS[precision]
    stored = np.dtype(np.uint16) if kind.itemsize == 2 else kind  # .npy has no bfloat16
    if not os.access(folder, os.W_OK):
        x = np.empty(shape, stored)
        _fill(folder, ids, x.view(kind), quiet)
        return x
    with atomic(path) as temporary:
        x = np.lib.format.open_memmap(temporary, "w+", stored, shape)
        _fill(folder, ids, x.view(kind), quiet)
        x.flush()
        del x
    return np.load(path, mmap_mode="r")


def _fill(folder: Path, ids: pd.Series, x: np.ndarray, quiet: bool) -> None:
    place = {name.encode(): row for row, name in enumerate(ids)}
    parser, done = Parser(KEY, ("id",)), 0
    with tqdm(None, "matrix", len(x), disable=quiet) as bar:
        for file in sorted(folder.glob("*.array_record*")):
            reader = ArrayRecordReader(str(file))
            n = reader.num_records()
            for top in range(0, n, READ):
                found = [parser(r) for r in reader.read(top, min(n, top + READ))]
                rows = [place[name] for [name], _ in found]
                joined = b"".join([numbers for _, numbers in found])
                x[rows] = np.frombuffer(joined, "<f4").reshape(len(rows), -1)
                done += len(rows)
                bar.update(len(rows))
            reader.close()
    if done != len(x):
        raise ValueError(f"{done} records, expected {len(x)}")
