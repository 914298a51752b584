"""Features are standardized with the training rows; what hardly varies becomes 0."""

import numpy as np
import pytest

from equity_jax.probe import chosen, held, ready, scaling, shares
from equity_jax.types import TEST, TRAIN, VALID, InputError

RNG = np.random.default_rng(0)
SPLIT = np.resize([TRAIN, VALID, TEST], 90)
X = RNG.normal(size=(90, 4)) * [1, 50, 1e-7, 0] + 3
Y = np.arange(90) // 3 % 2


def test_training_rows_have_mean_0_and_spread_1_or_0():
    x, split, (target,) = ready(X, [Y], SPLIT)
    learn = x[split == TRAIN]
    np.testing.assert_allclose(learn.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(learn.std(0), [1, 1, 0, 0], atol=1e-5)
    assert x.dtype == np.float32 and target is not None
    with pytest.raises(InputError, match="no training rows"):
        scaling(X, SPLIT * 0 + TEST)


def test_the_likeliest_on_validation_rows_is_chosen():
    rest = held(SPLIT)
    sure = np.eye(2)[Y[rest]] * 0.8 + 0.1
    scores = np.stack([np.full((rest.sum(), 2), 0.5), sure, 1 - sure])
    probe = chosen("knn", Y, SPLIT, [(1, "a"), (2, "b"), (3, "c")], scores)
    assert (probe.strength, probe.metric) == (2, "b")
    assert probe.valid == pytest.approx(np.log(0.9)) and probe.start < probe.valid
    assert np.isnan(probe.scores[~rest]).all() and np.isfinite(probe.scores[rest]).all()
    np.testing.assert_allclose(
        shares(np.array([[[0.0]], [[np.log(3)]]]))[1], [[0.25, 0.75]]
    )
