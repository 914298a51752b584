"""TFRecord files, plain or gzip, without TensorFlow.

A file is records one after the other, each: length as uint64, masked CRC32C of these
eight bytes, that many bytes, masked CRC32C of them; all little-endian. What the bytes
of a record say is read by examples.py.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

import contextlib
import gzip
import itertools
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from equity_jax.files import atomic
from equity_jax.types import InputError

FRAME = 16  # bytes of a record beside its payload
BLOCK = 1 << 18  # bytes read at once: they stay in the cache
GZIP = b"\x1f\x8b\x08"
CHECKSUM = "the checksum of a record does not match"
LENGTH = "the checksum of a record's length does not match"
SHORT = "the file ends within a record"
UNZIPPED = "damaged gzip data"
_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")


Record = tuple[int, bytes, str]
"""offset of its first byte (gzip undone), payload, why it is damaged ("" = whole)."""


def records(
    source: str | os.PathLike | BinaryIO, verify: bool = True
) -> Iterator[tuple[int, bytes]]:
    """(offset, payload) of each record, plain or gzip; source: a path or an open file.

    Raises:
        InputError: a damaged record, with file and offset.

    Example:
        >>> for offset, payload in records("a.tfrecord"):  # doctest: +SKIP
        ...     examples.features(payload)["embedding"]
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            source = stack.enter_context(open(source, "rb"))
        for offset, payload, reason in scan(source, verify):
            if reason:
                name = getattr(source, "name", "file")
                raise InputError(f"{name}, byte {offset}: {reason}")
            yield offset, payload


def scan(file: BinaryIO, verify: bool = True) -> Iterator[Record]:
    """Every record of an open file, the damaged ones with the reason.

    Where the reason is not CHECKSUM nothing after the record can be found.
    verify: whether payloads are held against their checksum (lengths always are).
    """
    data, origin, at, known = b"", 0, 0, {}
    for block in _blocks(file):
        if block is None:
            yield origin + at, b"", UNZIPPED
            return
        data, origin, at = data[at:] + block, origin + at, 0
        while at + 12 <= len(data):
            length, check = _HEAD.unpack_from(data, at)
            if known.get(length) != check:
                if _masked(data[at : at + 8]) != check:
                    yield origin + at, b"", LENGTH
                    return
                known[length] = check
            end = at + 12 + length
            if end + 4 > len(data):
                break
            payload = data[at + 12 : end]
            if verify and _masked(payload) != _FOOT.unpack_from(data, end)[0]:
                yield origin + at, payload, CHECKSUM
            else:
                yield origin + at, payload, ""
            at = end + 4
    if at < len(data):
        yield origin + at, b"", SHORT


def write(path: str | os.PathLike, payloads: Iterable[bytes]) -> None:
    """A TFRecord file of `payloads`, whole or not at all; gzip if named .gz.

    Example:
        >>> write("a.tfrecord", [examples.example({"embedding": x})])  # doctest: +SKIP
    """
    target = Path(path)
    with atomic(target) as temporary, open(temporary, "wb") as plain:
        with contextlib.ExitStack() as stack:
            file = plain
            if target.suffix == ".gz":  # without name and time: equal bytes
                zipped = gzip.GzipFile("", "wb", fileobj=plain, mtime=0)
                file = stack.enter_context(zipped)
            for payload in payloads:
                file.write(frame(payload))


def frame(payload: bytes) -> bytes:
    """One record as a file holds it.

    Example:
        >>> len(frame(b"abc"))
        19
    """
    head = struct.pack("<Q", len(payload))
    whole = head + _FOOT.pack(_masked(head)) + payload
    return whole + _FOOT.pack(_masked(payload))


def _masked(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _blocks(file: BinaryIO) -> Iterator[bytes | None]:
    """What the file holds, gzip undone; None at last: the gzip data are damaged."""
    first = file.read(BLOCK)
    plain = first[8:12] == _FOOT.pack(_masked(first[:8]))
    if first.startswith(GZIP) and not plain:
        file.seek(0)
        yield from _unzipped(gzip.GzipFile(fileobj=file))
    else:
        yield from itertools.chain([first], iter(lambda: file.read(BLOCK), b""))


def _unzipped(file: BinaryIO) -> Iterator[bytes | None]:
    try:
        yield from iter(lambda: file.read(BLOCK), b"")
    except (EOFError, OSError, zlib.error):
        yield None
