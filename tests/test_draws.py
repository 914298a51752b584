import numpy as np
import pytest

from equity_jax.audit.statistics import draws, inference
from equity_jax.audit.statistics.draws import Estimate

REPLICATES = 600


def summed(num, den, seed=0):
    """Estimates of sum(num) / sum(den), float[..., B] each: blocks only, no seeds."""
    blocks, den = num.shape[-1], np.broadcast_to(den, num.shape)
    w = draws.resample(blocks, REPLICATES, seed, "bootstrap").T.astype(float)
    value = num.sum(-1) / den.sum(-1)
    return Estimate(
        value,
        np.full((*value.shape, 1), np.nan),
        (num @ w) / (den @ w),
        draws.effective_number(den),
        np.ones(value.shape, bool),
    )


def closed(value, se, effective, kind, moved=None):
    value = np.asarray(value, float)
    empty = np.full((*value.shape, 1), np.nan)
    se, effective = np.asarray(se, float), np.asarray(effective, float)
    ok = np.ones(value.shape, bool)
    moved = empty if moved is None else moved
    return Estimate(value, empty, moved, effective, ok, se, None, kind)


def test_resample_is_a_multinomial_that_depends_on_seed_and_purpose():
    a = draws.resample(60, 2000, 0, "bootstrap")
    assert a.dtype == np.uint8 and (a.sum(axis=1) == 60).all()
    assert a.mean() == 1 and a.var() == pytest.approx(1 - 1 / 60, abs=0.03)
    assert np.array_equal(a, draws.resample(60, 2000, 0, "bootstrap"))
    assert not np.array_equal(a, draws.resample(60, 2000, 1, "bootstrap"))
    assert not np.array_equal(a, draws.resample(60, 2000, 0, "other"))


def test_effective_number():
    assert draws.effective_number(np.ones(7)) == pytest.approx(7)
    assert draws.effective_number(np.array([1e9, 1.0, 1.0])) == pytest.approx(1)
    assert draws.effective_number(np.zeros(3)) == 0


def test_quotient_and_difference_are_paired():
    rng = np.random.default_rng(3)
    shared = rng.normal(size=(1, 50))
    a = summed(5 + shared, np.ones((1, 50)))
    b = summed(4 + shared, np.ones((1, 50)))
    low, high = inference.interval(draws.difference(a, b))
    assert high[0] - low[0] < 1e-12  # what is shared cancels exactly
    ratio = draws.quotient(a, b)
    assert ratio.value[0] == pytest.approx(a.value[0] / b.value[0])
    np.testing.assert_allclose(ratio.draws, a.draws / b.draws)


def test_quotient_by_zero_is_not_ok():
    zero = summed(np.zeros((1, 10)), np.ones((1, 10)))
    one = summed(np.ones((1, 10)), np.ones((1, 10)))
    assert not draws.quotient(one, zero).ok[0]


def test_variance_is_the_one_of_the_kind():
    rng = np.random.default_rng(1)
    one = summed(rng.normal(size=(1, 20)), np.ones((1, 20)))
    found, freedom = draws.variance(one)
    assert found[0] == pytest.approx(one.draws.var() * 20 / 19) and freedom[0] == 19
    told = closed([0.4], [0.05], [30], "delong")
    assert [x[0] for x in draws.variance(told)] == [0.05**2, 29]


def test_groups_and_cells_pick_every_field():
    rng = np.random.default_rng(2)
    value = rng.random((3, 4))
    moved = rng.random((3, 4, 10))
    found = closed(value, value / 9, value * 50, "delong", moved)
    part = draws.groups(draws.cells(found, slice(1, 3)), np.array([3, 0]))
    assert part.kind == "delong" and part.size is None
    np.testing.assert_array_equal(part.se, found.se[1:3][:, [3, 0]])
    np.testing.assert_array_equal(part.draws, moved[1:3][:, [3, 0]])
    np.testing.assert_array_equal(part.ok, True)
