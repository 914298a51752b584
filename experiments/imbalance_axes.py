"""Sections of the imbalance page: one axis at a time."""

import numpy as np
import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from experiments.imbalance_fits import Result
from experiments.imbalance_parts import grids, label, of, people
from experiments.imbalance_runs import SCRATCH
from experiments.imbalance_worlds import PREVALENCE, ROWS, SHARE, SMALLER
from experiments.page_parts import picture

LINES = 4  # methods in a picture of curves
TITLES = {
    PREVALENCE: "A class grows rare",
    SHARE: "The smaller groups grow rarer",
    ROWS: "Everything grows rarer",
}
TEXT = {
    PREVALENCE: "The common rows stay, {m} of them, and rare rows are taken away.",
    SHARE: "The rows of {home} stay, {m} of them, and rows of the smaller groups are"
    " taken away.",
    ROWS: "Rows are taken away as they come, all classes and groups alike.",
}
WORDS = {
    PREVALENCE: "prevalence",
    SHARE: "share of the smaller groups",
    ROWS: "training rows",
}
AMOUNT = {
    PREVALENCE: ("train_rare", "rare training rows"),
    SHARE: ("train_small", "training rows of smaller groups"),
    ROWS: ("train_rows", "training rows"),
}


def axes(result: Result) -> list[Section]:
    """A section an axis: curves, what each method changes, the numbers."""
    there = [a for a in TITLES if (result.worlds["axis"] == a).any()]
    return [_axis(result, a) for a in there] if not result.images else []


def _axis(result: Result, axis: str) -> Section:
    spec = result.dataset.spec
    made = view(result.worlds, axis=axis)
    reached = made[made["why"] == ""]
    if not len(reached):
        why = made["why"].iloc[0]
        return Section(
            TITLES[axis], [f"{NOT_ESTIMABLE}: no world can be made ({why})."]
        )
    most = reached["train_rows"].max()
    few, kind = reached[AMOUNT[axis][0]].min(), AMOUNT[axis][1]
    words = {"home": spec.reference, "m": f"{_fixed(reached, axis):,.0f}"}
    lost = [f"{label(axis, r[axis])} ({r['why']})" for _, r in _lost(made).iterrows()]
    text = [
        TEXT[axis].format(**words)
        + f" The worlds have {reached['train_rows'].min():,.0f} to {most:,.0f} training"
        f" rows, and down to {few:,.0f} {kind}. Test rows stay as they are."
    ]
    if lost:
        text.append(f"{NOT_ESTIMABLE}: {'; '.join(lost)}.")
    who = SMALLER if axis == SHARE else "all"
    text += told(result, axis, who)
    shown = [_curves(result, axis, reached)]
    shown += [_changes(result, axis, who), _decisions(result, axis)]
    tables = [_numbers(result, axis, w) for w in (who, "")]
    return Section(
        TITLES[axis],
        text,
        [t for t in tables if t is not None],
        [f for f in shown if f is not None],
    )


def _fixed(reached: pd.DataFrame, axis: str) -> float:
    """How many rows an axis leaves alone."""
    part = {PREVALENCE: "train_rare", SHARE: "train_small"}.get(axis)
    return float((reached["train_rows"] - reached[part]).iloc[0]) if part else np.nan


def _lost(made: pd.DataFrame) -> pd.DataFrame:
    return made[made["why"] != ""]


def told(result: Result, axis: str, who: str) -> list[str]:
    """What the plain method loses, and which methods change the rarest world."""
    plain = result.plain
    rows = of(result, axis, "auroc", who, method=plain, contrast="group")
    rows = view(rows, status=OK)
    if not len(rows):
        return []
    first, last = rows.iloc[0], rows.iloc[-1]
    said = [
        f"The AUROC of {plain} ({people(who)}) is {_ends(first)} at"
        f" {label(axis, first[axis])}, the least rare, and {_ends(last)} at"
        f" {label(axis, last[axis])}, the rarest."
    ]
    rows = of(result, axis, "auroc", who, contrast="difference")
    rows = rows[(rows[axis] == last[axis]) & (rows["status"] == OK)]
    up = [f"{r.method} ({_ends(r)})" for r in rows.itertuples() if r.low > 0]
    down = [f"{r.method} ({_ends(r)})" for r in rows.itertuples() if r.high < 0]
    said.append(
        f"There, of {len(rows)} methods, in AUROC against {plain}: better"
        f" {', '.join(up) or 'none'}; worse {', '.join(down) or 'none'}; the others"
        " cannot be told from it. Each interval holds by itself."
    )
    return [*said, decided(result, axis, last[axis])]


def decided(result: Result, axis: str, place: float) -> str:
    """What is called rare at 0.5 in one world, by the plain method and by the best."""
    rows = view(result.calls, axis=axis, **{axis: place})
    rows = rows[rows["depth"].isin(["", SCRATCH])]
    mine = view(rows, method=result.plain).iloc[0]
    best = rows.loc[(rows["recall"] + rows["specificity"]).idxmax()]
    text = (
        f"At a threshold of 0.5 {result.plain} finds {100 * mine.recall:.1f} % of the"
        f" rare test rows and clears {100 * mine.specificity:.1f} % of the others"
    )
    if best.method == mine.method:
        return text + "; no method does better there, by the sum of both."
    return (
        f"{text}; {best.method} {100 * best.recall:.1f} % and"
        f" {100 * best.specificity:.1f} %. Another threshold moves these numbers too;"
        " what a threshold cannot do is in the AUROC."
    )


def _ends(row: pd.Series) -> str:
    return interval_text(row.value, row.low, row.high)


def _curves(result: Result, axis: str, reached: pd.DataFrame) -> Figure | None:
    """AUROC by how many rows are left, for all, the majority and the smaller groups."""
    spec, (amount, words) = result.dataset.spec, AMOUNT[axis]
    methods = list(result.config.train.methods[:LINES])
    rows = of(result, axis, "auroc", "", contrast="group")
    rows = rows[rows["method"].isin(methods) & (rows["status"] == OK)]
    rows = rows[rows["group"].isin(["all", spec.reference, SMALLER])]
    rows = rows.merge(reached[["world", amount]], on="world")
    if not len(rows):
        return None
    figure = figures.curves(
        rows.assign(panel=rows["group"].replace("all", "all test rows")),
        x=amount,
        title=f"{TITLES[axis]}: who is ranked how well",
        xlabel=words,
        ylabel="test AUROC",
        by="method",
        panel="panel",
        nominal=None,
        simulated=spec.simulated,
    )
    caption = f"Test AUROC by {words}, by method and who is tested, with intervals"
    return picture(result, f"{axis}_curves", figure, caption, caption)


def _changes(result: Result, axis: str, who: str) -> Figure | None:
    """What each method changes against the plain one, world by world."""
    rows = of(result, axis, "auroc", who, contrast="difference")
    rows = rows.assign(place=[label(axis, v) for v in rows[axis]])
    if not (rows["status"] == OK).any():
        return None
    values, low, high = grids(rows, "method", "place", _places(result, axis))
    title = f"Change of AUROC against {result.plain} ({people(who)})"
    figure = figures.heat(
        values,
        low=low,
        high=high,
        title=title,
        xlabel=WORDS[axis],
        center=0.0,
        digits=3,
        simulated=result.dataset.spec.simulated,
    )
    caption = f"{title}, with intervals; striped cells may be chance"
    return picture(result, f"{axis}_auroc", figure, caption, caption)


def _decisions(result: Result, axis: str) -> Figure:
    """Sensitivity at 0.5; no interval where no replicate differs."""
    rows = of(result, axis, "recall", "all", contrast="group")
    known = view(result.calls, axis=axis)[["method", "world", "recall"]]
    rows = rows.drop(columns="value").rename(columns={"status": "told"})
    rows = known.merge(rows, on=["method", "world"]).rename(columns={"recall": "value"})
    rows = rows.assign(place=[label(axis, v) for v in rows[axis]])
    values, low, high = grids(rows, "method", "place", _places(result, axis))
    title = "Sensitivity at a threshold of 0.5 (all test rows)"
    figure = figures.heat(
        values,
        low=low,
        high=high,
        title=title,
        xlabel=WORDS[axis],
        simulated=result.dataset.spec.simulated,
    )
    caption = f"{title}, with intervals; none where no replicate differs"
    return picture(result, f"{axis}_sensitivity", figure, caption, caption)


def _places(result: Result, axis: str) -> list[str]:
    return [label(axis, v) for v in view(result.worlds, axis=axis)[axis]]


def _numbers(result: Result, axis: str, who: str) -> Table | None:
    """AUROC, methods × worlds; of nobody: the gap between the groups."""
    rows = of(result, axis, "auroc", who, contrast="group" if who else "gap")
    if not len(rows):
        return None
    cells = [_ends(r) if r.status == OK else r.status for r in rows.itertuples()]
    rows = rows.assign(text=cells, place=[label(axis, v) for v in rows[axis]])
    wide = rows.pivot_table("text", "method", "place", "first", sort=False)
    wide = wide.reindex(columns=_places(result, axis), fill_value=NOT_ESTIMABLE)
    wide = wide.fillna(NOT_ESTIMABLE)
    caption = f"AUROC, {people(who)}" if who else "Gap between the groups in AUROC"
    return Table(caption, wide.reset_index().rename_axis(columns=None))
