"""From runs to jobs: a run is a chain of stages; equal stages are fitted once.

All transfer variants of one seed and method start from the same source model, so the
plan is a forest: level 0 starts fresh, level 1 from level 0, and so on.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from equity_jax.data.sampler import nested
from equity_jax.keys import generator
from equity_jax.nouns import Scheme, Stage


class Run(NamedTuple):
    """One point of the R axis. target: a group's code, -1 = all of them; weight_decay:
    None = that of Train; shape: of a model that has several (models/shaped.py); kept:
    name of the rows that there are, for training and validation; "" = all.
    """

    seed: int
    method: str
    scheme: str
    target: int
    lr: float
    fraction: float = 1.0
    weight_decay: float | None = None
    shape: str = ""
    kept: str = ""


class Job(NamedTuple):
    """One stage of one or several runs. rows: index into Plan.rows and Plan.valid;
    parent: a job's number, -1 = none; the rest as in Run.
    """

    stage: Stage
    seed: int
    method: str
    lr: float
    rows: int
    target: int
    level: int
    parent: int
    weight_decay: float | None = None
    shape: str = ""


class Plan(NamedTuple):
    """Jobs in order of level; final: int[R], each run's last job.

    rows, valid: the distinct masks of training (bool[N]) and validation rows (bool[V]).
    """

    jobs: list[Job]
    final: list[int]
    rows: list[np.ndarray]
    valid: list[np.ndarray]


def plan(
    runs: Sequence[Run],
    schemes: Mapping[str, Scheme],
    group: np.ndarray,
    valid: np.ndarray,
    blocks: np.ndarray,
    observed: np.ndarray,
    reference: int,
    kept: Mapping[str, tuple[np.ndarray, np.ndarray]] = {},
) -> Plan:
    """Jobs of all runs over training rows with group int[N] and blocks int[N].

    valid: int[V], the groups of the validation rows, which are never thinned;
    observed: bool[N], rows with a label: fractions are of the blocks that have some;
    kept: name -> bool[N] and bool[V], the rows that there are for runs of that name.

    A run with fraction f sees only f of its target's blocks (nested over f, drawn
    once per seed); other groups' rows stay.

    Example:
        >>> runs = [Run(0, "erm", s, 1, 1e-3) for s in ("full", "head_only")]
        >>> len(plan(runs, schemes, group, valid, blocks, seen, 0).jobs)
        3
    """
    masks = _Masks((group, valid), blocks, observed, reference, kept)
    jobs: dict[tuple, Job] = {}
    order: list[tuple] = []
    for run in runs:
        scheme = schemes[run.scheme]
        home = run.target == reference and not scheme.pooled
        parent: tuple | None = None
        for level, stage in enumerate(scheme.home if home else scheme.stages):
            rows = masks.number(stage, run)
            # Reconstruction has no labels to weigh, so it is the same for all methods.
            plain = stage.objective == "autoencode"
            method = "erm" if plain else stage.method or run.method
            what = stage._replace(rows=None)  # which rows: by their masks
            knobs = run.weight_decay, run.shape
            key = (what, run.seed, method, run.lr, rows, *knobs, parent)
            if key not in jobs:
                mine = run.seed, method, run.lr, rows, run.target, level
                jobs[key] = Job(stage, *mine, 0, *knobs)
            parent = key
        order.append(parent)
    by_level = sorted(jobs, key=lambda k: jobs[k].level)
    numbers = {key: i for i, key in enumerate(by_level)}
    made = [jobs[k]._replace(parent=numbers.get(k[-1], -1)) for k in by_level]
    return Plan(made, [numbers[k] for k in order], masks.rows, masks.valid)


class _Masks:
    """Row masks of stages, each kept once."""

    def __init__(
        self,
        groups: tuple[np.ndarray, np.ndarray],
        blocks: np.ndarray,
        observed: np.ndarray,
        reference: int,
        kept: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ):
        self.kept = kept
        self.group, self.group_valid = groups
        self.blocks, self.observed, self.reference = blocks, observed, reference
        self.rows: list[np.ndarray] = []
        self.valid: list[np.ndarray] = []
        self.seen: dict[tuple, int] = {}
        self.digests: dict[bytes, int] = {}

    def number(self, stage: Stage, run: Run) -> int:
        seed = run.seed if run.fraction < 1 else -1
        key = (stage.rows, run.target, run.fraction, seed, run.kept)
        if key not in self.seen:
            rows = self._thin(stage.rows(self.group, run.target, self.reference), run)
            valid = stage.rows(self.group_valid, run.target, self.reference)
            if run.kept:
                rows, valid = (
                    rows & self.kept[run.kept][0],
                    valid & self.kept[run.kept][1],
                )
            both = rows.tobytes() + valid.tobytes()
            number = self.digests.setdefault(both, len(self.rows))
            if number == len(self.rows):
                self.rows.append(rows)
                self.valid.append(valid)
            self.seen[key] = number
        return self.seen[key]

    def _thin(self, rows: np.ndarray, run: Run) -> np.ndarray:
        own = self.group == run.target
        seen = own & self.observed
        if run.fraction >= 1 or not seen.any():
            return rows
        rng = generator(run.seed, "fraction", str(run.target))
        kept = np.zeros(len(rows), bool)
        kept[seen] = nested(self.blocks[seen], run.fraction, rng)
        return rows & (~own | kept)
