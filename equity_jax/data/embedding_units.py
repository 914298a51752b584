"""Reading the files of a place: whole ones by threads, large shards in blocks."""

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from equity_jax.config import Embeddings
from equity_jax.data import tfrecord
from equity_jax.data.embedded import MISSING, Block, Problem, check
from equity_jax.data.embedding_places import WHOLE, Listed, Place, readable
from equity_jax.data.embedding_records import (
    IMAGE,
    NO_EXAMPLE,
    Name,
    Parser,
    Rows,
    name_of,
    shard,
)
from equity_jax.data.examples import FLOAT
from equity_jax.types import InputError

THREADS = 16  # they wait for the disk or the network, not for a core
UNREAD = "cannot be opened"
OTHER = "another SHA-256 than SHA256SUMS.txt says"
NOT_ONE = "another number of records than one"
IDS = "id"  # the array of an .npz of many embeddings


class Reader:
    """Blocks of a unit. rows.width: numbers of an embedding, 0 until one is read.

    Example:
        >>> reader = Reader(place, Embeddings())  # doctest: +SKIP
        >>> for unit in place.units():  # doctest: +SKIP
        ...     blocks = list(reader(unit))
    """

    def __init__(self, place: Place, options: Embeddings):
        self.place, self.key, self.sha256 = place, options.key, options.sha256
        self.rows = Rows(Parser(options.key, (IMAGE,)))

    def missing(self) -> list[Problem]:
        """The files that are listed, but not there."""
        return [Problem(file.path, 0, MISSING) for file in self.place.missing]

    def __call__(self, unit: list[Listed]) -> Iterator[Block]:
        """Blocks of the unit's files, in their order.

        Raises:
            InputError: a large file cannot be opened, or is another than listed.
        """
        large = self.place.layout == "shards" and unit[0].size > WHOLE
        yield from self._large(unit[0]) if large else self._small(unit)
        if len(self.rows):
            yield self.rows.block()

    def _small(self, unit: list[Listed]) -> Iterator[Block]:
        with ThreadPoolExecutor(THREADS) as pool:
            for file, data in zip(unit, pool.map(self._bytes, unit), strict=True):
                if isinstance(data, Problem):
                    self.rows.problems.append(data)
                elif self.place.layout == "npz":
                    arrays(data, file.path, self.key, self.rows)
                elif self.place.single:
                    self._single(file.path, data)
                else:
                    yield from shard(io.BytesIO(data), file.path, self.rows)

    def _bytes(self, file: Listed) -> bytes | Problem:
        try:
            with self.place.open(file) as held:
                data = held.read()
        except OSError as error:
            return Problem(file.path, 0, UNREAD, error.strerror or str(error))
        if self.sha256 and file.sha and hashlib.sha256(data).hexdigest() != file.sha:
            return Problem(file.path, 0, OTHER)
        return data

    def _single(self, path: str, data: bytes) -> None:
        records = list(tfrecord.scan(io.BytesIO(data)))
        if len(records) == 1:
            self.rows.record(records[0], path, path)
        else:
            said = f"{len(records)} records"
            self.rows.problems.append(Problem(path, 0, NOT_ONE, said))

    def _large(self, file: Listed) -> Iterator[Block]:
        where = f"{self.place.source}/{file.path}"
        with readable(where), self.place.open(file) as held:
            if self.sha256 and file.sha:
                if hashlib.file_digest(held, "sha256").hexdigest() != file.sha:
                    raise InputError(f"{where}: {OTHER}; fetch it again")
                held.seek(0)
            yield from shard(held, file.path, self.rows)


def bear(
    place: Place, problems: list[Problem], share: float, rows: int | None = None
) -> None:
    """Whether so many unusable records are borne.

    share: data.embeddings.quarantine; rows: usable ones, after the last unit. A missing
    shard then counts, in `problems` too, as many records as the others have on average.

    Raises:
        InputError: as `embedded.check`.

    Example:
        >>> bear(place, [], 0.01)  # doctest: +SKIP
    """
    if not place.single and rows is None:
        return
    if not place.single:
        mean = rows / max(1, len(place.files) - len(place.missing))
        lost = max(1, round(mean))
        for at, problem in enumerate(problems):
            if problem.reason == MISSING:
                problems[at] = problem._replace(records=lost)
    lost = sum(problem.records for problem in problems)
    check(problems, place.total or rows + lost, share, place.source)


def arrays(data: bytes, path: str, key: str, rows: Rows) -> None:
    """Adds what an .npz holds: array `key` of one image named by its path; or of many,
    with the arrays id and, if known, subject and study.

    Example:
        >>> arrays(data, "p10/p1/s2/a.npz", "embedding", rows)  # doctest: +SKIP
    """
    try:
        with (
            np.errstate(over="ignore"),  # what float32 cannot hold is no number
            np.load(io.BytesIO(data), allow_pickle=False) as held,
        ):
            if key not in held:
                raise KeyError(f"no array {key!r}; its arrays: {', '.join(held)}")
            x = np.asarray(held[key], FLOAT)
            names = [name_of(path)]
            if IDS in held:
                texts = [held[n] if n in held else None for n in Name._fields]
                names = _names(texts, len(x))
            x = x.reshape(len(names), -1)
    except Exception as error:  # zipfile and numpy raise nearly anything for damage
        said = str(error.args[0] if error.args else error).split("\n")[0]
        rows.problems.append(Problem(path, 0, NO_EXAMPLE, said))
        return
    for name, numbers in zip(names, x, strict=True):
        rows.add((*name, path, 0, 0), numbers.tobytes())


def _names(texts: list[np.ndarray | None], n: int) -> list[Name]:
    for text in texts:
        if text is not None and text.shape != (n,):
            raise ValueError(f"{n} embeddings, but names of shape {text.shape}")
    columns = [[""] * n if t is None else [str(v) for v in t.tolist()] for t in texts]
    return [Name(*values) for values in zip(*columns, strict=True)]
