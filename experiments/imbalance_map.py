"""Section of the imbalance page: prevalence × share, a map."""

import pandas as pd

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, Section
from experiments.imbalance_fits import Result
from experiments.imbalance_parts import grids, label, of, people
from experiments.imbalance_worlds import MAP, PREVALENCE, SHARE, SMALLER
from experiments.page_parts import picture


def two_way(result: Result) -> Section | None:
    """Prevalence × share: the plain method, and what the other changes."""
    made = view(result.worlds, axis=MAP)
    if not len(made):
        return None
    title = "Both grow rare: a map"
    reached = made[made["why"] == ""]
    if not len(reached):
        why = made["why"].iloc[0]
        return Section(title, [f"{NOT_ESTIMABLE}: no world can be made ({why})."])
    shown, plain = [], result.config.imbalance.mapped[0]
    for who in (SMALLER, "all"):
        shown.append(_mapped(result, plain, who, "group"))
    for method in result.config.imbalance.mapped[1:]:
        shown += [_mapped(result, method, w, "difference") for w in (SMALLER, "all")]
    text = [
        f"{len(reached)} of {len(made)} worlds can be made; the common rows of"
        f" {result.dataset.spec.reference} are the same"
        f" {_kept(reached):,.0f} in all of them, so that a rarer world lies inside"
        " every less rare one. Two things make a cell uncertain: the patients of the"
        " test set, and which rows were drawn; both are in its interval.",
    ]
    return Section(title, text, figures=[f for f in shown if f is not None])


def _kept(reached: pd.DataFrame) -> float:
    """M: common rows of the majority, the same in all worlds."""
    r = reached.iloc[0]
    return r["train_rows"] - r["train_rare"] - r["train_small"] + r["train_small_rare"]


def _mapped(result: Result, method: str, who: str, contrast: str) -> Figure | None:
    """Prevalence × share of one method, or its change against the plain one."""
    rows = of(result, MAP, "auroc", who, contrast=contrast, method=method)
    if not (rows["status"] == OK).any():
        return None
    every = view(result.worlds, axis=MAP)
    rows = every[["world"]].merge(
        rows.drop(columns=["prevalence", "share"]), how="left"
    )
    rows = rows.assign(p=every["prevalence"], q=every["share"])
    rows = rows.assign(p=[label(PREVALENCE, v) for v in rows["p"]])
    rows = rows.assign(q=[label(SHARE, v) for v in rows["q"]])
    values, low, high = grids(rows, "p", "q", list(dict.fromkeys(rows["q"])))
    kind = "AUROC of" if contrast == "group" else "Change of AUROC by"
    title = f"{kind} {method} ({people(who)})"
    figure = figures.heat(
        values,
        low=low,
        high=high,
        title=title,
        xlabel="share of the smaller groups; down: prevalence",
        center=None if contrast == "group" else 0.0,
        digits=3,
        simulated=result.dataset.spec.simulated,
    )
    caption = f"{title} by prevalence and share, with intervals"
    place = "all" if who == "all" else "smaller"
    return picture(
        result, f"map_{contrast}_{method[:4]}_{place}", figure, caption, caption
    )
