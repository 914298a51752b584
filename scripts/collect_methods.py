"""The methods of several runs of experiments.protocol, as a table for reading."""

import numpy as np
import pandas as pd

from equity_jax.audit.pages.words import interval_text, pipes
from experiments.cxr_parts import texts
from experiments.protocol.criteria import CRITERIA
from experiments.protocol.judge import MAIN
from experiments.protocol.scores import METRICS
from experiments.protocol.tables import USES


def wide(table: pd.DataFrame) -> str:
    """Markdown, a line a method, three columns a run.

    Args:
        table: `collect(runs, "methods")`.

    Returns:
        Lines sorted by mean rank over the runs: the metric of each run's criterion, its
        difference from balanced erm (* told apart after Holm), and the AUROC; "–" where
        a run has no such method.
    """
    shown = table.drop_duplicates("entry").set_index("entry")
    columns = {"group known": shown["uses"].map(USES)}
    ranks = pd.DataFrame(index=shown.index)
    for run, mine in table.groupby("run_dir", sort=False):
        rows = mine.apply(pd.to_numeric, errors="coerce").assign(status=mine["status"])
        rows = rows.set_index([mine["entry"], mine["metric"]])
        metric = CRITERIA[mine["criterion"].iloc[0]] or MAIN
        first, auroc = (rows.xs(m, level="metric") for m in (metric, "auroc"))
        mark = " (SIMULATED)" if mine["data"].iloc[0] == "SIMULATED" else ""
        ranks[run] = first["rank"]
        columns[f"{run}{mark}: {METRICS[metric].title}"] = _texts(first)
        columns[f"{run}: minus balanced erm"] = _gained(first)
        columns[f"{run}: AUROC"] = _texts(auroc)
    order = ranks.mean(axis=1).sort_values(kind="stable").index
    frame = pd.DataFrame(columns, index=shown.index).loc[order].fillna("–")
    frame = frame.rename_axis("method").reset_index()
    note = "\\* told from balanced erm at 5 % after Holm over all methods."
    return "\n".join([*pipes(frame), "", note, ""])


def _texts(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(texts(rows), rows.index, dtype=object)


def _gained(rows: pd.DataFrame) -> pd.Series:
    names = ["difference", "difference_low", "difference_high", "difference_p_holm"]
    told = [
        interval_text(*ends) + (" *" if p < 0.05 else "") if np.isfinite(p) else "–"
        for *ends, p in rows[names].itertuples(index=False)
    ]
    return pd.Series(told, rows.index, dtype=object)
