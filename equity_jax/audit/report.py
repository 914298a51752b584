"""The audit: one long table of who is served worse, by how much, how sure.

Every row of the table is one number with its interval, the rows and blocks behind it
and a status. `contrast` says which number: "group" (the value of a group, and of
"all"), "difference" and "ratio" (to the reference group; a difference whose reference
is "scheme:mixture" compares two systems in one group), "gap" (largest minus smallest
group value) and "worst" (the group served worst, whose interval allows for its having
been picked). What cannot be estimated keeps its row: NaN, NOT_ESTIMABLE.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit import estimates, inference, subjects, table
from equity_jax.audit.table import NOT_ESTIMABLE, view
from equity_jax.types import InputError, Predictions


@dataclass(frozen=True)
class AuditReport:
    """table: the long DataFrame of design columns; meta: how it was made, JSON-able."""

    table: pd.DataFrame
    meta: Mapping[str, Any]

    def by_group(self, **where: str) -> pd.DataFrame:
        """Values per group: `by_group(metric="deviance", scheme="mixture")`."""
        return view(self.table, contrast="group", **where)

    def gaps(self, **where: str) -> pd.DataFrame:
        """Largest minus smallest group value, per system."""
        return view(self.table, contrast="gap", **where)

    def worst(self, **where: str) -> pd.DataFrame:
        """The group served worst, per system."""
        return view(self.table, contrast="worst", **where)

    @property
    def not_estimable(self) -> pd.DataFrame:
        """The rows that could not be estimated."""
        return view(self.table, status=NOT_ESTIMABLE)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table as CSV, atomically; the same table gives the same bytes."""
        path = Path(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self.table.to_csv(
            temporary, index=False, float_format="%.9g", lineterminator="\n"
        )
        os.replace(temporary, path)


def against(**where: str) -> list[tuple[dict, dict]]:
    """Compares every system with the one that has these values instead of its own.

    Example:
        >>> against(scheme="mixture")
        [({}, {'scheme': 'mixture'})]
    """
    return [({}, where)]


def audit(
    predictions: Predictions,
    *,
    attribute: str,
    reference: str,
    target: str = "",
    metrics: Sequence[str] = (),
    labels: Sequence[str] = (),
    replicates: int = 1000,
    level: float = 0.95,
    min_rows: int = 10,
    min_blocks: int = 5,
    seed: int = 0,
    compare: Iterable[tuple[Mapping[str, str], Mapping[str, str]]] = (),
    unit: str = "patient",
    split: str = "test",
    resample_seeds: bool = True,
    quiet: bool = True,
) -> AuditReport:
    """Judges every method × scheme on every group, with intervals.

    The value of a method × scheme is the mean over its seeds. All share the same
    replicates, which resample blocks (`predictions.patient`) and seeds.

    Args:
        predictions: rows of one split; `ratios` are audited beside `metrics`.
        attribute: the column of `predictions.attributes` that defines groups; rows
            with "" appear as the group "not recorded", which joins no gap.
        reference: the group that differences and ratios are taken to.
        target: text for the column of that name.
        metrics: keys of equity_jax.metrics.METRICS, for labels of 0 and 1.
        labels: names of the labels (or classes), for the column `label`.
        replicates: bootstrap replicates.
        level: of the intervals.
        min_rows: a group with fewer rows is NOT_ESTIMABLE.
        min_blocks: a group with fewer blocks is NOT_ESTIMABLE.
        seed: of the bootstrap.
        compare: pairs (which, other): each system that matches `which` minus the one
            equal to it but for `other`; `against(scheme="mixture")` writes one.
        unit: what a block is, for the report.
        split: text for the column of that name.
        resample_seeds: False asks how these very models do on other blocks.
        quiet: no progress bar.

    Returns:
        AuditReport, its table in a fixed order.

    Raises:
        InputError: shapes that disagree, an unknown attribute, group, metric or
            system, no rows.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> race, y = np.repeat(["A", "B"], 50), rng.integers(0, 2, (100, 1)) * 1.0
        >>> p = Predictions(rng.random((1, 100, 1)), y, np.ones((100, 1)),
        ...     {"race": race}, np.arange(100).astype(str), np.arange(100),
        ...     [{"seed": 0, "method": "erm", "scheme": "mixture"}])
        >>> report = audit(p, attribute="race", reference="A", metrics=["brier"])
        >>> report.by_group().group.tolist()
        ['all', 'A', 'B']
    """
    _check(predictions, replicates, level)
    rows = subjects.rows_of(predictions, attribute, reference)
    cells = subjects.cells_of(predictions.runs)
    pairs = subjects.pairs_of(cells, compare)
    measures = subjects.measures_of(predictions, metrics, labels)
    weights = inference.resample(rows.blocks, replicates, seed, "bootstrap")
    plan = estimates.Plan(weights, seed, resample_seeds, min_rows, min_blocks)
    base = {"target": target, "split": split, "attribute": attribute}
    found: list[dict] = []
    with _progress(len(measures) * len(cells), quiet) as tick:
        for measure in measures:
            sizes = subjects.sizes_of(measure, rows)
            moved = estimates.estimate(measure, sizes, rows, cells, plan, tick)
            maker = table.Maker(
                base, measure, sizes, rows, cells, level, resample_seeds
            )
            found += maker.records(moved, pairs)
    meta = base | {"reference": reference, "unit": unit, "seed": seed}
    meta |= {"replicates": replicates, "level": level, "min_rows": min_rows}
    meta |= {"min_blocks": min_blocks, "resample_seeds": resample_seeds}
    return AuditReport(table.frame(found), meta | _sizes(rows, cells, predictions))


def _sizes(
    rows: subjects.Rows, cells: Sequence[subjects.Cell], predictions: Predictions
) -> dict[str, Any]:
    return {
        "groups": list(rows.groups),
        "rows": len(rows.code),
        "blocks": rows.blocks,
        "systems": len(predictions.runs),
        "seeds": sorted({s for c in cells for s in c.seeds}),
    }


def _check(p: Predictions, replicates: int, level: float) -> None:
    """Refuses predictions whose shapes disagree, before anything is computed."""
    if replicates < 2 or not 0 < level < 1:
        raise InputError(
            f"replicates={replicates}, level={level}: expected 2 or more, and 0..1"
        )
    prob, y = np.asarray(p.prob), np.asarray(p.y)
    if prob.ndim != 3 or y.ndim != 2 or not prob.size:
        raise InputError(f"prob {prob.shape}, y {y.shape}: expected [S, N, C], [N, K]")
    systems, count, _ = prob.shape
    expected = {
        "y": (y.shape, (count, y.shape[1])),
        "mask": (np.shape(p.mask), y.shape),
        "id": (np.shape(p.id), (count,)),
        "patient": (np.shape(p.patient), (count,)),
        "runs": ((len(p.runs),), (systems,)),
    }
    expected |= {
        f"attribute {k}": (np.shape(v), (count,)) for k, v in p.attributes.items()
    }
    for name, ratio in p.ratios.items():
        expected |= {f"{name}.num": (np.shape(ratio.num), (systems, count))}
        expected |= {f"{name}.den": (np.shape(ratio.den), (systems, count))}
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise InputError(f"{name} has shape {found}, expected {wanted}")


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[], object]]:
    if quiet:
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="audit", unit="cell") as bar:
        yield bar.update
