"""Five policies for suppressed cells, and how often their intervals hold the truth."""

import numpy as np
import pytest

from equity_jax.config import Twin
from equity_jax.data import simulate
from equity_jax.types import Counted, InputError
from experiments.policies import POLICIES, RATE, RATIO, compare, treat
from experiments.suppression import coverage, figures, main

SMALL = simulate.BY_SIZE[-3:]
GROUPS = ("A", "B", "C")  # nobody is in C


def counted(low, high, exposure, truncated=0.0):
    low = np.asarray(low, float)
    rows = (low, high, exposure, truncated)
    return Counted(*(np.broadcast_to(np.asarray(a, float), low.shape) for a in rows))


def table(rows=4000, seed=0):
    """Cells of two groups, B with half the rate of A, counts 1..9 hidden."""
    rng = np.random.default_rng(seed)
    group = (rng.random(rows) < 0.3).astype(int)
    x = rng.normal(size=(rows, 2))
    exposure = np.ceil(np.exp(rng.normal(4, 0.7, rows)))
    rate = 0.1 * 0.5**group * np.exp(0.3 * x[:, 0])
    count = rng.poisson(exposure * rate * rng.gamma(10, 0.1, rows)).astype(float)
    hidden = (count > 0) & (count < 10)
    y = counted(np.where(hidden, 1, count), np.where(hidden, 9, count), exposure)
    return x, y, group, np.arange(rows) % 50


def test_what_each_policy_makes_of_a_suppressed_cell():
    y = counted([0, 1, 12], [0, 9, 12], [5, 8, 90])
    want = {
        "drop": ([0, 0, 12], [0, 0, 12], 0, [1, 0, 1]),
        "zero": ([0, 0, 12], [0, 0, 12], 0, [1, 1, 1]),
        "five": ([0, 5, 12], [0, 5, 12], 0, [1, 1, 1]),
        "truncated": ([0, 0, 12], [0, 0, 12], 1, [1, 0, 1]),
        "interval": ([0, 1, 12], [0, 9, 12], 0, [1, 1, 1]),
    }
    assert set(want) == set(POLICIES)
    for policy, (low, high, truncated, kept) in want.items():
        got, keep = treat(y, policy)
        assert got.low.tolist() == low and got.high.tolist() == high, policy
        assert (got.truncated == truncated).all() and keep.tolist() == kept, policy
    whole = counted([0, 3], [0, 3], [5, 8])
    assert (treat(whole, "truncated")[0].truncated == 0).all()
    with pytest.raises(InputError, match="unknown policy 'seven'; known: drop"):
        treat(y, "seven")


def test_the_interval_likelihood_finds_what_the_others_miss():
    x, y, group, block = table()
    found = compare(x, y, group, GROUPS, block)
    empty = found.group == "C"
    assert found.value[empty].isna().all() and (found.n[empty] == 0).all()
    assert found.value[~empty].notna().all()
    ratio = found[(found.measure == RATIO) & ~empty].set_index("policy")
    assert (ratio.group == "B").all()
    for policy in ("interval", "truncated"):
        assert ratio.low[policy] < np.log(0.5) < ratio.high[policy]
    assert ratio.high["zero"] < np.log(0.5) - 0.3
    assert ratio.low["five"] > np.log(0.5) + 0.05
    width = ratio.high - ratio.low
    assert width["interval"] < width["truncated"]
    rate = found[(found.measure == RATE) & (found.policy == "interval") & ~empty]
    want = np.log([10.0, 5.0]) + 0.3 * np.average(x[:, 0], weights=y.exposure)
    assert ((rate.low < want) & (want < rate.high)).all()
    other = compare(x, y, group, GROUPS, block, ("interval",), "B")
    assert other.group[0] == "A"
    np.testing.assert_allclose(other.value[0], -ratio.value["interval"], rtol=1e-6)


def test_rows_that_say_nothing_are_left_out():
    x, y, group, block = table(4667)
    bad = np.arange(4667) % 7 == 0  # leaves 4,000: the program of the test above
    block[~bad] = np.arange(4000) % 50
    exposure = np.where(bad, np.nan, y.exposure)
    got = compare(x, y._replace(exposure=exposure), group, GROUPS, block)
    kept = Counted(*(a[~bad] for a in y))
    want = compare(x[~bad], kept, group[~bad], GROUPS, block[~bad])
    np.testing.assert_array_equal(got.value, want.value)
    n = got[(got.policy == "interval") & (got.measure == RATE)].n
    assert n.tolist() == [*np.bincount(group[~bad]), 0]


@pytest.fixture(scope="module")
def quick():
    """40 draws; `python -m experiments.suppression` makes 200 of all policies."""
    return coverage(40, policies=("drop", "zero", "interval"))


def test_quick_version_intervals_hold_the_planted_rates(quick):
    wide = quick[quick.measure == RATE].pivot(
        index="group", columns="policy", values="covered"
    )
    print("\n" + figures(quick))
    assert len(wide) == 7
    # the standard error of one share of 40 is 0.034
    assert (wide["interval"] >= 0.85).all()
    assert 0.90 <= wide["interval"].mean() <= 0.98
    assert (wide.loc[list(SMALL), ["drop", "zero"]] < 0.5).all(axis=None)
    ratios = quick[(quick.measure == RATIO) & (quick.policy == "interval")]
    assert 0.90 <= ratios.covered.mean() <= 0.99


def test_standard_errors_are_as_large_as_the_spread_of_the_estimates(quick):
    interval = quick[quick.policy == "interval"]
    assert 0.85 < np.median(interval.se / interval.sd) < 1.2
    assert (interval.bias.abs() < 0.6 * interval.se).all()


def test_coverage_refuses_what_it_cannot_do():
    with pytest.raises(InputError, match="repeats"):
        coverage(0)
    with pytest.raises(InputError, match="age slopes"):
        coverage(1, Twin(months=14))
    with pytest.raises(InputError, match="unexpected argument 'x'"):
        main(["suppression", "x"])
