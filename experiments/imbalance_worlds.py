"""Which worlds the imbalance study makes of a data set, and which it cannot."""

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Config, Imbalance
from equity_jax.data.thin import (
    Rows,
    World,
    base,
    cell_of,
    lacking,
    order,
    quota,
    thin,
)
from equity_jax.types import TRAIN, VALID, Dataset, InputError

SIDE = "side"  # the attribute that says who is of the largest group
SMALLER = "smaller groups"
PREVALENCE, SHARE, ROWS, MAP = AXES = ("prevalence", "share", "rows", "map")


class Case(NamedTuple):
    """A world on an axis. why: it cannot be reached ("": it is); m: its base."""

    axis: str
    world: World
    why: str
    m: int

    @property
    def name(self) -> str:
        """The world in words."""
        return self.world.name


class Plan(NamedTuple):
    """cases: all worlds; kept: name of a drawn world -> bool[N], its rows."""

    cases: list[Case]
    kept: dict[str, np.ndarray]

    @property
    def reached(self) -> list[Case]:
        """The worlds that were made."""
        return [case for case in self.cases if not case.why]


def drawn(case: Case, draw: int) -> str:
    """The name of one draw of a world.

    Example: "prevalence 5 % #0".
    """
    return f"{case.name} #{draw}"


def two_sided(dataset: Dataset, rare: str = "") -> Dataset:
    """The data set with one label, rare or not, and two groups: the largest, the rest.

    rare: a class; empty: of two the positive, of more the first. Rows whose group is
    not recorded stay so.

    Raises:
        InputError: counts, several labels, or a class that is not there.

    Example:
        >>> two_sided(dataset, "COVID").spec.classes  # doctest: +SKIP
        ('other', 'COVID')
    """
    spec = dataset.spec
    many = spec.task.startswith("multiclass")
    if not many and spec.task != "binary":
        raise InputError(
            f"the imbalance study makes one class rare; {spec.name} is {spec.task}:"
            " choose one label (--config.data.task=burden, --config.data.name=cxr)"
        )
    rare = rare or (spec.classes[0] if many else spec.classes[1])
    if rare not in spec.classes:
        known = ", ".join(spec.classes)
        raise InputError(f"--config.imbalance.rare={rare!r}; the classes: {known}")
    found = np.asarray(dataset.y) == spec.classes.index(rare)
    home = spec.reference
    names = dataset.attributes[spec.group]
    side = np.where(names == home, home, np.where(names == "", "", SMALLER))
    return dataset._replace(
        y=found.astype(np.float32),
        attributes={**dataset.attributes, SIDE: side},
        controls={},
        spec=spec._replace(
            task="binary",
            classes=("other", rare),
            targets=(rare,),
            group=SIDE,
            groups=(home, SMALLER),
        ),
    )


def rows_of(dataset: Dataset, split: int) -> tuple[np.ndarray, Rows]:
    """The observed rows int[n] of a split of two-sided data, and what they are."""
    at = np.flatnonzero((dataset.split == split) & (dataset.mask[:, 0] > 0))
    rare = dataset.y[at, 0] > 0
    return at, Rows(rare, dataset.group[at], dataset.patient[at])


def worlds_of(chosen: Imbalance, images: bool) -> dict[str, list[World]]:
    """Axis -> its worlds, the least rare first. Images have one axis.

    Example:
        >>> [len(w) for w in worlds_of(Imbalance(), False).values()]
        [7, 6, 7, 42]
    """
    if images:
        return {PREVALENCE: [World(p) for p in chosen.images]}
    return {
        PREVALENCE: [World(p) for p in chosen.prevalence],
        SHARE: [World(None, q) for q in chosen.share],
        ROWS: [World(rows=n) for n in sorted(chosen.rows, reverse=True)],
        MAP: [World(*c) for c in itertools.product(chosen.prevalence, chosen.share)],
    }


def plan(config: Config, dataset: Dataset) -> Plan:
    """Every world of the config, and the rows of each draw, a draw a seed.

    Validation rows are thinned as the training rows are, as far as there are any. Test
    rows stay as they are.

    Raises:
        InputError: a prevalence or a share outside (0, 1), or no world can be reached.
    """
    chosen, images = config.imbalance, dataset.x.ndim > 2
    shares = (*chosen.prevalence, *chosen.share, *chosen.images)
    if not all(0 < p < 1 for p in shares) or not all(n > 0 for n in chosen.rows):
        raise InputError("--config.imbalance: prevalences and shares lie in (0, 1)")
    parts = {s: rows_of(dataset, s) for s in (TRAIN, VALID)}
    scale = len(parts[VALID][0]) / len(parts[TRAIN][0])
    cases, kept = [], {}
    for axis, worlds in worlds_of(chosen, images).items():
        there = parts[TRAIN][1]
        m = base(worlds, there, chosen.least) if axis != ROWS else 0
        for world in worlds:
            case = Case(axis, world, lacking(world, there, m, chosen.least), m)
            masks = {} if case.why else _draws(config, dataset, parts, scale, case)
            if masks and (why := _few(dataset, masks, chosen.least)):
                case, masks = case._replace(why=why), {}
            cases.append(case)
            kept |= masks
    if not kept:
        raise InputError(f"no world can be reached: {cases[0].name}: {cases[0].why}")
    return Plan(cases, kept)


def _draws(
    config: Config, dataset: Dataset, parts: dict, scale: float, case: Case
) -> dict[str, np.ndarray]:
    """Name -> bool[N]: the rows of each draw of a world."""
    found = {}
    for draw in range(config.train.seeds):
        mask = np.zeros(len(dataset.split), bool)
        for split, (at, rows) in parts.items():
            wanted = quota(case.world, case.m)
            wanted = wanted if split == TRAIN else np.ceil(wanted * scale).astype(int)
            ordered = order(rows.patient, config.seed + draw, str(split))
            mask[at] = thin(cell_of(case.world, rows), wanted, ordered)
        found[drawn(case, draw)] = mask
    return found


def _few(dataset: Dataset, masks: dict[str, np.ndarray], least: int) -> str:
    """Why the rows of some draw cannot be learned from, or ""."""
    for split, floor, use in ((TRAIN, least, "train"), (VALID, 1, "validate")):
        for mask in masks.values():
            rare = dataset.y[mask & (dataset.split == split), 0] > 0
            for name, n in (("rare", rare.sum()), ("common", (~rare).sum())):
                if n < floor:
                    return f"{n} {name} rows to {use} on, fewer than {floor}"
    return ""


def table(dataset: Dataset, planned: Plan) -> pd.DataFrame:
    """worlds.csv: a line a world: what it asks for, and its rows (means over draws)."""
    lines = []
    for case in planned.cases:
        masks = [
            m for k, m in planned.kept.items() if k.rsplit(" #", 1)[0] == case.name
        ]
        line = {"axis": case.axis, "world": case.name, **case.world._asdict()}
        for split, name in ((TRAIN, "train"), (VALID, "valid")):
            at, rows = rows_of(dataset, split)
            some = [m[at] for m in masks]
            small = rows.small == 1
            line |= {
                f"{name}_rows": _mean(some),
                f"{name}_rare": _mean([m & rows.rare for m in some]),
                f"{name}_small": _mean([m & small for m in some]),
                f"{name}_small_rare": _mean([m & small & rows.rare for m in some]),
            }
        lines.append(line | {"why": case.why})
    return pd.DataFrame(lines)


def _mean(masks: list[np.ndarray]) -> float:
    return float(np.mean([m.sum() for m in masks])) if masks else np.nan
