"""Performance against representation: the rank correlation of groups, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.audit import asking, judging
from equity_jax.audit.companions import Judged
from equity_jax.audit.options import Options
from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.representation import related
from equity_jax.audit.status import NOT_ESTIMABLE, OK
from equity_jax.audit.subjects import CROSS
from equity_jax.types import Predictions

COLUMNS = tuple(
    "system attribute label metric groups rho low high slope slope_low slope_high p"
    " least reliability status why".split()
)
GROUPS = tuple(
    "system attribute label metric group patients value low high status".split()
)


class Represented(NamedTuple):
    """table: COLUMNS, a row a system, attribute (and crossing), label and metric, slope
    being the metric's change with ten times the patients, NOT_ESTIMABLE (and why) with
    fewer than four groups; groups: GROUPS, what it was made of, patients in training.
    """

    table: pd.DataFrame
    groups: pd.DataFrame


def represented(
    p: Predictions,
    trained: Mapping[str, np.ndarray],
    patient: np.ndarray,
    **chosen: Any,
) -> Represented:
    """How each metric of each system goes with the groups' training patients.

    All groups share the replicates of the audit. See statistics.representation.

    Args:
        p: the test rows, as for `audit`.
        trained: attribute -> str[M] of the training rows, "" = not recorded.
        patient: int[M], the patient of each training row.
        chosen: fields of options.Options.

    Raises:
        InputError: as `audit`.

    Example:
        >>> represented(test, {"race": race}, patient, attributes="race",
        ...             metrics=("auroc",)).table  # doctest: +SKIP
    """
    options = Options(**chosen).check()
    unit = options.unit or "patient"
    p, _ = judging.settle(p, options, unit)
    court = judging.court_of(p, options, tuple(options.labels), unit)
    rows: list[dict] = []
    groups: list[dict] = []
    for question in asking.questions(p, court.wish, court.subjects, court.valid):
        for one in judging.answered(court, question):
            size = patients_of(one.maker.grouping.names, trained, patient)
            for m in range(len(one.maker.cells)):
                row, parts = _told(one, m, size, options)
                rows.append(row)
                groups += parts
    frames = (rows, COLUMNS), (groups, GROUPS)
    made = (pd.DataFrame.from_records(r, columns=list(c)) for r, c in frames)
    return Represented(*made)


def patients_of(
    names: Sequence[str], trained: Mapping[str, np.ndarray], patient: np.ndarray
) -> dict[str, int]:
    """Group -> training patients, of an attribute or of several crossed.

    Example:
        >>> sex = np.array(["F", "M", "F", ""])
        >>> patients_of(["sex"], {"sex": sex}, np.array([0, 1, 0, 2]))
        {'F': 1, 'M': 1}
    """
    columns = [np.asarray(trained[name]).astype(str) for name in names]
    known = np.all([c != "" for c in columns], axis=0)
    group = pd.Series([CROSS.join(v) for v in zip(*columns, strict=True)])
    counts = pd.Series(patient)[known].groupby(group[known]).nunique()
    return {str(k): int(v) for k, v in counts.items()}


def _told(
    one: Judged, m: int, size: Mapping[str, int], options: Options
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of one cell, and those of its groups."""
    maker, part = one.maker, inference.cells(one.named, m)
    names = [maker.grouping.groups[g] for g in maker.grouping.named]
    sizes = [size.get(name, 0) for name in names]
    base = {"system": maker.cells[m].name, "attribute": maker.grouping.attribute}
    base |= {"label": one.label, "metric": maker.metric}
    found = related(part, np.array(sizes), options.level, options.seed)
    status = NOT_ESTIMABLE if found.why else OK
    low, high = inference.interval(part, options.level)
    ends = np.where(part.ok, [part.value, low, high], np.nan).T
    groups = [
        base
        | {"group": name, "patients": count, "status": OK if ok else NOT_ESTIMABLE}
        | dict(zip(("value", "low", "high"), end, strict=True))
        for name, count, ok, end in zip(names, sizes, part.ok, ends, strict=True)
    ]
    return base | {"status": status, **found._asdict()}, groups
