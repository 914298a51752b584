"""Reading a source part by part, each kept as a file: what a kill cannot undo."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax.config import Images
from equity_jax.data.cxr_pixels import Limit, each, look
from equity_jax.data.cxr_source import PREPARED, Seen, Source
from equity_jax.data.pixels import Facts, encode
from equity_jax.files import atomic, write_csv
from equity_jax.types import InputError

ROWS = 512  # of a part
QUARANTINE = "quarantine.csv"


class Part(NamedTuple):
    """Some rows that were looked at: int[n]; seen without pixels; path: their PNGs."""

    rows: np.ndarray
    seen: Seen
    path: Path

    def images(self) -> Iterator[tuple[int, bytes]]:
        """(row, PNG) of each readable image."""
        with np.load(self.path) as held:
            data, ends = held["data"].tobytes(), held["ends"].tolist()
        for row, start, end in zip(self.rows, [0, *ends], ends, strict=False):
            if end > start:
                yield int(row), data[start:end]


def prepare(
    source: Source, images: Images, data_dir: str, *, quiet: bool = False
) -> tuple[Path, int, int]:
    """Resizes every image of `source` once: (folder, images, unreadable ones).

    images: size and quarantine are used. Unreadable files are listed in
    data_dir/cxr/quarantine.csv, also where they are too many. A folder that holds the
    same is left as it is; a run that was killed goes on.

    Raises:
        InputError: too many unreadable files; data_dir holds another data set.

    Example:
        >>> prepare(find("cxr"), Images(size=224), "prepared")  # doctest: +SKIP
    """
    from equity_jax.data.cxr_builder import prepared_of, write  # slow to import

    if source.size:
        raise InputError(f"{source.name} is prepared already; give --source its source")
    target = Path(data_dir).joinpath(*PREPARED)
    rows = np.flatnonzero(source.frame["lost"] == "")
    if not len(rows):
        raise InputError(f"{source.name}: no image is there to prepare")
    lists = target.parent / QUARANTINE
    if not prepared_of(target, source, images.size):
        folder = target.parent / f".parts-{source.fingerprint}-{images.size}"
        folder.mkdir(parents=True, exist_ok=True)
        limit = Limit(len(rows), images.quarantine, source.name)
        try:
            parts = _parts(source, rows, images.size, folder, limit, quiet)
        finally:
            _list(lists, limit.found)
        write(source, parts, images.size, target)
        for old in target.parent.glob(".parts-*"):
            shutil.rmtree(old)
    return target, len(rows), len(pd.read_csv(lists))


def _parts(
    source: Source, rows: np.ndarray, size: int, folder: Path, limit: Limit, quiet: bool
) -> list[Part]:
    made, files = [], source.frame["file"].to_numpy()
    with tqdm(None, "images", len(rows), disable=quiet) as bar:
        for number, top in enumerate(range(0, len(rows), ROWS)):
            mine, path = rows[top : top + ROWS], folder / f"{number:05d}.npz"
            if path.exists():  # of the run before
                seen = _read(path)
                for file, reason in zip(files[mine], seen.reason, strict=True):
                    limit.met(file, reason)
                bar.update(len(mine))
            else:
                seen = look(source, mine, size, "", True, limit, bar)
                _write(seen, path)
            made.append(Part(mine, seen._replace(pixels=None), path))
    return made


def _write(seen: Seen, path: Path) -> None:
    pngs = [b""] * len(seen.reason)

    def one(place: int) -> str:
        if not seen.reason[place]:
            pngs[place] = encode(seen.pixels[place])
        return ""

    list(each(one, len(pngs)))
    facts = {name: seen.facts[name].to_numpy() for name in ("width", "height")}
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            data=np.frombuffer(b"".join(pngs), np.uint8),
            ends=np.cumsum([len(png) for png in pngs]),
            thumbs=seen.thumbs,
            mode=seen.facts["mode"].to_numpy(str),
            reason=seen.reason.astype(str),
            **facts,
        )


def _read(path: Path) -> Seen:
    with np.load(path) as held:
        facts = pd.DataFrame({name: held[name] for name in Facts._fields})
        return Seen(held["thumbs"], facts, held["reason"].astype(object))


def _list(path: Path, found: list[tuple[str, str]]) -> None:
    table = pd.DataFrame(found, columns=["file", "reason"])
    write_csv(path, table)
