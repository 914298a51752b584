"""What a frozen network makes of many images, streamed to disk once.

A folder holds logits.npy, features.npy and a file a tap, float32 with a row an image,
and harvest.json, which says whose they are and how many rows are there; until all are,
the files' names begin with "begun_". Rows are computed in batches of one shape, so a
run that was killed goes on where it was and leaves the same bytes; memory holds one
batch, however many images there are.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from equity_jax.files import atomic, json_text
from equity_jax.nouns import Model
from equity_jax.train.feed import mesh_of, padded, pixels, place
from equity_jax.train.leaves import Weights
from equity_jax.train.score import forward

NOTE, BEGUN = "harvest.json", "begun_"
OFTEN = 64  # batches between two notes of how far it is


class Harvest(NamedTuple):
    """Memory maps, a row an image: logits float32[N, O], features float32[N, F]; taps:
    name -> float32[N, c], averaged over the places of the map.
    """

    logits: np.ndarray
    features: np.ndarray
    taps: Mapping[str, np.ndarray]


def harvest(
    model: Model,
    weights: Weights,
    x: Any,
    folder: str | Path,
    taps: Sequence[str] = (),
    batch: int = 32,
    quiet: bool = True,
) -> Harvest:
    """Logits, features and averaged taps of every image, as read-only memory maps.

    What the folder holds of the same weights, number of images, taps and batch is not
    computed again; what it holds of others is replaced.

    Args:
        model: of images.
        weights: of the model, frozen.
        x: uint8[N, S, S, 1] in memory or a stream, N >= 1.
        folder: where the files are, or will be; made if missing.
        taps: names among `output.taps` (of a densenet "dense1", ...).
        batch: images in one call of the network.
        quiet: no progress bar.

    Example:
        >>> found = harvest(net, weights, x, "features")  # doctest: +SKIP
        >>> found.features.shape  # doctest: +SKIP
        (227827, 1024)
    """
    folder, names = Path(folder), ("logits", "features", *taps)
    owner = _owner(weights, x.shape, names, batch)
    if _rows(folder, owner, names) < len(x):
        folder.mkdir(parents=True, exist_ok=True)
        _fill(folder, owner, names, model, weights, x, batch, quiet)
    maps = [np.load(_file(folder, name), mmap_mode="r") for name in names]
    return Harvest(*maps[:2], dict(zip(taps, maps[2:], strict=True)))


def _fill(
    folder: Path,
    owner: str,
    names: Sequence[str],
    model: Model,
    weights: Weights,
    x: Any,
    batch: int,
    quiet: bool,
) -> None:
    """Runs what is left of the images, and gives the files their names at the end."""
    begun = [f"{BEGUN}{name}" for name in names]
    done = _rows(folder, owner, begun)
    if not done:
        (folder / NOTE).unlink(missing_ok=True)  # before files that it does not mean
    run, mesh = forward(model, tuple(names[2:])), mesh_of(batch)
    one = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    widths = [found.shape[1] for found in jax.eval_shape(run, *weights, one)]
    how = {"mode": "r+" if done else "w+", "dtype": np.float32}
    maps = [
        open_memmap(_file(folder, name), shape=(len(x), width), **how)
        for name, width in zip(begun, widths, strict=True)
    ]
    index, _ = padded(np.arange(len(x)), batch)
    placed, left = place(weights, mesh), index[done // batch :]
    with tqdm(None, "features", len(x), initial=done, disable=quiet) as bar:
        for number, images in enumerate(pixels(x, left, mesh), 1):
            until = min(done + batch, len(x))
            for rows, found in zip(maps, run(*placed, images), strict=True):
                rows[done:until] = found[: until - done]
            bar.update(until - done)
            done = until
            if number % OFTEN == 0 or done == len(x):
                for rows in maps:
                    rows.flush()
                _note(folder, owner, done)
    for name in names:
        _file(folder, BEGUN + name).replace(_file(folder, name))


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _rows(folder: Path, owner: str, names: Sequence[str]) -> int:
    """How many rows of this owner the files hold; 0 where a file is missing."""
    there = [folder / NOTE, *(_file(folder, name) for name in names)]
    if not all(path.exists() for path in there):
        return 0
    note = json.loads((folder / NOTE).read_text("utf-8"))
    return note["rows"] if note["owner"] == owner else 0


def _note(folder: Path, owner: str, rows: int) -> None:
    with atomic(folder / NOTE) as path:
        path.write_text(json_text({"owner": owner, "rows": rows}), "utf-8")


def _owner(
    weights: Weights, shape: Sequence[int], names: Sequence[str], batch: int
) -> str:
    """Twelve hex digits that change with any weight, the images' shape and the rest."""
    found = hashlib.sha256(repr((tuple(shape), tuple(names), batch)).encode())
    for leaf in jax.tree.leaves(tuple(weights)):
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()[:12]
