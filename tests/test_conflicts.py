from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equity_jax.audit.reading.conflicts import POLICIES, resolve
from equity_jax.types import InputError

RACE = np.array(["a", "", "b", "b", "", "c", "", "a", "c", "b"])
PATIENT = np.array([7, 7, 7, 7, 3, 3, 5, 2, 2, 9])


def by_hand(values, patient, policy):
    """Patient by patient, with dictionaries."""
    records = {}
    for value, who in zip(values, patient, strict=True):
        records.setdefault(who, []).append(value)
    made, disputed = [], set()
    for who, seen in records.items():
        if len(set(seen) - {""}) > 1:
            disputed.add(who)
    for value, who in zip(values, patient, strict=True):
        known = [v for v in records[who] if v]
        if policy == "exclude" and who in disputed:
            value = ""
        elif policy == "first" and known:
            value = known[0]
        elif policy == "most_frequent" and known:
            value = Counter(known).most_common(1)[0][0]  # ties: first seen
        made.append(value)
    pairs = Counter()
    for who in disputed:
        seen = sorted(set(records[who]) - {""})
        pairs.update((a, b) for i, a in enumerate(seen) for b in seen[i + 1 :])
    return made, disputed, dict(pairs)


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("as_recorded", ["a", "", "b", "b", "", "c", "", "a", "c", "b"]),
        ("first", ["a", "a", "a", "a", "c", "c", "", "a", "a", "b"]),
        ("most_frequent", ["b", "b", "b", "b", "c", "c", "", "a", "a", "b"]),
        ("exclude", ["", "", "", "", "", "c", "", "", "", "b"]),
    ],
)
def test_policies_by_hand(policy, wanted):
    found, conflicts = resolve(RACE, PATIENT, policy)
    assert found.tolist() == wanted
    assert (conflicts.patients, conflicts.rows) == (2, 6)  # patients 7 and 2
    assert conflicts.pairs == {("a", "b"): 1, ("a", "c"): 1}
    gone = ~conflicts.keep
    assert gone.tolist() == ((policy == "exclude") & np.isin(PATIENT, (7, 2))).tolist()
    filled = {"first": 2, "most_frequent": 2}.get(policy, 0)
    assert conflicts.filled == filled


@pytest.mark.parametrize("policy", POLICIES)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["", "a", "bb", "ccc", "d"]), st.integers(0, 4)),
        max_size=14,
    )
)
@settings(max_examples=60, deadline=None)
def test_equals_dictionaries(policy, rows):
    values = np.array([v for v, _ in rows], str)
    patient = np.array([p for _, p in rows], int)
    found, conflicts = resolve(values, patient, policy)
    wanted, disputed, pairs = by_hand(values.tolist(), patient.tolist(), policy)
    assert found.tolist() == wanted
    assert conflicts.patients == len(disputed) and conflicts.pairs == pairs
    rows_of_disputed = np.isin(patient, list(disputed))
    assert conflicts.rows == rows_of_disputed.sum()
    keep = ~rows_of_disputed if policy == "exclude" else np.ones(len(rows), bool)
    assert conflicts.keep.tolist() == keep.tolist()


def test_pairs_come_commonest_first():
    values = np.array(["x", "y", "x", "z", "x", "z"])
    _, conflicts = resolve(values, np.array([1, 1, 2, 2, 3, 3]), "first")
    assert list(conflicts.pairs.items()) == [(("x", "z"), 2), (("x", "y"), 1)]


def test_patients_may_have_names():
    found, _ = resolve(np.array(["a", "b"]), np.array(["p 1", "p 1"]), "first")
    assert found.tolist() == ["a", "a"]


def test_the_rows_given_stay_as_they_are():
    values = RACE.copy()
    for policy in POLICIES:
        resolve(values, PATIENT, policy)
    assert values.tolist() == RACE.tolist()


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="'last'; known: as_recorded, first"):
        resolve(RACE, PATIENT, "last")
    with pytest.raises(InputError, match="10 attribute values, 9 patients"):
        resolve(RACE, PATIENT[:9], "first")
