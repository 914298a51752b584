"""After LEACE and INLP no straight line reads the attribute; nothing less would do."""

import numpy as np
import pytest
from scipy import linalg
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from equity_jax import probes
from equity_jax.erasure import inlp, leace
from equity_jax.types import TEST, TRAIN, VALID, InputError

RNG = np.random.default_rng(0)
N, F = 1500, 20
SPLIT = np.repeat([TRAIN, VALID, TEST], [800, 300, 400])
RACE = RNG.integers(0, 4, N)
MIX = RNG.normal(size=(F, F)) + 2 * np.eye(F)
LATENT = RNG.normal(size=(N, F))
LATENT[:, :4] += 1.5 * np.eye(4)[RACE]
X = (LATENT @ MIX + 5).astype(np.float32)
LEARN = SPLIT == TRAIN
SOME = np.where(np.arange(N) % 5 > 0, RACE, -1)  # others are not recorded


def by_formula(x, z):
    """Theorem 4.2 of the paper by its own letters, one row a column."""
    x, z = (a.T - a.T.mean(1, keepdims=True) for a in (x.astype(float), z))
    cov, cross = x @ x.T / x.shape[1], x @ z.T / x.shape[1]
    root = np.real(linalg.sqrtm(cov))
    whiten = linalg.pinv(root)
    seen = whiten @ cross
    return linalg.pinv(whiten) @ seen @ linalg.pinv(seen) @ whiten


def test_leace_is_the_formula():
    eraser = leace(X, SOME, SPLIT)
    rows = LEARN & (SOME >= 0)
    want = by_formula(X[rows], np.eye(4)[SOME[rows]])
    np.testing.assert_allclose((eraser.left @ eraser.right).T, want, atol=1e-9)
    mean = X[rows].mean(0, dtype=float)
    moved = X - (X - mean) @ want.T
    np.testing.assert_allclose(eraser.apply(X), moved, atol=1e-5)
    assert eraser.left.shape == (F, 3)


def test_after_leace_a_straight_line_is_no_better_than_a_constant(capsys):
    """In the rows that it was made of, whatever the penalty."""
    eraser = leace(X, RACE, SPLIT)
    share = np.bincount(RACE[LEARN]) / LEARN.sum()
    constant = -np.log(share[RACE[LEARN]]).mean()
    line = LogisticRegression(C=np.inf, max_iter=5000, tol=1e-6)  # no penalty
    losses = [
        log_loss(RACE[LEARN], line.fit(x - 5.0, RACE[LEARN]).predict_proba(x - 5.0))
        for x in (X[LEARN], eraser.apply(X)[LEARN])
    ]
    with capsys.disabled():
        print(f"\nLEACE, in-sample linear loss: {losses[0]:.4f} -> {losses[1]:.6f};")
        print(f"  of the best constant: {constant:.6f}")
    assert losses[0] < constant - 0.1
    np.testing.assert_allclose(losses[1], constant, atol=1e-6)


def test_no_smaller_change_erases():
    """Any other affine eraser, here of random kinds, moves the rows further."""
    eraser = leace(X, RACE, SPLIT)
    x = X[LEARN].astype(float) - X[LEARN].mean(0, dtype=float)
    least = np.sum((x @ eraser.left @ eraser.right) ** 2)
    z = np.eye(4)[RACE[LEARN]] - np.eye(4)[RACE[LEARN]].mean(0)
    cross = x.T @ z
    keep = linalg.null_space(cross.T)  # directions that are uncorrelated with race
    for other in (keep @ keep.T, keep @ RNG.normal(size=(keep.shape[1], F))):
        kept = x @ other
        assert np.abs(kept.T @ z).max() < 1e-6 * np.abs(x.T @ z).max()
        assert np.sum((x - kept) ** 2) > 1.001 * least
    best = keep @ linalg.lstsq(x @ keep, x)[0]  # the least squares of all that erase
    np.testing.assert_allclose(np.sum((x - x @ best) ** 2), least, rtol=1e-9)


def test_directions_without_variance_stay_as_they_are():
    x = np.concatenate([X, X[:, :2], np.full((N, 1), 7)], axis=1)
    made = leace(x, RACE, SPLIT).apply(x)
    assert np.isfinite(made).all() and (made[:, -1] == 7).all()
    np.testing.assert_allclose(made[:, :2], made[:, F : F + 2], atol=1e-4)


def test_a_feature_that_is_all_attribute_leaves_no_rounding_to_read():
    x = RNG.normal(size=(N, 6)).astype(np.float32)
    x[:, 0] = 3 * (RACE > 1)
    target = (RACE > 1).astype(int)
    for eraser in (leace(x, target, SPLIT), inlp(x, target, SPLIT)):
        probe = probes.logistic(eraser.apply(x), [target], SPLIT)[0]
        assert probe.valid < probe.start + 0.01


def test_inlp_takes_directions_until_a_probe_finds_nothing():
    eraser = inlp(X, SOME, SPLIT)
    made = eraser.apply(X)
    before, after = (probes.logistic(x, [RACE], SPLIT)[0] for x in (X, made))
    assert before.valid > before.start + 0.1 and after.valid < after.start + 0.02
    assert 3 <= eraser.left.shape[1] < F
    np.testing.assert_allclose(eraser.apply(made), made, atol=1e-4)  # a projection
    chance = RNG.integers(0, 2, N)
    assert inlp(X, chance, SPLIT).left.shape[1] <= 1


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="1500 rows, target 3, split 1500"):
        leace(X, RACE[:3], SPLIT)
    with pytest.raises(InputError, match="fewer than two classes"):
        leace(X, np.where(LEARN, 0, RACE), SPLIT)
    with pytest.raises(InputError, match="no validation rows"):
        inlp(X, np.where(SPLIT == VALID, -1, RACE), SPLIT)
