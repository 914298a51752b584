"""From stitched logits to what the audit judges, by hand."""

import numpy as np
import pytest
from scipy import stats

from equity_jax.audit import audit
from equity_jax.config import Data, Twin
from equity_jax.data import DATASETS
from equity_jax.forecasts import judged, rows_of
from equity_jax.systems import System
from equity_jax.tasks import TASKS


@pytest.fixture(scope="module")
def dataset():
    made = DATASETS["deaths"](Data(twin=Twin(months=10)))
    return rows_of(made, np.flatnonzero((made.split == 2) & (made.mask[:, 0] > 0)))


@pytest.fixture(scope="module")
def test(dataset):
    logits = np.zeros((2, len(dataset.x), 2), np.float32)
    logits[0, :, 0], logits[1, :, 0] = np.log(0.05), np.log(0.10)
    logits[..., 1] = np.log(0.2)
    reference = dataset.spec.groups.index(dataset.spec.reference)
    system = System(0, "erm", "alone", "alone", {reference: 1}, 0)
    return judged(dataset, TASKS.get(dataset.spec.task), [system], logits, Data())


def test_each_row_has_its_own_groups_rate(dataset, test):
    mine = dataset.attributes["race"] == dataset.spec.reference
    rate = np.where(mine, 0.10, 0.05)
    low, high, exposure, _ = (a[:, 0].astype(float) for a in dataset.y)
    mu, size = rate * exposure, 1 / 0.2
    law = stats.nbinom(size, size / (size + mu))
    exact = low == high
    expected = np.where(
        exact, law.logpmf(low), np.log(law.cdf(high) - law.cdf(low - 1))
    )
    deviance = test.ratios["deviance"]
    np.testing.assert_allclose(deviance.num[0], -2 * expected, rtol=1e-3, atol=1e-4)
    assert (deviance.den == 1).all()


def test_observed_over_expected_is_given_publication(dataset, test):
    ratio = test.ratios["observed_expected"]
    low, high = dataset.y.low[:, 0], dataset.y.high[:, 0]
    np.testing.assert_array_equal(ratio.num[0], np.where(low == high, low, 0))
    hidden = low != high
    assert hidden.any() and (ratio.den[0][hidden] == 0).all()
    rate = np.where(dataset.attributes["race"] == dataset.spec.reference, 0.10, 0.05)
    mu = rate * dataset.y.exposure[:, 0].astype(float)
    law, k = stats.nbinom(5, 5 / (5 + mu)), np.arange(1, 10)[:, None]
    p = law.pmf(k)
    published = (mu - (k * p).sum(0)) / (1 - p.sum(0))
    np.testing.assert_allclose(ratio.den[0][~hidden], published[~hidden], rtol=1e-4)


def test_coverage_counts_published_cells_only(dataset, test):
    ratio = test.ratios["coverage90"]
    exact = dataset.y.low[:, 0] == dataset.y.high[:, 0]
    np.testing.assert_array_equal(ratio.den[0], exact.astype(float))
    assert (ratio.num <= ratio.den).all()


def test_high_burden_is_decided_by_the_interval(dataset, test):
    low, high, exposure, _ = (a[:, 0] for a in dataset.y)
    yes, no = low >= 0.1 * exposure, high < 0.1 * exposure
    np.testing.assert_array_equal(test.y[yes, 0], 1)
    np.testing.assert_array_equal(test.y[no, 0], 0)
    undecided = ~yes & ~no
    assert undecided.any() and np.isnan(test.y[undecided]).all()
    assert (test.prob >= 0).all() and (test.prob <= 1).all()


def test_undecided_cells_still_count_in_the_deviance(dataset, test):
    report = audit(test, attributes="race", reference=dataset.spec.reference,
                   metrics=("auroc",), replicates=20)  # fmt: skip
    n = report.by_group(group="all").set_index("metric")["n"]
    assert n["deviance"] == len(dataset.x)
    assert n["auroc"] == np.isfinite(test.y).sum() < len(dataset.x)
