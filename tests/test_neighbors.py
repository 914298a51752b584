"""Nearest rows against scikit-learn and faiss."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from equity_jax.neighbors import METRICS, among, nearest, shares
from equity_jax.types import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 24)).astype(np.float32) + 3
Q = RNG.normal(size=(70, 24)).astype(np.float32) + 3


@pytest.mark.parametrize(
    "rows", [96, 150, 1000]
)  # blocks of groups; not of groups; one
@pytest.mark.parametrize("metric", METRICS)
def test_neighbors_are_those_of_scikit_learn(metric, rows, monkeypatch):
    for name, size in {"QUERIES": 16, "ROWS": rows, "GROUP": 4}.items():
        monkeypatch.setattr(f"equity_jax.neighbors.{name}", size)
    x = X[: len(X) - rows % 7]  # of another shape each, so that each is traced anew
    got = nearest(x, Q, 9, metric)
    peer = NearestNeighbors(n_neighbors=9, metric=metric, algorithm="brute")
    distance, index = peer.fit(x.astype(float)).kneighbors(Q.astype(float))
    np.testing.assert_array_equal(got.index, index)
    np.testing.assert_allclose(got.distance, distance, rtol=1e-4, atol=1e-5)


def test_neighbors_are_those_of_faiss():
    faiss = pytest.importorskip("faiss", reason="the extra bench brings faiss")
    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    square, rows = index.search(Q, 5)
    got = nearest(X, Q, 5)
    np.testing.assert_array_equal(got.index, rows)
    np.testing.assert_allclose(got.distance**2, square, rtol=1e-4)


def test_rows_that_are_alike_are_told_apart_and_equal_ones_come_in_order():
    x = np.repeat(X[:1] * 100, 6, axis=0)
    x[:, 0] += np.array([0, 0.02, 0.01, 0, 0.03, 0.04], np.float32)
    got = nearest(np.concatenate([X[:50], x]), x[:1], 6)
    np.testing.assert_array_equal(got.index[0] - 50, [0, 3, 2, 1, 4, 5])
    assert got.distance[0, 0] == 0 and got.distance[0, 1] == 0


def test_a_row_of_zeros_is_at_a_right_angle():
    x = np.array([[0, 0], [1, 0], [-1, 0.0]])
    got = nearest(x, np.array([[2.0, 0]]), 3, "cosine")
    np.testing.assert_array_equal(got.index[0], [1, 0, 2])
    np.testing.assert_allclose(got.distance[0], [0, 1, 2], atol=1e-6)


def test_subsets_and_metrics_share_one_product():
    keep = RNG.random((3, len(X))) < 0.5
    got = among(X, Q, 7, keep)
    assert got.shape == (2, 3, len(Q), 7)
    for d, metric in enumerate(METRICS):
        for a, rows in enumerate(keep):
            want = np.flatnonzero(rows)[nearest(X[rows], Q, 7, metric).index]
            np.testing.assert_array_equal(got[d, a], want)


def test_shares_are_the_probabilities_of_scikit_learn():
    y = RNG.integers(0, 3, len(X))
    peer = KNeighborsClassifier(11).fit(X, y)
    got = shares(nearest(X, Q, 20).index, y, 3, 11)
    np.testing.assert_allclose(got, peer.predict_proba(Q), atol=1e-12)


def test_no_queries_and_what_cannot_be():
    assert nearest(X, Q[:0], 3).index.shape == (0, 3)
    cases = [
        ((X, Q, 3, "manhattan"), "expected euclidean or cosine"),
        ((X, Q, 401), r"k of 1\.\.400"),
        ((X, Q[:, :5], 3), "expected 24 columns"),
    ]
    for args, message in cases:
        with pytest.raises(InputError, match=message):
            nearest(*args)
    with pytest.raises(InputError, match="a subset has 2 rows"):
        among(X, Q, 3, np.arange(400)[None] < 2)
