"""Training sets of the subsample experiment: who is in them."""

import numpy as np
import pytest

from experiments import ef_subsamples as s
from experiments.ef_subsamples import Arm, Training

NAMES = ("big", "small", "tiny")


@pytest.fixture(scope="module")
def train():
    """200, 60 and 5 patients, 1 to 3 images each, and 20 rows of nobody's group."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(285), rng.integers(1, 4, 285))
    group = np.select([patient < 200, patient < 260, patient < 265], [0, 1, 2], -1)
    rate = np.array([0.2, 0.5, 0.5, 0.3])[group]
    y = (rng.random(285)[patient] < rate).astype(float)
    return Training(y, group, patient, NAMES, 0)


@pytest.fixture(scope="module")
def made(train):
    return s.plan(train, draws=3, seed=1)


def people(train, rows, code):
    return set(train.patient[rows & (train.group == code)])


def sets(made, arm):
    return [made.rows[run] for run in made.runs[arm]]


def test_a_thinned_group_has_so_many_patients_and_all_their_images(train, made):
    for rows in sets(made, Arm("thin", 1, 30)):
        kept = people(train, rows, 1)
        assert len(kept) == 30
        assert rows[np.isin(train.patient, list(kept))].all()
        assert rows[train.group != 1].all()


def test_smaller_shares_are_nested_in_larger_ones_draw_by_draw(train, made):
    sizes = sorted(a.patients for a in made.runs if a[:2] == ("thin", 0))
    for small, large in zip(sizes, sizes[1:], strict=False):
        pairs = zip(
            *(sets(made, Arm("thin", 0, k)) for k in (small, large)), strict=True
        )
        assert all((a <= b).all() for a, b in pairs)


def test_draws_differ_and_repeat(train, made):
    drawn = sets(made, Arm("thin", 0, 60))
    assert len(drawn) == 3 and not (drawn[0] == drawn[1]).all()
    assert (s.plan(train, 3, 1).rows == made.rows).all()
    assert not (s.plan(train, 3, 2).rows == made.rows).all()


def test_what_leaves_nothing_to_draw_is_fitted_once(made):
    assert len(made.runs[Arm("all")]) == 1
    assert len(made.runs[Arm("only", 1, 60)]) == 1
    assert sorted(r for runs in made.runs.values() for r in runs) == list(
        range(len(made.rows))
    )


def test_the_reference_takes_the_size_and_prevalence_of_the_group(train, made):
    wanted = train.y[train.group == 1].mean()
    arm = Arm("match", 1, 60)
    found = s.composition(train, made.rows[made.runs[arm]], 0)
    assert found["patients"] == 60
    assert found["prevalence"] == pytest.approx(wanted, abs=0.04)
    plain = s.composition(train, made.rows[made.runs[Arm("thin", 0, 60)]], 0)
    assert abs(plain["prevalence"] - wanted) > 0.15


def test_only_means_nobody_else(train, made):
    (rows,) = sets(made, Arm("only", 1, 60))
    assert (rows == (train.group == 1)).all()
    for rows in sets(made, Arm("only", 0, 60)):
        assert len(people(train, rows, 0)) == 60 and not rows[train.group != 0].any()


def test_half_of_the_group_is_missing_and_nobody_else(train, made):
    for arm in (Arm("thin", 0, 60), Arm("match", 1, 60)):
        halved = sets(made, arm._replace(halved=1))
        for rows, whole in zip(halved, sets(made, arm), strict=True):
            assert len(people(train, rows, 1)) == 30
            assert (rows[train.group != 1] == whole[train.group != 1]).all()
    assert all(arm in made.runs for arm in s.halves_of(train, 1).values())


def test_a_group_of_five_patients_has_no_arms_of_its_own(made):
    assert not any(arm.code == 2 or arm.patients == 5 for arm in made.runs)


def test_a_prevalence_that_cannot_be_had_is_left_out():
    patient = np.arange(100)
    group = np.repeat([0, 1], [60, 40])
    y = np.where(group == 1, patient % 2, patient == 0).astype(float)
    runs = s.plan(Training(y, group, patient, NAMES[:2], 0), 2).runs
    assert Arm("match", 1, 40) not in runs and Arm("thin", 0, 40) in runs


def test_another_group_changes_nobodys_draws(train):
    alone = Training(*train[:3], NAMES[:2], 0)
    arm = Arm("thin", 0, 60)
    one, two = (s.plan(t, 2, 0) for t in (train, alone))
    assert (one.rows[one.runs[arm]] == two.rows[two.runs[arm]]).all()


def test_the_largest_group_comes_first(train):
    assert train.smaller == [1, 2]
    assert Training(*train[:4], 2).smaller == [0, 1]
