"""One look at every image, in threads: pixels, facts, and what cannot be read."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax.data import borders, film, lookalikes, pixels
from equity_jax.data.cxr_source import Seen, Source
from equity_jax.types import InputError

Made = TypeVar("Made")
BLOCK = 512  # images that are under way when reading stops
SHOWN = 3  # unreadable files that an error lists
UNREADABLE = "unreadable"


class Limit:
    """How many unreadable files of `total` are borne.

    share: above which reading stops; where: the data's name in the error.

    Example:
        >>> Limit(100, 0.05, "cxr").met("a.png", "a.png: an empty file")
    """

    def __init__(self, total: int, share: float, where: str):
        self.total, self.share, self.where = total, share, where
        self.found: list[tuple[str, str]] = []  # file, reason

    def met(self, file: str, reason: str) -> None:
        """Counts a file if there is a reason why it is unreadable.

        Raises:
            InputError: they are more than the share, or all of them.
        """
        if not reason:
            return
        self.found.append((file, reason))
        n = len(self.found)
        if n > self.share * self.total or n == self.total:
            examples = "; ".join(reason for _, reason in self.found[:SHOWN])
            raise InputError(
                f"{self.where}: {n} of {self.total} files are unreadable "
                f"({n / self.total:.1%}, data.images.quarantine={self.share:g} lets "
                f"no more pass): {examples}"
            )


def look(
    source: Source,
    rows: np.ndarray,
    size: int,
    equalize: str,
    keep: bool,
    limit: Limit,
    bar: tqdm,
) -> Seen:
    """Reads the images of `rows` int[n] once; Seen of n.

    size, equalize: of the pixels; keep: whether they are kept, or only looked at; what
    scripts.prepare saw is not looked at again; bar: counts images.

    Raises:
        InputError: more unreadable files than `limit` bears.

    Example:
        >>> look(source, rows, 224, "", True, limit, bar).reason  # doctest: +SKIP
    """
    known, files = source.seen, source.frame["file"].to_numpy()[rows]
    if known is not None:
        facts = known.facts.iloc[rows].reset_index(drop=True)
        seen = Seen(known.thumbs[rows], facts, known.reason[rows])
        for file, reason in zip(files, seen.reason, strict=True):
            limit.met(file, reason)
        kept = _kept(source, rows, seen, size, equalize, bar) if keep else None
        return seen._replace(pixels=kept)
    thumbs = np.zeros((len(rows), lookalikes.SIDE, lookalikes.SIDE), np.uint8)
    kept = np.zeros((len(rows) if keep else 0, size, size), np.uint8)
    facts = [pixels.Facts(0, 0, "")] * len(rows)
    reasons = np.full(len(rows), "", object)

    def one(place: int) -> str:
        try:
            data = source.get(int(rows[place]))
            plain, shown = film.develop(data, files[place], size, equalize)
            facts[place] = pixels.facts(data, files[place])
        except pixels.Unreadable as error:
            return str(error)
        thumbs[place] = lookalikes.thumbnail(plain)
        if keep:
            kept[place] = shown
        return ""

    for place, reason in enumerate(each(one, len(rows))):
        bar.update()
        reasons[place] = reason
        limit.met(files[place], reason)
    named = pd.DataFrame(facts, columns=pixels.Facts._fields)
    return Seen(thumbs, named, reasons, kept if keep else None)


def rest(source: Source, size: int, equalize: str) -> str:
    """What `equalize` asks for beyond what scripts.prepare did to the source's pixels.

    Raises:
        InputError: prepared pixels are of another size, or cannot become these.

    Example:
        >>> rest(source, 224, "borders+clahe")  # doctest: +SKIP
    """
    done = source.equalize
    left = equalize.removeprefix(done).removeprefix("+")
    if source.size not in (0, size):
        raise InputError(
            f"{source.name} was prepared at {source.size} pixels a side, "
            f"data.images.size={size}; prepare it again, or ask for {source.size}"
        )
    if source.size and (not equalize.startswith(done) or left.startswith(borders.WORD)):
        raise InputError(
            f"{source.name} was prepared with --equalize={done}, data.images.equalize="
            f"{equalize!r} cannot be made of that; prepare it again"
        )
    return left


def reader(source: Source, size: int, equalize: str) -> Callable[[int], np.ndarray]:
    """What a Stream reads: row -> uint8[S, S].

    Example:
        >>> reader(source, 224, "")(0).shape  # doctest: +SKIP
        (224, 224)
    """
    files = source.frame["file"].tolist()

    def get(row: int) -> np.ndarray:
        return pixels.read(source.get(row), files[row], size, equalize)

    return get


def each(
    do: Callable[[int], Made], n: int, threads: int | None = None
) -> Iterator[Made]:
    """do(0), do(1), ... in order, by `threads` (None: a core each), in blocks.

    Example:
        >>> list(each(str, 3))
        ['0', '1', '2']
    """
    pool = ThreadPoolExecutor(threads or os.cpu_count())
    try:
        for top in range(0, n, BLOCK):
            yield from pool.map(do, range(top, min(n, top + BLOCK)))
    finally:
        pool.shutdown(cancel_futures=True)


def _kept(
    source: Source, rows: np.ndarray, seen: Seen, size: int, equalize: str, bar: tqdm
) -> np.ndarray:
    kept = np.zeros((len(rows), size, size), np.uint8)
    get = reader(source, size, equalize)

    def one(place: int) -> str:
        if not seen.reason[place]:
            kept[place] = get(int(rows[place]))
        return ""

    for _ in each(one, len(rows)):
        bar.update()
    return kept
