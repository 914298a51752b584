"""Equalized odds at its operating point: removal_rates.csv.

The rule (Hardt et al. 2016) changes decisions, not scores: AUROC and what can be read
stay as they were. So it is judged by the rates that it promises to even out,
sensitivity and false alarms of every group, beside one threshold for all (Youden's),
both fitted on validation rows and averaged over the labels.
"""

import numpy as np
import pandas as pd

from equity_jax.audit import OK, view
from equity_jax.audit.averages import averaged
from equity_jax.audit.decisions import equalized_odds, thresholds
from equity_jax.audit.pages.page import interval_text
from equity_jax.audit.resampling.measures import Decided, labels_of
from equity_jax.removal import LAYER
from equity_jax.run import Result
from equity_jax.types import VALID, Predictions
from equity_jax.verdict import labels_of as names_of
from experiments.race_frontier import Judged, ill

ODDS, SOURCE = "equalized_odds", "validation"
RATES = {"macro_recall": "sensitivity", "macro_fpr": "false alarms"}


def rates(result: Result, made: list[Judged]) -> tuple[pd.DataFrame, str]:
    """removal_rates.csv, the long table of an audit, by two systems; and a sentence.

    The table is empty where no label can be decided. The sentence says how many groups
    had rows enough for the rule; the others have the one threshold.
    """
    spec, config = result.dataset.spec, result.config
    layer = [j for j in made if j.name == LAYER]
    test, valid = ill(result.dataset, layer), ill(result.dataset, layer, VALID)
    args = spec.group, spec.groups, names_of(spec)
    questions, fitted = _questions(test, valid, *args)
    said = (
        f"The rule of equalized odds could be fitted to {fitted} of"
        f" {len(questions) * len(spec.groups)} pairs of a label and a group; the others"
        " have too few validation rows and share one threshold."
    )
    if not questions:
        return pd.DataFrame(), said
    runs = [{"seed": 0, "method": m, "scheme": ""} for m in (LAYER, ODDS)]
    table = averaged(
        test._replace(prob=np.repeat(test.prob, 2, 0), runs=runs),
        questions,
        attribute=spec.group,
        reference=spec.reference,
        against={ODDS: LAYER},
        replicates=config.audit.replicates,
        seed=config.seed,
        level=config.audit.level,
        min_rows=config.audit.min_rows,
        unit=spec.unit,
    )
    return table, said


def _questions(
    test: Predictions,
    valid: Predictions,
    attribute: str,
    groups: tuple[str, ...],
    names: tuple[str, ...],
) -> tuple[list[Decided], int]:
    """One a label: one threshold for all, and the rule, as two systems; how many groups
    of how many labels the rule was fitted to.
    """
    code, own = (_codes(p.attributes[attribute], groups) for p in (test, valid))
    rule, found, fitted = thresholds.parse("youden"), [], 0
    both = zip(labels_of(test, names), labels_of(valid, names), strict=True)
    for (name, score, y, use), (_, learn, truth, known) in both:
        if len(np.unique(truth[known])) < 2 or not np.isfinite(learn).all():
            continue
        args = learn[0][known], truth[known]
        cut = thresholds.pick(rule, *args)
        odds = equalized_odds.fit(
            *args, own[known], len(groups), objective="balanced_accuracy"
        )
        fitted += int(odds.fitted.sum())
        chance = equalized_odds.positive_probability(odds, score[0], code)
        taken = np.stack([1.0 * (score[0] >= cut), chance])
        found.append(Decided(name, SOURCE, taken, y, use, ("recall", "fpr")))
    return found, fitted


def _codes(values: np.ndarray, groups: tuple[str, ...]) -> np.ndarray:
    place = {group: code for code, group in enumerate(groups)}
    return np.array([place.get(str(v), -1) for v in values])


def sentences(table: pd.DataFrame) -> list[str]:
    """Whether the rule evens out what it promises, and what everyone pays."""
    said = []
    for metric, title in RATES.items() if len(table) else ():
        rows = view(table, metric=metric)
        gaps = view(rows, contrast="gap").set_index("system")
        if len(gaps) < 2 or not gaps["status"].eq(OK).all():
            continue
        plain, odds = (gaps.loc[name] for name in (LAYER, ODDS))
        change = view(rows, contrast="difference", reference=LAYER, attribute="")
        text = [interval_text(r.value, r.low, r.high) for r in (plain, odds)]
        price = interval_text(*change.loc[0, ["value", "low", "high"]])
        said.append(
            f"**Equalized odds**, {title}: the gap between groups goes from {text[0]}"
            f" to {text[1]} ({_evened(plain, odds)}). Over everyone the change of"
            f" {title} is {price}."
        )
    return said


def _evened(plain: pd.Series, odds: pd.Series) -> str:
    if plain.low <= 0:
        return "there was no gap that these rows could tell"
    return "evened out" if odds.low <= 0 else "not evened out"
