import warnings

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn import metrics as peers
from sklearn.base import BaseEstimator

from equity_jax.audit.decisions.equalized_odds import (
    decide,
    fit,
    positive_probability,
    uniform,
)
from equity_jax.types import InputError


def rows(seed, n=1500, groups=3, decimals=2):
    """Scores that serve group 0 best and are shifted in the others."""
    rng = np.random.default_rng(seed)
    code = rng.integers(0, groups, n)
    y = (rng.random(n) < 0.2 + 0.15 * code).astype(int)
    score = rng.normal(y * (2.0 - 0.5 * code) + 0.4 * code, 1).round(decimals)
    return score, y, code, rng


def rates(chance, y, code, groups, weight=None):
    """float[G, 2]: expected FPR and TPR of every group."""
    weight = np.ones(len(y)) if weight is None else weight
    cells = [[(code == g) & (y == c) for c in (0, 1)] for g in range(groups)]
    return np.array(
        [[np.average(chance[m], weights=weight[m]) for m in row] for row in cells]
    )


def best_by_linear_program(score, y, code, groups, balanced):
    """Hardt et al.'s program: mix thresholds freely, equal rates, no grid, no hull."""
    total = np.array([np.sum(y == c) for c in (0, 1)])
    scale = np.array([0.5, 0.5]) if balanced else total / total.sum()
    curves = []
    for g in range(groups):
        s, t = score[code == g], y[code == g]
        cuts = np.append(np.unique(s), np.inf)
        called = s[:, None] >= cuts
        curves.append([called[t == c].mean(axis=0) for c in (0, 1)])
    sizes = [len(c[0]) for c in curves]
    start = np.append(0, np.cumsum(sizes))
    equal, right = [], []
    for g, own in enumerate(curves):
        row = np.zeros(start[-1])
        row[start[g] : start[g + 1]] = 1
        equal.append(row)
        right.append(1)
        for c in (0, 1) if g else ():
            row = np.zeros(start[-1])
            row[start[g] : start[g + 1]] = own[c]
            row[: sizes[0]] -= curves[0][c]
            equal.append(row)
            right.append(0)
    worth = np.zeros(start[-1])
    worth[: sizes[0]] = scale[1] * curves[0][1] - scale[0] * curves[0][0]
    done = optimize.linprog(-worth, A_eq=np.array(equal), b_eq=right)
    return scale[0] - done.fun


class Passed(BaseEstimator):
    """An estimator whose prediction is its one feature."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0]


@pytest.mark.parametrize("objective", ["accuracy", "balanced_accuracy"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_fairlearn(objective, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        from fairlearn.postprocessing import ThresholdOptimizer
    score, y, code, _ = rows(seed)
    peer = ThresholdOptimizer(
        estimator=Passed(),
        constraints="equalized_odds",
        objective=f"{objective}_score",
        grid_size=1000,
        predict_method="predict",
    ).fit(score[:, None], y, sensitive_features=code)
    theirs = peer._pmf_predict(score[:, None], sensitive_features=code)[:, 1]
    rule = fit(score, y, code, 3, objective=objective)
    ours = positive_probability(rule, score, code)
    assert np.allclose(ours, theirs, atol=1e-9)
    assert (rule.fpr, rule.tpr) == pytest.approx((peer._x_best, peer._y_best))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_reaches_the_optimum_of_the_linear_program(balanced, seed):
    score, y, code, _ = rows(seed, n=300, decimals=1)
    objective = "balanced_accuracy" if balanced else "accuracy"
    rule = fit(score, y, code, 3, objective=objective)
    chance = positive_probability(rule, score, code)
    share = 0.5 if balanced else y.mean()
    right = chance[y == 1].mean(), 1 - chance[y == 0].mean()
    reached = share * right[0] + (1 - share) * right[1]
    best = best_by_linear_program(score, y, code, 3, balanced)
    # A grid of 1,000: a steep hull can lose a few steps' worth of it.
    assert best - 5e-3 < reached < best + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_rates_are_equal_on_the_rows_of_the_fit(seed):
    score, y, code, rng = rows(seed, groups=4)
    weight = rng.exponential(size=len(y))
    rule = fit(score, y, code, 4, weight=weight)
    found = rates(positive_probability(rule, score, code), y, code, 4, weight)
    assert np.allclose(found, [rule.fpr, rule.tpr], atol=1e-9)
    assert 0 < rule.fpr < rule.tpr < 1 and rule.fitted.all()
    assert (rule.p_ignore[:4] > 0).any()  # some hull lies above the target


def test_rates_differ_on_rows_that_the_fit_did_not_see():
    score, y, code, _ = rows(0)
    fresh, y_fresh, code_fresh, _ = rows(1)
    rule = fit(score, y, code, 3)
    chance = positive_probability(rule, fresh, code_fresh)
    spread = np.ptp(rates(chance, y_fresh, code_fresh, 3), axis=0)
    assert (spread > 1e-2).all()  # equal would mean that the labels had leaked
    blind = rates(fresh >= rule.t0[-1], y_fresh, code_fresh, 3)
    assert spread[0] < np.ptp(blind[:, 0])  # these groups differ most in FPR


def test_weights_count_rows():
    score, y, code, rng = rows(6, n=400)
    weight = rng.integers(0, 4, 400) + 5 * y
    again = np.repeat(np.arange(400), weight)
    ours = fit(score, y, code, 3, weight=weight, least=1)
    copied = fit(score[again], y[again], code[again], 3, least=1)
    for a, b in zip(ours, copied, strict=True):
        assert np.allclose(a, b, atol=1e-12)


def test_unfitted_groups_and_unrecorded_rows_get_the_blind_threshold():
    score, y, code, _ = rows(7, n=900)
    code[np.flatnonzero((code == 1) & (y == 1))[9:]] = -1
    rule = fit(score, y, code, 3)
    assert rule.fitted.tolist() == [True, False, True]
    best = max(peers.accuracy_score(y, score >= t) for t in np.unique(score))
    blind = rule.t0[-1]
    assert peers.accuracy_score(y, score >= blind) == pytest.approx(best, abs=1e-12)
    for group in (1, -1):
        chance = positive_probability(rule, score, np.full(len(y), group))
        assert chance.tolist() == (score >= blind).tolist()
    found = rates(positive_probability(rule, score, code), y, code, 3)
    assert np.allclose(found[[0, 2]], [rule.fpr, rule.tpr], atol=1e-9)
    assert fit(score, y, code, 3, least=9).fitted.all()


def test_without_a_fitted_group_all_rows_get_the_blind_threshold():
    score, y, _, _ = rows(8, n=100)
    rule = fit(score, y, np.full(100, -1), 2)
    assert np.isnan(rule.fpr) and not rule.fitted.any()
    assert len(set(rule.t0.tolist())) == 1


def test_perfect_scores_need_no_chance():
    y = np.tile([0, 1], 40)
    rule = fit(y * 1.0, y, np.repeat([0, 1], 40), 2)
    assert (rule.fpr, rule.tpr) == (0, 1)
    assert positive_probability(rule, y, np.repeat([0, 1], 40)).tolist() == y.tolist()


def test_useless_scores_call_nobody_or_everybody_what_is_rarer():
    y = np.tile([0, 0, 1], 40)
    rule = fit(np.full(120, 0.5), y, np.repeat([0, 1], 60), 2)
    assert (rule.fpr, rule.tpr) == (0, 0)


def test_a_draw_belongs_to_its_id():
    score, y, code, rng = rows(9)
    rule = fit(score, y, code, 3)
    id = np.array([f"study-{i}" for i in range(len(y))])
    found = decide(rule, score, code, id, 0)
    order = rng.permutation(len(y))
    assert decide(rule, score[order], code[order], id[order], 0).tolist() == (
        found[order].tolist()
    )
    few = order[:17]
    assert decide(rule, score[few], code[few], id[few], 0).tolist() == (
        found[few].tolist()
    )
    assert found.tolist() == decide(rule, score, code, id, 0).tolist()
    assert found.tolist() != decide(rule, score, code, id, 1).tolist()


def test_decisions_follow_their_probabilities():
    score, y, code, _ = rows(10, n=40_000)
    rule = fit(score, y, code, 3)
    chance = positive_probability(rule, score, code)
    found = decide(rule, score, code, np.arange(len(y)), 0)
    assert found[chance == 1].all() and not found[chance == 0].any()
    error = np.sqrt(np.sum(chance * (1 - chance))) / len(y)
    assert error > 0
    assert abs(found.mean() - chance.mean()) < 4 * error


def test_the_hash_is_uniform_and_seeds_are_independent():
    id = np.arange(20_000)
    first, second = uniform(id, 0), uniform(id, 1)
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(id))
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 4 / np.sqrt(len(id))
    assert 0 <= first.min() and first.max() < 1
    assert uniform(np.empty(0, str), 0).tolist() == []
    assert len(set(first)) == len(id)


def test_the_hash_never_changes():  # or a published audit could not be repeated
    ours = uniform(np.array(["a", "study-7"]), 0)
    assert ours == pytest.approx([0.65583571, 0.28699485], abs=1e-8)


@pytest.mark.parametrize(
    ("score", "y", "objective", "message"),
    [
        ([0.1, 0.2], [0, 1], "f1", "unknown objective 'f1'; known: accuracy"),
        ([0.1, np.nan], [0, 1], "accuracy", "not finite"),
        ([0.1, 0.2], [1, 1], "accuracy", "both of them"),
        ([0.1, 0.2], [0, 2], "accuracy", "labels of 0 and 1"),
    ],
)
def test_bad_rows_are_refused(score, y, objective, message):
    with pytest.raises(InputError, match=message):
        fit(np.array(score), np.array(y), np.zeros(2, int), 1, objective=objective)
