"""Would the differences stand if labels were wrong, or if another record was believed?

Two kinds of rows. "label error": the bounds of a difference when a share of the labels
of both groups is wrong, and the smallest share in the group that closes it (worst case,
see label_error.py). "conflict policy": the difference under each policy for patients
whose attribute records disagree (see conflicts.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from equity_jax.audit.decisions.label_error import (
    METRICS,
    Rows,
    auroc_bounds,
    bounds,
    gap_bounds,
    limits_of,
    tipping,
)
from equity_jax.audit.reading.conflicts import POLICIES, resolve
from equity_jax.audit.status import NOT_ESTIMABLE, OK, SUPPRESSED
from equity_jax.types import InputError

__all__ = [
    "METRICS",
    "Rows",
    "auroc_bounds",
    "bounds",
    "gap_bounds",
    "table",
    "tipping",
]

SHARES = (0.01, 0.02, 0.05)
TIPPING = "smallest share that closes the difference"
COLUMNS = (
    "kind system label attribute group reference metric setting value low high n status"
).split()


def table(
    rows: Rows,
    attributes: Mapping[str, np.ndarray],
    references: Mapping[str, str],
    patient: np.ndarray | None = None,
    *,
    metrics: Sequence[str] = ("auroc", "recall", "fpr", "precision"),
    shares: Sequence[float] = SHARES,
    system: str = "",
    label: str = "",
    least: int = 10,
    min_rows: int = 10,
) -> pd.DataFrame:
    """Every named group against its reference: label error, then conflict policies.

    Args:
        rows: N rows of a label and a system; without decisions, the AUROC alone.
        attributes: name -> str[N]; "" joins no contrast.
        references: name -> group.
        patient: int[N]; None = nobody has two records, no conflicts.
        metrics: of METRICS, or "auroc".
        shares: of wrong labels, in both groups.
        system: for its column.
        label: for its column.
        least: fewer positives or negatives on a side: NOT_ESTIMABLE.
        min_rows: fewer rows on a side: SUPPRESSED.

    Returns:
        COLUMNS. kind "label error": `value` is the difference as found, low and high
        its bounds at the setting "2 % of labels wrong"; at the setting "smallest share
        that closes the difference", `value` is that share (reference held right). kind
        "conflict policy": the difference under the policy of `setting`, for attributes
        of which some patient has two records; no bounds.

    Raises:
        InputError: a reference that no row of its attribute has.

    Example:
        >>> rows = Rows(np.tile([0.2, 0.4, 0.6, 0.8], 20), np.tile([0, 1], 40), None)
        >>> sex = np.repeat(["F", "M"], 40)
        >>> found = table(rows, {"sex": sex}, {"sex": "F"}, shares=(0.05,))
        >>> found[["group", "setting", "value"]].values.tolist()[0]
        ['M', '5 % of labels wrong', 0.0]
    """
    asked = [m for m in metrics if m == "auroc" or rows.decision is not None]
    records: list[dict[str, Any]] = []
    for attribute, values in attributes.items():
        values, reference = np.asarray(values).astype(str), references[attribute]
        groups = sorted(set(values.tolist()) - {""})
        if reference not in groups:
            raise InputError(f"no row has {attribute} {reference!r}, the reference")
        groups.remove(reference)
        fixed = {"system": system, "label": label, "attribute": attribute}
        plans = [("label error", "", values, tuple(shares))]
        if patient is not None:
            plans += _policies(values, patient)
        for kind, policy, resolved, some in plans:
            fixed |= {"kind": kind, "setting": policy}
            sides = _Sides(rows, resolved, groups, reference, least, min_rows)
            records += [fixed | line for line in _lines(sides, asked, some)]
    made = pd.DataFrame.from_records(records, columns=COLUMNS)
    return made.astype({"n": "Int64", "value": float, "low": float, "high": float})


def _policies(values: np.ndarray, patient: np.ndarray) -> list[tuple]:
    """A plan for each policy; none where no patient has two different records."""
    found = {policy: resolve(values, patient, policy) for policy in POLICIES}
    if not found["as_recorded"][1].patients:
        return []
    return [("conflict policy", p, made, ()) for p, (made, _) in found.items()]


class _Sides(NamedTuple):
    """Who is compared: rows, values of an attribute, its groups, and the floors."""

    rows: Rows
    values: np.ndarray
    groups: Sequence[str]
    reference: str
    least: int
    min_rows: int

    def of(self, group: str) -> tuple[Rows, str]:
        """The rows of a group, and their status."""
        mine = self.values == group
        rows = Rows(*(None if x is None else np.asarray(x)[mine] for x in self.rows))
        positives, n = int(np.sum(rows.y == 1)), len(rows.y)
        if n < self.min_rows:
            return rows, SUPPRESSED
        few = min(positives, n - positives) < max(self.least, 1)
        return rows, NOT_ESTIMABLE if few else OK


def _lines(
    sides: _Sides, metrics: Sequence[str], shares: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """One line a group and metric; with shares, one a share and the tipping point."""
    reference, fine = sides.of(sides.reference)
    for group in sides.groups:
        rows, status = sides.of(group)
        n = pd.NA if status == SUPPRESSED else len(rows.y)
        status = max(status, fine, key=(OK, NOT_ESTIMABLE, SUPPRESSED).index)
        for metric in metrics:
            base = {"group": group, "reference": sides.reference, "n": n}
            base |= {"metric": metric, "status": status, "value": np.nan}
            if status == OK:
                own, other = (limits_of(metric, r) for r in (rows, reference))
                base["value"] = own(0)[0] - other(0)[0]
            known = bool(np.isfinite(base["value"]))
            if status == OK and not known:  # precision where nobody is called positive
                base["status"] = NOT_ESTIMABLE
            if not shares:
                yield base
                continue
            for share in shares:
                line = base | {"setting": f"{share * 100:g} % of labels wrong"}
                if known:
                    both = ({metric: limits(share)} for limits in (own, other))
                    line["low"], line["high"] = gap_bounds(*both)[metric]
                yield line
            least = tipping(own, other(0)[0], len(rows.y)) if known else np.nan
            yield base | {"setting": TIPPING, "value": least}
