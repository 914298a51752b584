"""Who is audited: blocks, the groups of every attribute, systems, their pairs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from equity_jax.types import InputError, Predictions

ALL, UNRECORDED = "all", "not recorded"
CROSS = " × "


class Grouping(NamedTuple):
    """The groups of an attribute or of a crossing of attributes.

    names: the attributes that are crossed, or the one; groups: without "all": the
    reference, the others by size, then "not recorded" if there are such rows; code:
    int[N], index into `groups`; place: int[G], where they stand among
    `Subjects.parts`; shared: whether a block has rows in more than one group, so that
    the groups are not independent.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    code: np.ndarray
    place: np.ndarray
    shared: bool

    @property
    def attribute(self) -> str:
        """What the table calls it: "race", or "race × sex"."""
        return CROSS.join(self.names)

    @property
    def named(self) -> np.ndarray:
        """int[g]: the recorded groups, which alone take part in contrasts."""
        return np.flatnonzero([g != UNRECORDED for g in self.groups])


class Subjects(NamedTuple):
    """block: int[N] in 0..blocks-1; parts: rows int[n] of "all" and of every group."""

    block: np.ndarray
    blocks: int
    parts: tuple[np.ndarray, ...]
    groupings: tuple[Grouping, ...]


class Cell(NamedTuple):
    """A method × scheme: systems int[s] (rows of prob) and their seeds, in order."""

    method: str
    scheme: str
    systems: np.ndarray
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """The column `system`: "method/scheme", or the method alone."""
        return f"{self.method}/{self.scheme}" if self.scheme else self.method


class Sizes(NamedTuple):
    """What lies behind an estimate, part by part; int[P], -1 = not applicable."""

    n: np.ndarray
    patients: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray


class Pair(NamedTuple):
    """A paired comparison: cell `first` minus cell `second`, named by `reference`."""

    first: int
    second: int
    reference: str


def subjects_of(
    p: Predictions,
    attributes: Sequence[str],
    references: Mapping[str, str],
    intersections: bool = False,
) -> Subjects:
    """Codes every attribute and, if asked, every pair of them and all together.

    Args:
        p: the rows.
        attributes: names of p.attributes; none audits the rows as a whole.
        references: attribute -> group; the largest group where not given.
        intersections: whether to cross the attributes.

    Raises:
        InputError: an unknown attribute or group, a group named like a word of the
            report.
    """
    for name in {**dict.fromkeys(attributes), **references}:
        if name not in p.attributes:
            known = ", ".join(sorted(p.attributes)) or "none"
            raise InputError(f"unknown attribute {name!r}; the rows have: {known}")
    _, block = np.unique(np.asarray(p.patient), return_inverse=True)
    values = {a: np.asarray(p.attributes[a]).astype(str) for a in attributes}
    for attribute in attributes:
        _refuse_words(attribute, values[attribute])
    plans = [((a,), references.get(a, "")) for a in dict.fromkeys(attributes)]
    if intersections and len(values) > 1:
        several = [*combinations(values, 2)]
        several += [tuple(values)] if len(values) > 2 else []
        plans += [(names, _crossed(names, references, values)) for names in several]
    groupings, parts = [], [np.arange(len(block))]
    for names, reference in plans:
        columns = [values[name] for name in names]
        if len(names) > 1 and not np.all([c != "" for c in columns], axis=0).any():
            continue  # attributes that are never recorded together
        made = _grouping(names, columns, reference, block, len(parts))
        order = np.argsort(made.code, kind="stable")
        ends = np.cumsum(np.bincount(made.code, minlength=len(made.groups)))
        parts += np.split(order, ends[:-1])
        groupings.append(made)
    return Subjects(block, int(block.max()) + 1, tuple(parts), tuple(groupings))


def _refuse_words(attribute: str, values: np.ndarray) -> None:
    taken = sorted({ALL, UNRECORDED} & set(np.unique(values).tolist()))
    if taken:
        raise InputError(f"{attribute} {taken[0]!r} is a word of the report; rename it")


def _crossed(
    names: Sequence[str], references: Mapping[str, str], values: Mapping
) -> str:
    """The crossing of the attributes' own references, each the largest if not given."""
    own = []
    for name in names:
        known, counts = np.unique(values[name][values[name] != ""], return_counts=True)
        largest = known[np.argmax(counts)] if len(known) else ""
        own.append(references.get(name) or str(largest))
    return CROSS.join(own)


def _grouping(
    attributes: tuple[str, ...],
    columns: Sequence[np.ndarray],
    reference: str,
    block: np.ndarray,
    start: int,
) -> Grouping:
    recorded = np.all([c != "" for c in columns], axis=0)
    coded = [np.unique(c, return_inverse=True) for c in columns]
    joint = np.zeros(len(block), int)
    for names, code in coded:
        joint = joint * len(names) + code
    kinds, at, counts = np.unique(
        joint[recorded], return_index=True, return_counts=True
    )
    if not len(kinds):
        raise InputError(f"no row has a value of {attributes[0]}")
    where = np.flatnonzero(recorded)[at]
    names = [CROSS.join(str(c[i]) for c in columns) for i in where]
    size = dict(zip(names, counts.tolist(), strict=True))
    if reference and reference not in size and len(columns) == 1:
        known = ", ".join(sorted(names))
        raise InputError(f"no row has {attributes[0]} {reference!r}; groups: {known}")
    order = sorted(
        range(len(names)), key=lambda i: (names[i] != reference, -counts[i], names[i])
    )
    rank = np.empty(len(names), int)
    rank[order] = np.arange(len(names))
    code = np.full(len(block), len(names))
    code[recorded] = rank[np.searchsorted(kinds, joint[recorded])]
    groups = [names[i] for i in order] + [UNRECORDED] * (not recorded.all())
    place = start + np.arange(len(groups))
    pairs = np.unique(block[recorded] * len(names) + code[recorded]) // len(names)
    shared = len(np.unique(pairs)) < len(pairs)
    return Grouping(attributes, tuple(groups), code, place, shared)


def cells_of(runs: Sequence[dict]) -> list[Cell]:
    """Joins systems of one method and scheme; the seeds are sorted.

    Raises:
        InputError: a system twice, or a run without seed, method or scheme.
    """
    found: dict[tuple[str, str], dict[int, int]] = {}
    for i, run in enumerate(runs):
        missing = {"seed", "method", "scheme"} - set(run)
        if missing:
            raise InputError(f"system {i} lacks {', '.join(sorted(missing))}")
        seeds = found.setdefault((str(run["method"]), str(run["scheme"])), {})
        if int(run["seed"]) in seeds:
            raise InputError(f"system {i} repeats an earlier one: {run}")
        seeds[int(run["seed"])] = i
    return [
        Cell(*key, np.array([seeds[s] for s in sorted(seeds)]), tuple(sorted(seeds)))
        for key, seeds in found.items()
    ]


def pairs_of(
    cells: Sequence[Cell],
    compare: Iterable[tuple[Mapping[str, str], Mapping[str, str]]],
) -> list[Pair]:
    """Which cells are compared, in the order of `compare`.

    Raises:
        InputError: a key other than method and scheme, a value that no cell has, or
            two cells of different seeds, which cannot be paired.
    """
    place = {(c.method, c.scheme): i for i, c in enumerate(cells)}
    found = []
    for which, other in compare:
        for key, value in (*which.items(), *other.items()):
            known = {getattr(c, key, None) for c in cells}
            if key not in ("method", "scheme") or value not in known:
                raise InputError(f"compare: no system has {key} {value!r}")
        for i, cell in enumerate(cells):
            own = {"method": cell.method, "scheme": cell.scheme}
            partner = own | dict(other)
            j = place.get((partner["method"], partner["scheme"]))
            if own != own | dict(which) or j is None or i == j:
                continue
            if cell.seeds != cells[j].seeds:
                raise InputError(f"compare: {own} and {partner} have different seeds")
            name = ",".join(f"{k}:{v}" for k, v in other.items())
            found.append(Pair(i, j, name))
    return found


def sizes_of(use: np.ndarray, y: np.ndarray | None, subjects: Subjects) -> Sizes:
    """Rows, blocks and classes (where y is given) behind each part."""
    kept = [part[use[part]] for part in subjects.parts]
    patients = [np.unique(subjects.block[rows]).size for rows in kept]
    n = np.array([len(rows) for rows in kept])
    if y is None:
        none = np.full(len(n), -1)
        return Sizes(n, np.array(patients), none, none)
    positives = np.array([int(np.sum(y[rows] == 1)) for rows in kept])
    return Sizes(n, np.array(patients), positives, n - positives)
