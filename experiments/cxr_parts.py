"""What sections of the chest X-ray page share: names, rows, numbers in replicates."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from equity_jax.audit import NOT_ESTIMABLE, OK, subjects, view
from equity_jax.audit.multiclass import truth_of
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Figure, interval_text
from equity_jax.audit.resampling import estimates
from equity_jax.audit.resampling.measures import Given, Scored
from equity_jax.audit.resampling.replicates import resampled
from equity_jax.audit.statistics import inference
from equity_jax.audit.statistics.floors import OTHERS, PATIENTS
from equity_jax.audit.statistics.inference import Estimate
from equity_jax.config import Config
from equity_jax.store import Store
from equity_jax.trial_files import Trial
from equity_jax.trials import Result
from equity_jax.types import TEST, Predictions

TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_auroc": "macro AUROC",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
}
DEPTHS = {
    "mixture": "from random numbers",
    "full": "all layers",
    "head_only": "the head only",
    "last_blocks": "the last blocks",
    "probe_then_full": "the head first, then all",
}
Pairs = Sequence[tuple[int, int]]


def name_of(trial: Trial) -> str:
    """A best network's name; weights that began as random numbers are called scratch.

    Example:
        >>> name_of(trial)  # doctest: +SKIP
        'vgg19 (pretrained)'
    """
    start = "pretrained" if trial.arm.started else "from scratch"
    return f"{trial.arm.model} ({start})"


def named(result: Result, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the audit with a column `network`: the name of the system's trial."""
    names = {system_of(t): name_of(t) for t in result.chosen}
    return table.assign(network=table["system"].map(names))


def system_of(trial: Trial) -> str:
    """How the audit's column `system` calls a trial."""
    return f"{trial.about['method']}/{trial.about['scheme']}"


def run_of(result: Result, trial: Trial) -> pd.Series:
    """The row of runs.csv of a pooled trial."""
    arm, system = trial.arm, trial.system
    rows = view(
        result.table,
        model=arm.model,
        start=arm.start,
        augment=arm.augment,
        lr=arm.lr,
        method=system.method,
        scheme=system.source,
        seed=system.seed,
    )
    return rows.iloc[0]


def tested_rows(result: Result) -> np.ndarray:
    """int[M]: which held-out rows are the test's."""
    return np.flatnonzero(result.held.split == TEST)


def wide(table: pd.DataFrame, rows: str, columns: str) -> pd.DataFrame:
    """`rows` × `columns` of a long table, cells "value [low, high]"."""
    shaped = table.assign(text=texts(table)).pivot_table(
        "text", rows, columns, "first", sort=False
    )
    names = list(dict.fromkeys(table[columns]))
    return shaped[names].reset_index().rename_axis(columns=None)


def texts(table: pd.DataFrame) -> list[str]:
    """A text for every row: the number with its interval, or its status."""
    return [
        interval_text(r.value, r.low, r.high) if r.status == OK else r.status
        for r in table.itertuples()
    ]


def picture(
    store: Store, name: str, figure: Drawing, caption: str, alt: str = ""
) -> Figure:
    """Saves a figure in the run directory and gives its place on the page."""
    with store.place(f"figures/{name}.png") as path:
        figures.save(figure, path)
    return Figure(f"figures/{name}.png", caption, alt or caption)


def measured(
    p: Predictions, classes: Sequence[str], config: Config
) -> dict[str, Estimate]:
    """Accuracy and macro AUROC of every system, in the same replicates of patients.

    Returns:
        "accuracy", "macro_auroc" -> Estimate of value float[S], draws float[S, R].
    """
    truth, prob = truth_of(p, classes), np.asarray(p.prob, float)
    right = np.where(truth >= 0, prob.argmax(2) == truth, np.nan)
    each = [
        Scored(name, prob[:, :, c], (truth == c) * 1.0, truth >= 0, ranked=("auroc",))
        for c, name in enumerate(classes)
    ]
    return {
        "accuracy": mean_of(p, right, config),
        "macro_auroc": _estimate(p, each, config),
    }


def mean_of(p: Predictions, values: np.ndarray, config: Config) -> Estimate:
    """The mean over rows of values float[S, N], in the same replicates.

    A row whose value is NaN for any system is left out for all.
    """
    use = np.isfinite(values).all(axis=0)
    num = np.where(use, values, 0.0)
    given = Given("", "absolute_error", num, np.ones_like(num), use)
    return _estimate(p, [given], config)


def _estimate(
    p: Predictions, asked: Sequence[Given | Scored], config: Config
) -> Estimate:
    """The mean of several answers over all rows, with the floors of the audit."""
    who = subjects.subjects_of(p, (), {})
    count = config.audit.replicates
    drawn = resampled(who.blocks, count, config.seed, "bootstrap")
    each = [estimates.answer(q, who, drawn, closed=False)[0] for q in asked]
    value = np.mean([a.value[:, 0] for a in each], axis=0)
    draws = np.mean([a.draws[:, 0] for a in each], axis=0)
    effective = np.min([a.effective[:, 0] for a in each], axis=0)
    least = PATIENTS if isinstance(asked[0], Scored) else OTHERS
    ok = np.isfinite(value) & (np.isfinite(draws).mean(1) >= 0.9)
    ok &= effective >= least - 1e-6
    return Estimate(value, value[:, None], draws, effective, ok)


def paired(estimate: Estimate, pairs: Pairs, level: float) -> dict[str, object]:
    """The mean difference first minus second over pairs of systems, in all replicates.

    Returns:
        The columns value, low, high, status.

    Example:
        >>> paired(found["accuracy"], [(0, 1)], 0.95)["value"]  # doctest: +SKIP
        0.03
    """
    first, second = np.array(pairs, int).reshape(-1, 2).T
    gained = inference.difference(
        inference.cells(estimate, first), inference.cells(estimate, second)
    )
    mean = Estimate(
        *(np.asarray(x).mean(0, keepdims=True) for x in gained[:3]),
        gained.effective.min(0, keepdims=True),
        gained.ok.all(0, keepdims=True),
    )
    low, high = inference.interval(mean, level)
    value = np.where(mean.ok, mean.value, np.nan)[0]
    status = OK if mean.ok[0] else NOT_ESTIMABLE
    return {
        "value": float(value),
        "low": float(low[0]),
        "high": float(high[0]),
        "status": status,
    }


def differences(
    found: dict[str, Estimate], pairs: Pairs, level: float
) -> Iterator[dict[str, object]]:
    """`paired` of every metric, with its name in the column `metric`."""
    for metric, estimate in found.items():
        yield {"metric": TITLES[metric]} | paired(estimate, pairs, level)


def told(low: float, high: float) -> str:
    """Whether an interval of a difference leaves out 0, in words."""
    if not np.isfinite(low):
        return "too few patients, or of one class"
    if low > 0 or high < 0:
        return "its interval excludes 0"
    return "its interval contains 0, so the two cannot be told apart"
