"""The part of scripts.embed that works: images in, a folder of embeddings out.

Images are embedded a piece at a time (PIECE of them, in batches of one shape), so the
numbers of an image depend on its place alone, and a run that was killed goes on with
the piece that it had begun: the files are the same, byte for byte.
"""

import io
from collections.abc import Sequence
from hashlib import sha256
from itertools import starmap
from pathlib import Path

import numpy as np
from tqdm import tqdm

from equity_jax.data import pixels
from equity_jax.data.cxr_layouts import find
from equity_jax.data.cxr_pixels import each, rest
from equity_jax.data.examples import example
from equity_jax.data.tfrecord import frame
from equity_jax.files import json_text
from equity_jax.train import features
from equity_jax.types import InputError
from scripts.embed_folder import Backbone, Work, begin, finish, note, write_text
from scripts.embed_names import Place, described, place

LAYOUTS = ("physionet", "shards", "npz")
PIECE = 256  # images that are in memory together, and the records of a shard


def embed(
    backbone: Backbone,
    source: str,
    out: Path,
    *,
    layout: str = "physionet",
    batch: int = 32,
    quiet: bool = True,
) -> str:
    """Writes the features of every readable image; returns a line for the user.

    source: a folder as data.name "cxr" takes it (cxr_layouts). out: an empty folder, or
    one that a killed call has begun. layout: one of LAYOUTS.

    Raises:
        InputError: no such folder of images, not one readable; `out` holds something
            else, or embeddings by another network or of other images.

    Example:
        >>> embed(backbone, "cxr_radiography", Path("embedded"))  # doctest: +SKIP
        '2,420 images × 256 features in embedded'
    """
    work = planned(backbone, source, out, layout, batch)
    if begin(work):
        return f"{out} is complete: nothing was left to do"
    size = max(PIECE // batch, 1) * batch
    with tqdm(total=len(work.rows), desc="images", disable=quiet) as bar:
        for number, first in enumerate(range(0, len(work.rows), size)):
            rows = work.rows[first : first + size]
            if not note(work, number).exists():
                piece(work, number, rows)
            bar.update(len(rows))
    return finish(work)


def planned(
    backbone: Backbone, source: str, out: Path, layout: str, batch: int
) -> Work:
    """What there is to do. Writes nothing.

    Raises:
        InputError: as `embed`; an unknown layout, a batch below 1.

    Example:
        >>> work = planned(backbone, "x", Path("y"), "npz", 8)  # doctest: +SKIP
    """
    if layout not in LAYOUTS or batch < 1:
        known = ", ".join(LAYOUTS)
        raise InputError(f"--layout={layout} --batch={batch}: {known}; a batch >= 1")
    found = find(source)
    rest(found, backbone.size, backbone.equalize)  # refuses other prepared pixels
    people = zip(found.frame["file"], found.frame["patient"], strict=True)
    places = [place(*one) for one in people]
    table = described(found, places)
    rows = np.flatnonzero(found.frame["lost"].to_numpy() == "")
    return Work(backbone, found, rows, places, table, out, layout, batch)


def piece(work: Work, number: int, rows: np.ndarray) -> None:
    """Reads, embeds and writes the rows int[n] of the source; then notes it.

    Raises:
        InputError: the network gives what is no number.
    """
    net, files = work.backbone, work.source.frame["file"].to_numpy()[rows]
    x = np.zeros((len(rows), net.size, net.size, 1), np.uint8)
    equalize = rest(work.source, net.size, net.equalize)

    def read(at: int) -> str:
        try:
            data = work.source.get(int(rows[at]))
            x[at, ..., 0] = pixels.read(data, files[at], net.size, equalize)
        except pixels.Unreadable as error:
            return str(error).removeprefix(f"{files[at]}: ")
        return ""

    reasons = list(each(read, len(rows)))
    _, found = features(net.model, net.weights, x, work.batch)
    good = [i for i, reason in enumerate(reasons) if not reason]
    if not np.isfinite(found[good]).all():
        raise InputError(f"{net.name} gives NaN or infinity: its weights are damaged")
    sums = save(work, number, [work.places[rows[i]] for i in good], found[good])
    lost = {files[i]: reason for i, reason in enumerate(reasons) if reason}
    write_text(note(work, number), json_text({"sums": sums, "lost": lost}))


def save(
    work: Work, number: int, places: Sequence[Place], found: np.ndarray
) -> dict[str, str]:
    """Writes the embeddings float32[n, F] of a piece: path -> sha256 of each file.

    Not atomic, for a sync would take longer than the network: the note tells whether
    they are whole.

    Example:
        >>> save(work, 0, places, found)  # doctest: +SKIP
        {'files/p3a/p3a90.../s51.../bd42c89f-....tfrecord': '1f0c...'}
    """
    rows = list(zip(places, found, strict=True))
    if work.layout == "shards":
        files = [(f"embeddings-{number:06d}.tfrecord", b"".join(starmap(record, rows)))]
    elif work.layout == "npz":
        files = [(where.file("npz"), archive(row)) for where, row in rows]
    else:
        files = [(where.file("tfrecord"), record(where, row)) for where, row in rows]
    for name, data in files:
        (work.out / name).parent.mkdir(parents=True, exist_ok=True)
        (work.out / name).write_bytes(data)
    return {name: sha256(data).hexdigest() for name, data in files}


def record(where: Place, row: np.ndarray) -> bytes:
    """The TFRecord of one image, as Google's have it. row: float32[F]."""
    return frame(example({"image/id": where.id.encode(), "embedding": row}))


def archive(row: np.ndarray) -> bytes:
    """The .npz of one image; equal numbers give equal bytes."""
    file = io.BytesIO()
    np.savez(file, embedding=row)
    return file.getvalue()
