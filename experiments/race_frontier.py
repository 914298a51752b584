"""What each way to take the attribute out leaves, and what it costs: removal.csv.

Every system is judged twice on the same test patients: by a fresh reader of the
attribute (probes.strongest), and by the disease's AUROC, over everyone, in every group
and in the group served worst. Both are compared with the reference of its own kind, in
the same replicates of patients, so that changes are paired.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax import last_layers, probes, removal, verdict
from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.averages import aurocs, averaged
from equity_jax.audit.statistics.floors import CLASS
from equity_jax.audit.subjects import UNRECORDED
from equity_jax.removal import System
from equity_jax.run import Result
from equity_jax.types import TEST, TRAIN, VALID, Dataset, Predictions
from experiments.race_views import Views

PROBE, DISEASE, WORST = "probe", "disease", "worst"
REMOVES, PRICE = "removes", "removes at a price"
FAILS, WRONG = "does not remove", "makes it easier to read"
COLUMNS = (
    "method strength how against reader what group value low high change change_low"
    " change_high labels n patients status verdict".split()
)


class Judged(NamedTuple):
    """One system as its judge saw it. read: float32[N, G], the reader's probabilities,
    NaN but for validation and test rows; reader: its kind.
    """

    system: System
    read: np.ndarray
    reader: str

    @property
    def name(self) -> str:
        """As tables of the audit call it: "dann/3"."""
        return "/".join(filter(None, (self.system.name, self.scheme)))

    @property
    def scheme(self) -> str:
        """The strength, as text."""
        s = self.system.strength
        return f"{s:g}" if np.isfinite(s) else ""


def judged(result: Result, views: Views, quiet: bool = True) -> list[Judged]:
    """Every system of the config, fitted and read; resumes what was begun."""
    config, folder = result.config, result.store.folder("checkpoints/removal")
    dataset = removal.frozen(result.dataset, views.features)
    names, target = told(dataset)
    made: list[Judged] = []
    wanted = len(removal.planned(config.removal)) + 1 + len(config.removal.closed)
    every: Iterator[System] = itertools.chain(
        removal.trained(config, dataset, folder / "features", quiet),
        removal.closed(config, dataset),
        _images(result, views, folder / "images", quiet),
    )
    for system in tqdm(every, "judge", wanted, disable=quiet):
        if system.features is None:
            same = next(j for j in made if j.name == system.against)
            made.append(Judged(system, same.read, same.reader))
            continue
        probe = probes.strongest(system.features, [target], dataset.split)[0]
        slim = system._replace(features=None)  # a large table, no longer needed
        made.append(Judged(slim, probe.scores, probe.kind))
    return made


def _images(
    result: Result, views: Views, folder: Path, quiet: bool
) -> Iterator[System]:
    if not result.config.removal.images:
        return iter(())
    args = result.config, result.dataset, views.weights, folder, quiet
    return removal.tuned(*args)


def told(dataset: Dataset) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the groups that a reader tells apart, and int[N], -1 = none of them.

    A group needs 10 training rows, and rows to be chosen and judged by.
    """
    group, spec = dataset.group, dataset.spec

    def rows(code: int, part: int) -> int:
        return int(np.sum((group == code) & (dataset.split == part)))

    kept = [
        code
        for code in range(len(spec.groups))
        if rows(code, TRAIN) >= CLASS and rows(code, VALID) and rows(code, TEST)
    ]
    place = np.full(len(spec.groups) + 1, -1)
    place[kept] = np.arange(len(kept))
    return tuple(spec.groups[code] for code in kept), place[group]


def frontier(result: Result, made: list[Judged]) -> pd.DataFrame:
    """removal.csv: COLUMNS; group "" is everyone, "worst" its own group's name."""
    spec, config = result.dataset.spec, result.config
    against = {j.name: j.system.against for j in made if j.name != j.system.against}
    common = {"against": against, "replicates": config.audit.replicates}
    common |= {"seed": config.seed, "level": config.audit.level, "unit": spec.unit}
    names, target = told(result.dataset)
    read, two = _read(result.dataset, made, target), len(names) == 2
    probe = averaged(read, aurocs(read, names[-1:] if two else names), **common)
    asked = ill(result.dataset, made)
    disease = averaged(
        asked,
        aurocs(asked, verdict.labels_of(spec)),
        attribute=spec.group,
        reference=spec.reference,
        min_rows=config.audit.min_rows,
        **common,
    )
    rows = [_rows(j, probe, PROBE) + _rows(j, disease, DISEASE) for j in made]
    table = pd.DataFrame(list(itertools.chain(*rows)))
    words = {j.name: word(view(table, system=j.name)) for j in made}
    return table.assign(verdict=table["system"].map(words))[list(COLUMNS)]


def word(rows: pd.DataFrame) -> str:
    """Which way one system moved on the frontier, "" for a reference.

    Whether an interval of the change lies on one side of 0 decides.
    """
    everyone = rows[rows["group"].eq("") & rows["against"].ne(rows["method"])]
    if not len(everyone):
        return ""
    probe, disease = (view(everyone, what=w).iloc[0] for w in (PROBE, DISEASE))
    if not np.isfinite(probe.change):
        return NOT_ESTIMABLE
    if probe.change_high < 0:
        return PRICE if disease.change_high < 0 else REMOVES
    return WRONG if probe.change_low > 0 else FAILS


def _rows(one: Judged, table: pd.DataFrame, what: str) -> list[dict]:
    """The rows of one system and one number: everyone, groups, the worst group."""
    system = one.system
    head = {"system": one.name, "method": system.name, "strength": system.strength}
    head |= {"how": system.how, "against": system.against, "reader": one.reader}
    mine = view(table, system=one.name)
    moved = mine[(mine["contrast"] == "difference")]
    moved = moved[moved["reference"] == system.against]
    found = []
    for row in mine.itertuples():
        grouped = row.attribute != ""
        named = row.contrast == "group" and grouped == (row.group != "all")
        known = row.contrast == WORST and row.status == OK
        if row.group == UNRECORDED or not (named or known):
            continue
        group = row.group if grouped else ""
        made = head | {"what": f"{what}, {WORST}" if row.contrast == WORST else what}
        made |= {"group": group, "value": row.value, "low": row.low, "high": row.high}
        made |= dict.fromkeys(("change", "change_low", "change_high"), np.nan)
        if named:
            change = view(moved, attribute=row.attribute, group=row.group)
            ends = ("value", "low", "high")
            made |= {
                f"change_{end}".removesuffix("_value"): x
                for end in ends
                for x in change[end]
            }
        made |= {"labels": row.label, "n": row.n, "patients": row.patients}
        found.append(made | {"status": row.status})
    return found


def _read(dataset: Dataset, made: list[Judged], target: np.ndarray) -> Predictions:
    """What the readers say of test rows whose group is told."""
    rows = np.flatnonzero((dataset.split == TEST) & (target >= 0))
    prob = np.stack([j.read[rows] for j in made])
    return _predictions(dataset, rows, made, prob, target[rows][:, None].astype(float))


def ill(dataset: Dataset, made: list[Judged], part: int = TEST) -> Predictions:
    """What the systems say of the disease, on test (or validation) rows.

    Example: `aurocs(ill(dataset, made), dataset.spec.targets)`.
    """
    held = last_layers.held(dataset)
    mine = dataset.split[held] == part
    prob = np.stack([j.system.prob[mine] for j in made])
    rows = held[mine]
    y = np.asarray(dataset.y)[rows].astype(float)
    p = _predictions(dataset, rows, made, prob, np.where(y >= 0, y, np.nan))
    p = p._replace(mask=np.asarray(dataset.mask)[rows])
    return verdict.asked(dataset.spec, p)


def _predictions(
    dataset: Dataset,
    rows: np.ndarray,
    made: list[Judged],
    prob: np.ndarray,
    y: np.ndarray,
) -> Predictions:
    name = dataset.spec.group
    return Predictions(
        prob,
        y,
        np.ones_like(y),
        {name: np.asarray(dataset.attributes[name])[rows]},
        dataset.id[rows],
        dataset.patient[rows],
        [{"seed": 0, "method": j.system.name, "scheme": j.scheme} for j in made],
    )
