r"""From the audits of one scenario to shares with Monte-Carlo errors and verdicts.

A cell is (contrast, metric, interval kind). `all` is the contrast "group" of all rows
together; a `band` covers when the intervals of all groups do at once. The Monte-Carlo
error is that of as many independent intervals that cover just as they should,
$\sqrt{q(1-q)/n}$ (the bounds thus do not widen for intervals that fail), times
$\sqrt{D}$: groups of one repeat can share a reference, and $D \ge 1$ is how much more
the shares of whole repeats vary than such independent intervals would.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.metrics import badness
from scripts.coverage.world import World, names, truth

LEVEL, OFF, JOINT, SIZE = 0.95, 0.02, 0.94, 0.05
ERRORS = 3  # Monte-Carlo standard errors that every bound allows
FEW = 30  # intervals below which a share is not judged
CELL = ["contrast", "metric", "interval"]


class Truth(NamedTuple):
    """value[metric][group] (with "all"), gap[metric], worst[metric]."""

    value: Mapping[str, Mapping[str, float]]
    gap: Mapping[str, float]
    worst: Mapping[str, float]


def truths(metrics: Sequence[str], w: World) -> Truth:
    """What every interval of a world should cover.

    Example:
        >>> from scripts.coverage.world import world
        >>> round(truths(["auroc"], world(2, 0.2, 1, 0.2)).gap["auroc"], 9)
        0.06
    """
    value, gap, worst = {}, {}, {}
    for metric in metrics:
        mine = [truth(metric, w._replace(means=(m,))) for m in w.means]
        gap[metric] = max(mine) - min(mine)
        worst[metric] = mine[int(np.argmax(badness(metric, mine)))]
        value[metric] = dict(zip(names(w), mine, strict=True))
        value[metric]["all"] = truth(metric, w)
    return Truth(value, gap, worst)


def judged(table: pd.DataFrame, known: Truth) -> pd.DataFrame:
    """The rows of an audit's table that have a known truth, with it.

    Returns:
        DataFrame: contrast, metric, interval, value, low, high, truth, ok, covered,
        zero (the interval contains 0).
    """
    kinds = ("group", "difference", "ratio", "band", "gap", "worst")
    rows = table[table["contrast"].isin(kinds) & table["metric"].isin(known.value)]
    everyone = (rows["contrast"] == "group") & (rows["group"] == "all")
    rows = rows.assign(contrast=rows["contrast"].mask(everyone, "all"))
    columns = [*CELL, "group", "reference"]
    right = [_true(known, *line) for line in rows[columns].itertuples(index=False)]
    found = rows[[*CELL, "value", "low", "high"]].assign(
        truth=right, ok=(rows["status"] == "OK").to_numpy()
    )
    within = (found["low"] <= found["truth"]) & (found["truth"] <= found["high"])
    found["covered"] = within & found["ok"]
    found["zero"] = (found["low"] <= 0) & (0 <= found["high"]) & found["ok"]
    return found


def _true(
    known: Truth, contrast: str, metric: str, _: str, group: str, reference: str
) -> float:
    if contrast in ("gap", "worst"):
        return (known.gap if contrast == "gap" else known.worst)[metric]
    value = known.value[metric]
    if contrast == "difference":
        return value[group] - value[reference]
    if contrast == "ratio":
        return value[group] / value[reference]
    return value[group]


def cells(repeats: pd.DataFrame, shift: int) -> pd.DataFrame:
    """One row a cell: how often its intervals covered, how often it had none.

    Args:
        repeats: what `judged` returns, of many repeats, with their number in `repeat`.
        shift: 0 if the groups are equal.

    Returns:
        DataFrame: contrast, metric, interval, quantity, share, error, count, missing,
        truth, value, width, verdict.
    """
    found = []
    missing = 1 - repeats.groupby(["contrast", "metric"])["ok"].mean()
    for cell, rows in repeats[repeats["ok"]].groupby(CELL):
        width = rows["high"] - rows["low"]
        base = dict(zip(CELL, cell, strict=True)) | {
            "missing": missing[cell[:2]],
            "truth": rows["truth"].mean(),
            "value": rows["value"].mean(),
            "width": width.mean(),
        }
        joint = cell[0] == "band"
        quantities = {"coverage": "covered"}
        if shift == 0 and cell[0] == "gap":
            quantities["contains 0"] = "zero"
        for quantity, column in quantities.items():
            each = rows.groupby("repeat")[column].agg(["sum", "count"])
            if joint:
                each = (each == each[["count"]].to_numpy()).astype(int)
            goal = JOINT if cell[0] in ("band", "gap", "worst") else LEVEL
            share = _share(each["sum"], each["count"], goal)
            found.append(base | {"quantity": quantity} | share)
    found += [_absent(key, missing[key]) for key in missing.index[missing == 1]]
    table = pd.DataFrame(found)
    table["verdict"] = [_verdict(r) for r in table.to_dict("records")]
    return table


def tests(repeats: pd.DataFrame, known: Truth, shift: int) -> pd.DataFrame:
    """One row a metric: how often the homogeneity test rejects at 5 %, and the gap.

    Args:
        repeats: the audits' `tests` with their number in `repeat`.
        known: the truths.
        shift: 0 if the groups are equal: then `rejects` is the size, else the power.

    Returns:
        DataFrame as `cells`, with gap and corrected: the mean of the gap as it is and
        less its bias.
    """
    found = []
    for metric, rows in repeats.groupby("metric"):
        if metric not in known.gap:
            continue
        ok = rows[np.isfinite(rows["p"].to_numpy(float))]
        base = {"contrast": "test", "metric": metric, "interval": "homogeneity"}
        base |= {"quantity": "rejects", "missing": 1 - len(ok) / len(rows)}
        base |= {"truth": known.gap[metric], "gap": ok["gap"].mean()}
        base["corrected"] = ok["gap_corrected"].mean()
        hits = (ok["p"] < SIZE).astype(int)
        line = base | _share(hits, 1 + 0 * hits, SIZE)
        found.append(line | {"verdict": _verdict(line) if shift == 0 else ""})
    return pd.DataFrame(found)


def _share(hits: pd.Series, counts: pd.Series, goal: float) -> dict[str, float]:
    total = int(counts.sum())
    if not total:
        return {"share": np.nan, "error": np.nan, "count": 0}
    share = hits.sum() / total
    usual = total * share * (1 - share)
    clustered = np.sum((hits - share * counts) ** 2) / usual if usual else 1.0
    error = np.sqrt(goal * (1 - goal) / total * max(clustered, 1.0))
    return {"share": share, "error": error, "count": total}


def _absent(key: tuple[str, str], missing: float) -> dict:
    base = {"contrast": key[0], "metric": key[1], "interval": "none"}
    return base | {"quantity": "coverage", "count": 0, "missing": missing}


def _verdict(row: Mapping) -> str:
    """Whether the share lies where it should: "ok", or how it does not."""
    if row["count"] < FEW:
        return "few"
    share, slack = row["share"], ERRORS * row["error"]
    if row["quantity"] == "rejects":
        if abs(share - SIZE) <= slack:
            return "ok"
        return "liberal" if share > SIZE else "conservative"
    if row["contrast"] in ("band", "gap", "worst"):
        return "low" if share < JOINT - slack else "ok"
    if share < LEVEL - OFF - slack:
        return "low"
    return "wide" if share > LEVEL + OFF + slack else "ok"
