r"""The judgement: every method's chosen trial on the test rows, and who differs.

Intervals are over patients and seeds, drawn anew each by itself in every replicate (the
pigeonhole bootstrap of audit.statistics.draws); all methods share the replicates, so a
difference is paired. Every method is compared with balanced erm (`BALANCED`) and with
erm, by Student's t with the bootstrap's variance. Over all methods its p-values are
adjusted by Holm (1979), and its simultaneous bands are those of audit.statistics.bands.

Measured on 200 worlds of four methods that are equally good but for chance (3 seeds,
900 test rows of 600 patients, 200 replicates): a difference had p < 0.05 in 1.5 % (the
worst group's accuracy) to 4.5 % (AUROC), any of three after Holm in 1 to 7.5 % of the
worlds, and an interval held the number's mean over worlds in 94 to 98 %. The worst of
several parts is biased down, less so in a difference of two methods.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax.audit import NOT_ESTIMABLE, OK
from equity_jax.audit.statistics import bands, inference
from equity_jax.audit.statistics.homogeneity import adjust
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.config import Config
from equity_jax.types import TEST
from experiments.protocol import criteria, decisions, scores
from experiments.protocol.entries import BALANCED, ERM
from experiments.protocol.played import Played
from experiments.protocol.ranking import difference, ranks
from experiments.protocol.scores import Measure

MAIN = "worst_cell_accuracy"  # ranked by where the criterion maximizes no metric


class Judged(NamedTuple):
    """What the comparison came to.

    methods: methods.csv, a row a method and metric; optimism: optimism.csv; chosen:
    entry -> trial; metric: the one that ranks; best: the entry that validation likes
    most; bars: (first, last) places in the order of mean rank that cannot be told
    apart; lost: part of the rows -> metric -> what is below the floors there.
    """

    methods: pd.DataFrame
    optimism: pd.DataFrame
    chosen: Mapping[str, int]
    metric: str
    best: str
    bars: list[tuple[int, int]]
    lost: Mapping[str, Mapping[str, str]]


def judge(config: Config, played: Played, quiet: bool = True) -> Judged:
    """Chooses on validation, then judges on the test rows.

    Raises:
        InputError: an unknown criterion.

    Example:
        >>> judge(config, played).methods.query("metric == 'auroc'")  # doctest: +SKIP
    """
    names = [entry.name for entry in played.entries]
    with tqdm(desc="judge", unit=" scores", disable=quiet) as bar:
        told = criteria.scored(played, bar.update)
        chosen = criteria.choose(told.table, config.protocol.criterion)
        measures, runs = _measures(config, played, told.cut, chosen, bar.update)
    metric = criteria.CRITERIA[config.protocol.criterion] or MAIN
    optimism = criteria.optimism(told.table)
    found = {m: _estimate(x, runs, config) for m, x in measures.items()}
    kept = optimism.set_index(["entry", "metric"])["valid"]
    kept = kept[(optimism["criterion"] == config.protocol.criterion).to_numpy()]
    rows = [
        row
        for m, estimate in found.items()
        for row in _rows(m, measures[m].why, estimate, names, config.audit.level)
    ]
    places, bars = ranks(found[metric], config.audit.level)
    ranked = pd.DataFrame(places.T, columns=["rank", "rank_low", "rank_high"])
    ranked = ranked.assign(entry=names, metric=metric)
    about = pd.DataFrame(
        {
            "entry": names,
            "uses": [entry.uses for entry in played.entries],
            "paper": [entry.paper for entry in played.entries],
            "trial": [chosen[name] for name in names],
            "choices": [_choices(optimism, name) for name in names],
        }
    )
    table = about.merge(pd.DataFrame(rows), on="entry")
    table = table.merge(ranked, "left", ["entry", "metric"])
    table = table.assign(
        criterion=config.protocol.criterion,
        valid=[
            kept[e, m] for e, m in zip(table["entry"], table["metric"], strict=True)
        ],
    )
    liked = kept.xs(metric, level="metric").reindex(names)
    best = names[int(np.argmax(liked.fillna(-np.inf)))]
    lost = {"valid": _lost(told.valid), "test": _lost(measures)}
    return Judged(table, optimism, chosen, metric, best, bars, lost)


def _measures(
    config: Config,
    played: Played,
    cut: np.ndarray,
    chosen: Mapping[str, int],
    tick: Callable[[], object],
) -> tuple[dict[str, Measure], np.ndarray]:
    """The test numbers of the chosen runs, and int[M, S]: which are whose, by seed."""
    table = played.table.reset_index(drop=True)
    mine = table[table["trial"] == table["entry"].map(chosen)]
    seeds = sorted(set(mine["seed"]))
    place = {run: i for i, run in enumerate(mine.index)}
    runs = []
    for entry in played.entries:
        own = mine[mine["entry"] == entry.name]
        by_seed = dict(zip(own["seed"], own.index, strict=True))
        # what is fitted without chance has one run, which stands for every seed
        runs.append([place[by_seed.get(seed, own.index[0])] for seed in seeds])
    at = mine.index.to_numpy()
    p = scores.predictions(played.dataset, played.rows, played.prob[at], TEST)
    rules = np.array(criteria.rules_of(played), object)[at]
    right = decisions.decided(p, cut[at], rules == decisions.RANDOM)
    classes, count = criteria.classes_of(played), config.audit.replicates
    found = scores.measured(p, right, classes, count, config.seed, tick)
    return found, np.array(runs)


def _estimate(measure: Measure, runs: np.ndarray, config: Config) -> Estimate:
    """Value float[M]: the mean over seeds, which are drawn anew with the patients."""
    seeds, draws = measure.value[runs], measure.draws[runs]
    count, replicates = runs.shape[1], draws.shape[-1]
    purpose = f"bootstrap/seeds/{count}"
    share = inference.resample(count, replicates, config.seed, purpose).T / count
    value, drawn = seeds.mean(axis=1), np.einsum("msr,sr->mr", draws, share)
    ok = np.isfinite(value) & (np.isfinite(drawn).mean(axis=1) >= 0.9)
    effective = np.full(len(runs), measure.effective)
    return Estimate(value, seeds, drawn, effective, ok, kind="edged")


def _rows(
    metric: str, why: str, found: Estimate, names: Sequence[str], level: float
) -> list[dict[str, Any]]:
    """The rows of one metric: the number, and its differences from both baselines."""
    low, high = inference.interval(found, level)
    columns = {"value": np.where(found.ok, found.value, np.nan)}
    columns |= {"low": np.maximum(low, 0.0), "high": np.minimum(high, 1.0)}
    for base, word in ((BALANCED, "difference"), (ERM, "erm_difference")):
        columns |= _against(found, np.array(names) == base, word, level)
    why = [w or "not defined for these rows" for w in [why] * len(names)]
    status = [
        {"status": OK if ok else NOT_ESTIMABLE, "reason": "" if ok else w}
        for ok, w in zip(found.ok, why, strict=True)
    ]
    return [
        {"entry": name, "metric": metric, **status[m]}
        | {k: float(v[m]) for k, v in columns.items()}
        for m, name in enumerate(names)
    ]


def _against(
    found: Estimate, base: np.ndarray, word: str, level: float
) -> dict[str, np.ndarray]:
    """A method minus the baseline: value, interval, band, p and adjusted p.

    base: bool[M], which is the baseline; none, where the task refused it: all NaN.
    """
    every = np.arange(len(found.value))
    gained = difference(found, every, np.full(len(every), np.argmax(base)))
    gained = gained._replace(ok=gained.ok & ~base & base.any())
    ends = inference.interval(gained, level)
    wide = bands.bands(gained, level)
    p = inference.p_value(gained)
    made = {word: np.where(gained.ok, gained.value, np.nan)}
    made |= {f"{word}_low": ends[0], f"{word}_high": ends[1]}
    made |= {f"{word}_band_low": wide[0], f"{word}_band_high": wide[1]}
    return made | {f"{word}_p": p, f"{word}_p_holm": adjust(p, "holm")}


def _choices(optimism: pd.DataFrame, entry: str) -> str:
    """The trial that every criterion takes: "overall 0, worst_group 2, ..."."""
    mine = optimism[optimism["entry"] == entry].drop_duplicates("criterion")
    told = zip(mine["criterion"], mine["trial"], strict=True)
    return ", ".join(f"{name} {trial}" for name, trial in told)


def _lost(measures: Mapping[str, Measure]) -> dict[str, str]:
    told = {m: x.why or ", ".join(x.lost) for m, x in measures.items()}
    return {m: text for m, text in told.items() if text}
