"""Sections of the chest X-ray page: learning curves, and which choices mattered.

A factor's effect is read off pairs of trials that differ in that factor alone.
"""

from collections.abc import Iterator

import pandas as pd

from equity_jax.arms import GROUPED
from equity_jax.audit import view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.trials import Result
from experiments.cxr_parts import (
    DEPTHS,
    differences,
    measured,
    name_of,
    picture,
    run_of,
    wide,
)

FACTORS = {
    "lr": "learning rate",
    "augmentation": "augmentation",
    "method": "sampling and loss",
    "depth": "what is trained",
}
SPLITS = {"train": "training batches", "valid": "validation images"}


def learning_curves(result: Result) -> Section:
    """Loss by step on training batches and on validation images, best trials."""
    parts, kept = [], []
    for t in result.chosen:
        run = run_of(result, t)
        mine = view(result.log, run=run["run"])
        parts.append(mine.assign(network=name_of(t), low=mine.value, high=mine.value))
        kept.append(f"{name_of(t)}: step {int(run['step']):,}")
    table = pd.concat(parts)
    table = table.assign(images=table["split"].map(SPLITS))
    figure = figures.curves(
        table,
        x="step",
        title="Loss while training",
        xlabel="step",
        ylabel="loss",
        by="images",
        panel="network",
        log=False,
        nominal=None,
        simulated=result.dataset.spec.simulated,
    )
    caption = "Loss by step: training batches, and validation images"
    shown = picture(result.store, "learning_curves", figure, caption)
    text = [
        "The step with the lowest validation loss is kept. "
        + "; ".join(kept)
        + ". Where training loss falls and validation loss rises, the network learns"
        " the training images by heart. A weighted loss or augmented images make the"
        " training line another quantity; only the validation lines compare networks."
        " All runs are in log.csv.",
    ]
    return Section("Learning curves", text, figures=[shown])


def factors(result: Result) -> Section | None:
    """The effect of each choice on the test images, over matched trials."""
    effects = found_effects(result)
    if not len(effects):
        return None
    result.store.write_csv("factors.csv", effects)
    config, unit = result.store.config, result.dataset.spec.unit
    text = [
        f"Trials that differ in one choice alone are compared, and the differences"
        f" averaged. Intervals are {config.audit.level:.0%} and resample the test"
        f" {unit}s, the same for all trials. There is one data set with one split, and"
        f" {config.train.seeds} seed(s): intervals leave out what another seed, or"
        " another data set, would change.",
        *_verdicts(effects),
    ]
    shown, tables = [], []
    for network, part in effects.groupby("network", sort=False):
        figure = figures.dots(
            part.assign(group=part["choice"], n=float("nan")),
            title=f"What each choice changes, {network}",
            xlabel="difference (above 0: better than its reference)",
            by="metric",
            nominal=0.0,
            simulated=result.dataset.spec.simulated,
        )
        caption = f"Effect of each choice on test accuracy and macro AUROC, {network}"
        name = f"factors_{network}"
        shown.append(picture(result.store, name, figure, caption))
        shaped = wide(part, "choice", "metric")
        shaped.insert(1, "pairs of trials", _pairs(part, shaped["choice"]))
        tables.append(Table(f"Effects, {network}", shaped))
    return Section("Which choices mattered", text, tables, shown)


def _pairs(part: pd.DataFrame, choices: pd.Series) -> pd.Series:
    return choices.map(part.groupby("choice")["pairs"].first())


def trial_table(result: Result) -> pd.DataFrame:
    """One row a trial of the crossed design: its number and its choices.

    The arm that learns group by group is another question, and is left out.
    """
    rows = []
    for i, t in enumerate(result.trials):
        if t.arm.schemes != GROUPED:
            about = {k: t.about[k] for k in ("model", "seed", *FACTORS)}
            about["depth"] = DEPTHS.get(about["depth"], about["depth"])
            rows.append({"trial": i, **about, "lr": f"{about['lr']:g}"})
    return pd.DataFrame(rows)


def found_effects(result: Result) -> pd.DataFrame:
    """factors.csv: network, factor, choice, pairs, metric, value, low, high, status."""
    config = result.store.config
    trials = trial_table(result)
    found = measured(result.every, result.dataset.spec.classes, config)
    rows = []
    for network, mine in trials.groupby("model", sort=False):
        for factor, title in FACTORS.items():
            for level, other, pairs in matched(mine, factor):
                base = {
                    "network": network,
                    "factor": title,
                    "choice": f"{title}: {level}, minus {other}",
                    "pairs": len(pairs),
                }
                for row in differences(found, pairs, config.audit.level):
                    rows.append(base | row)
    return pd.DataFrame(rows)


def matched(
    trials: pd.DataFrame, factor: str
) -> Iterator[tuple[str, str, list[tuple[int, int]]]]:
    """(level, reference, pairs of trials alike but for `factor`) of every level.

    The reference is the first level of the table; of depth, all layers.
    """
    levels = list(dict.fromkeys(trials[factor]))
    first = DEPTHS["full"]
    other = first if factor == "depth" and first in levels else levels[0]
    rest = [c for c in trials.columns if c not in ("trial", factor)]
    base = trials[trials[factor] == other].set_index(rest)["trial"]
    for level in levels:
        mine = trials[trials[factor] == level].set_index(rest)["trial"]
        both = mine.index.intersection(base.index)
        if level != other and len(both):
            pairs = [(int(mine[key]), int(base[key])) for key in both]
            yield level, other, pairs


def _verdicts(effects: pd.DataFrame) -> list[str]:
    """For each network and metric: the effects told from 0, largest first."""
    said = []
    for (network, metric), part in effects.groupby(["network", "metric"], sort=False):
        clear = part[(part["low"] > 0) | (part["high"] < 0)]
        clear = clear.reindex(clear["value"].abs().sort_values(ascending=False).index)
        listed = "; ".join(
            f"{r.choice}: {interval_text(r.value, r.low, r.high)}"
            for r in clear.itertuples()
        )
        listed = listed or "no choice can be told from its reference"
        said.append(f"**{network}, {metric}**: {listed}.")
    return said
