"""The audit's page: report.md, report.html and figures/ of an AuditReport.

The order is that of a reader's questions: who is served worse, by how much, how sure,
on how many; then every group, the curves, the calls, the thresholds, all numbers, what
these data could not show, and how it was all done.
"""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from equity_jax.audit.pages import (
    audit_curves,
    audit_sections,
    audit_tables,
    audit_text,
)
from equity_jax.audit.pages.audit_methods import methods
from equity_jax.audit.pages.audit_names import primary
from equity_jax.audit.pages.audit_pairs import paired
from equity_jax.audit.pages.audit_thresholds import policies
from equity_jax.audit.pages.page import Page, Section, Table, write

SETTINGS = {
    "source": "Source",
    "fingerprint": "Fingerprint of the data (SHA-256)",
    "rows": "Rows",
    "patients": "Units drawn together",
    "unit": "Unit",
    "level": "Level of intervals",
    "replicates": "Bootstrap replicates",
    "min_rows": "Fewest rows that are shown",
    "adjustment": "Adjustment of p-values",
    "seed": "Seed",
}


def write_report(report: Any, directory: str | os.PathLike[str]) -> Path:
    """Writes report.md, report.html and figures/*.png; returns report.html's path.

    Args:
        report: an AuditReport: table, tests, power, curves, confusion, policies,
            sensitivity (DataFrames; an empty one drops its section), notes, meta.
        directory: made if need be; files in it are replaced, each at once.

    Raises:
        InputError: the report's table has no row of a group.

    Example:
        >>> write_report(report, "out")  # doctest: +SKIP
        PosixPath('out/report.html')
    """
    return write(page(report), directory)


def page(report: Any) -> Page:
    """The page as data, before it is written."""
    first = primary(report)
    sections = [
        audit_sections.gaps(report, first),
        audit_sections.groups(report, first),
        audit_curves.curves(report, first),
        audit_curves.confusion(report, first),
        policies(report, first),
        paired(report, first),
        audit_tables.every(report, first),
        audit_tables.power(report, first),
        audit_tables.sensitivity(report, first),
        audit_tables.missing(report, first),
        data(report),
        methods(report),
    ]
    return Page(
        title=report.meta.get("title") or audit_text.title(report),
        subtitle=audit_text.subtitle(report, first),
        simulated=bool(report.meta.get("simulated")),
        sections=[s for s in sections if s is not None],
        answer=audit_text.answer(report, first),
    )


def data(report: Any) -> Section:
    """Notes on the rows, how many were left out, settings, the fingerprint."""
    meta = report.meta
    known = {k: v for k, v in SETTINGS.items() if meta.get(k) not in (None, "")}
    values = [str(meta[k]) if k != "rows" else f"{meta[k]:,}" for k in known]
    settings = pd.DataFrame({"Setting": list(known.values()), "Value": values})
    tables = [Table("How this audit was made", settings)]
    left = dict(meta.get("left_out") or {})
    if left:
        rows = pd.DataFrame({"Reason": list(left), "Rows": list(left.values())})
        tables.insert(0, Table("Rows that were left out", rows))
    return Section("The data and the settings", [], tables, items=list(report.notes))
