"""Principal components against scikit-learn, and outliers that were planted."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from equity_jax.pca import fit, outliers
from equity_jax.types import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 30)) * np.geomspace(4, 0.2, 30) @ RNG.normal(size=(30, 30))
X = (X + 50).astype(np.float32)  # far from 0, as raw embeddings may be


def test_components_and_shares_are_those_of_scikit_learn():
    got, want = fit(X, 12), PCA(12, svd_solver="full").fit(X.astype(float))
    np.testing.assert_allclose(got.components, want.components_, atol=1e-4)
    np.testing.assert_allclose(got.variance, want.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(got.share, want.explained_variance_ratio_, atol=1e-6)
    np.testing.assert_allclose(got.transform(X), want.transform(X), atol=1e-2)
    assert got.transform(X).dtype == np.float32 and got.transform(X[:0]).shape == (
        0,
        12,
    )


def test_more_features_than_rows_and_several_chunks(monkeypatch):
    monkeypatch.setattr("equity_jax.pca.CHUNK", 7)
    x = RNG.normal(size=(20, 45))
    got, want = fit(x, 10), PCA(10, svd_solver="full").fit(x)
    np.testing.assert_allclose(got.components, want.components_, atol=1e-4)
    np.testing.assert_allclose(got.share, want.explained_variance_ratio_, atol=1e-5)


def test_the_largest_loading_is_positive():
    got = fit(X, 5).components
    largest = np.argmax(np.abs(got), axis=1)
    assert (np.take_along_axis(got, largest[:, None], axis=1) > 0).all()


def test_outliers_within_the_components_and_away_from_them_are_found():
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    at = rng.normal(size=(2000, 40)) * np.r_[10.0, 8, 6, np.full(37, 0.5)]
    at[0, 1] = 80.0  # along the second component
    at[1, 30] = 12.0  # along none of the first three
    found = outliers(fit(at @ axes, 3), at @ axes)
    assert found.score[0] > found.bounds[0] and found.residual[1] > found.bounds[1]
    assert found.far[:2].all() and found.far[2:].mean() < 0.01
    assert found.residual[0] < found.bounds[1] and found.score[1] < found.bounds[0]


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"components=31: expected 1\.\.30"):
        fit(X, 31)
    with pytest.raises(InputError, match="x is not finite in row 4"):
        fit(np.where(np.arange(300)[:, None] == 4, np.nan, X), 2)
