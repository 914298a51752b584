"""Moments in chunks, and ridge regressions as scikit-learn's."""

import numpy as np
from sklearn.linear_model import Ridge

from equity_jax.least_squares import moments, ridge

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(90, 6)) * 3 + 100).astype(np.float32)
Y = RNG.normal(size=(90, 2)) + X[:, :2]


def test_moments_are_numpys_whatever_the_chunks(monkeypatch):
    monkeypatch.setattr("equity_jax.least_squares.CHUNK", 7)
    rows = np.flatnonzero(np.arange(90) % 3)
    m = moments(X, Y, rows)
    want = np.cov(np.concatenate([X[rows].astype(float), Y[rows]], 1).T, bias=True)
    np.testing.assert_allclose(m.xx / m.n, want[:6, :6], rtol=1e-10)
    np.testing.assert_allclose(m.xy / m.n, want[:6, 6:], rtol=1e-10)
    np.testing.assert_allclose(m.x, X[rows].mean(0, dtype=float))
    assert m.n == 60 and moments(X, Y).n == 90


def test_ridge_is_that_of_scikit_learn():
    x = np.concatenate([X, X[:, :1]], axis=1)  # two columns alike
    coef, base = ridge(moments(x, Y), [0.1, 10.0])
    for l2, theta, shift in zip((0.1, 10.0), coef, base, strict=True):
        peer = Ridge(l2, solver="svd").fit(x.astype(float), Y)
        np.testing.assert_allclose(theta.T, peer.coef_, atol=1e-8)
        np.testing.assert_allclose(shift, peer.intercept_, atol=1e-6)
