"""All runs of all methods, in as few compiled programs as there can be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from equity_jax import probes
from equity_jax.config import Config
from equity_jax.grid import ranked
from equity_jax.methods import METHODS, programs
from equity_jax.models import MODELS
from equity_jax.nouns import Method, Scheme
from equity_jax.results import log_table
from equity_jax.schemes import SCHEMES
from equity_jax.tasks import TASKS
from equity_jax.train import Journal, Run, Weights, fit, seen
from equity_jax.types import TRAIN, VALID, Dataset


class Fits(NamedTuple):
    """What was trained: run -> its weights, the step they are from, and its log.

    programs: how many compiled programs it took, without those of second stages.
    """

    weights: dict[Run, Weights]
    step: dict[Run, int]
    log: dict[Run, pd.DataFrame]
    programs: int


class View(NamedTuple):
    """What one run makes of all rows.

    prob: float32[N, C]; features: float32[N, F]; encoding: float, of `encoding`.
    """

    prob: np.ndarray
    features: np.ndarray
    encoding: float


def fit_all(
    config: Config, dataset: Dataset, runs: Sequence[Run], journal: Journal, quiet: bool
) -> Fits:
    """Fits every run; methods with losses of one cost are lanes of one program.

    Example: `fit_all(config, dataset, runs, Journal(None), True).programs` may be 14.
    """
    schemes = {run.scheme: SCHEMES.get(run.scheme) for run in runs}
    parts, task = shared(runs, schemes), TASKS.get(dataset.spec.task)
    found = Fits({}, {}, {}, len(parts))
    for number, (methods, mine) in enumerate(tqdm(parts, "programs", disable=quiet)):
        fitted = fit(
            MODELS.get(config.model.name, task.outputs, task.constants),
            dataset,
            mine,
            task=task,
            reconstruct=TASKS.get("reconstruct"),
            train=config.train,
            methods=methods,
            schemes=schemes,
            journal=journal,
            quiet=quiet,
            name=f"program {number} ",
        )
        logs = dict(
            iter(log_table(fitted, config.train.keep).groupby("run", sort=False))
        )
        for i, run in enumerate(mine):
            found.weights[run] = fitted.of(i)
            found.step[run] = int(fitted.step[fitted.plan.final[i]])
            found.log[run] = logs[i]
    return found


def shared(
    runs: Sequence[Run], schemes: Mapping[str, Scheme]
) -> list[tuple[dict[str, Method], list[Run]]]:
    """The methods and runs of each program.

    Runs of several stages stand apart: every later stage compiles its program again,
    and theirs is a small one.

    Example: `[len(mine) for _, mine in shared(runs, schemes)]` may be [34, 5, 1].
    """
    made = []
    for several in (False, True):
        mine = [r for r in runs if (len(schemes[r.scheme].stages) > 1) == several]
        stages = [s.method for r in mine for s in schemes[r.scheme].stages]
        names = dict.fromkeys([*(r.method for r in mine), *filter(None, stages)])
        for methods in programs({name: METHODS.get(name) for name in names}):
            asked = [run for run in mine if run.method in methods]
            made += [(methods, asked)] if asked else []
    return made


def views(
    config: Config, dataset: Dataset, weights: Sequence[Weights], quiet: bool
) -> Iterator[View]:
    """A View of each fitted model, in their order.

    Example: `next(views(config, dataset, [weights], True)).features.shape`.
    """
    task = TASKS.get(dataset.spec.task)
    model = MODELS.get(config.model.name, task.outputs, task.constants)
    made = seen(model, weights, dataset.x)
    for logits, features in tqdm(made, "scores", len(weights), disable=quiet):
        prob = np.asarray(task.predict(logits, None), np.float32)
        yield View(prob, features, encoding(features, dataset))


def encoding(features: np.ndarray, dataset: Dataset) -> float:
    """How well the group can be read from features float[N, F]: a macro AUROC.

    Of validation rows, by a ridge regression that learns from training rows; NaN where
    no two groups have rows there, or a feature is no number. It chooses among trials
    and reports nothing: its penalty is chosen on the same validation rows.

    Example: `encoding(dataset.x, dataset)` is that of the data themselves.
    """
    group = dataset.group
    train, valid = ((dataset.split == s) & (group >= 0) for s in (TRAIN, VALID))
    there = np.intersect1d(group[train], group[valid])
    if len(there) < 2 or not np.isfinite(features).all():
        return np.nan
    told = probes.ridge(features, [group], dataset.split)[0].scores[valid]
    return float(np.mean([ranked(told[:, g], group[valid] == g) for g in there]))
