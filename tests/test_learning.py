"""Power laws of learning curves: planted ones found, and no step too far."""

import numpy as np
import pytest

from equity_jax.audit.statistics.draws import Estimate
from equity_jax.audit.statistics.learning import (
    Law,
    band,
    laws,
    needed,
    power_law,
)
from equity_jax.types import InputError

N = np.array([20, 40, 100, 200, 400.0])
NOISE = np.array([0.015, 0.013, 0.011, 0.010, 0.009])


def planted(a=0.02, b=0.6, c=0.5):
    return Law(*map(np.asarray, (a, b, c)), (N[0], N[-1]))


def seen(true, rng, replicates=200):
    """Points about a law, half of whose noise they share, as tests on the same rows."""
    parts = [rng.normal(size=shape) for shape in (1, (5, 1), replicates)]
    own = rng.normal(size=(5, replicates))
    y = true.limit + true.height * N[:, None] ** -true.rate
    y = y + NOISE[:, None] * (0.5 * parts[0] + 0.87 * parts[1])
    draws = y + NOISE[:, None] * (0.5 * parts[2] + 0.87 * own)
    return Estimate(y[:, 0], y, draws, np.full(5, 300.0), np.ones(5, bool))


@pytest.mark.parametrize(
    "law", [(0.1, 2.0, 0.5), (0.0, 0.7, 0.15), (0.9, -0.8, 1.2), (-0.05, 1.0, 0.3)]
)
def test_points_on_a_law_give_the_law(law):
    a, b, c = law
    found = power_law(N, a + b * N**-c)
    np.testing.assert_allclose(found.rate, c, rtol=2e-3)
    np.testing.assert_allclose(
        (found.limit, found.height), (a, b), rtol=0.02, atol=1e-3
    )
    np.testing.assert_allclose(found.at(700), a + b * 700**-c, atol=1e-5)


def test_many_laws_at_once_are_those_one_by_one():
    rng = np.random.default_rng(0)
    y, weight = 0.1 + rng.random((3, 2, 5)), rng.random(5)
    both = power_law(N, y, weight)
    assert both.limit.shape == (3, 2)
    for at in np.ndindex(3, 2):
        one = power_law(N, y[at], weight)
        np.testing.assert_allclose([x[at] for x in both[:3]], one[:3], rtol=1e-9)


def test_no_line_has_fewer_squares():
    rng = np.random.default_rng(1)
    y, weight = rng.random(5), rng.random(5) + 0.1

    def squares(law):
        return (weight * (law.limit + law.height * N**-law.rate - y) ** 2).sum()

    best = power_law(N, y, weight)
    for _ in range(200):
        near = (x * (1 + 0.05 * rng.normal()) for x in best[:3])
        other = Law(*near, best.seen)
        if 0.05 <= other.rate <= 2:
            assert squares(best) <= squares(other) * (1 + 1e-5)


def test_rows_below_a_goal_are_where_the_law_crosses_it():
    law = planted()
    assert law.below(law.at(150.0)) == pytest.approx(150)
    assert law.below(law.at(700.0)) == pytest.approx(700)
    assert law.below(0.5) == 20  # it is there already with the fewest rows
    assert law.below(law.at(800.0) - 1e-6) == np.inf  # beyond twice the most
    assert law.below(0.01) == np.inf  # below its limit
    flat, rising = planted(b=0.0), planted(a=0.1, b=-0.6)
    assert flat.below(0.03) == 20 and flat.below(0.01) == np.inf
    assert rising.below(0.1) == 20  # where it stays below to the end
    assert rising.below(0.06) == np.inf  # below it only with few rows


@pytest.mark.parametrize("n", [801, 1e6, 19])
def test_it_says_nothing_of_more_than_twice_the_rows(n):
    with pytest.raises(InputError, match="seen from 20 to 400 rows says nothing of"):
        planted().at(n)


def test_three_sizes_are_too_few():
    with pytest.raises(InputError, match="needs 4 different numbers of rows"):
        power_law(N[[0, 0, 1, 2]], np.ones(4))
    with pytest.raises(InputError, match="all above 0"):
        power_law(N - 20, np.ones(5))


def test_intervals_hold_the_planted_law():
    rng, true = np.random.default_rng(2), planted()
    hits = {n: 0 for n in (100, 400, 800)}
    reached, worlds = 0, 150
    for _ in range(worlds):
        both = laws(N, seen(true, rng))
        for n in hits:
            _, low, high = band(*both, n)
            hits[n] += low <= true.at(n) <= high
        found = needed(*both, float(true.at(160.0)))
        reached += not found.why and found.low <= 160 <= found.high
    # 95 % less three standard errors of 150 worlds
    assert min(*hits.values(), reached) / worlds > 0.89, (hits, reached)


def test_a_goal_out_of_reach_is_not_extrapolated():
    rng = np.random.default_rng(3)
    both = laws(N, seen(planted(), rng))
    found = needed(*both, 0.001)
    assert np.isnan(found[:3]).all()
    assert found.why == "not reached with 2 times the 400 rows that there are"
    near = needed(*both, float(planted().at(500.0)))
    assert near.why == "" and 400 < near.value < 800 and near.high == np.inf


def test_replicates_that_are_undefined_are_left_out_or_refused():
    rng = np.random.default_rng(4)
    points = seen(planted(), rng)
    few, many = points.draws.copy(), points.draws.copy()
    few[0, :5], many[0, :60] = np.nan, np.nan
    law, drawn = laws(N, points._replace(draws=few))
    assert needed(law, drawn, 0.07).why == ""
    law, drawn = laws(N, points._replace(draws=many))
    assert "more than a tenth" in needed(law, drawn, 0.07).why
