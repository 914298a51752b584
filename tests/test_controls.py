"""Controls keep what they should and break what they should."""

import numpy as np

from equity_jax.audit.controls import matched, shuffled, simple

RNG = np.random.default_rng(0)
N = 900
PATIENT = RNG.integers(0, 250, N)
RACE = np.array(["A", "B", "C", ""])[np.minimum(PATIENT % 7, 3)]
SPLIT = PATIENT % 3
LABEL = (RNG.random(N) < np.where(RACE == "A", 0.6, 0.2)).astype(float)


def test_shuffling_moves_values_between_patients_of_one_split():
    got = shuffled(RACE, SPLIT, PATIENT)
    for person in np.unique(PATIENT):
        assert len(set(got[PATIENT == person])) == 1
    assert ((got == "") == (RACE == "")).all() and 0.2 < np.mean(got == RACE) < 0.7
    for part in range(3):  # as many patients of each value as before
        here = SPLIT == part
        first = np.unique(PATIENT[here], return_index=True)[1]
        before, after = (np.sort(v[here][first]) for v in (RACE, got))
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(got, shuffled(RACE, SPLIT, PATIENT))
    assert (got != shuffled(RACE, SPLIT, PATIENT, seed=1)).any()


def test_shuffling_keeps_what_differs_between_rows_of_a_patient():
    view = np.where(RNG.random(N) < 0.5, "AP", "PA")
    got = shuffled(view, SPLIT, PATIENT)
    assert abs(np.mean(got == "AP") - np.mean(view == "AP")) < 0.05


def test_matched_groups_have_one_prevalence_in_every_split():
    label = np.where(RNG.random(N) < 0.1, np.nan, LABEL)
    got = matched(RACE, label, SPLIT)
    kept = got != ""
    assert (got[kept] == RACE[kept]).all() and np.isfinite(label[kept]).all()
    for part in range(3):
        here = kept & (SPLIT == part)
        share = [label[here & (got == g)].mean() for g in "ABC"]
        size = [np.sum(here & (got == g)) for g in "ABC"]
        assert max(share) - min(share) < 2 / min(size)
        known = (RACE != "") & np.isfinite(label) & (SPLIT == part)
        assert abs(np.mean(share) - label[known].mean()) < 0.03
    assert kept.sum() > 0.5 * np.sum((RACE != "") & np.isfinite(label))


def test_a_group_without_a_label_drops_out():
    label = np.where(RACE == "B", 0.0, LABEL)
    assert "B" not in matched(RACE, label, SPLIT)


def test_simple_features_are_few():
    x = RNG.normal(size=(50, 30)).astype(np.float32)
    length, few = simple(x, 4).values()
    np.testing.assert_allclose(length[:, 0], np.linalg.norm(x, axis=1), rtol=1e-6)
    assert few.shape == (50, 4)
