"""Contrasts: which numbers of the groups are compared, and in which words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from equity_jax.audit.blocks import Block, gap_of, worse
from equity_jax.audit.statistics import bands, inference
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.audit.status import Rules
from equity_jax.audit.subjects import ALL, Cell, Grouping, Pair, Sizes
from equity_jax.audit.table import hide, shown
from equity_jax.metrics import FACTS, badness

CLOSED = {"delong": "DeLong", "wilson": "Wilson", "bounded": "bias bounded"}


class Maker(NamedTuple):
    """Makes the rows of one metric under one grouping; place 0 is "all".

    why: object[M, G + 1]; threshold: float[M, G + 1]; sizes of those places.
    """

    base: Mapping[str, str]
    metric: str
    grouping: Grouping
    cells: Sequence[Cell]
    sizes: Sizes
    rules: Rules
    why: np.ndarray
    threshold: np.ndarray

    def records(self, estimate: Estimate, pairs: Sequence[Pair]) -> list[dict]:
        """Rows of the table: cell by cell, in a fixed order of contrasts."""
        blocks = [self.values(estimate)]
        if len(self.grouping.named) > 1:
            blocks += [self.bands(estimate), *self.contrasts(estimate)]
            blocks += [self.apart(estimate)]
        if self.grouping.groups:
            blocks += [self.gap(estimate)]
        if self.grouping.groups and FACTS[self.metric].worse != "neither":
            blocks += [self.worst(estimate)]
        blocks += [self.compare(estimate, pair) for pair in pairs]
        return [
            record
            for m in range(len(self.cells))
            for block in blocks
            for line in np.flatnonzero(block.cell == m)
            for record in self.write(block, line)
        ]

    @property
    def named(self) -> np.ndarray:
        """int[g]: places of the groups that contrasts are made of."""
        return 1 + self.grouping.named

    def how(self, estimate: Estimate, simultaneous: bool = False) -> str:
        """The kind of an interval, as the table names it."""
        several = any(len(c.seeds) > 1 for c in self.cells)
        seeds = "+seed" if self.rules.resample_seeds and several else ""
        drawn = "validation" in self.base["threshold_source"]
        kind = f"bootstrap({self.rules.unit}{seeds})"
        if estimate.kind in CLOSED:
            clusters = np.any(self.sizes.patients < self.sizes.n)
            kind = CLOSED[estimate.kind] + ", clustered" * bool(clusters)
        return kind + " + threshold" * drawn + ", simultaneous" * simultaneous

    def values(self, estimate: Estimate) -> Block:
        """Every group, "all" first."""
        at = np.arange(len(self.grouping.groups) + 1)
        low, high = inference.interval(estimate, self.rules.level)
        fact = FACTS[self.metric]
        ends = estimate.value, low, high
        return self.block("group", at, "", ends, estimate, (fact.low, fact.high))

    def bands(self, estimate: Estimate) -> Block:
        """Every named group, with intervals that hold for all of them at once."""
        part = inference.groups(estimate, self.named)
        low, high = bands.bands(part, self.rules.level)
        fact = FACTS[self.metric]
        made = self.block(
            "band", self.named, "", (part.value, low, high), part, (fact.low, fact.high)
        )
        return made._replace(how=self.how(estimate, simultaneous=True))

    def contrasts(self, estimate: Estimate) -> Iterator[Block]:
        """Difference and ratio of every named group to the reference (the first)."""
        group = inference.groups(estimate, self.named[1:])
        # as many copies of the reference as there are groups
        reference = inference.groups(estimate, np.repeat(1, len(self.named) - 1))
        fact, name = FACTS[self.metric], self.grouping.groups[0]
        reach = fact.high - fact.low
        ends = bands.contrast(group, reference, self.rules.level, self.shared)
        both = group._replace(ok=group.ok & reference.ok)
        yield self.block(
            "difference", self.named[1:], name, ends, both, (-reach, reach)
        )
        if fact.low == 0:  # a ratio of numbers that can change sign says nothing
            ends = bands.contrast_ratio(group, reference, self.rules.level, self.shared)
            yield self.block("ratio", self.named[1:], name, ends, both, (0, np.inf))

    @property
    def shared(self) -> bool:
        """Whether the groups move together: they share patients, or a threshold."""
        return self.grouping.shared or "validation" in self.base["threshold_source"]

    def apart(self, estimate: Estimate) -> Block:
        """Pairs of groups whose simultaneous difference excludes 0, no others."""
        part = inference.groups(estimate, self.named)
        first, second, value, *ends = bands.pairs(part, self.rules.level, self.shared)
        told = (ends[0] > 0) | (ends[1] < 0)
        value, low, high = (np.where(told, x, np.nan) for x in (value, *ends))
        names = np.array((ALL, *self.grouping.groups), object)
        at, other = (
            np.broadcast_to(self.named[i], value.shape) for i in (first, second)
        )
        how = self.how(estimate, simultaneous=True)
        cell, why = np.arange(len(value)), np.full(value.shape, "", object)
        place = names[at], names[other], at
        return Block("pair", how, cell, *place, value, low, high, why)

    def compare(self, estimate: Estimate, pair: Pair) -> Block:
        """One system minus another in every group, paired."""
        ends = (slice(i, i + 1) for i in (pair.first, pair.second))
        a, b = (inference.cells(estimate, end) for end in ends)
        gained = inference.difference(a, b)
        low, high = inference.interval(gained, self.rules.level)
        at = np.arange(len(self.grouping.groups) + 1)
        fact = FACTS[self.metric]
        reach = fact.high - fact.low
        ends = gained.value, low, high
        first, second = [pair.first], [pair.second]
        block = self.block(
            "difference", at, pair.reference, ends, gained, (-reach, reach), first
        )
        why = np.where(block.why == "", self.why[second], block.why)
        return block._replace(how=self.how(gained), why=why)

    def gap(self, estimate: Estimate) -> Block:
        """Largest minus smallest value; `group` is the worse served of the two."""
        part = inference.groups(estimate, self.named)
        value, low, high, _ = gap_of(part, self.rules.level, self.shared)
        known = np.where(part.ok, part.value, np.nan)
        ends = [self.pick(known), self.pick(-known)]
        bad = badness(self.metric, estimate.value)
        lines = np.arange(len(self.cells))
        swap = worse(bad[lines, ends[1]], bad[lines, ends[0]])
        group = np.where(swap, ends[1], ends[0])
        other = np.where(swap, ends[0], ends[1])
        return self.single("gap", group, other, (value, low, high), estimate)

    def worst(self, estimate: Estimate) -> Block:
        """The group served worst, with its simultaneous interval."""
        part = inference.groups(estimate, self.named)
        low, high = bands.bands(part, self.rules.level)
        fact = FACTS[self.metric]
        low, high = np.maximum(low, fact.low), np.minimum(high, fact.high)
        bad = np.where(part.ok, badness(self.metric, part.value), np.nan)
        at = self.pick(bad)
        lines = np.arange(len(self.cells))
        inside = np.searchsorted(self.named, at)
        enough = part.ok.sum(axis=1) > 1
        ends = [
            np.where(enough, x[lines, inside], np.nan) for x in (part.value, low, high)
        ]
        return self.single("worst", at, None, ends, estimate)

    def pick(self, x: np.ndarray) -> np.ndarray:
        """int[M]: place of the largest of float[M, named groups], NaN ignored."""
        return self.named[np.argmax(np.where(np.isnan(x), -np.inf, x), axis=1)]

    def single(
        self,
        contrast: str,
        at: np.ndarray,
        other: np.ndarray | None,
        ends: Sequence[np.ndarray],
        estimate: Estimate,
    ) -> Block:
        """A block of one entry a cell; names are empty where nothing is known."""
        names = np.array((ALL, *self.grouping.groups), object)
        known = np.isfinite(ends[0])
        at = np.where(known, at, 0)
        group = np.where(known, names[at], "")
        reference = np.where(known, names[other], "") if other is not None else ""
        reference = np.broadcast_to(np.asarray(reference, object), group.shape)
        why = np.where(known, "", "fewer than two groups can be estimated")
        columns = [x[:, None] for x in (group, reference, at, *ends, why)]
        how = self.how(estimate, simultaneous=True)
        return Block(contrast, how, np.arange(len(at)), *columns)

    def block(
        self,
        contrast: str,
        at: np.ndarray,
        reference: str,
        ends: Sequence[np.ndarray],
        estimate: Estimate,
        bounds: tuple[float, float],
        cell: Sequence[int] | None = None,
    ) -> Block:
        """Entries at the places `at`, clipped to where the number can lie."""
        value, low, high = ends
        value = np.where(estimate.ok, value, np.nan)
        low = np.maximum(low, np.minimum(bounds[0], value))
        high = np.minimum(high, np.maximum(bounds[1], value))
        names = np.array((ALL, *self.grouping.groups), object)
        group = np.broadcast_to(names[at], value.shape)
        other = np.full(value.shape, reference, object)
        cell = np.arange(len(value)) if cell is None else np.array(cell)
        why = self.why[cell][:, at]
        if reference in self.grouping.groups[:1]:
            why = np.where(why == "", self.why[cell, 1:2], why)
        at = np.broadcast_to(at, value.shape)
        how = self.how(estimate)
        return Block(contrast, how, cell, group, other, at, value, low, high, why)

    def write(self, block: Block, line: int) -> Iterator[dict[str, Any]]:
        """The rows of one cell of a block."""
        cell = self.cells[block.cell[line]]
        base = self.named_row(cell) | {"contrast": block.contrast}
        base |= {"metric": self.metric}
        for j, at in enumerate(block.at[line]):
            if block.contrast == "pair" and not np.isfinite(block.value[line, j]):
                continue
            columns = {"group": block.group[line, j]}
            columns |= {"reference": block.reference[line, j]}
            columns |= {"threshold": self.threshold[block.cell[line], at]}
            ends = (block.value[line, j], block.low[line, j], block.high[line, j])
            columns |= shown(ends, block.how, block.why[line, j])
            yield base | self.counted(at) | columns

    def named_row(self, cell: Cell) -> dict[str, Any]:
        """The columns that say whose row it is."""
        alone = len(cell.seeds) == 1
        return dict(self.base) | {
            "run": int(cell.systems[0]) if alone else -1,
            "seed": cell.seeds[0] if alone else -1,
            "system": cell.name,
            "method": cell.method,
            "scheme": cell.scheme,
            "attribute": self.grouping.attribute,
        }

    def counted(self, at: int) -> dict[str, int]:
        """n, patients, positives, negatives of a place; -1 where not to be shown."""
        counts = {k: int(v[at]) for k, v in self.sizes._asdict().items()}
        return hide(counts, self.rules.min_rows)
