"""Probes against scikit-learn's logistic regression and nearest neighbors."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from equity_jax.probes import KINDS, knn, logistic, mlp, ridge, strongest
from equity_jax.types import TEST, TRAIN, VALID, InputError

RNG = np.random.default_rng(0)
N = 600
SPLIT = np.repeat([TRAIN, VALID, TEST], [300, 120, 180])
X = RNG.normal(size=(N, 30)).astype(np.float32) * 5 + 20
KIND = np.argmax(X[:, :3] / 5 + RNG.gumbel(size=(N, 3)), axis=1)
SEX = (X[:, 4] / 5 + RNG.normal(size=N) > 4).astype(int)
REST = SPLIT != TRAIN


def standardized():
    mean, spread = X[SPLIT == TRAIN].mean(0), X[SPLIT == TRAIN].std(0)
    return ((X - mean) / spread).astype(float)


def test_logistic_probes_are_those_of_scikit_learn():
    some = np.where(np.arange(N) % 3 > 0, SEX, -1)
    got = logistic(X, [KIND, SEX, some], SPLIT, [1.0, 30.0, 1e3])
    x = standardized()
    for probe, target in zip(got, (KIND, SEX, some), strict=True):
        learn = (SPLIT == TRAIN) & (target >= 0)
        judge = (SPLIT == VALID) & (target >= 0)
        best = None
        for l2 in (1.0, 30.0, 1e3):
            peer = LogisticRegression(C=1 / l2, tol=1e-9, max_iter=2000)
            prob = peer.fit(x[learn], target[learn]).predict_proba(x)
            told = np.log(prob[judge, target[judge]]).mean()
            best = max(best or (-np.inf,), (told, l2, prob), key=lambda b: b[0])
        assert probe.strength == best[1] and probe.kind == "logistic"
        np.testing.assert_allclose(probe.scores[REST], best[2][REST], atol=2e-4)
        np.testing.assert_allclose(probe.valid, best[0], atol=1e-4)
        assert np.isnan(probe.scores[~REST]).all() and probe.valid > probe.start


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbor_probes_rank_as_those_of_scikit_learn(metric):
    some = np.where(np.arange(N) % 3 > 0, KIND, -1)
    got = knn(X, [KIND, some], SPLIT, (3, 15), (metric,))
    x = standardized()
    for probe, target in zip(got, (KIND, some), strict=True):
        learn, k = (SPLIT == TRAIN) & (target >= 0), int(probe.strength)
        peer = KNeighborsClassifier(k, metric=metric, algorithm="brute")
        share = peer.fit(x[learn], target[learn]).predict_proba(x[REST])
        prior = np.bincount(target[learn]) / learn.sum()
        want = (k * share + prior) / (k + 1)
        np.testing.assert_allclose(probe.scores[REST], want, atol=1e-6)
        assert (probe.metric, probe.kind) == (metric, "knn")


def test_the_best_k_is_chosen_on_validation_and_large_ones_are_left_out():
    got = knn(X, [SEX], SPLIT, (1, 25, 5000))[0]
    assert got.strength == 25 and got.valid > got.start
    assert knn(X, [SEX], SPLIT, (5000,), ("cosine",))[0].strength == 300


def test_ridge_probes_are_those_of_scikit_learn():
    some = np.where(np.arange(N) % 3 > 0, KIND, -1)
    x, strengths = standardized(), [1.0, 100.0]
    for probe, target in zip(
        ridge(X, [SEX, some], SPLIT, strengths), (SEX, some), strict=True
    ):
        learn = (SPLIT == TRAIN) & (target >= 0)
        judge = (SPLIT == VALID) & (target >= 0)
        flags = np.eye(target.max() + 1)[target]
        share, made = flags[learn].mean(0), []
        for l2 in strengths:
            peer = Ridge(l2, tol=1e-10).fit(x[learn], flags[learn])
            for sharp in 2.0 ** np.arange(6):
                power = share * np.exp(sharp * (peer.predict(x) - share))
                prob = power / power.sum(1, keepdims=True)
                told = np.log(prob[judge, target[judge]]).mean()
                made.append((told, l2, prob, peer.coef_))
        told, l2, prob, coef = max(made, key=lambda one: one[0])
        assert (probe.strength, probe.kind) == (l2, "ridge")
        np.testing.assert_allclose(probe.scores[REST], prob[REST], atol=1e-4)
        np.testing.assert_allclose(probe.coef, coef, atol=1e-4)
        np.testing.assert_allclose(probe.valid, told, atol=1e-4)


def test_a_perceptron_reads_what_no_straight_line_does():
    """Whether two features have one sign; each lane is that of a fit of its own."""
    crossed = (standardized()[:, 0] * standardized()[:, 1] > 0).astype(int)
    x = X[:, :4]
    bent, plain = mlp(x, [crossed, KIND], SPLIT, (16,), (0.1, 1.0))
    line = logistic(x, [crossed], SPLIT)[0]
    test = SPLIT == TEST
    aurocs = [roc_auc_score(crossed[test], p.scores[test, 1]) for p in (bent, line)]
    assert aurocs[0] > 0.9 and aurocs[1] < 0.65
    assert bent.metric == "16 units" and bent.strength in (0.1, 1.0)
    assert plain.scores.shape == (N, 3) and plain.valid > plain.start
    np.testing.assert_allclose(bent.scores[REST].sum(1), 1, atol=1e-5)
    both = strongest(x, [crossed], SPLIT, ("logistic", "mlp"))[0]
    assert both.kind == "mlp" and both.valid == max(both.valid, line.valid)


def test_what_cannot_be_probed_is_refused():
    alone = np.where(SPLIT == TRAIN, 0, SEX)
    for probe in KINDS.values():
        with pytest.raises(InputError, match="no training rows, or of one class"):
            probe(X, [alone], SPLIT)
        with pytest.raises(InputError, match="no validation rows"):
            probe(X, [np.where(SPLIT == VALID, -1, SEX)], SPLIT)
        with pytest.raises(InputError, match="target has shape"):
            probe(X, [SEX[:-1]], SPLIT)
        with pytest.raises(InputError, match="no training rows"):
            probe(X, [SEX], SPLIT * 0 + TEST)
