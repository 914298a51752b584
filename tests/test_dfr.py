"""dfr.py: a last layer on balanced draws, averaged."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from equity_jax.dfr import dfr
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
    found = dfr(x, y, group, split, l2s=(10.0, 10.0), refits=2)
    train = split == TRAIN
    fitted = LogisticRegression(C=0.1, tol=1e-10).fit(x[train], y[train])
    rest = split != TRAIN
    expected = fitted.predict_proba(x[rest])
    np.testing.assert_allclose(found.scores[rest], expected, atol=2e-4)
    assert np.isnan(found.scores[train]).all()
    assert (found.rows, found.l2, found.groups.tolist()) == (60, 10.0, [0, 1])


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
