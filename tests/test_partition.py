"""Splits by patient: whole patients, close shares, stable under one patient more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equity_jax.data.partition import split
from equity_jax.types import TEST, TRAIN, VALID, InputError

ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from("AB")), min_size=1, max_size=120
)


def columns(rows):
    patient = np.array([f"p{p}" for p, _ in rows])
    home = {p: s for p, s in reversed(rows)}  # the patient's stratum
    return patient, np.array([home[p] for p, _ in rows])


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 5), st.floats(0, 0.4), st.floats(0, 0.4))
def test_no_patient_crosses_and_shares_are_close(rows, seed, valid, test):
    patient, strata = columns(rows)
    made = split(patient, strata, valid, test, seed)
    assert made.dtype == np.int8 and set(made.tolist()) <= {TRAIN, VALID, TEST}
    for name in set(patient):
        assert len(set(made[patient == name].tolist())) == 1
    for stratum in set(strata):
        mine = strata == stratum
        largest = max(np.unique(patient[mine], return_counts=True)[1])
        for code, share in ((VALID, valid), (TEST, test)):
            off = abs((made[mine] == code).sum() - share * mine.sum())
            assert off <= largest + 1e-6
    order = np.random.default_rng(seed).permutation(len(rows))
    again = split(patient[order], strata[order], valid, test, seed)
    np.testing.assert_array_equal(made[order], again)


def test_one_patient_more_moves_a_few():
    patient = np.array([f"p{i}" for i in range(400)])
    strata = np.array(["A", "B"] * 200)
    before = split(patient, strata, 0.15, 0.25, 0)
    after = split(np.append(patient, "new"), np.append(strata, "A"), 0.15, 0.25, 0)
    moved = before != after[:-1]
    assert moved.sum() <= 3 and not moved[strata == "B"].any()
    assert (split(patient, strata, 0.15, 0.25, 1) != before).sum() > 100


def test_lone_patients_of_a_stratum_are_not_always_trained():
    patient = np.array([f"p{i}" for i in range(300)])
    made = split(patient, patient, 0.15, 0.25, 0)  # each its own stratum
    assert 50 < (made == TEST).sum() < 100 and 25 < (made == VALID).sum() < 70


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, 3))
def test_official_splits_are_kept(rows, seed):
    patient, strata = columns(rows)
    words = ("test", "train|valid", "", "valid")
    said = np.array([words[int(p[1:]) % 4] for p in patient])
    made = split(patient, strata, 0.15, 0.25, seed, said)
    assert set(made[said == "test"].tolist()) <= {TEST}
    assert set(made[said == "valid"].tolist()) <= {VALID}
    assert TEST not in made[said == "train|valid"]


def test_the_choice_that_is_left_has_the_same_proportions():
    patient = np.array([f"p{i}" for i in range(1000)])
    said = np.full(1000, "train|valid")
    made = split(patient, np.full(1000, ""), 0.15, 0.25, 0, said)
    assert abs((made == VALID).sum() - 1000 * 0.15 / 0.75) <= 1
    only = split(patient, np.full(1000, ""), 0.0, 0.25, 0, np.full(1000, "valid"))
    assert set(only.tolist()) == {VALID}


def test_bad_shares_and_words_are_refused():
    one = np.array(["a", "a"])
    for valid, test in ((0.5, 0.5), (-0.1, 0.2)):
        with pytest.raises(InputError, match="sum below 1"):
            split(one, one, valid, test, 0)
    with pytest.raises(InputError, match="'a' is in two official splits"):
        split(one, one, 0.1, 0.1, 0, np.array(["test", "train"]))
    with pytest.raises(InputError, match="official split 'tset'"):
        split(one, one, 0.1, 0.1, 0, np.array(["tset", "tset"]))
