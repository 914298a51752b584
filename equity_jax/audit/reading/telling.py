"""What a report must tell about somebody's rows: how many are left out, and leaks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from equity_jax.audit.reading.columns import Columns
from equity_jax.audit.reading.sheet import Sheet
from equity_jax.types import TEST, VALID, Predictions


@dataclass
class Found:
    """What the report must tell about the rows.

    source: the file's name; fingerprint: sha256 of its bytes, or of the columns;
    labels: the label columns; kind: "binary", "multilabel", "multiclass" or "count";
    unit: "patient" or "row"; classes: names, of a multiclass label; left_out: reason ->
    rows (a row that several models scored counts once); notes: sentences for the page.
    """

    source: str
    fingerprint: str
    labels: tuple[str, ...]
    kind: str
    unit: str
    classes: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def count(self, reason: str, rows: np.ndarray) -> None:
        """Counts the rows bool[N] that are left out for a reason."""
        if rows.any():
            self.left_out[reason] = int(rows.sum())

    def leave_out(self, lacks: Mapping[str, np.ndarray], split: np.ndarray) -> None:
        """Counts reason -> bool[N, K], by label and by split int[N]."""
        for part, where in ((TEST, ""), (VALID, " (validation)")):
            for reason, rows in lacks.items():
                for k, label in enumerate(self.labels):
                    which = f": {label}" if len(self.labels) > 1 else ""
                    self.count(f"{reason}{which}{where}", rows[:, k] & (split == part))

    @property
    def why(self) -> str:
        """The counts in brackets, for the end of a sentence."""
        counts = ", ".join(f"{reason}: {n:,}" for reason, n in self.left_out.items())
        return f" ({counts})" if counts else ""


def tell(
    found: Found,
    base: Sheet,
    columns: Columns,
    whole: Predictions,
    split: np.ndarray,
    positive: str,
) -> None:
    """Adds the notes.

    base, whole, split: test and validation rows, in one order; positive: as in `read`.
    """
    test, valid = split == TEST, split == VALID
    found.notes += [f"Left out, {r}: {_rows(n)}." for r, n in found.left_out.items()]
    found.notes += _about_patients(base, columns, whole.patient, test, valid)
    if not columns.split:
        found.notes.append(
            "No split column was given: every row is a test row, and no threshold can "
            "come from validation rows."
        )
    elif not valid.any():
        found.notes.append(
            "There are no validation rows: no threshold can come from them."
        )
    if found.kind == "multiclass":
        off = np.abs(whole.prob.sum(axis=2) - 1) > 1e-3
        some = (off & (whole.mask[:, 0] > 0)).any(axis=0).sum()
        if some:
            found.notes.append(f"The scores of {_rows(some)} do not add up to 1.")
    for label in columns.labels if positive else ():
        others = sorted(set(base.coded(label)[1]) - {positive, ""})
        if len(others) > 1:
            words = ", ".join(others[:8]) + (", ..." if others[8:] else "")
            found.notes.append(f"{label}: {positive} is 1; 0 stands for {words}.")


def _about_patients(
    base: Sheet,
    columns: Columns,
    patient: np.ndarray,
    test: np.ndarray,
    valid: np.ndarray,
) -> list[str]:
    if not columns.patient:
        return [
            "No patient column was given: every row counts as its own patient. If some "
            "patients have several rows, the intervals are too narrow."
        ]
    notes = []
    blank = int((base.text(columns.patient) == "").sum())
    if blank:
        notes.append(f"{_rows(blank)} without a patient: each counts as its own.")
    both = np.intersect1d(patient[test], patient[valid]).size
    if both:
        notes.append(
            f"{both:,} {'patient is' if both == 1 else 'patients are'} in both the "
            "validation and the test rows (leakage)."
        )
    return notes


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
