"""Systems: group-conditional runs stitched so that every row has one score.

A system is (seed, method, scheme). Each row is scored by its own group's parameters;
a row whose group is not recorded, or has no parameters of its own, by the mixture
model of the same seed and method.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.calibration import Calibration
from equity_jax.config import Train
from equity_jax.nouns import Scheme

POOLED = "mixture"
CHOSEN = "transfer"  # the transfer variant that validation chose, under this name


class System(NamedTuple):
    """One system. runs: group code -> run number; fallback: the mixture's run number.

    source: the scheme that its runs were fitted by (differs from `scheme` for CHOSEN);
    calibration: what its logits become before they are judged (None: as they are).
    """

    seed: int
    method: str
    scheme: str
    source: str
    runs: Mapping[int, int]
    fallback: int
    calibration: Calibration | None = None

    @property
    def name(self) -> str:
        """For people and files: "erm | mixture | seed 0"."""
        return f"{self.method} | {self.scheme} | seed {self.seed}"


def at(scheme: str, fraction: float) -> str:
    """The name of a scheme fitted on a share of the group's rows.

    Example:
        >>> at("alone", 0.05), at("alone", 1.0)
        ('alone @ 5%', 'alone')
    """
    return scheme if fraction >= 1 else f"{scheme} @ {fraction:.0%}"


def run_table(
    train: Train,
    schemes: Mapping[str, Scheme],
    sizes: Mapping[int, int],
    reference: int,
    least: int = 1,
) -> pd.DataFrame:
    """The R axis: run, seed, method, scheme, target (-1 = all), lr, fraction.

    sizes: training rows of the groups that get parameters of their own. Nested
    fractions are for plain erm (or the first method), for every group but the
    reference, where they leave `least` rows.
    """
    plain = "erm" if "erm" in train.methods else train.methods[0]
    targets = list(sizes)
    rows = []
    for seed in range(train.seeds):
        for lr in train.lr:
            for method in train.methods:
                for name, scheme in schemes.items():
                    for target in [-1] if scheme.pooled else targets:
                        rows.append((seed, method, name, target, lr, 1.0))
            for fraction in sorted({f for f in train.fractions if f < 1}):
                for name in schemes:
                    for target in targets:
                        if target != reference and sizes[target] * fraction >= least:
                            rows.append((seed, plain, name, target, lr, fraction))
    columns = ["seed", "method", "scheme", "target", "lr", "fraction"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(0, "run", np.arange(len(table)))
    return table


def choose(table: pd.DataFrame, sizes: Mapping[int, int]) -> pd.DataFrame:
    """What validation chose, from the run table with a column `valid` (mean nll).

    Per method, scheme, target and fraction the learning rate with the lowest mean over
    seeds gets chosen=True. sizes: validation rows per group, -1 = all.
    """
    by = ["method", "scheme", "target", "fraction"]
    mean = table.groupby([*by, "lr"], sort=False)["valid"].mean().reset_index()
    best = mean.loc[mean.groupby(by, sort=False)["valid"].idxmin(), [*by, "lr"]]
    marked = table.merge(best.assign(chosen=True), how="left", on=[*by, "lr"])
    size = table["target"].map(sizes).astype(float)
    return table.assign(chosen=marked["chosen"].eq(True).to_numpy(), size=size)


def validation(table: pd.DataFrame) -> pd.Series:
    """Mean validation nll per (method, scheme) of chosen runs, rows weighing alike."""
    full = table[table["chosen"] & (table["fraction"] >= 1)]
    full = full.assign(total=full["valid"] * full["size"])
    sums = full.groupby(["method", "scheme"], sort=False)[["total", "size"]].sum()
    return sums["total"] / sums["size"]


def variants(table: pd.DataFrame, reference: int) -> dict[str, str]:
    """Per method the transfer variant with the lowest validation nll of the targets."""
    transfer = table["scheme"].str.startswith(CHOSEN) & (table["target"] != reference)
    score = validation(table[transfer])
    return {m: score[m].idxmin() for m in score.index.unique("method")}


def systems_of(table: pd.DataFrame, chosen: Mapping[str, str]) -> list[System]:
    """All systems of a chosen run table, then CHOSEN ones; thinned ones by `at`."""
    table = table[table["chosen"]]
    pooled = table[(table["target"] == -1) & (table["scheme"] == POOLED)]
    fallback = {(r.seed, r.method): r.run for r in pooled.itertuples()}
    made = []
    by = ["seed", "method", "scheme", "fraction"]
    for (seed, method, scheme, fraction), rows in table.groupby(by, sort=False):
        runs = {int(r.target): int(r.run) for r in rows.itertuples() if r.target >= 0}
        all_ = rows.loc[rows["target"] == -1, "run"]
        back = int(all_.iloc[0]) if len(all_) else int(fallback.get((seed, method), -1))
        name = at(str(scheme), float(fraction))
        made.append(System(int(seed), str(method), name, name, runs, back))
    same = {(s.seed, s.method, s.source): s for s in made}
    for seed, method in fallback:
        if method in chosen and chosen[method] != CHOSEN:
            best = same[seed, method, chosen[method]]
            made.append(best._replace(scheme=CHOSEN))
    return made


def stitch(system: System, logits: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Every row's logits float[N, O] by its own group's run; NaN where there is none.

    logits: float[R, N, O]; group: int[N].
    """
    which = np.full(len(group), system.fallback)
    for code, run in system.runs.items():
        which[group == code] = run
    found = logits[np.maximum(which, 0), np.arange(len(group))]
    return np.where((which >= 0)[:, None], found, np.nan)


def selected(systems: Sequence[System], score: pd.Series) -> list[int]:
    """Per scheme the method that validation chose, first seed; indices of systems."""
    picks: dict[str, tuple[float, int]] = {}
    for i, s in enumerate(systems):
        if "@" in s.scheme or s.seed != systems[0].seed:
            continue
        value = float(score[s.method, s.source])
        if s.scheme not in picks or value < picks[s.scheme][0]:
            picks[s.scheme] = (value, i)
    return [i for _, i in picks.values()]


def as_json(system: System) -> dict[str, Any]:
    """For checkpoints/systems.json."""
    plain = system._asdict() | {"runs": {str(k): v for k, v in system.runs.items()}}
    if system.calibration is not None:
        plain["calibration"] = system.calibration._asdict()
    return plain


def from_json(values: Mapping[str, Any]) -> System:
    """The inverse of `as_json`."""
    runs = {int(k): v for k, v in values["runs"].items()}
    made = System(**{**values, "runs": runs})
    if made.calibration is None:
        return made
    return made._replace(calibration=Calibration(**made.calibration))
