"""The record of the same patient that lies nearest in time."""

from typing import NamedTuple

import numpy as np

from equity_jax.data.mimic_cells import NO_DAY

PAIRS = 4_000_000  # of question and record, held at a time


class Nearest(NamedTuple):
    """row: int64[n], of the records, -1 = none; days: int64[n] to it, 0 inside it."""

    row: np.ndarray
    days: np.ndarray


def nearest(
    who: np.ndarray,
    day: np.ndarray,
    subject: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
) -> Nearest:
    """Of each of n questions, the nearest of m records of the same patient.

    A day from start to end, both included, is 0 days away; before it start - day, after
    it day - end. Of equally near ones the one that starts first, then the first row.
    In bounded memory: patients with many questions and many records make many pairs.

    Args:
        who: str[n].
        day: int64[n], NO_DAY = unknown, which has no nearest record.
        subject: str[m].
        start: int64[m], NO_DAY: the record is not looked at.
        end: int64[m].

    Example:
        >>> one = np.array(["a"])
        >>> nearest(one, np.array([9]), one, np.array([1]), np.array([4])).days
        array([5])
    """
    row, days = np.full(len(who), -1), np.zeros(len(who), np.int64)
    dated = np.flatnonzero(start != NO_DAY)
    order = dated[np.lexsort((dated, start[dated], subject[dated]))]
    first = np.searchsorted(subject[order], who, "left")
    many = np.searchsorted(subject[order], who, "right") - first
    asked = np.flatnonzero((many > 0) & (day != NO_DAY))
    block = np.cumsum(many[asked]) // PAIRS
    for number in np.unique(block):
        mine = asked[block == number]
        n = many[mine]
        tops = np.cumsum(n) - n  # where the pairs of each question begin
        place = np.arange(n.sum()) + np.repeat(first[mine] - tops, n)
        record, when = order[place], np.repeat(day[mine], n)
        away = np.maximum(np.maximum(start[record] - when, when - end[record]), 0)
        least = np.minimum.reduceat(away, tops)
        hits = np.flatnonzero(away == np.repeat(least, n))
        best = hits[np.searchsorted(hits, tops)]
        row[mine], days[mine] = record[best], least
    return Nearest(row, days)
