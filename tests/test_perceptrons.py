"""Lanes of perceptrons do not disturb each other; what they read is in test_probes."""

import numpy as np

from equity_jax import perceptrons

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)).astype(np.float32)
KIND = np.argmax(X + RNG.gumbel(size=(300, 3)), axis=1)
SEX = (X[:, 0] > 0).astype(int)


def test_a_lane_learns_the_same_whatever_is_beside_it(monkeypatch):
    monkeypatch.setattr(perceptrons, "STEPS", 60)
    made = []
    for other, units, l2 in ((SEX, 4, 9.0), (KIND, 8, 1.0)):
        rows = perceptrons.Rows(X, np.stack([KIND, other]).astype(np.int32))
        sizes = np.array([8, units]), np.array([1.0, l2])
        made.append(perceptrons.fit(rows, rows, X, *sizes))
    np.testing.assert_allclose(made[0][0], made[1][0], atol=1e-5)
    np.testing.assert_array_equal(*made[1])
    assert (made[0][1, :, 2] < -1e8).all()  # there are two sexes


def test_weights_of_one_change_nothing_and_others_weigh_errors(monkeypatch):
    monkeypatch.setattr(perceptrons, "STEPS", 60)
    y = np.stack([KIND, SEX]).astype(np.int32)
    sizes = np.array([8, 8]), np.array([1.0, 1.0])

    def fitted(weight):
        rows = perceptrons.Rows(X, y, weight)
        return perceptrons.fit(rows, rows, X, *sizes)

    plain, ones = fitted(None), fitted(np.ones((2, 300), np.float32))
    np.testing.assert_allclose(plain, ones, atol=1e-5)
    heavy = fitted(np.where(y == 1, 2.5, 0.25).astype(np.float32))
    called = [np.mean(z[1, :, 1] > z[1, :, 0]) for z in (plain, heavy)]
    assert called[1] > called[0] + 0.05  # a costly miss is avoided
