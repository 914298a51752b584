"""The heads that a study tries on its embeddings: the whole grid, chosen on validation.

The product of `config.heads` (shapes, methods, rates, decays, seeds) is fitted on the
rows of all groups, linear heads as one program and perceptrons of all shapes as
another; beside them the logistic regression at its optimum, for every strength of its
penalty at once. Methods that weigh or resample shift the logits, and a hinge's are none
to begin with: every head is recalibrated on validation rows before their nll is
compared there. The few numbers of the recalibration are fitted on the rows that judge,
for all heads alike.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from scipy.stats import rankdata

from equity_jax.calibration import apply, recalibrate
from equity_jax.config import Config, Heads
from equity_jax.methods import METHODS, switch
from equity_jax.models import MODELS
from equity_jax.models.shaped import shaped
from equity_jax.nouns import Model, Task
from equity_jax.schemes import SCHEMES
from equity_jax.solvers import path
from equity_jax.tasks import TASKS
from equity_jax.train import Fitted, Journal, Run, Weights, fit, score
from equity_jax.types import TRAIN, VALID, Array, Dataset, InputError

POOLED = "mixture"  # the scheme: heads are compared on the rows of all groups
KNOBS = ["family", "shape", "method", "lr", "weight_decay", "l2"]
AXIS = ["run", "seed", *KNOBS]


class Grid(NamedTuple):
    """Fitted heads, and what validation said of them.

    table: a row a head: run, seed, family ("linear", "mlp", "logistic"), shape, method,
    lr, weight_decay, l2 (of "logistic", which has no rate or decay), step (of the best
    parameters; iterations of "logistic"), valid (nll on validation rows, recalibrated),
    auroc (there; of more classes the mean of one against the rest), chosen (the
    settings of its family with the lowest mean nll over seeds). models: by family;
    weights: by run.
    """

    table: pd.DataFrame
    models: Mapping[str, Model]
    weights: Sequence[Weights]

    def logits(self, x: Array, run: int) -> np.ndarray:
        """float32[N, O] of rows x float[N, F], as fitted: not recalibrated.

        Example:
            >>> found.logits(dataset.x, found.best("mlp")["run"])  # doctest: +SKIP
        """
        model = self.models[self.table["family"].iloc[run]]
        return score(model, [self.weights[run]], x)[0]

    def best(self, family: str = "") -> pd.Series:
        """The row that validation chose, of the first seed; of one family, or of all.

        Raises:
            InputError: a family that was not tried.

        Example:
            >>> found.best()["shape"]  # doctest: +SKIP
            'mlp(128)'
        """
        rows = self.table[self.table["chosen"]]
        mean = rows.groupby("family", sort=False)["valid"].mean()
        if family and family not in mean:
            raise InputError(f"no head of family {family!r}; tried: {list(mean.index)}")
        return rows[rows["family"] == (family or mean.idxmin())].iloc[0]


def grid(
    config: Config, dataset: Dataset, journal: Journal | None = None, quiet: bool = True
) -> Grid:
    """Fits every head of `config.heads` with the steps and batches of `config.train`.

    Raises:
        InputError: a task that is not one label, binary or of several classes; an
            unknown name; no head at all; no validation row.

    Example:
        >>> found = grid(config, dataset)  # doctest: +SKIP
        >>> found.table.sort_values("valid")[["shape", "auroc"]]  # doctest: +SKIP
    """
    task, journal = TASKS.get(dataset.spec.task), journal or Journal(None)
    if task.start is None or task.constants or dataset.mask.shape[1] != 1:
        raise InputError(
            f"heads are compared on one label, binary or multiclass; the task is"
            f" {dataset.spec.task}"
        )
    if not ((dataset.split == VALID) & (dataset.mask[:, 0] > 0)).any():
        raise InputError("no labelled validation row to choose a head by")
    models, table = plan_heads(config.heads, task)
    weights: list[Weights] = []
    steps: list[int] = []
    for family, rows in table.groupby("family", sort=False):
        if family == "logistic":
            made = _logistic(dataset, task, rows["l2"].to_numpy(), journal)
        else:
            made = _fitted(config, dataset, task, models[family], rows, journal, quiet)
        weights, steps = weights + made[0], steps + made[1]
    table = table.assign(step=steps)
    found = _validated(models, weights, table, dataset)
    return Grid(_chosen(table.assign(**found)), models, weights)


def plan_heads(heads: Heads, task: Task) -> tuple[dict[str, Model], pd.DataFrame]:
    """The models by family, and the columns AXIS of the heads that will be fitted.

    Raises:
        InputError: as `grid`.

    Example:
        >>> plan_heads(Heads(shapes=("linear",)), TASKS.get("binary"))[0].keys()
        dict_keys(['linear', 'logistic'])
    """
    deep = [shape for shape in heads.shapes if shape != "linear"]
    sizes = task.outputs, task.constants
    models = {"linear": MODELS.get("linear", *sizes)}
    if deep:
        models["mlp"] = shaped(*sizes, deep)
    models["logistic"] = models["linear"]
    knobs = heads.methods, heads.lr, heads.weight_decay
    shapes = {"linear": [s for s in heads.shapes if s == "linear"], "mlp": deep}
    rows = [
        (seed, family, *point, np.nan)
        for family, mine in shapes.items()
        for point in itertools.product(dict.fromkeys(mine), *knobs)
        for seed in range(heads.seeds)
    ]
    none = np.nan, np.nan
    rows += [(0, "logistic", "linear", "erm", *none, l2) for l2 in heads.l2]
    if not rows:
        raise InputError("--config.heads names no head: no shape, method, rate or seed")
    table = pd.DataFrame(rows, columns=AXIS[1:])
    table.insert(0, "run", np.arange(len(table)))
    tried = set(table["family"])
    return {name: m for name, m in models.items() if name in tried}, table


def _fitted(
    config: Config,
    dataset: Dataset,
    task: Task,
    model: Model,
    table: pd.DataFrame,
    journal: Journal,
    quiet: bool,
) -> tuple[list[Weights], list[int]]:
    """One program for all heads of a family."""
    names = config.heads.methods
    unified = switch(*(METHODS.get(name) for name in names))
    family = table["family"].iloc[0]
    runs = [
        Run(row.seed, row.method, POOLED, -1, row.lr, 1.0, row.weight_decay, shape)
        for row in table.itertuples()
        for shape in [row.shape if model.at else ""]
    ]
    made: Fitted = fit(
        model,
        dataset,
        runs,
        task=task,
        reconstruct=TASKS.get("reconstruct"),
        train=config.train,
        methods=dict(zip(names, unified, strict=True)),
        schemes={POOLED: SCHEMES.get(POOLED)},
        journal=journal,
        quiet=quiet,
        name=f"heads {family} ",
    )
    found = [made.of(i) for i in range(len(runs))]
    return found, made.step[made.plan.final].tolist()


def _logistic(
    dataset: Dataset, task: Task, l2s: np.ndarray, journal: Journal
) -> tuple[list[Weights], list[int]]:
    """The same model at its optimum for every strength, side by side."""
    label = "heads logistic"
    found: dict[str, Any] | None = journal.found.get(label)
    if found is None:
        rows = (dataset.split == TRAIN) & (dataset.mask[:, 0] > 0)
        family = "logistic" if task.outputs == 1 else "multinomial"
        x, y = np.asarray(dataset.x[rows], np.float32), dataset.y[rows, 0]
        made = path(x, y, l2s, family=family, solver="lbfgs", dtype=np.float32)
        parts = made.coef, made.intercept, made.iterations
        found = dict(zip(("coef", "intercept", "step"), parts, strict=True))
        journal.add(label, found)
    weights = [
        Weights({"head": {"dense": {"kernel": coef.T, "bias": bias}}}, {})
        for coef, bias in zip(found["coef"], found["intercept"], strict=True)
    ]
    return weights, np.asarray(found["step"]).tolist()


def _validated(
    models: Mapping[str, Model],
    weights: Sequence[Weights],
    table: pd.DataFrame,
    dataset: Dataset,
) -> dict[str, np.ndarray]:
    """Columns valid and auroc."""
    rows = (dataset.split == VALID) & (dataset.mask[:, 0] > 0)
    y, x = dataset.y[rows, 0].astype(int), jax.numpy.asarray(dataset.x[rows])
    nll, auroc = np.zeros(len(table)), np.zeros(len(table))
    for family, model in models.items():
        runs = np.flatnonzero(table["family"] == family)
        for run, z in zip(
            runs, score(model, [weights[r] for r in runs], x), strict=True
        ):
            z = np.concatenate([np.zeros_like(z), z], 1) if z.shape[1] == 1 else z
            prob = np.asarray(apply(z, recalibrate(z, y, "bcts")), np.float64)
            own = np.take_along_axis(prob, y[:, None], 1)
            nll[run] = -np.log(np.maximum(own, 1e-30)).mean()
            auroc[run] = np.mean([ranked(prob[:, c], y == c) for c in _asked(prob)])
    return {"valid": nll, "auroc": auroc}


def _asked(prob: np.ndarray) -> range:
    """Of two classes the last says it all."""
    return range(1 if prob.shape[1] == 2 else 0, prob.shape[1])


def ranked(prob: np.ndarray, y: np.ndarray) -> float:
    """AUROC of scores float[n], y bool[n] (Mann & Whitney 1947).

    NaN where a class has no row.

    Example: `ranked(np.array([0.1, 0.9]), np.array([False, True]))` is 1.
    """
    ones, zeros = y.sum(), (~y).sum()
    if not ones or not zeros:
        return np.nan
    return float((rankdata(prob)[y].sum() / ones - (ones + 1) / 2) / zeros)


def _chosen(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the column `chosen`."""
    mean = table.groupby(KNOBS, dropna=False, sort=False)["valid"].transform("mean")
    least = mean.groupby(table["family"], sort=False).transform("min")
    return table.assign(chosen=(mean == least).to_numpy())
