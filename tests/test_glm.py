"""The linear count model on the real table reaches the optimum of statsmodels."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from equity_jax.solvers import glm
from equity_jax.tasks import TASKS
from equity_jax.types import Counted


def peer(model, **options):
    """statsmodels' optimum: BFGS, polished by Newton."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its overflows on the way, not ours
        near = model.fit(disp=0, maxiter=500, method="bfgs", gtol=1e-6)
        more = {"disp": 0, "method": "newton", "tol": 1e-12, "maxiter": 100}
        return model.fit(near.params, **more, **options)


def monthly(real):
    """Published region rows of the monthly table as (design, COVID-19, total)."""
    name = "tpcp-uiv5_layout14_bymonth_2020_2021.csv.gz"
    table = pd.read_csv(real / "deaths" / name, dtype=str)
    table = table[table["HHS Region"] != "United States"]
    table = table.dropna(subset=["COVID-19 Deaths", "Total Deaths"])
    y, total = (table[c].astype(float) for c in ("COVID-19 Deaths", "Total Deaths"))
    # a month without one COVID-19 death has its best coefficient at minus infinity
    some = y.groupby(table["Start Date"]).transform("sum") > 0
    keep = (total > 0) & some
    columns = ["HHS Region", "Race and Hispanic Origin Group", "Age Group"]
    parts = table.loc[keep, [*columns, "Start Date"]]
    dummies = pd.get_dummies(parts, drop_first=True)
    return dummies.to_numpy(float), y[keep].to_numpy(), total[keep].to_numpy()


@pytest.mark.realdata
@pytest.mark.parametrize("family", ["poisson", "negbin"])
def test_linear_model_reaches_the_statsmodels_optimum_on_the_real_table(real, family):
    x, y, total = monthly(real)
    rows = Counted(y, y, total, np.zeros(len(y)))
    got = glm(x, rows, family=family)
    kinds = {"poisson": sm.Poisson, "negbin": sm.NegativeBinomial}
    model = kinds[family](y, sm.add_constant(x), exposure=total)
    want = peer(model)
    gap = (got.log_likelihood - want.llf) / len(y)
    print(f"{family}: {len(y)} rows, log-likelihood per row ours - theirs {gap:.2e}")
    assert got.converged
    assert gap > -1e-5
    assert gap < 1e-5 or not want.mle_retvals["converged"]
    # the very likelihood that networks are trained with, in float32
    task = TASKS.get(f"count(0.1, {family!r})")
    eta = x @ got.coef[0] + got.intercept[0]
    columns = [eta, *(np.full(len(y), c) for c in got.constants)]
    logits = np.stack(columns, 1).astype(np.float32)
    small = Counted(*(a[:, None].astype(np.float32) for a in rows))
    nll = np.asarray(task.nll(logits, small), np.float64)
    assert abs(-nll.sum() - got.log_likelihood) < 1e-5 * len(y)
