"""TFRecord files of X-rays, an Example an image: read where they lie, and written.

What its features are called data.records says. The image is a JPEG, a PNG, or raw gray
or RGB pixels, then with height and width. A finding's feature is 1, 0 or -1
(uncertain); a record without it does not mention it. Outcomes: a record whose checksum
does not match, or that is no Example of an image, is an unreadable image, named by its
place; where a file breaks off as many are as would fit.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from equity_jax.config import Records
from equity_jax.data import tfrecord
from equity_jax.data.cxr_source import ABOUT, Source, make, present
from equity_jax.data.examples import features
from equity_jax.data.pixels import JPEG, PNG, Unreadable, encode
from equity_jax.types import InputError

FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema"),
    *("Enlarged Cardiomediastinum", "Fracture", "Lung Lesion", "Lung Opacity"),
    *("No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax"),
    "Support Devices",
)
# Of data.records: what becomes a text of the row, and which of Source's.
TEXTS = {
    **{name: name for name in ("patient", "sex", "age", "race", "insurance", "view")},
    "split": "official",
}
SPLITS = {"validate": "valid", "validation": "valid", "val": "valid"}


class Place(NamedTuple):
    """Where a record is: its file, the first byte and length of its payload, and why
    it cannot be read ("" = it can).
    """

    path: Path
    at: int
    length: int
    reason: str


def records(root: Path, options: Records) -> Source | None:
    """The images of *.tfrecord* files of `root`, at any depth; one look at each record.

    Raises:
        InputError: gzipped files; no image in the first record; a label of
            data.records.labels that no record has.

    Example:
        >>> records(Path("prepared/mimic_cxr"), Records()).labels[0]  # doctest: +SKIP
        'Atelectasis'
    """
    files = [p for p in sorted(root.rglob("*.tfrecord*")) if p.is_file()]
    files = [
        p for p in files if not any(q[0] == "." for q in p.relative_to(root).parts)
    ]
    if not files:
        return None
    path = files[0].parent / ABOUT  # of scripts.prepare
    about = json.loads(path.read_text("utf-8")) if path.exists() else {}
    asked = [n.strip() for n in options.labels.split(",") if n.strip()]
    names = asked or about.get("labels") or list(FINDINGS)
    places, rows, raw = [], [], []
    for path in tqdm(files, "TFRecords", disable=None, leave=False):
        name = path.relative_to(root).as_posix()
        found_here = _scan(path, options, first=not places)
        for number, (place, found) in enumerate(found_here):
            row = {ours: _text(found, getattr(options, o)) for o, ours in TEXTS.items()}
            row["file"] = _text(found, options.id) or f"{name}:{number}"
            places.append(place)
            rows.append(row)
            raw.append(_findings(found, names))
    columns = {c: [row[c] for row in rows] for c in ("file", *TEXTS.values())}
    columns["official"] = [SPLITS.get(word, word) for word in columns["official"]]
    labels, known = _labels(root, names, bool(asked), np.array(raw, np.float32))
    columns["finding"] = present(known, labels) if labels else ""
    within = (_reader(places, options), files)
    raw = known if labels else None
    notes = about.get("notes", ())
    made = make(root, "records", columns, notes, labels, raw, within=within)
    done = {name: about[name] for name in ("size", "equalize") if about}
    return made._replace(**done)


def said(
    source: Source, options: Records, size: int
) -> Callable[[int], dict[str, Any]]:
    """What the record of a row says beside its image; what is not known is left out.

    Raises:
        InputError: the rows have classes, where records have findings.

    Example:
        >>> said(source, Records(), 256)(0)["sex"]  # doctest: +SKIP
        'Female'
    """
    if source.raw is None:
        raise InputError(
            f"{source.name}: these images have classes, and TFRecords hold findings, 1 "
            "or 0 each; expected --format=array_record"
        )
    frame, raw = source.frame, source.raw
    texts = {**TEXTS, "id": "file"}
    named = {getattr(options, o): frame[c].to_numpy(object) for o, c in texts.items()}
    sides = {options.height: size, options.width: size}

    def row(at: int) -> dict[str, Any]:
        some = {name: column[at] for name, column in named.items()}
        some = {k: v for k, v in some.items() if v != "" and v == v}  # NaN: no age
        marks = dict(zip(source.labels, raw[at].tolist(), strict=True))
        marks = {name: int(mark) for name, mark in marks.items() if mark == mark}
        return {k: v for k, v in {**sides, **some, **marks}.items() if k}

    return row


def _scan(
    path: Path, options: Records, first: bool
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Each record's place and its features without the image."""
    length, held = 0, path.stat().st_size
    with open(path, "rb") as file:
        if file.read(len(tfrecord.GZIP)) == tfrecord.GZIP:
            raise InputError(
                f"{path}: gzip; expected TFRecords as they are: unzip them"
            )
        file.seek(0)
        for offset, payload, reason in tfrecord.scan(file):
            found: dict[str, Any] = {}
            if not reason:
                found, reason = _example(payload, options)
            if reason and first:
                raise InputError(f"{path}, byte {offset}: {reason}")
            lost = 1
            if reason and not payload:  # the file breaks off
                lost = max(1, (held - offset) // (length or held))
            length, first = len(payload) + tfrecord.FRAME, False
            place = Place(path, offset + 12, len(payload), reason)
            yield from [(place, found)] * lost


def _example(payload: bytes, options: Records) -> tuple[dict[str, Any], str]:
    """The features without the image; why there is none."""
    try:
        found = features(payload)
    except InputError as error:
        return {}, str(error)
    image = found.pop(options.image, None)
    if not isinstance(image, list) or not image:
        names = ", ".join(sorted(found)) or "none"
        return {}, f"no bytes {options.image!r} (data.records.image); features: {names}"
    return found, ""


def _reader(places: list[Place], options: Records) -> Callable[[int], bytes]:
    def get(row: int) -> bytes:
        path, at, length, reason = places[row]
        if reason:
            raise Unreadable(f"{path}, byte {at - 12}: {reason}")
        with open(path, "rb") as file:
            file.seek(at)
            found = features(file.read(length))
        data = found[options.image][0]
        if data.startswith((PNG, JPEG)):
            return data
        return _raw(data, found, options, f"{path}, byte {at - 12}")

    return get


def _raw(data: bytes, found: dict[str, Any], options: Records, where: str) -> bytes:
    """Pixels without a header become a PNG, as whoever reads images expects."""
    sides = [_text(found, name) for name in (options.height, options.width)]
    if not all(side.isdigit() and int(side) for side in sides):
        asked = f"expected numbers {options.height!r} and {options.width!r}"
        raise Unreadable(f"{where}: neither PNG nor JPEG; of raw pixels {asked}")
    height, width = map(int, sides)
    if len(data) == height * width:
        return encode(np.frombuffer(data, np.uint8).reshape(height, width))
    if len(data) == 3 * height * width:
        colors = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        return encode(cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY))
    expected = f"{height}×{width} pixels, gray or RGB"
    raise Unreadable(f"{where}: {len(data):,} raw bytes; expected {expected}")


def _text(found: dict[str, Any], name: str) -> str:
    """The first value of a feature in words; "" = not there."""
    value = found.get(name, ()) if name else ()
    if not len(value):
        return ""
    if isinstance(value[0], bytes):
        return value[0].decode("utf-8", "replace").strip()
    return f"{value[0]:g}" if value.dtype.kind == "f" else str(value[0])


def _findings(found: dict[str, Any], names: list[str]) -> list[float]:
    """1, 0, -1 or NaN of each name, however it is written."""
    plain = {_plain(name): value for name, value in found.items()}
    values = [plain.get(_plain(name), ()) for name in names]
    return [
        float(v[0]) if len(v) and not isinstance(v[0], bytes) else np.nan
        for v in values
    ]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _labels(
    root: Path, names: list[str], asked: bool, raw: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """The names that some record has, and their columns."""
    there = ~np.isnan(raw).all(0)
    if asked and not there.all():
        missing = names[int(np.argmin(there))]
        raise InputError(f"{root}: no record has {missing!r} of data.records.labels")
    wrong = ~np.isin(raw, (0, 1, -1)) & ~np.isnan(raw)
    if wrong.any():
        row, k = np.argwhere(wrong)[0]
        why = f"feature {names[k]!r}: {raw[row, k]:g}; expected 1, 0 or -1"
        raise InputError(f"{root}, record {row + 1}, {why}")
    return [n for n, t in zip(names, there, strict=True) if t], raw[:, there]
