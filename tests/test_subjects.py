import numpy as np
import pytest

from equity_jax.audit import subjects
from equity_jax.types import InputError, Predictions

RACE = ["A"] * 6 + ["B"] * 3 + [""]
SEX = ["F", "M"] * 5


def predictions(**attributes):
    n = 10
    return Predictions(
        np.full((1, n, 1), 0.5),
        np.zeros((n, 1)),
        np.ones((n, 1)),
        {k: np.array(v) for k, v in attributes.items()},
        np.arange(n).astype(str),
        np.arange(n) // 2,
        [{"seed": 0, "method": "m", "scheme": ""}],
    )


def test_groups_are_the_reference_then_by_size_then_not_recorded():
    p = predictions(race=RACE)
    (made,) = subjects.subjects_of(p, ["race"], {}).groupings
    assert made.groups == ("A", "B", "not recorded")
    assert made.named.tolist() == [0, 1]
    (made,) = subjects.subjects_of(p, ["race"], {"race": "B"}).groupings
    assert made.groups == ("B", "A", "not recorded")


def test_parts_are_the_rows_of_every_group():
    who = subjects.subjects_of(
        predictions(race=RACE, sex=SEX), ["race", "sex"], {}, True
    )
    assert who.blocks == 5 and len(who.parts[0]) == 10
    for made in who.groupings:
        covered = np.concatenate([who.parts[p] for p in made.place])
        assert sorted(covered) == list(range(10))
        for group, place in zip(made.groups, made.place, strict=True):
            assert (made.code[who.parts[place]] == made.groups.index(group)).all()
    assert [g.attribute for g in who.groupings] == ["race", "sex", "race × sex"]
    assert who.groupings[2].groups == (
        "A × F",
        "A × M",
        "B × F",
        "B × M",
        "not recorded",
    )


def test_three_attributes_cross_in_pairs_and_all_together():
    p = predictions(race=RACE, sex=SEX, site=["x"] * 10)
    who = subjects.subjects_of(p, ["race", "sex", "site"], {}, True)
    assert [g.attribute for g in who.groupings][3:] == [
        "race × sex",
        "race × site",
        "sex × site",
        "race × sex × site",
    ]


def test_shared_says_whether_a_patient_is_in_two_groups():
    p = predictions(race=RACE, sex=SEX)  # patients are pairs of rows: one F, one M
    race, sex = subjects.subjects_of(p, ["race", "sex"], {}).groupings
    assert not race.shared or RACE[::2] != RACE[1::2]
    assert sex.shared


def test_no_attribute_audits_the_rows_as_a_whole():
    who = subjects.subjects_of(predictions(), [], {})
    assert who.groupings == () and len(who.parts) == 1


@pytest.mark.parametrize(
    ("attributes", "references", "message"),
    [
        (["age"], {}, "unknown attribute 'age'; the rows have: empty, race"),
        (["race"], {"age": "old"}, "unknown attribute 'age'"),
        (["race"], {"race": "C"}, "no row has race 'C'; groups: A, B"),
        (["empty"], {}, "no row has a value of empty"),
    ],
)
def test_bad_names_are_said(attributes, references, message):
    p = predictions(race=RACE, empty=[""] * 10)
    with pytest.raises(InputError, match=message):
        subjects.subjects_of(p, attributes, references)


def test_a_group_named_like_a_word_of_the_report_is_refused():
    with pytest.raises(InputError, match="race 'all' is a word of the report"):
        subjects.subjects_of(predictions(race=["all"] * 10), ["race"], {})
