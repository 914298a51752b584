"""The judgement on every world of the imbalance study, and what no world could say."""

import itertools

import pandas as pd

from equity_jax.audit import AuditReport, against, audit
from equity_jax.audit.status import NOT_ESTIMABLE
from equity_jax.audit.table import frame
from equity_jax.config import Config
from equity_jax.types import Dataset, Predictions
from experiments import imbalance_worlds as worlds
from experiments.imbalance_runs import (
    SCRATCH,
    depth_of,
    methods_of,
    plain_of,
    scheme_of,
)
from experiments.imbalance_worlds import Plan

METRICS = ("auroc", "recall", "specificity")
COLUMNS = ["axis", "world", "prevalence", "share", "rows"]


def judge(
    config: Config, dataset: Dataset, test: Predictions, runs: pd.DataFrame, quiet: bool
) -> AuditReport:
    """The audit of all systems; each against the plain method, and against scratch.

    A draw of a world is a seed, so that intervals hold for other draws, other random
    starts and other patients of the test set.
    """
    spec, chosen = dataset.spec, config.audit
    compare = against(method=plain_of(config))
    if dataset.x.ndim > 2:
        for r in runs.drop_duplicates("scheme").itertuples():
            if r.depth != SCRATCH:
                other = {"scheme": f"{r.world} | {SCRATCH}"}
                compare.append(({"scheme": r.scheme}, other))
    return audit(
        test,
        attributes=worlds.SIDE,
        reference=spec.reference
        if spec.reference in test.attributes[worlds.SIDE]
        else "",
        metrics=METRICS,
        threshold="0.5",
        compare=compare,
        extras=False,
        replicates=chosen.replicates,
        level=chosen.level,
        min_rows=chosen.min_rows,
        seed=config.seed,
        target=spec.targets[0],
        unit=spec.unit,
        simulated=spec.simulated,
        quiet=quiet,
    )


def calls(test: Predictions) -> pd.DataFrame:
    """What every method decides at 0.5 on all test rows, means over draws; calls.csv.

    A method that calls nobody rare has a sensitivity of 0 in every replicate, and no
    interval; the point says more than a blank.

    Returns:
        method, scheme, recall, specificity.
    """
    called, rare = test.prob[..., 0] >= 0.5, test.y[:, 0] == 1
    found = pd.DataFrame(test.runs).assign(
        recall=called[:, rare].mean(1), specificity=1 - called[:, ~rare].mean(1)
    )
    by = found.groupby(["method", "scheme"], sort=False)
    return by[["recall", "specificity"]].mean().reset_index()


def unreached(config: Config, planned: Plan, images: bool) -> pd.DataFrame:
    """Rows of audit.csv for worlds that could not be made, with the reason."""
    every = itertools.product(planned.cases, map(depth_of, config.train.schemes))
    lost = []
    for case, depth in every:
        scheme = scheme_of(case, depth, images)
        for method in methods_of(config, case) if case.why else ():
            line = {"method": method, "scheme": scheme, "system": f"{method}/{scheme}"}
            line |= {"metric": "auroc", "attribute": worlds.SIDE, "group": "all"}
            line |= {"contrast": "group", "interval": case.why}
            lost.append(line | {"status": NOT_ESTIMABLE})
    return frame(lost)


def located(table: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """The audit's rows with the columns of their worlds, and `depth`."""
    parts = table["scheme"].str.partition(" | ")
    placed = table.assign(world=parts[0], depth=parts[2])
    return placed.merge(made[COLUMNS], on="world", how="left")
