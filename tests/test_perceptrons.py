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
