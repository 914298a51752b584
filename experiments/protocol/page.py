"""The page of the protocol: who is better than balanced erm, and how that was found."""

import numpy as np
import pandas as pd

from equity_jax.audit.pages.page import Page, Section, interval_text, write
from equity_jax.audit.pages.rank_figures import critical_difference
from equity_jax.config import Config
from equity_jax.files import env
from equity_jax.store import Store
from equity_jax.types import TEST
from experiments.cxr_parts import picture
from experiments.protocol import tables
from experiments.protocol.entries import BALANCED, ERM
from experiments.protocol.judge import Judged
from experiments.protocol.played import Played
from experiments.protocol.tables import TITLES, ordered

ALPHA = 0.05


def make_page(
    store: Store, played: Played, judged: Judged, seconds: dict[str, float]
) -> None:
    """report.md, report.html and the figures."""
    config, spec = store.config, played.dataset.spec
    sections = [
        _methods(store, played, judged),
        _criteria(config, judged),
        _conduct(config, played, judged, seconds),
    ]
    made = Page(
        title=f"{len(played.entries)} methods under one protocol: {spec.name}",
        subtitle=f"{', '.join(spec.targets)} by {spec.group}, tested by {spec.unit}",
        simulated=spec.simulated,
        sections=sections,
        answer=answer(config, played, judged),
    )
    write(made, store.path)


def answer(config: Config, played: Played, judged: Judged) -> list[tuple[str, str]]:
    """Who is better than balanced erm, and than erm; who would be taken."""
    rows = ordered(judged).set_index("entry")
    title = TITLES[judged.metric]

    def number(name: str) -> str:
        r = rows.loc[name]
        return f"{name} {interval_text(r['value'], r['low'], r['high'])}"

    three = dict.fromkeys((judged.best, BALANCED, ERM))  # some tasks refuse the second
    taken = f"{title}: {'; '.join(number(n) for n in three if n in rows.index)}"
    return [
        ("Which one validation would take", taken),
        ("Better than balanced erm", _told(rows, "difference", better=True)),
        ("Worse than balanced erm", _told(rows, "difference", better=False)),
        ("Better than erm", _told(rows, "erm_difference", better=True)),
        ("On how many", _size(played, config)),
    ]


def _told(rows: pd.DataFrame, word: str, better: bool) -> str:
    """Methods that are told from a baseline after Holm, the largest first."""
    known = rows[rows[f"{word}_p_holm"].notna()]
    side = known[word] > 0 if better else known[word] < 0
    told = known[(known[f"{word}_p_holm"] < ALPHA) & side]
    told = told.reindex(told[word].abs().sort_values(ascending=False).index)
    listed = [
        f"{name} ({interval_text(r[word], r[f'{word}_low'], r[f'{word}_high'])})"
        for name, r in told.head(6).iterrows()
    ]
    more = f" and {len(told) - 6} more" if len(told) > 6 else ""
    return f"{len(told)} of {len(known)}: {', '.join(listed) or 'none'}{more}"


def _size(played: Played, config: Config) -> str:
    d = played.dataset
    rows = played.rows[d.split[played.rows] == TEST]
    people = len(np.unique(d.patient[rows]))
    return (
        f"{len(rows):,} test rows of {people:,} {d.spec.unit}s;"
        f" {played.table['seed'].nunique()} seed(s); {len(played.table):,} runs"
    )


def _methods(store: Store, played: Played, judged: Judged) -> Section:
    config, spec = store.config, played.dataset.spec
    text = [
        f"Every method had {config.protocol.trials} trial(s), the first with its"
        " paper's settings, and validation chose one by"
        f" **{tables.rule(config.protocol.criterion)}**, one rule for all. A cell is a"
        " (class, group), what Sagawa et al. (2020) call a group; the worst cell is"
        " what most of these methods are meant to mend. A choice by groups needs those"
        " of the validation rows; overall, worst_class and balanced do not. Where a"
        " method itself must know them is in the second column.",
        f"Intervals are {config.audit.level:.0%} and draw {spec.unit}s and seeds anew,"
        " the same for all methods, so that differences are paired (of one seed they"
        " leave out what another training would change); p-values are adjusted over all"
        " methods (Holm). The worst of several noisy parts looks worse than it is, for"
        " all methods alike.",
    ]
    rows = ordered(judged)
    known = rows[rows["rank"].notna()].rename(columns={"low": "least", "high": "most"})
    shown = []
    if len(known) > 1:
        ends = {"difference_low": "low", "difference_high": "high", "entry": "name"}
        known = known.rename(columns=ends)
        known = known.assign(uses="group known " + known["uses"].map(tables.USES))
        figure = critical_difference(
            known,
            judged.bars,
            title=f"Ranked by {TITLES[judged.metric]}",
            xlabel="gain over balanced erm",
            simulated=spec.simulated,
        )
        caption = (
            "Mean ranks over replicates, bars over methods of which no two are told"
            " apart (Holm over all pairs), and each one's gain over balanced erm"
        )
        shown = [picture(store, "ranks", figure, caption)]
    return Section("Methods", text, [tables.methods(judged)], shown)


def _criteria(config: Config, judged: Judged) -> Section:
    text = [
        "Seven ways to choose a trial on the validation rows, on the same runs. How"
        " optimistic one was is the number it looked at, on validation, minus the same"
        " on the test rows: what is chosen as the largest of several looks better than"
        " it is, and a method that is fitted on validation rows even more so. Parts"
        " below the floors of one split alone also make the two differ; they are listed"
        " at the end of this page.",
    ]
    name = config.protocol.criterion
    made = [tables.criteria(judged, name), tables.choices(judged, name)]
    return Section("What each criterion would have chosen", text, made)


def _conduct(
    config: Config, played: Played, judged: Judged, seconds: dict[str, float]
) -> Section:
    train, machine = config.train, env({})
    devices = ", ".join(sorted(set(machine["devices"])))
    text = [
        f"Data fingerprint {played.dataset.spec.fingerprint}. Model"
        f" {config.model.name}; {train.steps} steps of {train.batch} rows for all; a"
        f" run keeps its best step on validation (by {train.keep}) and stops after"
        f" {train.patience} evaluations without a better one. The"
        f" {len(played.table):,} runs are {played.programs} compiled program(s).",
        "Decisions: one threshold of the validation rows for all groups (Youden), the"
        " largest probability where there are more than two classes, or the method's"
        " own rule. Thresholds are not drawn again in the replicates.",
        f"Devices: {devices}; {machine['cpus']} CPU cores. Seconds so far: "
        + ", ".join(f"{name} {spent:.0f}" for name, spent in seconds.items())
        + ".",
    ]
    below = [
        f"{part} rows, {TITLES[metric]}: below the floor: {lost}"
        for part, every in judged.lost.items()
        for metric, lost in every.items()
    ]
    refused = [f"Not run: {name}: {why}" for name, why in played.refused.items()]
    made = [tables.cells(played, config.audit.min_rows), tables.trials(played, judged)]
    return Section("How it was done", text, made, items=[*refused, *below])
