"""Draws: exact shares, nested subsets, and never a row of weight 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from equity_jax.data.sampler import cumulative, draw, nested, pool, tabulate
from equity_jax.keys import generator, key
from equity_jax.methods.resample import balanced_rates


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    return rng.integers(-1, 2, 400), rng.integers(-1, 3, 400)


def test_tabulate_counts_every_row_once(cells):
    classes, group = cells
    mask = np.ones((400, 1))
    mask[:7] = 0
    rows = np.arange(400) < 300
    table = tabulate(classes[:, None], mask, group, rows, (2, 3)).table
    assert table.sum() == 293
    seen = rows & (mask[:, 0] > 0)
    assert table[0, 1, 2] == np.sum(seen & (classes == 1) & (group == 2))
    assert table[0, -1, -1] == np.sum(seen & (classes == -1) & (group == -1))


def test_rates_below_one_keep_exact_shares(cells):
    classes, group = cells
    rates = np.ones((3, 4))
    rates[1, 2], rates[-1, 0] = 0.25, 0.5
    weights = pool(rates, classes, group, np.ones(400, bool), generator(0, "lottery"))
    for c, g, share in ((1, 2, 0.25), (-1, 0, 0.5)):
        cell = (classes == c) & (group == g)
        assert weights[cell].sum() == max(1, round(share * cell.sum()))
        assert set(weights[cell]) <= {0.0, 1.0}
    assert (weights[(classes == 0)] == 1).all()


def test_rates_above_one_weigh_draws(cells):
    classes, group = cells
    rates = np.ones((3, 4))
    rates[0, 1] = 5
    weights = pool(rates, classes, group, np.ones(400, bool), generator(0, "lottery"))
    assert set(weights[(classes == 0) & (group == 1)]) == {5.0}


def test_who_else_is_in_the_pool_does_not_change_the_lottery(cells):
    classes, group = cells
    rates = np.ones((3, 4))
    rates[1, 2] = 0.5
    everyone, few = np.ones(400, bool), group == 2
    a = pool(rates, classes, group, everyone, generator(0, "lottery"))
    b = pool(rates, classes, group, few, generator(0, "lottery"))
    cell = (classes == 1) & (group == 2)
    np.testing.assert_array_equal(a[cell], b[cell])


def test_draw_shares_and_zero_weights():
    weights = np.array([0.0, 1, 0, 3, 0])
    table = jnp.asarray(cumulative(weights))
    rows = np.asarray(draw(table, key(0, "draw"), jnp.int32(3), 40_000))
    share = np.bincount(rows, minlength=5) / 40_000
    np.testing.assert_allclose(share, weights / 4, atol=0.01)
    assert share[[0, 2, 4]].sum() == 0


def shares(weights, classes, group, by):
    """What of the weight each cell of `by` has; undecided and unrecorded rows aside."""
    cell = {"class": classes, "group": group, "both": classes * 10 + group}[by]
    known = {"class": classes >= 0, "group": group >= 0}
    known["both"] = known["class"] & known["group"]
    names, at = np.unique(cell[known[by]], return_inverse=True)
    return np.bincount(at, weights[known[by]], minlength=len(names))


@pytest.mark.parametrize("by", ["class", "group", "both"])
@pytest.mark.parametrize("down", [False, True])
def test_balanced_draws_have_exact_shares(by, down):
    """Every cell has the same share of the draws, whatever its size."""
    rng = np.random.default_rng(4)
    classes = rng.choice([-1, 0, 1, 2], 900, p=[0.05, 0.7, 0.2, 0.05])
    group = rng.choice([-1, 0, 1], 900, p=[0.1, 0.75, 0.15])
    rows = rng.random(900) < 0.8
    counts = tabulate(classes[:, None], np.ones((900, 1)), group, rows, (3, 2))
    rates = balanced_rates(counts, by, down)
    weights = pool(rates, classes, group, rows, generator(0, "lottery"))
    cells = shares(weights, classes, group, by)
    assert len(cells) == {"class": 3, "group": 2, "both": 6}[by]
    assert not weights[~rows].any()
    if down:  # whole rows: an axis of one may be off by a rounding in each of its cells
        assert set(weights) == {0.0, 1.0} and np.ptp(cells) <= (by != "both") * 4
    else:
        np.testing.assert_allclose(cells, cells[0], rtol=1e-6)
    table = cumulative(weights)
    drawn = np.asarray(draw(jnp.asarray(table), key(0, "draw"), 0, 60_000))
    seen = shares(np.bincount(drawn, minlength=900), classes, group, by)
    spread = np.sqrt(60_000 / len(cells))  # of a count, at most
    np.testing.assert_allclose(seen, seen.mean(), atol=4.5 * spread)


def test_the_table_of_draws_is_exact():
    """Row i is drawn for u in [table[i-1], table[i]): its share of the weight."""
    weights = np.random.default_rng(0).integers(0, 5, 3000).astype(float)
    table = cumulative(weights).astype(float)
    wide = np.diff(np.minimum(table, 1.0), prepend=0.0)
    np.testing.assert_allclose(wide, weights / weights.sum(), atol=1.3e-7)


def test_draw_is_a_function_of_key_and_step():
    table = jnp.asarray(cumulative(np.ones(50)))
    a, b = (draw(table, key(0, "draw"), jnp.int32(5), 8) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    other = draw(table, key(0, "draw"), jnp.int32(6), 8)
    assert (np.asarray(a) != np.asarray(other)).any()


def test_nobody_to_draw_is_an_error():
    with pytest.raises(ValueError, match="no row can be drawn"):
        cumulative(np.zeros(3))


def test_fractions_are_nested():
    blocks = np.repeat(np.arange(40), 5)
    rows = [nested(blocks, f, generator(1, "f")) for f in (0.05, 0.1, 0.5, 1.0)]
    assert [int(r.sum()) for r in rows] == [10, 20, 100, 200]
    for small, large in zip(rows, rows[1:], strict=False):
        assert not (small & ~large).any()


def test_keys_depend_on_every_part():
    keys = {
        tuple(np.asarray(jax.random.key_data(key(*k))))
        for k in ((0, "a"), (1, "a"), (0, "b"), (0, "a", "x"))
    }
    assert len(keys) == 4
    assert generator(0, "a").random() != generator(0, "a", "x").random()
