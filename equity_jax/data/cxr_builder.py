"""X-rays that were resized once, as a tfds data set in array_record.

table.csv beside the shards has all rows of the source (also those without an image, so
that every choice of classes, labels and views is still open), each with the number of
its record.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from equity_jax.config import Records
from equity_jax.data.array_records import SPLIT, describe
from equity_jax.data.cxr_parts import SHARDS, Job, Work
from equity_jax.data.cxr_source import ABOUT, TEXTS, VERSION, Seen, Source, csv
from equity_jax.data.lookalikes import SIDE
from equity_jax.data.pixels import Facts
from equity_jax.types import InputError

TABLE, THUMBS = "table.csv", "thumbs.npy"
SHOWN = tuple(n for n in TEXTS if n not in ("official", "lesion", "lost"))
RAW = "raw: "  # begins a label's column
DAMAGE = (OSError, ValueError, RuntimeError, IndexError)
DESCRIPTION = "Chest X-rays, gray, resized; one record an image."


def said(source: Source, records: Records, size: int) -> Callable[[int], dict]:
    """What a record of a row says beside its image.

    records, size: not used; `image_records.said` is asked in the same words.

    Example:
        >>> said(source, Records(), 224)(0)["file"]  # doctest: +SKIP
        'COVID/COVID-1.png'
    """
    columns = {name: source.frame[name].to_numpy(object) for name in (*SHOWN, "age")}
    return lambda row: {"row": row} | {c: v[row] for c, v in columns.items()}


def write(job: Job) -> None:
    """Table, thumbnails and facts of a job's parts, beside their shards.

    Of TFRecords only whose they are: all else is in the records.

    Example:
        >>> write(job)  # doctest: +SKIP
    """
    source, work, folder = job.source, job.work, job.near / SHARDS
    if work.kind == "array_record":
        _write_table(job, folder)
    about = {
        "layout": source.layout,
        "fingerprint": source.fingerprint,
        "notes": list(source.notes),
        "labels": list(source.labels),
        "size": work.size,
        "equalize": work.equalize,
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1), "utf-8")


def read_prepared(folder: Path) -> Source:
    """The Source that `write` was given; `folder` holds its dataset_info.json.

    Raises:
        InputError: another data set, or a damaged one.

    Example:
        >>> read_prepared(Path("prepared/cxr/1.0.0")).size  # doctest: +SKIP
        224
    """
    about = _about(folder)
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

    # What was prepared before race and insurance were columns does not record them.
    frame = table.reindex(columns=list(TEXTS), fill_value="").assign(
        age=pd.to_numeric(table["age"], errors="coerce")
    )
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
        equalize=about["equalize"],
    )


def _damaged(folder: Path, error: Exception) -> InputError:
    why = str(error).split("\n")[0]
    return InputError(f"{folder}: damaged, prepare it again ({why})")


def _records(folder: Path) -> Any:
    builder = tfds.builder_from_directory(folder)
    raw = {"image": tfds.decode.SkipDecoding()}
    return builder.as_data_source(split=SPLIT, decoders=raw)


def _write_table(job: Job, folder: Path) -> None:
    """A row of the table for each row of the source, also for those without an image.

    Thumbnails go straight to their file: only words and numbers are held.
    """
    frame, size = job.source.frame, job.work.size
    shape = (int((frame["lost"] == "").sum()), SIDE, SIDE)
    head = {"descr": "|u1", "fortran_order": False, "shape": shape}
    bytes_, lengths, facts = 0, [], []
    with open(folder / THUMBS, "wb") as thumbs:
        np.lib.format.write_array_header_1_0(thumbs, head)
        for part in job.parts():
            seen = job.seen_of(part)
            thumbs.write(seen["thumbs"].tobytes())
            whole = seen["reason"] == ""
            record = np.where(whole, sum(lengths) + np.cumsum(whole) - 1, -1)
            known = {name: seen[name] for name in ("reason", *Facts._fields)}
            rows = [row["row"] for row in part.rows]
            facts.append(pd.DataFrame({"record": record, **known}, rows))
            lengths.append(int(whole.sum()))
            bytes_ += int(seen["size"])
    table = frame.join(pd.concat(facts))
    table = table.fillna({"record": -1, "reason": "", "width": 0, "height": 0})
    table = table.astype({"record": int, "width": int, "height": int})
    for k, label in enumerate(job.source.labels):
        table[RAW + label] = job.source.raw[:, k]
    table.to_csv(folder / TABLE, index=False)
    features = {
        "row": np.int64,
        "age": np.float64,
        "image": tfds.features.Image(shape=(size, size, 1), encoding_format="png"),
        **{name: tfds.features.Text() for name in SHOWN},
    }
    named = (job.work.name, VERSION)
    describe(folder, named, DESCRIPTION, features, lengths, bytes_)


def holds(target: Path, source: Source, work: Work) -> bool:
    """Whether `target` holds this source, prepared so; False: nothing is there.

    Raises:
        InputError: it holds something else.

    Example:
        >>> holds(Path("no such folder"), source, work)  # doctest: +SKIP
        False
    """
    if not target.exists():
        return False
    about = _about(target)
    asked = (source.fingerprint, work.size, work.equalize)
    if (about["fingerprint"], about["size"], about["equalize"]) == asked:
        return True
    raise InputError(
        f"{target} was prepared from other files, at another size, or otherwise "
        "equalized or named; expected an empty --data_dir"
    )


def _about(folder: Path) -> dict[str, Any]:
    if not (folder / ABOUT).exists():
        raise InputError(f"{folder}: not chest X-rays of scripts.prepare")
    return {"equalize": "", **json.loads((folder / ABOUT).read_text("utf-8"))}
