"""Planted attributes are read with their intervals; shuffled ones are not."""

import numpy as np
import pytest
from scipy.linalg import helmert
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from equity_jax.audit import NOT_ESTIMABLE, OK
from equity_jax.audit.controls import simple
from equity_jax.audit.encoding import COLUMNS, MATCHED, SHUFFLED, told
from equity_jax.probes import KINDS
from equity_jax.types import TEST, TRAIN, VALID, InputError

RNG = np.random.default_rng(0)
PEOPLE, N = 900, 1800
PATIENT = np.repeat(np.arange(PEOPLE), 2)
SPLIT = np.where(PATIENT < 500, TRAIN, np.where(PATIENT < 600, VALID, TEST))
SEX = RNG.integers(0, 2, PEOPLE)[PATIENT]
SICK = (RNG.random(N) < np.where(SEX, 0.75, 0.25)).astype(float)
APART = 1.5  # planted: along one direction, in standard deviations
X = RNG.normal(size=(N, 40)).astype(np.float32)
X[:, 3] += APART * SEX
X[:, 7] += 4 * SICK
NAMES = np.array(["Female", "Male"])[SEX]
PLANTED = norm.cdf(APART / np.sqrt(2))


def row(table, attribute, kind, control="", name=""):
    keep = (table.attribute == attribute) & (table.kind == kind)
    keep &= (table.control == control) & (table["class"] == name)
    return table[keep].squeeze()


def test_a_planted_direction_is_found_and_shuffled_labels_are_not():
    x = np.delete(X, 7, axis=1)  # the disease would tell more
    how = {"baselines": simple(x), "replicates": 200, "against": "logistic"}
    table = told(x, {"sex": NAMES}, SPLIT, PATIENT, **how)
    assert tuple(table.columns) == COLUMNS
    found = row(table, "sex", "logistic", name="Male")
    assert found.low < PLANTED < found.high and found.status == OK
    assert found.n == 600 and found.patients == 300 and found.high - found.low < 0.12
    assert row(table, "sex", "knn").auroc > 0.65
    for kind in ("logistic", "knn"):
        lost = row(table, "sex", kind, SHUFFLED)
        assert lost.low < 0.5 < lost.high and lost.status == OK
        assert row(table, "sex", kind, "length of the embedding").auroc < 0.65
    near = row(table, "sex", "knn", name="Male")
    assert near.metric in ("euclidean", "cosine")
    assert near.difference == pytest.approx(near.auroc - found.auroc)
    assert near.difference_low < near.difference < near.difference_high
    assert np.isnan(found.difference)


def test_matching_takes_away_what_is_read_through_the_disease():
    only = np.delete(X, 3, axis=1)  # sex is not there, but the disease is
    table = told(
        only,
        {"sex": NAMES},
        SPLIT,
        PATIENT,
        label=SICK,
        kinds=("logistic",),
        replicates=200,
    )
    assert row(table, "sex", "logistic").low > 0.65
    rest = row(table, "sex", "logistic", MATCHED)
    assert rest.low < 0.5 < rest.high and rest.n < 600


def test_what_cannot_be_estimated_says_so():
    rare = np.where(np.arange(N) < 4, "Other", NAMES)
    few = np.where((SPLIT == TEST) & (PATIENT > 604), "", NAMES)
    asked = {"one": np.full(N, "x"), "rare": rare, "few": few, "none": np.full(N, "")}
    table = told(X, asked, SPLIT, PATIENT, kinds=("logistic",), replicates=50)
    assert "one value only" in row(table, "one", "logistic").reason
    assert row(table, "rare", "logistic").status == OK
    reason = row(table, "rare", "logistic").reason
    assert reason == "fewer than 10 training rows of Other"
    small = row(table, "few", "logistic")
    assert small.status == NOT_ESTIMABLE and np.isnan(small.auroc) and small.reason
    assert row(table, "none", "logistic").status == NOT_ESTIMABLE


def test_a_planted_attribute_is_read_as_well_as_the_truth_allows(capsys, monkeypatch):
    """Four groups at the corners of a simplex, in 1024 features: of all that could be
    read above 0.5, a probe reads four fifths; with shuffled labels nothing.
    """
    monkeypatch.setattr("equity_jax.perceptrons.STEPS", 200)
    rng, apart, n, f = np.random.default_rng(1), 1.6, 2000, 1024
    race = rng.integers(0, 4, n)
    latent = rng.normal(size=(n, 33)) * np.r_[np.ones(3), 2 * 0.9 ** np.arange(30)]
    places = helmert(4).T * apart / np.sqrt(2)
    latent[:, :3] += places[race]
    axes = np.linalg.qr(rng.normal(size=(f, 33)))[0].T
    x = (latent @ axes + 0.1 * rng.normal(size=(n, f)) / np.sqrt(f)).astype(np.float32)
    split = np.resize([TRAIN, TRAIN, VALID, TEST], n)
    test = split == TEST
    best = np.exp(latent[:, :3] @ places.T)  # the likelihoods, but for a factor
    share = best / best.sum(1, keepdims=True)
    bayes = np.mean([roc_auc_score(race[test] == c, share[test, c]) for c in range(4)])
    names = np.array(["Asian", "Black", "Hispanic", "White"])[race]
    how = {"kinds": tuple(KINDS), "replicates": 100, "against": "logistic"}
    table = told(x, {"race": names}, split, np.arange(n), **how)
    reached = {k: row(table, "race", k).auroc for k in KINDS}
    with capsys.disabled():
        print(f"\nBayes AUROC {bayes:.3f}; of the way from 0.5 to it, by")
        for kind, auroc in reached.items():
            lost = row(table, "race", kind, SHUFFLED)
            print(
                f"  {kind}: {auroc:.3f}, {(auroc - 0.5) / (bayes - 0.5):.2f};"
                f" shuffled {lost.auroc:.3f} [{lost.low:.3f}, {lost.high:.3f}]"
            )
            assert lost.low < 0.5 < lost.high
    assert max(reached.values()) > 0.5 + 0.8 * (bayes - 0.5)
    near = row(table, "race", "knn")
    assert near.difference_low < near.difference < near.difference_high


def test_bad_input_is_refused():
    with pytest.raises(
        InputError, match="probe 'svm'; known: logistic, ridge, knn, mlp"
    ):
        told(X, {"sex": NAMES}, SPLIT, PATIENT, kinds=("svm",))
    with pytest.raises(InputError, match="against='mlp'; known: logistic, knn"):
        told(X, {"sex": NAMES}, SPLIT, PATIENT, against="mlp")
    with pytest.raises(InputError, match="sex has 3 rows; expected 1800"):
        told(X, {"sex": NAMES[:3]}, SPLIT, PATIENT)
