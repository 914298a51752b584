"""Records of embeddings -> rows of numbers, 150 thousand a second and core.

Most records of a source are alike but for the numbers and the name. The first one is
walked; where it keeps its numbers and texts is remembered, and a record of which all
other bytes are the same is cut at the same places.
"""

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from equity_jax.data import tfrecord
from equity_jax.data.embedded import Block, Problem
from equity_jax.data.examples import BYTES, FLOAT, FLOATS, PACKED, floats_of, walk
from equity_jax.types import InputError

KINDS = 16  # of records that are remembered for one length
HELD = 256  # records of a block
IMAGE = "image/id"
NO_EXAMPLE = "not a record of an embedding"
NO_NAME = "a record without an image/id"
WIDTH = "an embedding of another length"
ENDLESS = "an embedding with NaN or infinity"
SUFFIXES = frozenset("tfrecord tfrecords npz gz dcm dicom png jpg jpeg".split())


Buffer = bytes | memoryview


class Name(NamedTuple):
    """Who an image is; "" = not said."""

    id: str
    subject: str = ""
    study: str = ""


def name_of(path: str) -> Name:
    """What a path says: .../pNN/pSUBJECT/sSTUDY/ID.suffix, or only .../ID.suffix.

    Example:
        >>> name_of("files/p10/p10000032/s50414267/02aa804e.tfrecord")
        Name(id='02aa804e', subject='10000032', study='50414267')
        >>> name_of("gs://bucket/00000001_000.png").id
        '00000001_000'
    """
    return Name(*_said(path))


def _said(path: str) -> tuple[str, str, str]:
    parts = path.rsplit("/", 4)
    last = parts[-1]
    while "." in last:
        bare, _, suffix = last.rpartition(".")
        if suffix.lower() not in SUFFIXES:
            break
        last = bare
    if len(parts) > 3:
        above, subject, study = parts[-4:-1]
        if above[:1] == subject[:1] == "p" and study[:1] == "s":
            return last, subject[1:], study[1:]
    return last, "", ""


class Cut(NamedTuple):
    """Where records of one kind keep what is asked for.

    fixed: (slice, bytes) that a record of this kind has; texts, floats: slices.
    """

    fixed: tuple[tuple[slice, bytes], ...]
    texts: tuple[slice, ...]
    floats: slice


class Parser:
    r"""Payload -> its texts and the bytes of its numbers (little-endian float32).

    key: the feature of the numbers; texts: the features of texts, of one value each;
    a feature that a record lacks is b"".

    Example:
        >>> from equity_jax.data.examples import example
        >>> record = example({"image/id": b"a", "embedding": np.ones(1)})
        >>> Parser("embedding", ("image/id",))(record)
        ([b'a'], b'\x00\x00\x80?')
    """

    def __init__(self, key: str, texts: tuple[str, ...]):
        self.key, self.texts = key, texts
        self.known: dict[int, list[Cut]] = {}

    def __call__(self, payload: bytes) -> tuple[list[bytes], Buffer]:
        """One record.

        Raises:
            InputError: not an Example, or one without these numbers.
        """
        for fixed, texts, floats in self.known.get(len(payload), ()):
            for place, value in fixed:
                if payload[place] != value:
                    break
            else:
                whole = memoryview(payload)  # numbers are copied once, by a block
                return [payload[place] for place in texts], whole[floats]
        return self._walked(payload)

    def _walked(self, payload: bytes) -> tuple[list[bytes], Buffer]:
        found = walk(payload)
        feature = found.get(self.key)
        if feature is None or feature.kind != FLOATS:
            names = ", ".join(sorted(found)) or "none"
            raise InputError(f"no floats {self.key!r}; its features: {names}")
        spans = [
            found[name].spans if name in found and found[name].kind == BYTES else []
            for name in self.texts
        ]
        self._learn(payload, spans, feature.spans)
        values = [payload[s[0][1] : s[0][2]] if s else b"" for s in spans]
        return values, floats_of(payload, feature.spans).tobytes()

    def _learn(self, payload: bytes, texts: list[list], numbers: list) -> None:
        kinds = self.known.setdefault(len(payload), [])
        plain = len(numbers) == 1 and all(len(s) <= 1 for s in texts)
        if not plain or numbers[0][0] != PACKED or len(kinds) >= KINDS:
            return
        cuts = [slice(*s[0][1:]) if s else slice(0, 0) for s in (*texts, numbers)]
        if (cuts[-1].stop - cuts[-1].start) % 4:
            return
        fixed, top = [], 0
        for cut in sorted(cuts, key=lambda c: c.start):
            fixed.append(slice(top, cut.start))
            top = cut.stop
        fixed.append(slice(top, len(payload)))
        known = tuple((place, payload[place]) for place in fixed)
        kinds.append(Cut(known, tuple(cuts[:-1]), cuts[-1]))


class Rows:
    """Embeddings as they are read, until they are made a Block.

    width: how many numbers an embedding has; 0 until the first block says.

    Example:
        >>> rows = Rows(Parser("embedding", (IMAGE,)))
        >>> rows.add((*name_of("a.npz"), "a.npz", 0, 0), bytes(8))
        >>> rows.block().x.shape
        (1, 2)
    """

    def __init__(self, parser: Parser, width: int = 0):
        self.parser, self.width = parser, width
        self._clear()

    def __len__(self) -> int:
        return len(self.rows) + len(self.problems)

    def add(self, row: tuple, numbers: Buffer) -> None:
        """One embedding. row: values of ROWS; numbers: little-endian float32."""
        self.rows.append(row)
        self.numbers.append(numbers)

    def record(self, record: tfrecord.Record, file: str, name: str = "") -> None:
        """One record of `file`. name: the path that says who it is; "": image/id."""
        offset, payload, reason = record
        if reason:
            self.problems.append(Problem(file, offset, reason))
            return
        try:
            [image], numbers = self.parser(payload)
            own = _said(image.decode())
        except (InputError, UnicodeDecodeError) as error:
            self.problems.append(Problem(file, offset, NO_EXAMPLE, str(error)))
            return
        if name:
            mine = _said(name)
            self.add((*mine, file, offset, int(own[0] not in ("", mine[0]))), numbers)
        elif own[0]:
            self.add((*own, file, offset, 0), numbers)
        else:
            self.problems.append(Problem(file, offset, NO_NAME))

    def block(self) -> Block:
        """All since the last block; rows of another width or with NaN as problems."""
        size = self.width * FLOAT.itemsize
        if not size or set(map(len, self.numbers)) != {size}:
            self._choose()
        joined = b"".join(self.numbers)
        x = np.frombuffer(joined, FLOAT).reshape(len(self.rows), self.width)
        bad = ~np.isfinite(x).all(1)
        if bad.any():
            for at in np.flatnonzero(bad):
                odd = int(np.argmin(np.isfinite(x[at])))
                self._refuse(at, ENDLESS, f"number {odd + 1} is {x[at, odd]}")
            x, self.rows = x[~bad], [self.rows[at] for at in np.flatnonzero(~bad)]
        made = Block(x, self.rows, self.problems)
        self._clear()
        return made

    def _choose(self) -> None:
        """Keeps the rows of one width: of most, where none is known yet."""
        sizes = Counter(map(len, self.numbers))
        del sizes[0]
        most = max(sizes, key=sizes.get, default=0)
        self.width = self.width or most // FLOAT.itemsize
        good = []
        for at, numbers in enumerate(self.numbers):
            n = len(numbers) // FLOAT.itemsize
            if n and n == self.width:
                good.append(at)
            else:
                self._refuse(at, WIDTH, f"{n} numbers, expected {self.width or 'some'}")
        self.rows = [self.rows[at] for at in good]
        self.numbers = [self.numbers[at] for at in good]

    def _refuse(self, at: int, reason: str, detail: str) -> None:
        *_, file, offset, _ = self.rows[at]
        self.problems.append(Problem(file, offset, reason, detail))

    def _clear(self) -> None:
        self.rows: list[tuple] = []
        self.numbers: list[Buffer] = []
        self.problems: list[Problem] = []


def shard(file: BinaryIO, name: str, rows: Rows) -> Iterator[Block]:
    """Blocks of a file of many records; what is left at its end stays in `rows`.

    Where the file breaks off, as many records are counted as lost as would fit.

    Example:
        >>> with open("a.tfrecord", "rb") as file:  # doctest: +SKIP
        ...     blocks = [*shard(file, "a.tfrecord", rows), rows.block()]
    """
    length = 0
    for record in tfrecord.scan(file):
        rows.record(record, name)
        offset, payload, reason = record
        if reason and reason != tfrecord.CHECKSUM and length:
            lost = max(1, (file.seek(0, 2) - offset) // length)
            rows.problems[-1] = rows.problems[-1]._replace(records=lost)
        length = len(payload) + tfrecord.FRAME
        if len(rows) >= HELD:
            yield rows.block()
