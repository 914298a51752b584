"""One system's rows of one part: its numbers under any weights, and their errors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.audit.resampling import moments, ranked
from equity_jax.audit.resampling.measures import Cut, Decided, Given, Question, Scored
from equity_jax.audit.resampling.moments import Moment
from equity_jax.audit.resampling.pairs import FEW, Pairs, auroc_of_pairs, pairs
from equity_jax.audit.resampling.ranked import Places
from equity_jax.audit.subjects import Subjects
from equity_jax.metrics import CONFUSION, Confusion


class Part(NamedTuple):
    """One system's rows of one part, ready for any weights."""

    question: Question
    system: int
    place: int
    score: np.ndarray
    y: np.ndarray
    block: np.ndarray
    weight: np.ndarray | None
    order: ranked.Ranked | Pairs | None
    moments: Sequence[Moment]
    there: np.ndarray
    sums: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether every score is a number; where one is not, nothing is known."""
        return bool(np.isfinite(self.score).all())

    def numbers(self, drawn: np.ndarray, where: slice | None) -> np.ndarray:
        """float[M, R]: what is asked, under float[B, R]; where=None is the point."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([*self._of_ranks(drawn, where), *self._of_sums(drawn)])

    def _of_ranks(self, drawn: np.ndarray, where: slice | None) -> list[np.ndarray]:
        if self.order is None:
            return []
        if isinstance(self.order, Pairs):
            return [auroc_of_pairs(self.order, drawn)]
        cuts, at = self.question.cuts, self.order.at
        if where is None:
            at = at[: len(cuts)]
        else:
            drawn_at = at[len(cuts) :]
            at = [
                Places(*(p if len(p) == 1 else p[where] for p in x)) for x in drawn_at
            ]
        told = ranked.tally(self.order, drawn, at)
        found = [getattr(told, name) for name in self.question.ranked]
        for cut, counts in zip(cuts, told.at, strict=True):
            known = np.isfinite(self._threshold(cut, where))
            found += [
                np.where(known, decided(name, counts), np.nan) for name in cut.metrics
            ]
        return found

    def _threshold(self, cut: Cut, where: slice | None) -> np.ndarray:
        """float[R] or [1]: NaN where validation has no threshold to give."""
        at = self.system, self.place
        point = cut.value[at][None]
        return point if where is None or cut.draws is None else cut.draws[at][where]

    def _of_sums(self, drawn: np.ndarray) -> list[np.ndarray]:
        if not self.moments:
            return []
        mine = drawn if len(self.there) == len(drawn) else drawn[self.there]
        sums, found, start = (self.sums.T.astype(drawn.dtype) @ mine).T, [], 0
        for moment in self.moments:
            end = start + moment.columns.shape[1]
            told = moment.value(sums[:, start:end])
            start = end
            if isinstance(self.question, Decided):
                return [decided(name, told) for name in self.question.metrics]
            found.append(np.where(np.isfinite(told), told, np.nan))
        return found

    def thresholds(self) -> np.ndarray:
        """float[M]: the threshold behind each number, NaN where there is none."""
        if not isinstance(self.question, Scored):
            return np.full(len(self.question.asked), np.nan)
        at = {c.source: c.value[self.system, self.place] for c in self.question.cuts}
        return np.array([at.get(source, np.nan) for _, source in self.question.asked])


def decided(name: str, counts: Confusion) -> np.ndarray:
    """float[R]: a metric of decisions; net_benefit@t weighs a false positive t/(1-t).

    Net benefit: Vickers & Elkin 2006.
    """
    metric, _, threshold = name.partition("@")
    if metric == "net_benefit":
        t = float(threshold)
        return (counts.tp - counts.fp * t / (1 - t)) / counts.n
    return CONFUSION[name](counts)


def prepare(
    question: Question,
    s: int,
    place: int,
    rows: np.ndarray,
    subjects: Subjects,
    weight: np.ndarray | None,
) -> Part:
    """Sorts and sums the rows int[n] of part number `place` for system `s`."""
    block = subjects.block[rows]
    weight = None if weight is None else weight[rows]
    order = None
    if isinstance(question, Given):
        score, y = question.num[s, rows], question.den[s, rows]
        made = [moments.quotient(score, y)]
    elif isinstance(question, Decided):
        score, y = question.decision[s, rows], question.y[rows]
        made = [moments.decided(score, y)]
    else:
        score, y = question.score[s, rows], question.y[rows]
        even = np.ones(len(rows)) if weight is None else weight
        made = [moments.MOMENTS[name](score, y, even) for name in question.moments]
        order = _ordered(question, (s, place), score, y, block, subjects.blocks, weight)
    columns = [m.columns for m in made] or [np.zeros((len(rows), 0))]
    there, sums = moments.block_sums(np.concatenate(columns, axis=1), block, weight)
    parts = (question, s, place, score, y, block, weight, order, made, there, sums)
    return Part(*parts)


def _ordered(
    question: Scored,
    at: tuple[int, int],
    score: np.ndarray,
    y: np.ndarray,
    block: np.ndarray,
    blocks: int,
    weight: np.ndarray | None,
) -> ranked.Ranked | Pairs | None:
    """Ranks with each cut's point first, then each cut's draws (or its point again)."""
    if not question.ranked and not question.cuts:
        return None
    if question.ranked == ("auroc",) and not question.cuts and blocks <= FEW:
        return pairs(score, y, block, blocks, weight)
    points = [cut.value[at][None] for cut in question.cuts]
    draws = [
        point if cut.draws is None else cut.draws[at]
        for cut, point in zip(question.cuts, points, strict=True)
    ]
    return ranked.rank(score, y, block, blocks, weight, points + draws)
