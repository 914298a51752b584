"""Planted attributes are read with their intervals; shuffled ones are not."""

import numpy as np
import pytest
from scipy.stats import norm

from equity_jax.audit import NOT_ESTIMABLE, OK
from equity_jax.audit.controls import simple
from equity_jax.audit.encoding import COLUMNS, MATCHED, SHUFFLED, told
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
    table = told(x, {"sex": NAMES}, SPLIT, PATIENT, baselines=simple(x), replicates=200)
    assert tuple(table.columns) == COLUMNS
    found = row(table, "sex", "logistic", name="Male")
    assert found.low < PLANTED < found.high and found.status == OK
    assert found.n == 600 and found.patients == 300 and found.high - found.low < 0.12
    assert row(table, "sex", "knn").auroc > 0.65
    for kind in ("logistic", "knn"):
        lost = row(table, "sex", kind, SHUFFLED)
        assert lost.low < 0.5 < lost.high and lost.status == OK
        assert row(table, "sex", kind, "length of the embedding").auroc < 0.65
    assert row(table, "sex", "knn").metric in ("euclidean", "cosine")


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


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="probe 'svm'; known: logistic, knn"):
        told(X, {"sex": NAMES}, SPLIT, PATIENT, kinds=("svm",))
    with pytest.raises(InputError, match="sex has 3 rows; expected 1800"):
        told(X, {"sex": NAMES[:3]}, SPLIT, PATIENT)
