"""X-rays prepared part by part, each a shard of records: what a kill cannot undo.

A part is a thousand rows. Whoever makes it, a thread here or a worker of Beam's
elsewhere, calls `make`, which leaves two files: the shard, and what was seen of its
images. A part whose second file is there is not made again. No more than a block of
images is in memory at any time, however many there are.
"""

import contextlib
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import numpy as np

from equity_jax.data import array_records, film, tfrecord
from equity_jax.data.cxr_pixels import each
from equity_jax.data.cxr_source import Source
from equity_jax.data.examples import example
from equity_jax.data.pixels import Facts, Unreadable
from equity_jax.files import atomic

ROWS = 1024  # of a part
SHARDS = "shards"  # the folder, beside what was seen
KINDS = {
    "array_record": (array_records.shard, array_records.write_shard),
    "tfrecord": (lambda name, n: f"{name}.tfrecord-{n:05d}", tfrecord.write),
}


class Work(NamedTuple):
    """What is made of every image. Plain facts, which travel to other machines.

    name: of the data set; kind: of KINDS; size, equalize: as data.images says;
    image: the feature that holds the PNG.
    """

    name: str
    kind: str
    size: int
    equalize: str = ""
    image: str = "image"


class Part(NamedTuple):
    """number: 0, 1, ...; rows: one dict an image: `row` and `file` of the source, and
    `said`, the other features of its record.
    """

    number: int
    rows: list[dict[str, Any]]

    @property
    def seen(self) -> str:
        """The name of the file that says what was seen."""
        return f"{self.number:05d}.npz"


class Job(NamedTuple):
    """A source, what is made of it, and where its parts lie.

    said: row -> the features of its record beside the image; near: the folder of the
    parts; folder: the same, or an fsspec URL that workers elsewhere can write to.
    """

    source: Source
    work: Work
    said: Callable[[int], dict[str, Any]]
    near: Path
    folder: str

    def parts(self) -> Iterator[Part]:
        """All of them; made when asked for, since rows of text fill memory too."""
        files = self.source.frame["file"].to_numpy()
        rows = np.flatnonzero(self.source.frame["lost"] == "").tolist()
        for number, top in enumerate(range(0, len(rows), ROWS)):
            some = rows[top : top + ROWS]
            told = [{"row": r, "file": files[r], "said": self.said(r)} for r in some]
            yield Part(number, told)

    def seen_of(self, part: Part) -> dict[str, np.ndarray]:
        """What `make` saw of the n images of a part that is near.

        thumbs: uint8[n, 32, 32]; width, height, mode and reason: [n]; size: int, bytes
        of its records.
        """
        with np.load(self.near / part.seen) as held:
            return dict(held)


def make(
    part: Part,
    get: Callable[[dict[str, Any]], bytes],
    work: Work,
    folder: str,
    *,
    threads: int | None = None,
) -> None:
    """The shard of a part and what was seen of it, to `folder`, a path or a URL.

    get: one of part.rows -> the bytes of its file, or Unreadable; threads: None, one a
    core.

    Example:
        >>> make(part, get, Work("cxr", "array_record", 224), "parts")  # doctest: +SKIP
    """
    named, write = KINDS[work.kind]
    seen: list[film.Film] = []
    size = [0]

    def one(place: int) -> film.Film:
        row = part.rows[place]
        try:
            return film.film(get(row), row["file"], work.size, work.equalize)
        except Unreadable as error:
            return film.lost(str(error))

    def payloads() -> Iterator[bytes]:
        for row, shown in zip(
            part.rows, each(one, len(part.rows), threads), strict=True
        ):
            seen.append(shown._replace(png=b""))
            if shown.png:
                payload = example({**row["said"], work.image: shown.png})
                size.append(len(payload))
                yield payload

    with _placed(folder, f"{SHARDS}/{named(work.name, part.number)}") as path:
        write(path, payloads())
    facts = {f: [getattr(s.facts, f) for s in seen] for f in Facts._fields}
    with _placed(folder, part.seen) as path, open(path, "wb") as file:
        thumbs = np.array([s.thumb for s in seen])
        reason = np.array([s.reason for s in seen])
        np.savez(file, thumbs=thumbs, reason=reason, size=sum(size), **facts)


def here(job: Job, todo: Iterable[Part]) -> Iterator[Part]:
    """Makes parts with the cores of this machine, each when it is asked for.

    Example:
        >>> done = list(here(job, job.parts()))  # doctest: +SKIP
    """

    def get(row: dict[str, Any]) -> bytes:
        return job.source.get(row["row"])

    for part in todo:
        make(part, get, job.work, job.folder)
        yield part


@contextlib.contextmanager
def _placed(folder: str, name: str) -> Iterator[Path]:
    """A path to write to, whole or not at all; what is far is written here first."""
    if "://" not in folder:
        with atomic(Path(folder, name)) as path:
            yield path
        return
    with tempfile.TemporaryDirectory() as near:
        path = Path(near, "part")
        yield path
        system, root = fsspec.core.url_to_fs(folder)
        system.makedirs(posixpath.dirname(f"{root}/{name}"), exist_ok=True)
        system.put_file(str(path), f"{root}/{name}")
