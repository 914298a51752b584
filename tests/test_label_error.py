from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peers

from equity_jax.audit.decisions.label_error import (
    METRICS,
    Rows,
    auroc_bounds,
    bounds,
    gap_bounds,
    limits_of,
    tipping,
)
from equity_jax.types import InputError

FORMULAS = {
    "recall": lambda y, c: c[y == 1].mean(),
    "fnr": lambda y, c: 1 - c[y == 1].mean(),
    "specificity": lambda y, c: 1 - c[y == 0].mean(),
    "fpr": lambda y, c: c[y == 0].mean(),
    "precision": lambda y, c: y[c == 1].mean(),
    "npv": lambda y, c: 1 - y[c == 0].mean(),
    "accuracy": lambda y, c: (y == c).mean(),
    "balanced_accuracy": lambda y, c: (c[y == 1].mean() + 1 - c[y == 0].mean()) / 2,
    "f1": lambda y, c: 2 * (y * c).sum() / (y.sum() + c.sum()),
    "selection_rate": lambda y, c: c.mean(),
}


def flipped(y, k):
    """Every labeling that differs from y in at most k rows."""
    for size in range(min(k, len(y)) + 1):
        for rows in combinations(range(len(y)), size):
            other = y.copy()
            other[list(rows)] = 1 - other[list(rows)]
            yield other


def ends(values):
    values = [v for v in values if not np.isnan(v)]
    return (min(values), max(values)) if values else (np.nan, np.nan)


@np.errstate(invalid="ignore", divide="ignore")
def defined(formula, *args):
    if any(len(a) == 0 for a in args):
        return np.nan
    return formula(*args)


def area(score, y):
    sick, well = score[y == 1], score[y == 0]
    if min(len(sick), len(well)) == 0:
        return np.nan
    return np.mean(np.sign(sick[:, None] - well) / 2 + 0.5)


def test_every_metric_has_a_formula_here():
    assert set(METRICS) == set(FORMULAS)


@given(
    cells=st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(any),
    k=st.integers(0, 12),
)
@settings(max_examples=80, deadline=None)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_bounds_equal_every_labeling(cells, k):
    tp, fp, fn, tn = cells
    n = sum(cells)
    k = min(k, n)
    y = np.repeat([1.0, 0, 1, 0], cells)
    called = np.repeat([1.0, 1, 0, 0], cells)
    every = list(flipped(y, k))
    found = bounds(tp, fp, fn, tn, k / n)
    for name, formula in FORMULAS.items():
        wanted = ends([defined(formula, other, called) for other in every])
        assert found[name] == pytest.approx(wanted, abs=1e-12, nan_ok=True), name


@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), max_size=9),
    k=st.integers(0, 9),
)
@settings(max_examples=150, deadline=None)
def test_auroc_bounds_equal_every_labeling(rows, k):
    score = np.array([s for s, _ in rows], float)
    y = np.array([label for _, label in rows], int)
    k = min(k, len(y))
    wanted = ends([area(score, other) for other in flipped(y, k)])
    found = auroc_bounds(score, y, k / max(len(y), 1))
    assert found == pytest.approx(wanted, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("decimals", [1, 6])
def test_auroc_bounds_of_many_rows_equal_all_pairs_of_counts(decimals):
    """All a negatives from the top and b positives from below, by scikit-learn."""
    rng = np.random.default_rng(0)
    y = (rng.random(300) < 0.3).astype(int)
    score = rng.normal(y, 1).round(decimals)
    order = np.argsort(score, kind="stable")
    sick, well = order[y[order] == 1], order[y[order] == 0][::-1]
    best = 0
    for a in range(13):
        for b in range(13 - a):
            other = y.copy()
            other[well[:a]], other[sick[:b]] = 1, 0
            best = max(best, peers.roc_auc_score(other, score))
    low, high = auroc_bounds(score, y, 12 / 300)
    assert high == pytest.approx(best, abs=1e-12)
    assert low < peers.roc_auc_score(y, score) < high < 1


def test_no_wrong_label_leaves_the_value():
    rng = np.random.default_rng(1)
    y, score = rng.integers(0, 2, 200), rng.random(200).round(2)
    one = peers.roc_auc_score(y, score)
    assert auroc_bounds(score, y, 0.0) == pytest.approx((one, one), abs=1e-12)
    tn, fp, fn, tp = peers.confusion_matrix(y, score >= 0.5).ravel()
    found = bounds(tp, fp, fn, tn, 0.004)  # less than one label of 200
    assert found["f1"] == pytest.approx([peers.f1_score(y, score >= 0.5)] * 2)


def test_a_share_is_rounded_down_but_not_by_its_last_bit():
    assert 0.29 * 100 < 29
    exact = bounds(20, 20, 30, 30, 0.29)["accuracy"]
    assert exact == pytest.approx(((50 - 29) / 100, (50 + 29) / 100))
    assert bounds(20, 20, 30, 30, 0.299)["accuracy"] == exact


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_none_and_all(share):
    with pytest.raises(InputError, match="share of wrong labels"):
        bounds(1, 1, 1, 1, share)


def test_gap_bounds_hold_in_every_pair_of_labelings():
    rng = np.random.default_rng(2)
    sides = [(rng.integers(0, 2, n) * 1.0, rng.integers(0, 2, n)) for n in (7, 6)]
    shares = 2 / 7, 1 / 6
    found = [
        bounds(*(int(np.sum((y == a) & (c == b))) for a, b in CELLS), share)
        for (y, c), share in zip(sides, shares, strict=True)
    ]
    every = [
        [defined(FORMULAS["accuracy"], other, c) for other in flipped(y, k)]
        for (y, c), k in zip(sides, (2, 1), strict=True)
    ]
    wanted = ends([a - b for a in every[0] for b in every[1]])
    assert gap_bounds(*found)["accuracy"] == pytest.approx(wanted, abs=1e-12)


CELLS = (1, 1), (0, 1), (1, 0), (0, 0)  # (label, decision) of tp, fp, fn, tn


@pytest.mark.parametrize("metric", ["recall", "fpr", "precision", "auroc"])
@pytest.mark.parametrize("seed", range(3))
def test_the_tipping_point_is_the_first_share_that_reaches(metric, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 90)
    score = rng.normal(y * 1.2, 1).round(1)
    limits = limits_of(metric, Rows(score, y, score >= 0.5))
    value = limits(0)[0]
    for reference in (value - 0.11, value + 0.07):
        ours = tipping(limits, reference, 90)
        reach = [
            k for k in range(91) if limits(k / 90)[0] <= reference <= limits(k / 90)[1]
        ]
        assert 0 < ours == reach[0] / 90


def test_an_equal_group_tips_at_once_and_a_fixed_one_never():
    rows = Rows(np.arange(4.0), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]) > 0)
    assert tipping(limits_of("recall", rows), 0.5, 4) == 0
    assert np.isnan(tipping(limits_of("selection_rate", rows), 0.6, 4))


def test_metrics_without_bounds_are_refused():
    rows = Rows(np.arange(4.0), np.array([0, 1, 0, 1]), None)
    with pytest.raises(InputError, match="no bounds under label error for .*'brier'"):
        limits_of("brier", rows)
    with pytest.raises(InputError, match="'recall'"):
        limits_of("recall", rows)  # without decisions
