"""The folder that scripts.embed writes: whose it is, what is done, what it ends with.

about.json claims it; unfinished/ notes what is done and goes when all is written;
table.csv, unreadable.csv and, last of all, SHA256SUMS.txt.
"""

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from equity_jax.data.cxr_source import Source
from equity_jax.files import TEMPORARY, atomic, csv_text, env, json_text
from equity_jax.nouns import Model
from equity_jax.train import Weights
from equity_jax.types import InputError
from scripts.embed_names import Place

ABOUT, TABLE, LOST = "about.json", "table.csv", "unreadable.csv"
SUMS, NOTES = "SHA256SUMS.txt", "unfinished"


class Backbone(NamedTuple):
    """A network whose features are wanted: pixels of a side `size`, equalized so."""

    name: str
    architecture: str
    model: Model
    weights: Weights
    size: int
    equalize: str
    fingerprint: str


class Work(NamedTuple):
    """One call of `embed`: the rows int[N] of a source, and what becomes of them.

    table: table.csv of all rows of the source; places: likewise.
    """

    backbone: Backbone
    source: Source
    rows: np.ndarray
    places: list[Place]
    table: pd.DataFrame
    out: Path
    layout: str
    batch: int


def begin(work: Work) -> bool:
    """Claims the folder by about.json; True: everything is there already.

    Raises:
        InputError: the folder holds something else.

    Example:
        >>> begin(work)  # doctest: +SKIP
        False
    """
    made, there = json.loads(json_text(about(work))), work.out / ABOUT
    if there.exists():
        known = json.loads(there.read_text("utf-8"))
        differ = [k for k in made if k != "made_with" and known.get(k) != made[k]]
        if differ:
            k = differ[0]
            what = f"{k} is {known.get(k)!r} there, {made[k]!r} now"
            raise InputError(f"--out={work.out} was begun otherwise: {what}")
        done = (work.out / SUMS).exists()
        if done:
            shutil.rmtree(work.out / NOTES, ignore_errors=True)
        return done
    if any(not p.name.startswith(TEMPORARY) for p in work.out.iterdir()):
        raise InputError(f"--out={work.out} holds something else (no {ABOUT})")
    write_text(there, json_text(made))
    return False


def about(work: Work) -> dict[str, Any]:
    """about.json: what made the embeddings, of what, and how they are laid out."""
    net, source = work.backbone, work.source
    x = jax.ShapeDtypeStruct((1, net.size, net.size, 1), np.uint8)
    forward = partial(net.model.apply, train=False, key=jax.random.key(0))
    out, _ = jax.eval_shape(forward, *net.weights, x)
    facts = {k: getattr(net, k) for k in ("name", "architecture", "fingerprint")}
    images = {"name": Path(source.name).name, "fingerprint": source.fingerprint}
    table = hashlib.sha256(csv_text(work.table).encode()).hexdigest()
    return {
        **facts,
        "size": net.size,
        "equalize": net.equalize,
        "features": out.features.shape[1],
        "images": {**images, "count": len(work.rows), "table": table[:16]},
        "layout": work.layout,
        "batch": work.batch,
        "made_with": {k: v for k, v in env({}).items() if k not in ("seconds", "git")},
    }


def finish(work: Work) -> str:
    """table.csv and unreadable.csv, then SHA256SUMS.txt; returns a line for the user.

    Raises:
        InputError: not one image could be read.
    """
    notes = [json.loads(p.read_text()) for p in sorted(note(work, 0).parent.iterdir())]
    lost = {file: why for one in notes for file, why in one["lost"].items()}
    named = work.source.frame[["file", "lost"]].to_numpy(str).tolist()
    listed = [(file, lost.get(file, why)) for file, why in named]
    frame = pd.DataFrame(listed, columns=["file", "reason"])
    kept, listed = work.table[frame["reason"] == ""], frame[frame["reason"] != ""]
    if not len(kept):
        what = f"none of {len(listed)} images can be read; the first is"
        first = ": ".join(listed.iloc[0])
        raise InputError(f"{work.source.name}: {what} {first}")
    write_text(work.out / TABLE, csv_text(kept))
    write_text(work.out / LOST, csv_text(listed))
    # As PhysioNet's: the first line is not an embedding's.
    sums = {name: digest(work.out / name) for name in (ABOUT, TABLE, LOST)}
    sums |= {name: sum_ for one in notes for name, sum_ in one["sums"].items()}
    text = "".join(f"{sum_} {name}\n" for name, sum_ in sums.items())
    write_text(work.out / SUMS, text)
    shutil.rmtree(work.out / NOTES)
    words = f"{len(kept):,} images by {work.backbone.name} in {work.out}"
    return words + (f"; {len(listed):,} left out, see {LOST}" if len(listed) else "")


def note(work: Work, number: int) -> Path:
    """Where a piece is noted that is done."""
    return work.out / NOTES / f"{number:06d}.json"


def digest(path: Path) -> str:
    """The sha256 of a file, 64 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_text(path: Path, text: str) -> None:
    """The whole file or nothing."""
    path.parent.mkdir(exist_ok=True)
    with atomic(path) as whole:
        whole.write_text(text, "utf-8", newline="\n")
