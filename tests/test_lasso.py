"""lasso.py against scikit-learn's saga and liblinear."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from equity_jax.lasso import sparse

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 12)) @ (np.eye(12) + 0.3 * RNG.normal(size=(12, 12)))
SCORE = X[:, :3] + RNG.gumbel(size=(240, 3))
ROWS = np.stack([RNG.choice(240, 160, replace=False) for _ in range(3)])
ROWS[2, 100:] = -1  # a smaller draw
L1 = np.array([1.0, 5.0, 1 / 0.7])


def peer(rows, y, l1):
    rows = rows[rows >= 0]
    how = {"C": 1 / l1, "l1_ratio": 1.0, "tol": 1e-9, "max_iter": 100_000}
    return LogisticRegression(solver="saga", **how).fit(X[rows], y[rows])


@pytest.mark.parametrize("classes", [2, 3])
def test_every_draw_has_the_coefficients_of_scikit_learn(classes):
    y = SCORE[:, :classes].argmax(1)
    found = sparse(X, y, ROWS, L1, classes, tolerance=1e-9, dtype=np.float64)
    assert found.converged.all()
    for i, l1 in enumerate(L1):
        theirs = peer(ROWS[i], y, l1)
        np.testing.assert_allclose(found.coef[i], theirs.coef_, atol=2e-6)
        # three classes' intercepts are settled but for a constant
        base = found.intercept[i], theirs.intercept_
        base = base if classes == 2 else [b - b.mean() for b in base]
        np.testing.assert_allclose(*base, atol=2e-6)
    assert (found.coef[1] == 0).sum() > (found.coef[0] == 0).sum()


def test_liblinear_too_where_it_does_not_penalize_the_intercept():
    y = SCORE[:, :2].argmax(1)
    how = {"solver": "liblinear", "l1_ratio": 1.0, "tol": 1e-8, "max_iter": 10_000}
    theirs = LogisticRegression(C=0.1, intercept_scaling=1e4, **how).fit(X, y)
    found = sparse(X, y, np.arange(240)[None], [10.0], 2, tolerance=1e-6)
    np.testing.assert_allclose(found.coef[0], theirs.coef_, atol=2e-4)
    assert found.coef.dtype == np.float32


def test_no_rows_and_a_huge_penalty_stay_finite():
    y = SCORE[:, :2].argmax(1)
    found = sparse(X, y, np.full((1, 5), -1), [1.0], 2)
    assert not found.coef.any()
    found = sparse(X, y, np.arange(240)[None], [1e6], 2)
    assert not found.coef.any()
    share = 1 / (1 + np.exp(-found.intercept[0, 0]))
    assert share == pytest.approx(y.mean(), abs=1e-3)
