r"""How a trial is chosen on validation rows: every criterion, and what each gives.

All of them are kept, so that the study can say what each would have chosen, what that
gives on the test rows, and how much better the chosen trial looked on validation than
it was: its optimism (Gulrajani & Lopez-Paz 2021; Yang et al. 2023). With $u$ the best
overall and worst-group AUROC that any trial of the method reached, "pareto" takes the
trial nearest to that point (distance to the optimum of Zong et al. 2023), "encoding"
the one from whose features the group is read worst. "worst_class", "overall" and
"balanced" look at no group. Ties, and a criterion that validation has too few rows for,
take the first trial: the paper's settings.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from equity_jax.types import TEST, VALID, InputError
from experiments.protocol import decisions, scores
from experiments.protocol.played import Played
from experiments.protocol.scores import METRICS, Measure

PARETO, ENCODING = "pareto", "encoding"
CRITERIA = {
    "overall": "auroc",
    "worst_group": "worst_group_auroc",
    "worst_cell": "worst_cell_accuracy",
    "worst_class": "worst_class_accuracy",
    "balanced": "balanced_accuracy",
    PARETO: "",
    ENCODING: "",
}
"""Name -> the metric that it maximizes; "": another rule."""
CORNER = ["auroc", "worst_group_auroc"]  # of the Pareto distance
SPLITS = {VALID: "valid", TEST: "test"}


class Scored(NamedTuple):
    """Every run on validation and test rows.

    table: a row a run and split: run, entry, trial, seed, split, each metric, encoding;
    cut: float[R, K], of `decisions.cuts`; valid: metric -> Measure of validation rows.
    """

    table: pd.DataFrame
    cut: np.ndarray
    valid: Mapping[str, Measure]


def scored(played: Played, tick: Callable[[], object] = lambda: None) -> Scored:
    """The numbers of all runs, without intervals; `tick` is called after every run."""
    rules, classes = rules_of(played), classes_of(played)
    random = np.array([rule == decisions.RANDOM for rule in rules])
    base = played.table[["run", "entry", "trial", "seed"]]
    given = played.dataset, played.rows, played.prob
    every = {split: scores.predictions(*given, split) for split in SPLITS}
    cut = decisions.cuts(every[VALID], rules)
    parts, found = [], {}
    for split, name in SPLITS.items():
        p = every[split]
        right = decisions.decided(p, cut, random)
        found[name] = scores.measured(p, right, classes, tick=tick)
        values = {metric: told.value for metric, told in found[name].items()}
        encoding = {ENCODING: played.encoding}
        parts.append(base.assign(split=name, **values, **encoding))
    return Scored(pd.concat(parts, ignore_index=True), cut, found["valid"])


def rules_of(played: Played) -> list[str]:
    """How the scores of every run become decisions: its entry's cut."""
    known = {entry.name: entry.cut for entry in played.entries}
    return [known[name] for name in played.table["entry"]]


def classes_of(played: Played) -> Sequence[str]:
    """Names of the values of y."""
    spec = played.dataset.spec
    return ("negative", "positive") if len(spec.targets) > 1 else spec.classes


def choose(table: pd.DataFrame, criterion: str) -> dict[str, int]:
    """Entry -> the trial that a criterion takes, by the mean over seeds.

    Args:
        table: of `scored`.
        criterion: one of CRITERIA.

    Raises:
        InputError: an unknown criterion.

    Example:
        >>> choose(scored(played).table, "worst_cell")["focal"]  # doctest: +SKIP
        2
    """
    if criterion not in CRITERIA:
        raise InputError(
            f"unknown criterion {criterion!r}; known: {', '.join(CRITERIA)}"
        )
    means = averages(table[table["split"] == "valid"])
    return {
        str(name): _first(_liking(part.droplevel("entry"), criterion))
        for name, part in means.groupby("entry", sort=False)
    }


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, by entry and trial; NaN where a seed has no number."""
    rows = table.groupby(["entry", "trial"], sort=False)[[*METRICS, ENCODING]]
    return rows.mean().where(rows.count().eq(rows.size(), axis=0))


def optimism(table: pd.DataFrame) -> pd.DataFrame:
    """optimism.csv: what every criterion chose, and how it did on both splits.

    Returns:
        A row an entry, criterion and metric: entry, criterion, trial, metric, own
        (whether the criterion maximizes that metric), valid, test, optimism (valid
        minus test), of the mean over seeds.
    """
    means = {s: averages(table[table["split"] == s]) for s in SPLITS.values()}
    rows = [
        {
            "entry": entry,
            "criterion": criterion,
            "trial": trial,
            "metric": metric,
            "own": metric == own,
            **{s: mean.loc[(entry, trial), metric] for s, mean in means.items()},
        }
        for criterion, own in CRITERIA.items()
        for entry, trial in choose(table, criterion).items()
        for metric in METRICS
    ]
    made = pd.DataFrame(rows)
    return made.assign(optimism=made["valid"] - made["test"])


def _liking(means: pd.DataFrame, criterion: str) -> pd.Series:
    """Trial -> how much a criterion likes it; NaN: it cannot tell."""
    if criterion == ENCODING:
        return -means[ENCODING]
    if criterion == PARETO:
        away = means[CORNER].max() - means[CORNER]
        return -np.sqrt((away**2).sum(axis=1, skipna=False))
    return means[CRITERIA[criterion]]


def _first(liking: pd.Series) -> int:
    """The trial liked most, of equals the first."""
    liking = liking.sort_index()
    return int(liking.index[int(np.argmax(liking.fillna(-np.inf)))])
