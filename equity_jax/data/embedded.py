"""Embeddings of images, wherever they came from: a matrix, and who is in each row."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd

from equity_jax.types import InputError

MISSING = "listed in SHA256SUMS.txt, but not there"
PREPARED = ("embeddings", "1.0.0")  # below --data_dir of scripts.prepare
CHUNK = 1024  # rows that are moved at once
SHOWN = 3  # unreadable records that a note lists
TWICE = "the same image again, with the same numbers"
PRECISIONS = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(jnp.bfloat16)}


class Embedded(NamedTuple):
    """N embedded images.

    id: str[N], of MIMIC the dicom_id; x: float32 or bfloat16 [N, F], perhaps a
    read-only memory map; subject, study: str[N] without the p and s of MIMIC's folders,
    "" where the source does not say; left_out: reason -> records; fingerprint: of the
    source; notes: sentences for the report.

    Example:
        >>> x = np.zeros((1, 2), np.float32)
        >>> Embedded(np.array(["a"]), x, np.array([""]), np.array([""]), {}, "").x.shape
        (1, 2)
    """

    id: np.ndarray
    x: np.ndarray
    subject: np.ndarray
    study: np.ndarray
    left_out: dict[str, int]
    fingerprint: str
    notes: tuple[str, ...] = ()


class Problem(NamedTuple):
    """A record that cannot be used: its file, first byte, reason, and the details.

    records: how many are lost with it; more than 1 is an estimate.
    """

    file: str
    offset: int
    reason: str
    detail: str = ""
    records: int = 1

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        lost = f"; about {self.records:,} records lost" if self.records > 1 else ""
        return f"{self.file}, byte {self.offset}: {self.reason}{more}{lost}"


class Block(NamedTuple):
    """Some records that were read.

    x: float32[n, F]; rows: n tuples of ROWS; problems: the others.
    """

    x: np.ndarray
    rows: list[tuple]
    problems: list[Problem]


ROWS = ("id", "subject", "study", "file", "offset", "renamed")
"""What is known of a row. id, subject, study as in Embedded; the file and its byte;
renamed: 1 = the record says another id than the name of its file."""


def frame(rows: Sequence[tuple]) -> pd.DataFrame:
    """Rows of a Block as a table: text columns, offset and renamed as int64.

    Example:
        >>> frame([("a", "", "", "a.npz", 0, 0)])["id"].tolist()
        ['a']
    """
    columns = zip(*rows, strict=True) if rows else [()] * len(ROWS)
    types = [object] * 4 + [np.int64] * 2
    named = zip(ROWS, columns, types, strict=True)
    return pd.DataFrame({name: np.array(column, kind) for name, column, kind in named})


def check(problems: Sequence[Problem], total: int, share: float, where: str) -> None:
    """Whether so many unusable records are borne.

    total: records that there are, or could be; share: data.embeddings.quarantine.

    Raises:
        InputError: they are more than the share, or all of them; it names the first.

    Example:
        >>> check([], 10, 0.01, "embeddings")
    """
    lost = sum(p.records for p in problems)
    if lost and (lost > share * total or lost >= total):
        raise InputError(
            f"{where}: {lost:,} of {total:,} embeddings cannot be used "
            f"({lost / total:.1%}, data.embeddings.quarantine={share:g} lets no more "
            f"pass), first {problems[0]}"
        )


def distinct(
    rows: pd.DataFrame, numbers: Callable[[int], np.ndarray], where: str
) -> np.ndarray:
    """bool[N]: the first row of each id. numbers: row -> its embedding.

    Raises:
        InputError: an id stands twice with other numbers; no row at all.

    Example:
        >>> rows = pd.DataFrame({"id": ["a", "a"], "file": "f", "offset": 0})
        >>> distinct(rows, lambda row: np.zeros(2), "embeddings").tolist()
        [True, False]
    """
    if not len(rows):
        raise InputError(f"{where}: no embeddings")
    first = ~rows["id"].duplicated().to_numpy()
    top = pd.Series(np.flatnonzero(first), rows["id"][first])
    for row in np.flatnonzero(~first):
        name = rows["id"].iloc[row]
        one = int(top[name])
        if not np.array_equal(numbers(one), numbers(int(row))):
            places = " and ".join(
                f"{rows['file'].iloc[at]}, byte {rows['offset'].iloc[at]}"
                for at in (one, row)
            )
            raise InputError(
                f"{where}: {name} has two embeddings that differ: {places}"
            )
    return first


def summary(
    rows: pd.DataFrame, problems: Sequence[Problem], again: int
) -> tuple[dict[str, int], tuple[str, ...]]:
    """left_out and notes of an Embedded. rows: those kept; again: left out as TWICE.

    Example:
        >>> summary(pd.DataFrame({"renamed": [0]}), [], 2)[0]
        {'the same image again, with the same numbers': 2}
    """
    counted: Counter[str] = Counter()
    for problem in problems:
        counted[problem.reason] += problem.records
    if again:
        counted[TWICE] = again
    notes = []
    if problems:
        some = "; ".join(str(p) for p in problems[:SHOWN])
        lost = sum(p.records for p in problems)
        notes.append(f"{lost:,} embeddings cannot be used and are left out: {some}.")
    renamed = rows["renamed"].sum()
    if renamed:
        notes.append(
            f"{renamed:,} records name another image than their file; the file's name "
            "is taken."
        )
    return dict(counted), tuple(notes)


def collect(
    blocks: Iterable[Block],
    problems: list[Problem],
    where: str,
    fingerprint: str,
    kind: np.dtype,
    size: int,
) -> Embedded:
    """One Embedded of all blocks, which are let go one by one.

    problems: of all blocks, complete after the last; kind: of x; size: bytes that the
    embeddings take at most, as float32, if no file is compressed.

    Raises:
        InputError: as `distinct`.

    Example:
        >>> kind = np.dtype(np.float32)
        >>> collect(blocks, [], "embeddings", "", kind, 2**30).id  # doctest: +SKIP
    """
    x, top, known = np.empty((0, 0), kind), 0, []
    for block in blocks:
        n, width = block.x.shape
        if top + n > len(x) and n:  # memory that is never written is never taken
            rows = max(2 * len(x), size // (4 * width), top + n)
            x, old = np.empty((rows, width), kind), x
            x[:top] = old[:top] if top else 0
        x[top : top + n] = block.x
        top += n
        known += block.rows
    rows = frame(known)
    keep = distinct(rows, x.__getitem__, where)
    left_out, notes = summary(rows[keep], problems, int((~keep).sum()))
    names = {name: rows[name][keep].to_numpy(object) for name in ROWS[:3]}
    return Embedded(
        **names,
        x=_kept(x[:top], keep),
        left_out=left_out,
        fingerprint=fingerprint,
        notes=notes,
    )


def _kept(x: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """x[keep], in the same memory."""
    if keep.all():
        return x
    rows = np.flatnonzero(keep)
    for top in range(0, len(rows), CHUNK):
        some = rows[top : top + CHUNK]
        x[top : top + len(some)] = x[some]
    return x[: len(rows)]
