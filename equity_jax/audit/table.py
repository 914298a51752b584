"""The long table: which contrasts are made of an estimate, and how they are written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.audit import inference
from equity_jax.audit.inference import Estimate
from equity_jax.audit.subjects import (
    ALL,
    UNRECORDED,
    Cell,
    Measure,
    Pair,
    Rows,
    Sizes,
)
from equity_jax.metrics import FACTS, badness

COLUMNS = tuple(
    "run seed system method scheme target split label attribute group reference "
    "contrast n patients positives negatives metric value low high interval status "
    "threshold threshold_source".split()
)
WHOLE = ("run", "seed", "n", "patients", "positives", "negatives")
OK, NOT_ESTIMABLE = "OK", "NOT_ESTIMABLE"


class Block(NamedTuple):
    """One contrast of every cell [M] and entry [P], before it becomes rows.

    simultaneous: whether its intervals allow for the picking of a group; group,
    reference: names, object[M, P]; at: int[M, P], the group (0 = all) whose
    rows are counted; value, low, high: float[M, P], NaN where not estimable; cell:
    int[M], which cell each line belongs to.
    """

    contrast: str
    simultaneous: bool
    cell: np.ndarray
    group: np.ndarray
    reference: np.ndarray
    at: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Maker(NamedTuple):
    """Makes the rows of one measure; n, patients, ... are those of column `group`."""

    base: Mapping[str, str]
    measure: Measure
    sizes: Sizes
    rows: Rows
    cells: Sequence[Cell]
    level: float
    resample_seeds: bool

    def records(self, estimate: Estimate, pairs: Sequence[Pair]) -> list[dict]:
        """Rows of the table: cell by cell, in a fixed order of contrasts."""
        blocks = [self.values(estimate)]
        if len(self.named()) > 1:
            blocks += list(self.contrasts(estimate))
        blocks += [self.gap(estimate), self.worst(estimate)]
        blocks += [self.compare(estimate, pair) for pair in pairs]
        return [
            record
            for m in range(len(self.cells))
            for block in blocks
            for line in np.flatnonzero(block.cell == m)
            for record in self.write(block, line)
        ]

    def named(self) -> np.ndarray:
        """int[G]: places (0 is "all") of the groups that contrasts are made of."""
        known = [g != UNRECORDED for g in self.rows.groups]
        return 1 + np.flatnonzero(known)

    def values(self, estimate: Estimate) -> Block:
        """Every group, "all" first."""
        at = np.arange(len(self.rows.groups) + 1)
        low, high = inference.interval(estimate, self.level)
        fact = FACTS[self.measure.metric]
        return self.block("group", at, "", estimate, low, high, (fact.low, fact.high))

    def contrasts(self, estimate: Estimate) -> Iterator[Block]:
        """Difference and ratio of every named group to the reference (the first)."""
        named = self.named()
        group = inference.groups(estimate, named[1:])
        reference = inference.groups(estimate, named[:1])
        fact, name = FACTS[self.measure.metric], self.rows.groups[0]
        reach = fact.high - fact.low
        gained = inference.difference(group, reference)
        low, high = inference.interval(gained, self.level)
        bounds = (-reach, reach)
        yield self.block("difference", named[1:], name, gained, low, high, bounds)
        if fact.low == 0:  # a ratio of numbers that can change sign says nothing
            times = inference.quotient(group, reference)
            low, high = inference.interval(times, self.level)
            yield self.block("ratio", named[1:], name, times, low, high, (0, np.inf))

    def compare(self, estimate: Estimate, pair: Pair) -> Block:
        """One system minus another in every group, paired."""
        ends = [slice(i, i + 1) for i in (pair.first, pair.second)]
        a, b = (Estimate(*(field[i] for field in estimate)) for i in ends)
        gained = inference.difference(a, b)
        low, high = inference.interval(gained, self.level)
        at = np.arange(len(self.rows.groups) + 1)
        fact = FACTS[self.measure.metric]
        reach = fact.high - fact.low
        bounds = (-reach, reach)
        block = self.block("difference", at, pair.reference, gained, low, high, bounds)
        return block._replace(cell=np.array([pair.first]))

    def gap(self, estimate: Estimate) -> Block:
        """Largest minus smallest value; `group` is the worse served of the two."""
        part = inference.groups(estimate, self.named())
        value, low, high = inference.gap(part, self.level)
        known = np.where(part.ok, part.value, np.nan)
        ends = [self.pick(known), self.pick(-known)]
        bad = badness(self.measure.metric, estimate.value)
        lines = np.arange(len(self.cells))
        swap = _worse(bad[lines, ends[1]], bad[lines, ends[0]])
        group = np.where(swap, ends[1], ends[0])
        other = np.where(swap, ends[0], ends[1])
        return self.single("gap", group, other, value, low, high)

    def worst(self, estimate: Estimate) -> Block:
        """The group served worst, with its simultaneous interval."""
        part = inference.groups(estimate, self.named())
        low, high = inference.bands(part, self.level)
        fact = FACTS[self.measure.metric]
        low, high = np.maximum(low, fact.low), np.minimum(high, fact.high)
        bad = np.where(part.ok, badness(self.measure.metric, part.value), np.nan)
        at = self.pick(bad)
        lines, inside = np.arange(len(self.cells)), at - 1
        enough = part.ok.sum(axis=1) > 1
        ends = [
            np.where(enough, x[lines, inside], np.nan) for x in (part.value, low, high)
        ]
        return self.single("worst", at, None, *ends)

    def pick(self, x: np.ndarray) -> np.ndarray:
        """int[M]: place of the largest of float[M, named groups], NaN ignored."""
        return self.named()[np.argmax(np.where(np.isnan(x), -np.inf, x), axis=1)]

    def single(
        self,
        contrast: str,
        at: np.ndarray,
        other: np.ndarray | None,
        value: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
    ) -> Block:
        """A block of one entry a cell; names are empty where nothing is known."""
        names = np.array((ALL, *self.rows.groups), object)
        known = np.isfinite(value)
        at = np.where(known, at, 0)
        group = np.where(known, names[at], "")
        reference = np.where(known, names[other], "") if other is not None else ""
        reference = np.broadcast_to(np.asarray(reference, object), group.shape)
        columns = [x[:, None] for x in (group, reference, at, value, low, high)]
        return Block(contrast, True, np.arange(len(at)), *columns)

    def block(
        self,
        contrast: str,
        at: np.ndarray,
        reference: str,
        estimate: Estimate,
        low: np.ndarray,
        high: np.ndarray,
        bounds: tuple[float, float],
    ) -> Block:
        """Entries at the places `at`, clipped to where the number can lie."""
        shape = estimate.value.shape
        names = np.array((ALL, *self.rows.groups), object)
        value = np.where(estimate.ok, estimate.value, np.nan)
        low = np.maximum(low, np.minimum(bounds[0], value))
        high = np.minimum(high, np.maximum(bounds[1], value))
        group = np.broadcast_to(names[at], shape)
        other = np.full(shape, reference, object)
        at = np.broadcast_to(at, shape)
        cell = np.arange(shape[0])
        return Block(contrast, False, cell, group, other, at, value, low, high)

    def write(self, block: Block, line: int) -> Iterator[dict[str, Any]]:
        """The rows of one cell of a block."""
        cell = self.cells[block.cell[line]]
        alone = len(cell.seeds) == 1
        seeds = "+seed" if self.resample_seeds and not alone else ""
        kind = f"bootstrap(block{seeds})" + " simultaneous" * block.simultaneous
        cut = self.measure.metric == "accuracy"
        base = dict(self.base) | {
            "run": int(cell.systems[0]) if alone else -1,
            "seed": cell.seeds[0] if alone else -1,
            "system": f"{cell.method}/{cell.scheme}",
            "method": cell.method,
            "scheme": cell.scheme,
            "label": self.measure.label,
            "contrast": block.contrast,
            "metric": self.measure.metric,
            "threshold": 0.5 if cut else np.nan,
            "threshold_source": "fixed" if cut else "",
        }
        for j, at in enumerate(block.at[line]):
            value = block.value[line, j]
            known = bool(np.isfinite(value))
            sizes = {k: int(v[at]) for k, v in self.sizes._asdict().items()}
            yield (
                base
                | sizes
                | {
                    "group": block.group[line, j],
                    "reference": block.reference[line, j],
                    "value": value,
                    "low": block.low[line, j] if known else np.nan,
                    "high": block.high[line, j] if known else np.nan,
                    "interval": kind if known else "",
                    "status": OK if known else NOT_ESTIMABLE,
                }
            )


def _worse(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """bool[...]: a is worse than b; False where either is NaN."""
    return np.nan_to_num(a, nan=-np.inf) > np.nan_to_num(b, nan=-np.inf)


def frame(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The long DataFrame of COLUMNS; whole numbers are Int64, -1 becomes NA."""
    table = pd.DataFrame.from_records(list(records), columns=list(COLUMNS))
    for name in WHOLE:
        whole = table[name].astype("Int64")
        table[name] = whole.mask(whole == -1)
    return table


def view(table: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Rows where every named column has the value given; the index starts anew."""
    keep = np.ones(len(table), bool)
    for column, value in where.items():
        keep &= (table[column] == value).to_numpy(bool, na_value=False)
    return table[keep].reset_index(drop=True)
