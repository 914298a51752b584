"""The audit: one long table of who is served worse, by how much, how sure.

Every row of the table is one number with its interval, the rows and blocks behind it
and a status. `contrast` says which number: "group" (the value of a group, and of
"all"), "band" (a group's value with an interval that holds for all groups at once),
"difference" and "ratio" (to the reference group; a difference whose reference is
"scheme:mixture" compares two systems in one group), "gap" (largest minus smallest
group value), "pair" (two groups that can be told apart, looking at all pairs at once),
"worst" (the group served worst), "cross" (xAUC), and "summary" (one number of a whole
attribute, such as the equalized odds difference). What cannot be
estimated keeps its row: NaN, NOT_ESTIMABLE, and the reason where the kind of interval
stands otherwise.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equity_jax.audit import companions, judging, panels, subjects, table
from equity_jax.audit.options import Options, refuse, split_options
from equity_jax.audit.reading.columns import Columns
from equity_jax.audit.reading.reader import Found, read
from equity_jax.audit.status import OK
from equity_jax.audit.table import view
from equity_jax.files import write_csv
from equity_jax.types import InputError, Predictions

READING = ("positive", "logits", "on_bad_score")
COMPANIONS = ("tests", "power", "curves", "confusion", "policies", "sensitivity")


@dataclass(frozen=True)
class AuditReport:
    """table: the long DataFrame; meta: how it was made, JSON-able; then its companions.

    tests: homogeneity over groups, adjusted p-values, the gap with its bias-corrected
    point; power: what each group could have shown; curves: ROC and calibration by
    group; confusion: counts by group; policies: group-blind and group-aware thresholds
    and equalized odds side by side; sensitivity: label error and conflicting records;
    notes: sentences that a reader must know.
    """

    table: pd.DataFrame
    meta: Mapping[str, Any]
    tests: pd.DataFrame = field(default_factory=pd.DataFrame)
    power: pd.DataFrame = field(default_factory=pd.DataFrame)
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    confusion: pd.DataFrame = field(default_factory=pd.DataFrame)
    policies: pd.DataFrame = field(default_factory=pd.DataFrame)
    sensitivity: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: Sequence[str] = ()

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
        """The rows that could not be estimated, or may not be shown."""
        return self.table[self.table["status"] != OK].reset_index(drop=True)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table as CSV, atomically; the same table gives the same bytes."""
        write_csv(Path(path), self.table)

    def write(self, directory: str | os.PathLike[str]) -> Path:
        """audit.csv, a CSV for each companion, report.md, report.html and figures/.

        Returns:
            The path of report.html.

        Raises:
            InputError: the directory cannot be made.
        """
        from equity_jax.audit.pages.audit_page import write_report

        directory = Path(directory)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{directory} cannot be made: {error.strerror}") from error
        self.save(directory / "audit.csv")
        for name in COMPANIONS:
            if len(getattr(self, name)):
                write_csv(directory / f"{name}.csv", getattr(self, name))
        return write_report(self, directory)


def against(**where: str) -> list[tuple[dict, dict]]:
    """Compares every system with the one that has these values instead of its own.

    Example:
        >>> against(scheme="mixture")
        [({}, {'scheme': 'mixture'})]
    """
    return [({}, where)]


def audit(source: Any, **chosen: Any) -> AuditReport:
    """Judges every system on every group, with intervals.

    The value of a method × scheme is the mean over its seeds. All systems, groups and
    metrics share the same replicates, which resample patients (and seeds).

    Args:
        source: the path of a CSV, a DataFrame, a mapping of arrays, or `Predictions`
            (whose `ratios` are audited beside the metrics).
        chosen: fields of `options.Options` (attributes, threshold, level, ...) and, if
            the source is a table, of `columns.Columns` (label, score, patient, split,
            id, system, exposure, weight, classes) and positive, logits, on_bad_score,
            which `reader.read` explains.

    Returns:
        AuditReport, its table in a fixed order.

    Raises:
        InputError: one line that says what was expected, and where.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> rows = {"y": rng.integers(0, 2, 400), "prob": rng.random(400),
        ...         "race": np.repeat(["A", "B"], 200)}
        >>> report = audit(rows, label="y", score="prob", attributes="race")
        >>> report.by_group(metric="auroc").group.tolist()
        ['all', 'A', 'B']
    """
    options, rest = split_options(chosen)
    recorded, found = _read(source, options, rest)
    p, notes = judging.settle(recorded, options, found.unit)
    named = {"multiclass": found.classes, "multilabel": found.labels}
    labels = named.get(found.kind, options.labels)
    court = judging.court_of(p, options, tuple(labels), found.unit)
    compare = list(options.compare)
    if len(court.cells) > 1 and not isinstance(source, Predictions):
        compare = compare or against(method=court.cells[0].method)
    pairs = subjects.pairs_of(court.cells, compare)
    with _progress(options.quiet) as tick:
        judged, records = judging.judge(court, pairs, tick)
        tests = companions.tests(judged, options.level, options.adjustment)
        make = panels.make if options.extras else (lambda *_: {})
        extra = make(court, judged, recorded, tick)
    records += extra.pop("records", [])
    notes = [*found.notes, *notes, *extra.pop("notes", [])]
    meta = _meta(court, found)
    return AuditReport(table.frame(records), meta, tests, **extra, notes=notes)


def _read(
    source: Any, options: Options, rest: dict[str, Any]
) -> tuple[Predictions, Found]:
    if isinstance(source, Predictions):
        refuse(rest, Options.__dataclass_fields__)
        _check(source)
        unit = options.unit or "patient"
        return source, Found("", "", tuple(options.labels), "", unit)
    fields = Columns.__dataclass_fields__
    known = [*fields, *READING, *Options.__dataclass_fields__]
    refuse([k for k in rest if k not in known], known)
    missing = [name for name in ("label", "score") if name not in rest]
    if missing:
        raise InputError(f"audit of a table needs {missing[0]}=, a column's name")
    named = {k: v for k, v in rest.items() if k in fields}
    columns = Columns(**{"attributes": options.names, **named})
    how = {k: v for k, v in rest.items() if k in READING}
    p, found = read(source, columns, **how)
    if options.unit and columns.patient:
        found.unit = options.unit
    return p, found


def _meta(court: judging.Court, found: Found) -> dict[str, Any]:
    options, who = court.options, court.subjects
    chosen = ("seed", "replicates", "level", "min_rows", "min_blocks", "threshold")
    chosen += ("adjustment", "conflicts", "resample_seeds", "wanted", "simulated")
    first = [g for g in who.groupings if len(g.names) == 1]
    meta = {name: getattr(options, name) for name in chosen}
    return meta | {
        "attributes": list(options.names),
        "reference": {g.attribute: g.groups[0] for g in who.groupings},
        "groups": {g.attribute: list(g.groups) for g in first},
        "unit": found.unit,
        "rows": len(who.block),
        "patients": who.blocks,
        "systems": [cell.name for cell in court.cells],
        "seeds": sorted({s for c in court.cells for s in c.seeds}),
        "labels": list(found.labels),
        "classes": list(found.classes),
        "left_out": dict(found.left_out),
        "kind": found.kind,
        "source": found.source,
        "fingerprint": found.fingerprint,
    }


def _check(p: Predictions) -> None:
    """Refuses predictions whose shapes disagree, before anything is computed."""
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
def _progress(quiet: bool) -> Iterator[Callable[[], object]]:
    if quiet:
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(desc="audit", unit="system", delay=0.5) as bar:
        yield bar.update
