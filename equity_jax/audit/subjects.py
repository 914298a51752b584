"""What is audited: which rows, groups and systems, which metrics, which pairs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from equity_jax import metrics
from equity_jax.types import InputError, Predictions

ALL, UNRECORDED = "all", "not recorded"


class Rows(NamedTuple):
    """Who the rows are. code: int[N], index into `groups`; block: int[N], 0..blocks-1.

    groups: names without "all": the reference, the others by size, then "not
    recorded" if there are such rows.
    """

    code: np.ndarray
    groups: tuple[str, ...]
    block: np.ndarray
    blocks: int


class Cell(NamedTuple):
    """A method × scheme: systems int[s] (rows of prob) and their seeds, in order."""

    method: str
    scheme: str
    systems: np.ndarray
    seeds: tuple[int, ...]


class Measure(NamedTuple):
    """One metric of one label on the rows where it is defined.

    num, den: float[S, N] for a ratio of sums (score, None for AUROC); y: float[N] or
    None; use: bool[N].
    """

    label: str
    metric: str
    num: np.ndarray
    den: np.ndarray | None
    y: np.ndarray | None
    use: np.ndarray


class Sizes(NamedTuple):
    """What lies behind an estimate, "all" first; int[G + 1], -1 = not applicable."""

    n: np.ndarray
    patients: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray


class Pair(NamedTuple):
    """A paired comparison: cell `first` minus cell `second`, named by `reference`."""

    first: int
    second: int
    reference: str


def rows_of(p: Predictions, attribute: str, reference: str) -> Rows:
    """Codes the attribute (reference first, then by size) and the blocks."""
    if attribute not in p.attributes:
        known = ", ".join(sorted(p.attributes)) or "none"
        raise InputError(f"unknown attribute {attribute!r}; the rows have: {known}")
    values = np.asarray(p.attributes[attribute]).astype(str)
    names, counts = np.unique(values[values != ""], return_counts=True)
    if reference not in names:
        known = ", ".join(names) or "none"
        raise InputError(f"no row has {attribute} {reference!r}; groups: {known}")
    taken = sorted({ALL, UNRECORDED} & set(names.tolist()))
    if taken:
        raise InputError(f"{attribute} {taken[0]!r} is a word of the report; rename it")
    size = dict(zip(names.tolist(), counts.tolist(), strict=True))
    groups: list[str] = sorted(size, key=lambda g: (g != reference, -size[g], g))
    if np.any(values == ""):
        groups.append(UNRECORDED)
    index = {g: i for i, g in enumerate(groups)} | {"": len(groups) - 1}
    _, block = np.unique(np.asarray(p.patient), return_inverse=True)
    code = np.array([index[v] for v in values], int)
    return Rows(code, tuple(groups), block, int(block.max()) + 1)


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


def measures_of(
    p: Predictions, wanted: Iterable[str], labels: Sequence[str]
) -> list[Measure]:
    """The metrics asked for, label by label, then the ratios that came row by row."""
    found = []
    wanted = tuple(wanted)
    for name in wanted:
        if name not in metrics.METRICS:
            known = ", ".join(sorted(metrics.METRICS))
            raise InputError(f"unknown metric {name!r}; known: {known}")
    for label, score, y, use in _scores(p, labels) if wanted else ():
        for name in wanted:
            found.append(_binary(label, name, score, y, use))
    use = np.all(np.asarray(p.mask) > 0, axis=1)
    for name, ratio in p.ratios.items():
        metrics.badness(name, np.nan)  # an unknown name is an error here, not later
        num, den = np.asarray(ratio.num, float), np.asarray(ratio.den, float)
        counted = use & np.any((den != 0) | np.isnan(den), axis=0)
        found.append(Measure("", name, num, den, None, counted))
    return found


def _scores(p: Predictions, labels: Sequence[str]) -> Iterator[tuple]:
    """(label, score [S, N], y [N], use [N]) per label, or class against rest."""
    prob, y = np.asarray(p.prob, float), np.asarray(p.y, float)
    use = (np.asarray(p.mask) > 0) & np.isfinite(y)
    classes, targets = prob.shape[2], y.shape[1]
    if targets == 1 and classes <= 2:
        names, columns = (labels or ("",)), [(prob[..., -1], y[:, 0], use[:, 0])]
    elif targets == classes:
        names = labels or tuple(f"label {k}" for k in range(targets))
        columns = [(prob[..., k], y[:, k], use[:, k]) for k in range(targets)]
    elif targets == 1:
        names = labels or tuple(f"class {c}" for c in range(classes))
        columns = [
            (prob[..., c], (y[:, 0] == c) * 1.0, use[:, 0]) for c in range(classes)
        ]
    else:
        raise InputError(f"{targets} labels do not fit {classes} columns of scores")
    for name, (score, label, rows) in zip(names, columns, strict=True):
        if not np.isin(label[rows], (0, 1)).all():
            raise InputError(f"label {name!r}: expected 0 or 1 in every used row")
        yield name, score, label, rows


def _binary(
    label: str, name: str, score: np.ndarray, y: np.ndarray, use: np.ndarray
) -> Measure:
    if name not in metrics.ROWS:
        return Measure(label, name, score, None, y, use)
    with jax.enable_x64():
        target = jnp.broadcast_to(jnp.where(use, y, 0.0)[None, :], score.shape)
        num = np.asarray(metrics.ROWS[name](jnp.asarray(score), target))
    return Measure(label, name, num, np.ones_like(num), y, use)


def sizes_of(measure: Measure, rows: Rows) -> Sizes:
    """Rows, blocks and classes behind each group, "all" first."""
    every = [measure.use] + [
        measure.use & (rows.code == g) for g in range(len(rows.groups))
    ]
    patients = [np.unique(rows.block[rows_]).size for rows_ in every]
    if measure.y is None:
        classes = [(-1, -1)] * len(every)
    else:
        classes = [
            (int((measure.y[e] == 1).sum()), int((measure.y[e] == 0).sum()))
            for e in every
        ]
    positives, negatives = np.array(classes).T
    n = np.array([int(e.sum()) for e in every])
    return Sizes(n, np.array(patients), positives, negatives)
