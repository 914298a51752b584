"""Thinned worlds: composed as asked, nested, by patient, and refused where short."""

import numpy as np
import pytest

from equity_jax.data.thin import (
    Rows,
    World,
    base,
    cell_of,
    factors,
    lacking,
    order,
    quota,
    thin,
)

RARE = [0.5, 0.2, 0.05, 0.005]


@pytest.fixture(scope="module")
def rows():
    """3,000 patients, 1 to 3 rows each; 25 % rare; a third small; some of no group."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(3000), rng.integers(1, 4, 3000))
    small = rng.choice([0, 1, -1], 3000, p=[0.6, 0.35, 0.05])[patient]
    return Rows(rng.random(len(patient)) < 0.25, small, patient)


def made(rows, worlds, seed=0):
    m = base(worlds, rows, 5)
    ordered = order(rows.patient, seed, "test")
    return m, [thin(cell_of(w, rows), quota(w, m), ordered) for w in worlds]


def test_sizes_follow_the_formula_by_hand():
    assert factors(World(0.2, 0.5)).tolist() == [1.0, 0.25, 1.0, 0.25]
    assert quota(World(0.2, 0.5), 100).tolist() == [100, 25, 100, 25]
    assert quota(World(rows=7), 100).tolist() == [7, 0, 0, 0]


def test_a_class_has_the_prevalence_asked_for_and_the_common_rows_stay(rows):
    m, masks = made(rows, [World(p) for p in RARE])
    for p, mask in zip(RARE, masks, strict=True):
        assert np.mean(rows.rare[mask]) == pytest.approx(p, abs=1 / mask.sum())
        assert np.sum(~rows.rare[mask]) == m
        assert (mask & ~rows.rare == masks[0] & ~rows.rare).all()


def test_a_share_names_rows_of_recorded_groups_alone(rows):
    _, masks = made(rows, [World(None, q) for q in RARE])
    for q, mask in zip(RARE, masks, strict=True):
        assert set(rows.small[mask]) == {0, 1}
        assert np.mean(rows.small[mask] == 1) == pytest.approx(q, abs=1 / mask.sum())


def test_rarer_worlds_lie_inside_less_rare_ones(rows):
    grid = [World(p, q) for p in RARE for q in RARE]
    _, masks = made(rows, grid)
    for a, x in zip(grid, masks, strict=True):
        for b, y in zip(grid, masks, strict=True):
            if a.prevalence <= b.prevalence and a.share <= b.share:
                assert (x <= y).all()
    _, masks = made(rows, [World(rows=n) for n in (100, 1000, 3000)])
    assert [m.sum() for m in masks] == [100, 1000, 3000]
    assert (masks[0] <= masks[1]).all() and (masks[1] <= masks[2]).all()


def test_patients_come_whole_but_for_the_last_of_a_cell(rows):
    _, (mask,) = made(rows, [World(rows=1000)])
    kept = np.bincount(rows.patient[mask], minlength=3000)
    cut = (kept > 0) & (kept < np.bincount(rows.patient))
    assert cut.sum() <= 1


def test_draws_differ_and_repeat(rows):
    (_, (a,)), (_, (b,)) = (made(rows, [World(0.05)], seed) for seed in (0, 1))
    assert not (a == b).all() and (a == made(rows, [World(0.05)])[1][0]).all()


def test_the_base_reaches_most_worlds():
    # 40 rare, 960 common: 50 % wants 40 common rows, 1 % wants 495 or more
    few = Rows(np.arange(1000) < 40, np.zeros(1000, int), np.arange(1000))
    worlds = [World(p) for p in (0.5, 0.05, 0.02, 0.01)]
    m = base(worlds, few, 5)
    assert m == 760  # 40 rare rows at 5 %
    assert [lacking(w, few, m, 5) for w in worlds] == [
        "760 rare rows wanted, 40 there", "", "", "",
    ]  # fmt: skip


def test_what_the_rows_cannot_make_says_why():
    alone = Rows(np.arange(100) < 30, np.zeros(100, int), np.arange(100))
    assert base([World(None, 0.5)], alone, 1) == 0
    assert lacking(World(None, 0.5), alone, 0, 1) == "no rows of smaller groups"
    assert lacking(World(0.5, 0.5), alone, 0, 1).startswith("no rows of smaller")
    assert lacking(World(rows=101), alone, 0, 1) == "101 rows wanted, 100 there"
    assert lacking(World(0.01), alone, 70, 5) == (
        "1 rare rows to train on, fewer than 5"
    )
    assert not lacking(World(0.3), alone, 70, 5)
