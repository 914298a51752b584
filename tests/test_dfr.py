"""dfr.py: a last layer on balanced draws, averaged."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from equity_jax.dfr import L1S, dfr, draws, validated
from equity_jax.types import TEST, TRAIN, VALID

FEW = {"l2s": (1.0, 10.0), "refits": 2}  # as many problems either time: one program


def world(shares, seed=0):
    """x float[N, 3]: the label's own sign, the group's, noise; cells by `shares`."""
    rng = np.random.default_rng(seed)
    cell = np.repeat(np.arange(4), shares)
    y, group = cell // 2, cell % 2
    x = np.stack([2.0 * y, 4.0 * group, 0 * y], 1) + rng.normal(size=(len(y), 3))
    split = np.resize([TRAIN, TRAIN, TRAIN, VALID, TEST], len(y))
    return x.astype(np.float32), y, group, split


def test_equal_cells_are_the_plain_regression():
    x, y, group, split = world((100, 100, 100, 100))
    found = dfr(3 + 2 * x, y, group, split, l2s=(10.0, 10.0), refits=2)
    train = split == TRAIN
    x = (x - x[train].mean(0)) / x[train].std(0)
    fitted = LogisticRegression(C=0.1, tol=1e-10).fit(x[train], y[train])
    rest = split != TRAIN
    expected = fitted.predict_proba(x[rest])
    np.testing.assert_allclose(found.scores[rest], expected, atol=2e-4)
    assert np.isnan(found.scores[train]).all()
    assert (found.rows, found.penalty, found.groups.tolist()) == (60, 10.0, [0, 1])


def test_the_worst_cell_gains_where_the_group_misleads():
    x, y, group, split = world((170, 30, 30, 170))  # the group nearly is the label
    test = split == TEST

    def worst(called):
        cells = [(y == c) & (group == g) & test for c in (0, 1) for g in (0, 1)]
        return min(np.mean(called[cell] == y[cell]) for cell in cells)

    plain = LogisticRegression().fit(x[split == TRAIN], y[split == TRAIN]).predict(x)
    found = dfr(x, y, group, split, **FEW)
    again = worst(found.scores[:, 1] > 0.5)
    print(f"worst cell's accuracy: plain {worst(plain):.2f}, reweighted {again:.2f}")
    assert again > worst(plain) + 0.1
    assert (
        dfr(x, y, group, split, **FEW).scores[test].tolist()
        == found.scores[test].tolist()
    )


@pytest.mark.parametrize("few", [0, 4])
def test_a_group_without_rows_enough_is_scored_and_not_learned_from(few):
    x, y, group, split = world((100, 100, 200 - few, few))
    found = dfr(x, y, group, split, **FEW)
    assert (
        found.groups.tolist() == [0] and np.isfinite(found.scores[split == TEST]).all()
    )
    nobody = dfr(x, y, np.full_like(group, -1), split)
    assert nobody.rows == 0 and np.isnan(nobody.scores).all()


def test_three_classes():
    x, y, group, split = world((100, 100, 100, 100))
    third = np.where(np.arange(len(y)) % 4 == 0, 2, y)
    scores = dfr(x, third, group, split, **FEW).scores[split == TEST]
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)


@pytest.fixture
def drawn(monkeypatch):
    """Every int[R, m] that is drawn: to choose, of all, of one half, of the other."""
    made = []

    def kept(*args):
        made.append(draws(*args))
        return made[-1]

    monkeypatch.setattr("equity_jax.dfr.draws", kept)
    return made


def averaged(x, y, rows, l1):
    """Logits of scikit-learn's lasso of each draw, with averaged coefficients."""
    how = {"solver": "saga", "l1_ratio": 1.0, "tol": 1e-9, "max_iter": 50_000}
    made = [LogisticRegression(C=1 / l1, **how).fit(x[r], y[r]) for r in rows]
    coef = np.mean([m.coef_[0] for m in made], 0)
    return x @ coef + np.mean([m.intercept_[0] for m in made])


def test_validation_rows_give_the_papers_averaged_lasso(drawn):
    x, y, group, split = world((170, 80, 80, 170))
    found = validated(3 + 2 * x, y, group, split, refits=3)
    train, test, valid = (split == s for s in (TRAIN, TEST, VALID))
    z = (x - x[train].mean(0)) / x[train].std(0)
    assert found.penalty in L1S and found.rows == 16
    tuned, whole, first, second = drawn
    # validation rows are scored by the other half
    other = np.isin(np.arange(len(y)), second)
    for rows, scored in ((whole, test), (first, other)):
        expected = averaged(z, y, rows, found.penalty)[scored]
        mine = found.scores[scored]
        np.testing.assert_allclose(np.log(mine[:, 1] / mine[:, 0]), expected, atol=2e-3)
    for rows in drawn:  # every cell alike, of validation rows alone
        assert valid[rows].all()
        for one in rows:
            assert len(set(np.bincount(2 * y[one] + group[one], minlength=4))) == 1
    assert np.isnan(found.scores[train]).all()
    assert np.isfinite(found.scores[~train]).all()


def test_patients_stay_in_one_half_and_test_labels_are_not_looked_at(drawn):
    x, y, group, split = world((100, 100, 100, 100))
    patient = np.arange(len(y)) // 10  # two validation rows each
    some = {"refits": 3, "l1s": (1.0, 10.0)}
    found = validated(x, y, group, split, patient, **some)
    tuned, whole, first, second = (np.unique(patient[rows]) for rows in drawn)
    assert not len(np.intersect1d(first, second)) and np.isin(tuned, first).all()
    wrong = np.where(split == TEST, 1 - y, y)
    again = validated(x, wrong, group, split, patient, **some)
    np.testing.assert_array_equal(found.scores, again.scores)


def test_groups_without_validation_rows_enough_are_not_learned_from():
    x, y, group, split = world((100, 100, 180, 8))
    found = validated(x, y, group, split, refits=3, l1s=(1.0, 10.0))
    assert found.groups.tolist() == [0] and found.rows == 20
    assert np.isfinite(found.scores[split != TRAIN]).all()
    nobody = validated(x, y, np.full_like(group, -1), split)
    assert nobody.rows == 0 and np.isnan(nobody.scores).all()
