import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from equity_jax.audit.statistics.proportions import ratio_error


def test_single_rows_give_the_binomial_error_exactly():
    rng = np.random.default_rng(0)
    sick = (rng.random(200) < 0.3) * 1.0
    hit = sick * (rng.random(200) < 0.8)
    value, se, size = ratio_error(hit, sick, rng.permutation(200))
    n = sick.sum()
    assert value == pytest.approx(hit.sum() / n)
    assert se == pytest.approx(np.sqrt(value * (1 - value) / n), rel=1e-12)
    assert size == pytest.approx(n, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_clusters_are_the_sandwich_of_a_weighted_mean(weighted):
    rng = np.random.default_rng(1)
    block = rng.integers(0, 25, 150)
    x = (rng.random(150) < 0.2 + 0.5 * (block % 2)) * 1.0
    weight = rng.uniform(0.5, 2, 150) if weighted else None
    value, se, size = ratio_error(x, np.ones(150), block, weight)
    model = sm.WLS(x, np.ones(150), weights=1.0 if weight is None else weight)
    options = {"groups": block, "use_correction": False}
    fitted = model.fit(cov_type="cluster", cov_kwds=options)
    assert value == pytest.approx(fitted.params[0])
    assert se == pytest.approx(fitted.bse[0], rel=1e-9)
    assert size == pytest.approx(value * (1 - value) / se**2, rel=0.02)
    assert size < 120


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_columns_are_done_side_by_side(seed, columns):
    rng = np.random.default_rng(seed)
    den = (rng.random((40, columns)) < 0.5) * 1.0
    num = den * (rng.random((40, columns)) < 0.5)
    block, weight = rng.integers(0, 12, 40), rng.random(40)
    together = ratio_error(num, den, block, weight)
    for j in range(columns):
        alone = ratio_error(num[:, j], den[:, j], block, weight)
        for x, y in zip(together, alone, strict=True):
            np.testing.assert_allclose(x[j], y, rtol=1e-12)


def test_at_the_ends_each_patient_counts_once():
    block = np.repeat(np.arange(8), 6)
    for end in (0.0, 1.0):
        value, se, size = ratio_error(np.full(48, end), np.ones(48), block)
        assert (value, se) == (end, 0) and size == pytest.approx(8)
    # patients without a sick row do not count
    sick = np.repeat([1.0, 0.0], 24)
    assert ratio_error(sick, sick, block)[2] == pytest.approx(4)


def test_size_is_never_above_the_rows():
    block = np.repeat(np.arange(20), 2)
    opposite = np.tile([0.0, 1.0], 20)  # the two rows of a patient always differ
    opposite[:2] = 1
    value, se, size = ratio_error(opposite, np.ones(40), block)
    assert value * (1 - value) / se**2 > 200
    assert size == pytest.approx(40, rel=0.01) and size <= 40


def test_few_patients_with_an_event_say_little_of_how_alike_rows_are():
    block, hits = np.repeat(np.arange(30), 6), np.zeros(180)
    hits[[0, 6, 12]] = 1  # three patients have one each: as if rows were independent
    value, se, size = ratio_error(hits, np.ones(180), block)
    said = 180 * se**2 / (value * (1 - value))
    assert said < 1 and size == pytest.approx(180 / ((9 * 1 + 6) / (9 + 1)))
    hits[1:6] = 1  # the same number of patients, but one has six
    value, se, size = ratio_error(hits, np.ones(180), block)
    said = 180 * se**2 / (value * (1 - value))
    few = 8**2 / (6**2 + 1 + 1)  # Kish's number of patients who have them
    assert size == pytest.approx(180 / ((few**2 * said + 6) / (few**2 + 1)))


def test_nothing_to_divide_by():
    found = ratio_error(np.zeros(3), np.zeros(3), np.arange(3))
    assert all(np.isnan(x) for x in found)
    found = ratio_error(np.zeros(0), np.zeros(0), np.zeros(0, int))
    assert all(np.isnan(x) for x in found)
