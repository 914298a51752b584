import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from equity_jax.audit.statistics import intervals


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.5, 4))
@settings(max_examples=50, deadline=None)
def test_wilson_is_statsmodels(hits, n, z):
    hits = min(hits, n)
    found = intervals.wilson(np.array(hits / n), np.array(float(n)), z)
    alpha = 2 * stats.norm.sf(z)
    assert found == pytest.approx(
        proportion_confint(hits, n, alpha, "wilson"), abs=1e-9
    )


def test_logit_is_symmetric_between_the_classes():
    low, high = intervals.logit(np.array(0.9), np.array(0.04), 2.0)
    other = intervals.logit(np.array(0.1), np.array(0.04), 2.0)
    assert (1 - high, 1 - low) == pytest.approx(other)
    assert 0.9 - low > high - 0.9


def test_quantiles_ignore_undefined_replicates():
    draws = np.array([[3.0, np.nan, 1.0, 2.0, np.nan]])
    got = intervals.quantile(np.sort(draws, axis=-1), 0.25)
    assert got[0] == pytest.approx(np.nanquantile(draws, 0.25))


def test_percentiles_are_the_quantiles_and_far_tails_are_moved_out():
    rng = np.random.default_rng(0)
    draws = np.exp(rng.normal(size=(1, 1000)))
    value = np.array([1.0])
    below, above = intervals.percentile(value, draws, 0.025)
    ends = np.quantile(draws, [0.025, 0.975])
    assert (1 - below[0], 1 + above[0]) == pytest.approx(tuple(ends))
    below, above = intervals.percentile(value, draws, 1e-5)
    ends = np.quantile(draws, [0.01, 0.99])
    out = stats.norm.ppf(1e-5) / stats.norm.ppf(0.01)
    assert (below[0], above[0]) == pytest.approx(
        (out * (1 - ends[0]), out * (ends[1] - 1))
    )
    below, above = intervals.percentile(value + 100, draws, 0.025)
    assert above[0] == 0 < below[0]


def test_mover_of_normal_intervals_is_the_normal_interval():
    a, b, z = np.array(2.0), np.array(1.0), 1.96
    ends = [(x - z * s, x + z * s) for x, s in ((a, 0.3), (b, 0.4))]
    for rho in (0.0, 0.6, -0.5):
        value, low, high = intervals.mover(a, ends[0], b, ends[1], rho)
        half = z * np.sqrt(0.09 + 0.16 - 2 * rho * 0.12)
        assert (value, low, high) == pytest.approx((1, 1 - half, 1 + half))


def test_mover_ratio_of_normal_intervals_is_fieller_s():
    a, b, z, s, t = 2.0, 1.0, 1.96, 0.3, 0.2
    ends = [(np.array(x - z * e), np.array(x + z * e)) for x, e in ((a, s), (b, t))]
    for rho in (0.0, 0.6):
        value, low, high = intervals.mover_ratio(
            np.array(a), ends[0], np.array(b), ends[1], rho
        )
        roots = np.roots(
            [
                b**2 - (z * t) ** 2,
                -2 * (a * b - rho * z**2 * s * t),
                a**2 - (z * s) ** 2,
            ]
        )
        assert value == 2
        assert (low, high) == pytest.approx(tuple(np.sort(roots)))


def test_correlation_leaves_out_undefined_replicates():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 200))
    y = x + rng.normal(size=(2, 200))
    x[0, :20], y[0, 10:30] = np.nan, np.nan
    found = intervals.correlation(x, y)
    assert found[0] == pytest.approx(np.corrcoef(x[0, 30:], y[0, 30:])[0, 1])
    assert found[1] == pytest.approx(np.corrcoef(x[1], y[1])[0, 1])
    assert intervals.correlation(np.ones((1, 5)), y[:1, :5])[0] == 0


def test_a_ratio_that_nothing_is_known_of_reaches_from_0_to_infinity():
    low, high = intervals.log(np.array([1e-3, 2.0]), np.array([10.0, 0.0]), 1.96)
    assert low.tolist() == [0.0, 2.0] and high.tolist() == [np.inf, 2.0]
