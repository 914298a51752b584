"""Correlation of groups' values with their size, against scipy and brute force."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from equity_jax.audit.statistics import representation as r
from equity_jax.audit.statistics.inference import Estimate


def estimate(value, se, seed=0, draws=400, ok=None, effective=200.0):
    """Independent groups, normal replicates."""
    value, se = np.asarray(value, float), np.broadcast_to(se, np.shape(value))
    noise = np.random.default_rng(seed).normal(size=(len(value), draws))
    ok = np.ones(len(value), bool) if ok is None else np.array(ok)
    blocks = np.full(len(value), effective)
    return Estimate(
        value, value[:, None], value[:, None] + se[:, None] * noise, blocks, ok
    )


@pytest.mark.parametrize("seed", range(4))
def test_rank_correlation_is_scipys_ties_too(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, (2, 9)).astype(float)
    assert float(r.spearman(a, b)) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_rank_correlation_of_many_at_once():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 6)), rng.normal(size=6)
    one = [stats.spearmanr(x, b).statistic for x in a]
    np.testing.assert_allclose(r.spearman(a, b), one)


def test_chance_is_scipys_exact_permutation_test():
    value, size = (
        np.array([0.9, 0.7, 0.8, 0.75, 0.6]),
        np.array([900, 50, 300, 80, 100.0]),
    )

    def statistic(x):
        return stats.spearmanr(x, size).statistic

    exact = stats.permutation_test(
        (value,), statistic, permutation_type="pairings", n_resamples=np.inf
    )
    p, least = r.chance(value, size)
    assert p == pytest.approx(exact.pvalue) and least == pytest.approx(2 / 120)


def test_chance_counts_every_order_when_sizes_tie():
    value, size = np.array([1.0, 2, 3, 4]), np.array([5.0, 5, 7, 9])
    rho = [abs(stats.spearmanr(value, p).statistic) for p in permutations(size)]
    expected = np.mean(
        np.array(rho) >= abs(stats.spearmanr(value, size).statistic) - 1e-9
    )
    assert r.chance(value, size)[0] == pytest.approx(expected)


def test_chance_of_many_groups_is_drawn_and_repeats():
    rng = np.random.default_rng(1)
    value, size = rng.normal(size=10), rng.permutation(10) + 1.0
    assert r.chance(value, size, 3) == r.chance(value, size, 3)
    assert r.chance(value, size)[0] == pytest.approx(
        stats.spearmanr(value, size).pvalue, abs=0.03
    )
    assert r.chance(size, size)[0] == pytest.approx(1 / (r.DRAWN + 1))


@pytest.mark.parametrize("seed", range(5))
def test_attainable_orders_are_those_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    middle, half = rng.normal(size=6), rng.random(6)
    low, high, size = middle - half, middle + half, rng.permutation(6) + 1.0
    found = []
    for order in permutations(range(6)):
        reach = np.maximum.accumulate(low[list(order)])
        if (reach <= high[list(order)]).all():  # numbers in this order fit
            place = np.empty(6)
            place[list(order)] = np.arange(6)
            found.append(stats.spearmanr(place, size).statistic)
    assert r.attainable(low, high, size) == pytest.approx((min(found), max(found)))


def test_slope_is_that_of_least_squares_with_its_known_error():
    value, size, se = (
        np.array([0.6, 0.72, 0.8, 0.83]),
        np.array([30, 100, 500, 4e3]),
        0.02,
    )
    found = r.related(estimate(value, se, draws=20_000, effective=1e4), size)
    z = np.log10(size)
    assert found.slope == pytest.approx(np.polyfit(z, value, 1)[0])
    error = se / np.sqrt(np.sum((z - z.mean()) ** 2))
    half = (found.slope_high - found.slope_low) / 2
    assert half == pytest.approx(1.96 * error, rel=0.03)


def test_three_groups_tell_nothing_and_say_so():
    found = r.related(
        estimate([1.0, 2, 3, 4], 0.1, ok=[1, 1, 1, 0]), np.array([1, 2, 3, 4.0])
    )
    assert found.why == "fewer than 4 groups can be estimated"
    assert found.groups == 3 and np.isnan(found.rho)


@pytest.mark.parametrize(
    ("value", "size", "why"),
    [
        ([1.0, 2, 3, 4], [7.0, 7, 7, 7], "same size"),
        ([1.0, 1, 1, 1], [1.0, 2, 3, 4], "same value"),
        (np.arange(17.0), np.arange(17.0) + 1, "more than 16 groups"),
        ([1.0, 2, 3, 4], [0.0, 2, 3, 4], "fewer than 4 groups"),
    ],
)
def test_what_cannot_be_told_is_refused(value, size, why):
    assert why in r.related(estimate(value, 0.1), np.array(size)).why


def test_four_groups_cannot_be_surprising():
    found = r.related(
        estimate([0.6, 0.7, 0.8, 0.9], 1e-6), np.array([10, 1e2, 1e3, 1e4])
    )
    assert (found.rho, found.low, found.high) == pytest.approx((1, 1, 1))
    assert found.p == pytest.approx(found.least) == pytest.approx(2 / 24)


def test_reliability_is_the_share_that_is_no_noise():
    rng = np.random.default_rng(0)
    sure = estimate(rng.normal(0, 1, 12), 1e-4)
    half = estimate(rng.normal(0, np.sqrt(2), 4000), 1.0, draws=50)
    flat = estimate(np.full(5, 0.8) + 1e-6 * np.arange(5), 0.1)
    assert r.reliability(sure) > 0.999
    assert r.reliability(half) == pytest.approx(0.5, abs=0.06)
    assert r.reliability(flat) == 0


def test_intervals_hold_their_level():
    rng = np.random.default_rng(5)
    size, worlds, slope, rho = np.geomspace(50, 5000, 5), 150, 0, 0
    se = 0.05 * np.sqrt(500 / size)
    for i in range(worlds):
        truth = 0.7 + 0.05 * np.log10(size / 500) + rng.normal(0, 0.03, 5)
        part = estimate(truth + se * rng.normal(size=5), se, seed=i, draws=200)
        found = r.related(part, size)
        slope += (
            found.slope_low
            <= np.polyfit(np.log10(size), truth, 1)[0]
            <= found.slope_high
        )
        rho += (
            found.low
            <= stats.spearmanr(truth, size).statistic + 1e-9
            <= found.high + 2e-9
        )
    assert 0.9 <= slope / worlds <= 0.99
    assert rho / worlds >= 0.95


def test_chance_keeps_its_size_when_small_groups_are_noisy():
    rng = np.random.default_rng(6)
    size = np.geomspace(50, 5000, 5)
    values = rng.normal(0, np.sqrt(500 / size), (400, 5))
    p = np.array([r.chance(v, size)[0] for v in values])
    assert np.mean(p <= 0.1) <= 0.15
