"""What scripts.coverage prints and writes for people: failing cells first."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scripts.coverage.cells import ERRORS, FEW
from scripts.coverage.naive import METRICS, PERCENTILE, ROWS

CORNER = ["groups", "rows", "prevalence", "images", "shift"]
KIND = ["contrast", "quantity", "metric", "interval"]
FAILS = ("low", "wide", "liberal", "conservative")


def short(table: pd.DataFrame) -> str:
    """What is printed: one line a kind of interval and metric, then what fails.

    Example:
        >>> print(short(pd.read_csv("coverage.csv")))  # doctest: +SKIP
    """
    bad = failing(table)
    lines = ["Coverage of 95 % intervals and size of the test, SIMULATED.", ""]
    lines += [_plain(summary(table)), "", "Peers on the same data:", ""]
    lines += [_plain(peers(table)), "", _count(table)]
    return "\n".join(lines + ([_plain(bad)] if len(bad) else []))


def page(table: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """The same as markdown, with size, power and the gap's bias by scenario."""
    used = ", ".join(f"{k} {v}" for k, v in settings.items() if k != "metrics")
    parts = [
        "# Coverage of the audit's intervals, SIMULATED",
        f"Settings: {used}. A cell fails when its share lies outside its bounds by more"
        f" than {ERRORS} Monte-Carlo standard errors (`slack`); one of fewer than {FEW}"
        " intervals is not judged. Three cells in a thousand fail by chance. `missing`"
        " is the share NOT_ESTIMABLE.",
        _count(table),
    ]
    for title, made in (
        ("Failing cells", failing(table)),
        ("By kind, over scenarios", summary(table)),
        ("A percentile bootstrap on the same data", peers(table)),
        ("Homogeneity test at 5 %: size, and power beside it", power(table)),
        ("The gap, and less its bias, against the truth", bias(table)),
    ):
        parts += [f"## {title}", _markdown(made) if len(made) else "None."]
    return "\n\n".join(parts) + "\n"


def failing(table: pd.DataFrame) -> pd.DataFrame:
    """Cells of ours outside their bounds, by kind and corner."""
    bad = _ours(table).assign(slack=ERRORS * table["error"])
    bad = bad[bad["verdict"].isin(FAILS)]
    columns = [*KIND, *CORNER, "share", "slack", "count", "missing", "truth", "value"]
    return bad[[*columns, "verdict"]].sort_values([*KIND, *CORNER])


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Ours, by kind: scenarios judged, their shares, how many fail and how."""
    mine = _ours(table)
    mine = mine[mine["verdict"].isin(("ok", *FAILS))]
    return _summed(mine, [*KIND])


def peers(table: pd.DataFrame) -> pd.DataFrame:
    """Ours and the naive intervals side by side, by shift and images."""
    both = table[table["metric"].isin(METRICS) & table["verdict"].ne("few")]
    both = both[both["contrast"].isin(("gap", "group")) & both["count"].gt(0)]
    return _summed(both, ["contrast", "quantity", "metric", "shift", "interval"])


def power(table: pd.DataFrame) -> pd.DataFrame:
    """Size (equal groups) and power (planted gap) of the test, by scenario."""
    rows = table[table["quantity"] == "rejects"]
    keys = ["metric", *(c for c in CORNER if c != "shift")]
    columns = [*keys, "share", "error", "count", "missing", "truth", "verdict"]
    size, found = (rows.loc[rows["shift"] == s, columns] for s in (0, 1))
    size = size.drop(columns="truth").rename(columns={"share": "size"})
    found = found[[*keys, "share", "truth"]]
    found = found.rename(columns={"share": "power", "truth": "true gap"})
    return size.merge(found, "outer", on=keys).sort_values(keys)


def bias(table: pd.DataFrame) -> pd.DataFrame:
    """Mean gap less the truth, as it is and corrected, over prevalence and images."""
    away = {c: table[c] - table["truth"] for c in ("gap", "corrected")}
    rows = table.assign(**away)[table["quantity"] == "rejects"]
    keys = ["metric", "shift", "groups", "rows"]
    return rows.groupby(keys)[["truth", "gap", "corrected"]].mean().reset_index()


def _ours(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["interval"].isin((PERCENTILE, ROWS))]


def _summed(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    if rows.empty:
        return rows[keys]
    marks = {v: rows["verdict"].eq(v) for v in FAILS}
    by = rows.assign(**marks).groupby(keys, sort=False)
    made = by["share"].agg(["size", "median", "min", "max"])
    made = made.rename(columns={"size": "cells"}).join(by["missing"].mean())
    made = made.join(by[list(FAILS)].sum())
    made["mark"] = ["FAIL" if n else "" for n in made[list(FAILS)].sum(axis=1)]
    return made.reset_index().sort_values(keys)


def _count(table: pd.DataFrame) -> str:
    judged = int(_ours(table)["verdict"].isin(("ok", *FAILS)).sum())
    return f"{len(failing(table))} of {judged} judged cells fail."


def _plain(frame: pd.DataFrame) -> str:
    return frame.map(_cell).to_string(index=False) if len(frame) else "None."


def _markdown(frame: pd.DataFrame) -> str:
    lines = [list(frame.columns), ["---"] * frame.shape[1]]
    lines += frame.map(_cell).to_numpy().tolist()
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}".rstrip("0").rstrip(".") or "0"
    return value
