"""Many logistic models on one wide x: the optimum of scikit-learn, and of `glm`."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from equity_jax.solvers import glm, path, subsets
from equity_jax.types import InputError

RNG = np.random.default_rng(0)


def wide(n, features, classes=2):
    """Correlated features, as embeddings have them, and labels that they tell."""
    base = RNG.normal(size=(n, 12)) * np.geomspace(3, 0.3, 12)
    x = 0.5 * RNG.normal(size=(n, features)) + base @ RNG.normal(size=(12, features))
    x = (x - x.mean(0)) / x.std(0)
    eta = x @ RNG.normal(size=(features, classes)) / np.sqrt(features)
    eta = eta + 0.7 * np.arange(classes)
    return x, np.argmax(eta + RNG.gumbel(size=eta.shape), 1)


X, Y = wide(600, 150)
KINDS = wide(600, 40, 4)


def theirs(x, y, l2, weight=None):
    model = LogisticRegression(C=1 / l2, solver="lbfgs", tol=1e-10, max_iter=20_000)
    return model.fit(x, y, weight)


def test_the_logistic_optimum_is_that_of_scikit_learn():
    l2s, every = [1.0, 30.0, 1e3], np.ones((3, len(X)))
    got = subsets(X, np.stack([Y] * 3), every, l2s, dtype=np.float64)
    for r, l2 in enumerate(l2s):
        want = theirs(X, Y, l2)
        np.testing.assert_allclose(got.coef[r], want.coef_, atol=1e-5)
        np.testing.assert_allclose(got.intercept[r], want.intercept_, atol=1e-5)
    assert got.converged.all() and got.iterations.max() < 60
    same = path(X, Y, l2s, solver="lbfgs")
    np.testing.assert_allclose(same.coef, got.coef, atol=1e-9)


def test_the_optimum_of_more_features_than_a_subset_has_rows():
    """An embedding's 1,376 features and 700 rows, in float64 and in float32."""
    x, y = wide(700, 1376)
    want = theirs(x, y, 10.0)
    got = subsets(x, y, None, 10.0, dtype=np.float64)
    np.testing.assert_allclose(got.coef[0], want.coef_, atol=1e-5)
    single = subsets(x.astype(np.float32), y, None, 10.0)
    assert single.coef.dtype == np.float32
    np.testing.assert_allclose(single.coef[0], want.coef_, atol=1e-4)


def test_the_multinomial_optimum_is_that_of_scikit_learn():
    x, y = KINDS
    got = path(x, y, [3.0, 100.0], family="multinomial", solver="lbfgs")
    for i, l2 in enumerate((3.0, 100.0)):
        want = theirs(x, y, l2)
        np.testing.assert_allclose(got.coef[i], want.coef_, atol=1e-5)
        base = want.intercept_ - want.intercept_.mean()
        np.testing.assert_allclose(got.intercept[i], base, atol=1e-5)
    plain = -log_loss(y, theirs(x, y, 3.0).predict_proba(x), normalize=False)
    np.testing.assert_allclose(got.log_likelihood[0], plain, rtol=1e-6)


def test_each_model_has_its_own_rows_penalty_and_labels():
    weight = RNG.integers(0, 3, (3, len(X))).astype(float)
    y, l2 = np.stack([Y, 1 - Y, RNG.permutation(Y)]), [2.0, 20.0, 200.0]
    got = subsets(X, y, weight, l2, dtype=np.float64)
    for r in range(3):
        want = glm(X, y[r], weight=weight[r], l2=l2[r])
        np.testing.assert_allclose(got.coef[r], want.coef, atol=1e-6)
        np.testing.assert_allclose(got.log_likelihood[r], want.log_likelihood)


def test_no_intercept_and_labels_between_0_and_1():
    soft = np.clip(Y + RNG.normal(size=len(Y)) * 0.1, 0, 1)
    got = subsets(X, soft, None, 5.0, intercept=False, dtype=np.float64)
    want = glm(X, soft, l2=5.0, intercept=False)
    np.testing.assert_allclose(got.coef[0], want.coef, atol=1e-6)
    assert got.intercept == 0


def test_a_subset_of_one_class_and_a_class_without_rows_come_to_an_end():
    weight = np.stack([Y == 1, np.ones(len(Y))]).astype(float)
    got = subsets(X, Y, weight, 10.0, tolerance=1e-4)
    assert np.isfinite(got.coef).all() and got.converged.all()
    assert (X @ got.coef[0, 0] + got.intercept[0] > 4).all()
    x, y = KINDS
    got = subsets(x, y, (y != 2).astype(float), 10.0, family="multinomial")
    logits = x @ got.coef[0].T + got.intercept[0]
    assert (np.argmax(logits, 1) != 2).all() and np.isfinite(logits).all()


def test_features_that_are_the_same_or_constant_share_the_coefficient():
    x = np.concatenate([X[:, :5], X[:, :1], np.zeros((len(X), 1))], 1)
    got, want = subsets(x, Y, None, 1.0, dtype=np.float64), theirs(x, Y, 1.0)
    np.testing.assert_allclose(got.coef[0], want.coef_, atol=1e-5)
    assert abs(got.coef[0, 0, 0] - got.coef[0, 0, 5]) < 1e-8


def test_what_cannot_be_is_refused():
    cases = [
        ({"family": "poisson"}, Y, "side by side are only logistic and multinomial"),
        ({}, Y * 2, r"expected a number in \[0, 1\]"),
        ({}, Y[:-1], r"y has shape"),
        ({"weight": np.zeros((2, len(Y)))}, Y, "weight of model 0: no row is above 0"),
        ({"weight": np.ones((2, len(Y))), "l2": [1, 2, 3]}, Y, "weight has shape"),
        ({"weight": np.full(len(Y), np.nan)}, Y, "weight is not finite in row 0"),
    ]
    for options, y, message in cases:
        with pytest.raises(InputError, match=message):
            subsets(X, y, **options)
    bad = X.copy()
    bad[7, 3] = np.inf
    with pytest.raises(InputError, match="x is not finite in row 7"):
        subsets(bad, Y)
