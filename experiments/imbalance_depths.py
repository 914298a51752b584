"""Section of the imbalance page: weights and draws × how much of a network moves."""

import pandas as pd

from equity_jax.audit import OK, view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from experiments.imbalance_fits import Result
from experiments.imbalance_parts import grids, label
from experiments.imbalance_runs import SCRATCH, depth_of
from experiments.imbalance_worlds import PREVALENCE
from experiments.page_parts import picture


def depths(result: Result) -> Section | None:
    """Weighting × depth × prevalence, against erm and against scratch."""
    if not result.images:
        return None
    config = result.config
    text = [
        f"{config.model.name} on images of {config.data.images.size} pixels, at most"
        f" {config.train.steps} steps of {config.train.batch}. Scratch starts from"
        f" random numbers; the others from this start: {result.start}. full: every"
        " layer moves; head_only: the head; last_blocks: the last two;"
        " probe_then_full: the head first, then all (LP-FT).",
        *_told(result),
    ]
    shown = [
        _map(result, "", "AUROC"),
        _map(result, f"method:{result.plain}", "by the weighting"),
        _map(result, SCRATCH, "by the depth"),
    ]
    shown = [f for f in shown if f is not None]
    title = "Weights or draws, and how much of the network moves"
    return Section(title, text, [_numbers(result)], shown)


def _rows(result: Result, other: str = "") -> pd.DataFrame:
    """AUROC on all test rows; its difference to `other`, if that is named."""
    contrast = "difference" if other else "group"
    rows = view(result.cells, metric="auroc", contrast=contrast, group="all")
    if other == SCRATCH:
        rows = rows[rows["reference"].str.endswith(f"| {SCRATCH}")]
    elif other:
        rows = rows[rows["reference"] == other]
    both = rows["depth"] + ", " + rows["method"]
    place = [label(PREVALENCE, p) for p in rows["prevalence"]]
    rows = rows.assign(both=both, place=place)
    order = [depth_of(s) for s in result.config.train.schemes]
    return rows.sort_values("depth", kind="stable", key=lambda d: d.map(order.index))


def _map(result: Result, other: str, words: str) -> Figure | None:
    rows = _rows(result, other)
    if not (rows["status"] == OK).any():
        return None
    places = _places(result)
    title = f"Change of AUROC {words}" if other else f"Test {words}"
    values, low, high = grids(rows, "both", "place", places)
    figure = figures.heat(
        values,
        low=low,
        high=high,
        title=title,
        xlabel=f"prevalence of {result.dataset.spec.targets[0]} in training",
        center=0.0 if other else None,
        simulated=result.dataset.spec.simulated,
    )
    caption = f"{title}, depth and method × prevalence, with intervals"
    caption += "; striped cells may be chance" * bool(other)
    name = f"depths_{words.split()[-1].lower()}"
    return picture(result, name, figure, caption, caption)


def _places(result: Result) -> list[str]:
    return [label(PREVALENCE, p) for p in result.worlds["prevalence"]]


def _told(result: Result) -> list[str]:
    """At each prevalence: how many differences exclude 0."""
    said = []
    for other, words in ((f"method:{result.plain}", "weighting"), (SCRATCH, "start")):
        rows = view(_rows(result, other), status=OK)
        if not len(rows):
            continue
        up, down = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
        said.append(
            f"By the {words}, in AUROC: of {len(rows)} cells {up} are better than"
            f" {SCRATCH if other == SCRATCH else result.plain}, {down} worse, the"
            " rest cannot be told. Each interval holds by itself; of twenty cells"
            " without any difference one is expected to stand out."
        )
    return said


def _numbers(result: Result) -> Table:
    rows = _rows(result)
    text = [
        interval_text(r.value, r.low, r.high) if r.status == OK else r.status
        for r in rows.itertuples()
    ]
    rows = rows.assign(text=text)
    wide = rows.pivot_table("text", ["depth", "method"], "place", "first", sort=False)
    wide = wide[list(dict.fromkeys(_places(result)))]
    return Table("Test AUROC", wide.reset_index().rename_axis(columns=None))
