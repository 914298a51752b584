"""From entries to runs: every entry, trial and seed, each with its own draws."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.config import Config
from equity_jax.train import Run
from experiments.protocol.after import CLOSED
from experiments.protocol.entries import ENTRIES, Entry
from experiments.protocol.knobs import EVERY, draw, rounded, settings, spelled


class Point(NamedTuple):
    """One run of the comparison.

    run: what is trained; of a post-processor, or of a closed form on frozen features,
    the run that they start from, their base's of the same trial and seed; None: no
    step is taken; own: what is made of it, a registry string ("" = nothing more);
    values: the trial's own settings, as text.
    """

    entry: Entry
    trial: int
    seed: int
    run: Run | None
    own: str
    values: str


def points(config: Config, entries: Sequence[Entry]) -> list[Point]:
    """All runs, in the order of runs.csv; one seed where no step is taken.

    Example:
        >>> [p.run.method for p in points(config, chosen(("focal",)))]  # doctest: +SKIP
        ['erm', "oversample('both')", 'focal(gamma=2.0)']
    """
    seeds, trials = range(config.train.seeds), range(config.protocol.trials)
    made = [
        _point(config, entry, trial, seed)
        for entry in entries
        for trial in trials
        for seed in seeds
    ]
    return [point for point in made if point.run or not point.seed]


def table(points: Sequence[Point]) -> pd.DataFrame:
    """The first columns of runs.csv.

    Example: `table(points(config, entries))["entry"].unique()`.
    """
    none = np.nan, np.nan
    rows = [
        (p.entry.name, p.trial, p.seed, *rates, p.values)
        for p in points
        for rates in [(p.run.lr, p.run.weight_decay) if p.run else none]
    ]
    columns = ["entry", "trial", "seed", "lr", "weight_decay", "values"]
    made = pd.DataFrame(rows, columns=columns)
    made.insert(0, "run", range(len(made)))
    return made


def _point(config: Config, entry: Entry, trial: int, seed: int) -> Point:
    own = entry.post or entry.closed
    base = ENTRIES[entry.method] if own else entry
    mine = settings(entry.name, own, trial) if own else _learned(entry, trial)
    values = ", ".join(f"{name}={value!r}" for name, value in mine.items())
    stepless = entry.closed and not CLOSED.get(entry.closed).frozen
    run = None if stepless else _run(config, base, trial, seed)
    return Point(entry, trial, seed, run, own and spelled(own, mine), values)


def _learned(entry: Entry, trial: int) -> dict[str, object]:
    parts = entry.method, entry.scheme
    return {
        k: v for part in parts for k, v in settings(entry.name, part, trial).items()
    }


def _run(config: Config, entry: Entry, trial: int, seed: int) -> Run:
    method, scheme = (
        spelled(part, settings(entry.name, part, trial))
        for part in (entry.method, entry.scheme)
    )
    lr, decay = (
        rounded(start * draw(entry.name, name, EVERY[name], trial))
        for name, start in (
            ("lr", config.train.lr[0]),
            ("weight_decay", config.train.weight_decay),
        )
    )
    return Run(seed, method, scheme, -1, lr, weight_decay=decay)
