"""Embeddings of images from files: Google's CXR embeddings as PhysioNet ships them,
shards, .npz, or what scripts.prepare made of any of these.

"Generalized Image Embeddings for the MIMIC Chest X-Ray" (PhysioNet,
image-embeddings-mimic-cxr 1.0) is one TFRecord of one record an image. Its path says
the subject, the study and the dicom id; `image/id` in the record need not agree, and
the path wins. In shards `image/id` says who it is: either a path of the same form,
ending in any suffix of an image, or any other path or name, of which the last part
without that suffix is the id. Embeddings of any shape are flattened (v1: 1376 numbers;
ELIXR-C: 1 x 8 x 8 x 1376); how many there are is read from the data.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from equity_jax.config import Embeddings
from equity_jax.data.cxr_source import home
from equity_jax.data.embedded import (
    PRECISIONS,
    PREPARED,
    Block,
    Embedded,
    Problem,
    collect,
)
from equity_jax.data.embedding_places import Place, find, remarks
from equity_jax.data.embedding_units import Reader, bear
from equity_jax.types import InputError


def read(source: str, options: Embeddings, *, quiet: bool = True) -> Embedded:
    """The embeddings of `source`: a folder, a file, or an fsspec URL (gs://, s3://).

    options: layout, key, precision, quarantine and sha256 are used. A record with a
    wrong checksum, another length than most, NaN, or a listed file that is not there is
    left out and counted; an id that stands twice with the same numbers counts once.

    Raises:
        InputError: nothing to read; more unusable records than options.quarantine; an
            id with two embeddings that differ.

    Example:
        >>> read("embeddings", Embeddings()).x.shape  # doctest: +SKIP
        (243324, 1376)
    """
    kind = precision(options)
    folder = home(Path(source), PREPARED)
    if folder and options.layout in ("auto", "prepared"):
        from equity_jax.data.embeddings_builder import read_prepared  # slow to import

        return read_prepared(folder, kind.name, quiet)
    place = find(source, options)
    problems: list[Problem] = []
    blocks = _blocks(place, options, problems, quiet)
    size = sum(max(0, file.size) for file in place.files)
    made = collect(blocks, problems, source, place.fingerprint, kind, size)
    return made._replace(notes=(*made.notes, *remarks(place)))


def precision(options: Embeddings) -> np.dtype:
    """options.precision as a type.

    Raises:
        InputError: an unknown one.
    """
    if options.precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise InputError(
            f"data.embeddings.precision={options.precision!r}; known: {known}"
        )
    return PRECISIONS[options.precision]


def _blocks(
    place: Place,
    options: Embeddings,
    problems: list[Problem],
    quiet: bool,
) -> Iterator[Block]:
    reader, rows = Reader(place, options), 0
    problems += reader.missing()
    with tqdm(None, "embeddings", place.total, disable=quiet) as bar:
        for unit in place.units():
            bear(place, problems, options.quarantine)
            for block in reader(unit):
                problems += block.problems
                rows += len(block.rows)
                bar.update(len(block.rows))
                yield block
    bear(place, problems, options.quarantine, rows)
