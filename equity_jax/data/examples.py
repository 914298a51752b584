"""tf.train.Example, read and written without protobuf.

An Example is a map from names to lists of bytes, floats or integers: its entries may
stand in any order, numbers may be packed or one by one. Whatever the bytes are, what
cannot be read is an InputError.

Format: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from equity_jax.types import InputError

FLOAT = np.dtype("<f4")
_TAGGED = b"\r"  # field 1, four bytes: a float of an unpacked list
PACKED = 2  # the wire type of a packed list
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types
BYTES, FLOATS, INTEGERS = 1, 2, 3  # the kinds of a feature's list


def example(values: Mapping[str, bytes | str | int | np.ndarray]) -> bytes:
    """An Example: bytes and text as a list of one, integers one by one, packed; arrays
    of any rank, and other numbers, as floats, flattened and packed.

    Example:
        >>> features(example({"embedding": np.ones(2)}))["embedding"].tolist()
        [1.0, 1.0]
        >>> features(example({"row": -7, "sex": "Female"}))
        {'row': array([-7]), 'sex': [b'Female']}
    """
    entries = []
    for name, value in values.items():
        if isinstance(value, bytes | str):
            text = value.encode() if isinstance(value, str) else value
            held = _field(BYTES, _field(1, text))
        elif isinstance(value, int):
            held = _field(INTEGERS, _field(1, _number(value % 2**64)))
        else:
            packed = np.asarray(value, FLOAT).tobytes()
            held = _field(FLOATS, _field(1, packed))
        entries.append(_field(1, _field(1, name.encode()) + _field(2, held)))
    return _field(1, b"".join(entries))


def features(payload: bytes) -> dict[str, list[bytes] | np.ndarray]:
    """The map of an Example: lists of bytes, float32[n] and int64[n].

    Raises:
        InputError: not an Example; the text says at which byte of the payload.

    Example:
        >>> features(example({"image/id": b"a.png"}))
        {'image/id': [b'a.png']}
    """
    found = {}
    for name, feature in walk(payload).items():
        if feature.kind == FLOATS:
            found[name] = floats_of(payload, feature.spans)
        elif feature.kind == INTEGERS:
            found[name] = integers_of(payload, feature.spans)
        else:
            found[name] = [payload[start:end] for _, start, end in feature.spans]
    return found


class Feature(NamedTuple):
    """Where one feature lies. kind: BYTES, FLOATS or INTEGERS; spans: (wire type,
    start, end), of floats PACKED or another (a run of floats, each behind its tag).
    """

    kind: int
    spans: list[tuple[int, int, int]]


def walk(payload: bytes) -> dict[str, Feature]:
    """Where the features of an Example lie; InputError as `features`."""
    found = {}
    for start, end in _inside(payload, 0, len(payload), 1):
        for top, stop in _inside(payload, start, end, 1):
            name, held = b"", (stop, stop)
            for number, wire, first, last in _fields(payload, top, stop):
                if (number, wire) == (1, _BYTES):
                    name = payload[first:last]
                elif (number, wire) == (2, _BYTES):
                    held = first, last
            for number, wire, first, last in _fields(payload, *held):
                if wire == _BYTES and number in (BYTES, FLOATS, INTEGERS):
                    spans = list(_spans(payload, first, last, number))
                    found[name.decode("utf-8", "replace")] = Feature(number, spans)
    return found


def floats_of(payload: bytes, spans: Iterable[tuple[int, int, int]]) -> np.ndarray:
    """float32[n] of a Feature of floats.

    Raises:
        InputError: packed floats whose bytes are no multiple of four.
    """
    parts = []
    for wire, start, end in spans:
        if wire == PACKED and (end - start) % 4:
            raise InputError(f"byte {start}: floats of {end - start} bytes")
        raw = np.frombuffer(payload, np.uint8, end - start, start)
        if wire != PACKED:
            raw = raw.reshape(-1, 5)[:, 1:]
        parts.append(np.ascontiguousarray(raw).reshape(-1).view(FLOAT))
    return np.concatenate(parts) if parts else np.zeros(0, FLOAT)


def integers_of(payload: bytes, spans: Iterable[tuple[int, int, int]]) -> np.ndarray:
    """int64[n] of a Feature of integers, packed or one by one."""
    found = []
    for _, at, end in spans:
        while at < end:
            value, at = _varint(payload, at, end)
            found.append(value)
    return np.array(found, np.uint64).view(np.int64)


def _spans(data: bytes, at: int, end: int, kind: int) -> Iterator[tuple[int, int, int]]:
    run = data[at:end] if kind == FLOATS else b""
    if run and not len(run) % 5 and run[::5] == _TAGGED * (len(run) // 5):
        yield _FOUR, at, end
        return
    for number, wire, start, stop in _fields(data, at, end):
        whole = wire == _BYTES or (wire, kind) == (_VARINT, INTEGERS)
        if number == 1 and whole:
            yield wire, start, stop
        elif number == 1 and (wire, kind) == (_FOUR, FLOATS):
            yield wire, start - 1, stop


def _inside(data: bytes, at: int, end: int, number: int) -> Iterator[tuple[int, int]]:
    for found, wire, start, stop in _fields(data, at, end):
        if (found, wire) == (number, _BYTES):
            yield start, stop


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, wire type, start, end) of each field of a message."""
    while at < end:
        tag, start = _varint(data, at, end)
        wire, stop = tag & 7, -1
        if wire == _BYTES:
            size, start = _varint(data, start, end)
            stop = start + size
        elif wire in (_FOUR, _EIGHT):
            stop = start + (4 if wire == _FOUR else 8)
        elif wire == _VARINT:
            stop = _varint(data, start, end)[1]
        if not start <= stop <= end:
            raise InputError(f"byte {at} of a record: not an Example")
        yield tag >> 3, wire, start, stop
        at = stop


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for place in range(at, min(at + 10, end)):
        value |= (data[place] & 127) << 7 * (place - at)
        if data[place] < 128:
            return value % 2**64, place + 1
    raise InputError(f"byte {at} of a record: not an Example")


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _number(len(data)) + data


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes((*made, value))
