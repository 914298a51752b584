"""Weights by cell against their formulas in float64, and scikit-learn's."""

import numpy as np
import pytest
from cells import rows, slope
from rowwise import answers, costs, mean, table_at
from sklearn.utils.class_weight import compute_class_weight

from equity_jax.methods import METHODS
from equity_jax.types import Counts, InputError

TABLE = np.array([[[60, 9, 0, 5], [30, 1, 0, 2], [4, 3, 0, 1]]], np.float32)


def weights(text, table=TABLE):
    return np.asarray(METHODS.get(text).init(Counts(table))["table"], float)


def test_sklearn_calls_them_balanced():
    y = np.repeat([0, 1], [99, 36])
    table = np.zeros((1, 3, 2), np.float32)
    table[0, :2, 0] = 99, 36
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=y)
    found = weights("class_weighted(normalize=True)", table)[0, :2, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # sum over classes is 2
    cells = np.repeat(np.arange(4), [60, 9, 30, 1])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=cells)
    found = weights("cell_weighted")[0, :2, :2].reshape(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    groups = np.repeat([0, 1], [94, 13])
    expected = compute_class_weight("balanced", classes=np.arange(2), y=groups)
    found = weights("group_weighted")[0, 0, :2]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_rows_of_no_cell_and_empty_cells():
    table = weights("cell_weighted")[0]
    np.testing.assert_allclose(table[:2, 3], 1, rtol=1e-6)  # group not recorded
    np.testing.assert_allclose(table[2], 1, rtol=1e-6)  # class undecided
    assert (table[:2, 2] == 0).all()  # nobody there
    assert (table[:2, :2] * TABLE[0, :2, :2]).sum() == pytest.approx(100)
    table = weights("sqrt_inverse('group')")[0]
    assert table[0, 2] == 0 and table[0, 3] == 1
    nobody = weights("cell_weighted", np.zeros((1, 3, 4), np.float32))
    assert np.isfinite(nobody).all()


@pytest.mark.parametrize("by", ["class", "group", "both"])
def test_square_roots(by):
    n = {"class": [74, 33], "group": [94, 13], "both": [60, 9, 30, 1]}[by]
    raw = np.array(n, float) ** -0.5
    expected = raw * np.sum(n) / np.sum(raw * n)
    table = weights(f"sqrt_inverse('{by}')")[0]
    cells = {"class": table[:2, 0], "group": table[0, :2], "both": table[:2, :2]}[by]
    np.testing.assert_allclose(cells.reshape(-1), expected, rtol=1e-6)
    assert table[2, 3] == pytest.approx(1)


def test_effective_numbers_of_classes_within_groups():
    n, beta = np.array([60.0, 9, 30, 1]), 0.99
    raw = (1 - beta) / (1 - beta**n)
    table = weights("effective_number(0.99, 'both')")[0]
    expected = raw / raw.sum() * 4
    np.testing.assert_allclose(table[:2, :2].reshape(-1), expected, rtol=1e-5)
    assert table[2, 0] == pytest.approx((expected * n).sum() / 100, rel=1e-5)
    assert table[0, 2] == 0
    huge = TABLE.copy()
    huge[0, 0, 0] = 3e7  # beta^n underflows: finite, and tiny
    table = weights("effective_number(0.9999, 'both')", huge)[0]
    assert np.isfinite(table).all() and 0 < table[0, 0] < table[0, 1]


def test_labels_may_be_summed_as_in_the_course():
    two = np.concatenate([TABLE, 2 * TABLE])
    mean, total = (
        weights("class_weighted", two),
        weights("class_weighted(False, 'sum')", two),
    )
    np.testing.assert_allclose(total, 2 * mean)
    with pytest.raises(InputError, match="expected 'mean' or 'sum'"):
        METHODS.get("class_weighted(reduction='max')")


def test_unknown_cells_are_refused():
    for name in ("sqrt_inverse", "effective_number"):
        with pytest.raises(InputError, match=f"{name}: by is 'race'; expected 'class'"):
            METHODS.get(f"{name}(by='race')")


@pytest.mark.parametrize("task", ["binary", "multilabel(2)", "multiclass(3)"])
def test_value_and_gradient_row_by_row(task):
    world = rows(task)
    logits = world[4]
    n = np.asarray(world[2].n, float)
    table = np.ones(np.asarray(world[2].table).shape)
    for k, cells in enumerate(n):
        share = cells.sum() / (cells > 0).sum()
        own = np.where(cells > 0, share / np.maximum(cells, 1), 0)
        table[k, :-1, :-1] = own
    weight = table_at(world, table)
    value, found = answers(["cell_weighted"], world)["cell_weighted"]
    assert value == pytest.approx(mean(world, weight * costs(world, logits)), rel=1e-6)
    expected = slope(lambda z: mean(world, weight * costs(world, z)), logits)
    np.testing.assert_allclose(found, expected, atol=1e-6)
