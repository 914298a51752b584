"""X-rays resized once, as a tfds data set in array_record, without TensorFlow.

`write` reads each file once, in threads, part by part: a part is a whole file, so a
killed run goes on with the next one. Then the parts become records: table.csv beside
them has all rows of the source (also those without an image, so that every choice of
classes, labels and views is still open), each with the number of its record. Pixels are
kept before equalization.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from equity_jax.data.array_records import SPLIT, write_in_order
from equity_jax.data.cxr_parts import Part
from equity_jax.data.cxr_source import INFO, PREPARED, TEXTS, Seen, Source, csv
from equity_jax.data.lookalikes import SIDE
from equity_jax.data.pixels import Facts
from equity_jax.files import TEMPORARY
from equity_jax.types import InputError

TABLE, THUMBS, ABOUT = "table.csv", "thumbs.npy", "about.json"
SHOWN = ("file", "finding", "patient", "sex", "view", "source")
RAW, SHARD = "raw: ", 4096  # of a label's column; images in a file
DAMAGE = (OSError, ValueError, RuntimeError, IndexError)
DESCRIPTION = "Chest X-rays, gray, resized; one record an image."


def write(source: Source, parts: list[Part], size: int, target: Path) -> None:
    """Records, table and thumbnails of all parts to the folder `target`, at once.

    Example:
        >>> write(source, parts, 224, Path("prepared/cxr/1.0.0"))  # doctest: +SKIP
    """
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=TEMPORARY))
    features = {
        "row": np.int64,
        "age": np.float64,
        "image": tfds.features.Image(shape=(size, size, 1), encoding_format="png"),
        **{name: tfds.features.Text() for name in SHOWN},
    }
    try:
        some = _examples(source.frame, parts)
        write_in_order(staging, PREPARED, DESCRIPTION, features, some, SHARD)
        _write_table(source, parts, size, staging)
        staging.chmod(target.parent.stat().st_mode)  # mkdtemp's is private
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _examples(frame: pd.DataFrame, parts: list[Part]) -> Iterator[list[dict[str, Any]]]:
    for part in parts:
        for row, image in part.images():
            said = {name: frame[name][row] for name in (*SHOWN, "age")}
            yield [{"row": row, "image": image, **said}]


def read_prepared(folder: Path) -> Source:
    """The Source that `write` was given; `folder` holds its dataset_info.json.

    Raises:
        InputError: another data set, or a damaged one.

    Example:
        >>> read_prepared(Path("prepared/cxr/1.0.0")).size  # doctest: +SKIP
        224
    """
    if not (folder / ABOUT).exists():
        raise InputError(f"{folder}: not chest X-rays of scripts.prepare --dataset=cxr")
    about = json.loads((folder / ABOUT).read_text("utf-8"))
    table = csv(folder / TABLE)
    record = table["record"].astype(int).tolist()
    try:
        records = _records(folder)
        thumbs = np.load(folder / THUMBS)
    except DAMAGE as error:
        raise _damaged(folder, error) from error

    def get(row: int) -> bytes:
        try:
            return records[record[row]]["image"]
        except DAMAGE as error:
            raise _damaged(folder, error) from error

    frame = table[list(TEXTS)].assign(age=pd.to_numeric(table["age"], errors="coerce"))
    labels = [name.removeprefix(RAW) for name in table if name.startswith(RAW)]
    raw = table[[RAW + label for label in labels]].replace("", "nan")
    everyone = np.zeros((len(table), SIDE, SIDE), np.uint8)
    everyone[(frame["lost"] == "").to_numpy()] = thumbs
    facts = table[list(Facts._fields)].astype({"width": int, "height": int})
    return Source(
        str(folder),
        about["layout"],
        frame,
        get,
        about["fingerprint"],
        tuple(about["notes"]),
        tuple(labels),
        raw.to_numpy(np.float32) if labels else None,
        about["size"],
        Seen(everyone, facts, table["reason"].to_numpy(object)),
    )


def _damaged(folder: Path, error: Exception) -> InputError:
    why = str(error).split("\n")[0]
    return InputError(f"{folder}: damaged, prepare it again ({why})")


def _records(folder: Path) -> Any:
    builder = tfds.builder_from_directory(folder)
    raw = {"image": tfds.decode.SkipDecoding()}
    return builder.as_data_source(split=SPLIT, decoders=raw)


def _write_table(source: Source, parts: list[Part], size: int, folder: Path) -> None:
    rows = np.flatnonzero(source.frame["lost"] == "")
    seen = [part.seen for part in parts]
    reason = np.full(len(source.frame), "", object)
    reason[rows] = np.concatenate([one.reason for one in seen])
    record = np.full(len(source.frame), -1)
    for number, one in enumerate(_records(folder)):
        record[one["row"]] = number
    table = source.frame.assign(record=record, reason=reason)
    for k, label in enumerate(source.labels):
        table[RAW + label] = source.raw[:, k]
    facts = pd.concat([one.facts for one in seen], ignore_index=True).set_axis(rows)
    facts = facts.reindex(range(len(table)))
    facts = facts.fillna({"width": 0, "height": 0, "mode": ""})
    facts = facts.astype({"width": int, "height": int})
    pd.concat([table, facts], axis=1).to_csv(folder / TABLE, index=False)
    np.save(folder / THUMBS, np.concatenate([one.thumbs for one in seen]))
    about = {
        "layout": source.layout,
        "fingerprint": source.fingerprint,
        "notes": list(source.notes),
        "size": size,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1), "utf-8")


def prepared_of(target: Path, source: Source, size: int) -> bool:
    """Whether `target` holds this source at this size; False: nothing is there.

    Raises:
        InputError: it holds something else.

    Example:
        >>> prepared_of(Path("no such folder"), source, 224)  # doctest: +SKIP
        False
    """
    if not (target / INFO).exists():
        return False
    there = read_prepared(target)
    if (there.fingerprint, there.size) == (source.fingerprint, size):
        return True
    raise InputError(
        f"{target} was prepared from other files or at another size; expected an "
        "empty --data_dir"
    )
