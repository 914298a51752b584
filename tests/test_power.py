import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower

from equity_jax.audit.statistics import inference, power
from equity_jax.audit.statistics.inference import Estimate


def estimate(value, se, blocks=1000.0, kind="wilson"):
    value = np.atleast_1d(np.asarray(value, float))
    se = np.broadcast_to(np.asarray(se, float), value.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(se > 0, value * (1 - value) / se**2, blocks)
    effective = np.full(value.shape, float(blocks))
    empty = np.full((*value.shape, 1), np.nan)
    ok = np.ones(value.shape, bool)
    return Estimate(value, empty, empty, effective, ok, se, size, kind)


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("share", [0.8, 0.9])
def test_detectable_has_the_power_that_statsmodels_says(level, share):
    n, m = 150, 600
    a = estimate(0.7, np.sqrt(0.21 / n))
    b = estimate(0.7, np.sqrt(0.21 / m))
    least = power.detectable(a, b, level, share)[0]
    # in units of the standard deviation of one row
    said = NormalIndPower().power(
        least / np.sqrt(0.21), n, 1 - level, ratio=m / n, alternative="two-sided"
    )
    assert said == pytest.approx(share, abs=1e-4)


def test_detectable_is_detected_that_often():
    rng = np.random.default_rng(0)
    a, b = estimate(0.0, 0.04, kind="delong"), estimate(0.0, 0.03, kind="delong")
    least = power.detectable(a, b)[0]
    found = least + 0.05 * rng.normal(size=100_000)
    assert np.mean(np.abs(found) > 1.96 * 0.05) == pytest.approx(0.8, abs=0.005)


def test_rows_needed_and_detectable_agree():
    n = 200
    a, b = estimate(0.8, np.sqrt(0.16 / n)), estimate(0.8, np.sqrt(0.16 / 2000))
    rows = power.rows_needed(a, b, n, 0.06)[0]
    enough = estimate(0.8, np.sqrt(0.16 / rows))
    short = estimate(0.8, np.sqrt(0.16 / (rows - 2)))
    assert power.detectable(enough, b)[0] <= 0.06 < power.detectable(short, b)[0]


def test_no_number_of_rows_makes_up_for_a_poor_reference():
    a, b = estimate(0.8, 0.01), estimate(0.8, 0.05)
    assert power.rows_needed(a, b, 100, 0.05)[0] == np.inf


def test_a_share_of_zero_is_not_taken_to_be_certain():
    a, b = estimate(0.0, 0.0, blocks=20), estimate(0.5, 0.01)
    low, high = inference.interval(a)
    half = (high[0] - low[0]) / (2 * 1.959964)
    expected = (1.959964 + 0.841621) * np.hypot(half, 0.01)
    assert power.detectable(a, b)[0] == pytest.approx(expected, rel=1e-5)


def test_what_is_not_ok_stays_unknown():
    a, b = estimate([0.5, 0.5], 0.05), estimate([0.5, 0.5], 0.05)
    a = a._replace(ok=np.array([True, False]))
    assert np.isfinite(power.detectable(a, b)).tolist() == [True, False]
    assert np.isfinite(power.rows_needed(a, b, 90, 0.3)).tolist() == [True, False]
