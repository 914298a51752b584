"""One race a patient: policies, levels, a table that a user brings."""

import pytest
from hospital import joined

from equity_jax.types import InputError


@pytest.mark.parametrize(
    ("level", "policy", "tens", "elevens"),
    [
        ("coarse", "most_frequent", "White", "Black"),
        ("coarse", "first", "White", "Asian"),
        ("coarse", "exclude", "White", ""),
        ("detailed", "most_frequent", "WHITE", "ASIAN"),  # equals: the first record
        ("detailed", "exclude", "", ""),
    ],
)
def test_policies_for_race(level, policy, tens, elevens):
    made = joined(race=level, conflicts=policy)
    race = made.frame["race"].tolist()
    assert race == [tens] * 2 + [elevens] * 3 + [""] * 3
    conflicts = 1 if level == "coarse" else 2
    said = f"{conflicts} of 2 patients have records of more than one race ({level})"
    assert made.notes[0] == f"{said}: policy {policy}."
    martian = "not in the table of races: MARTIAN (1)"
    assert martian in made.notes[1]
    differ = (made.frame["lost"] == "race records that differ").sum()
    assert differ == ({1: 3, 2: 5}[conflicts] if policy == "exclude" else 0)


def test_a_table_of_races_that_a_user_brings(tmp_path):
    path = tmp_path / "races.csv"
    path.write_text("detailed,coarse\nwhite,Pale\nMartian ,Green\nASIAN,\n")
    made = joined(races=str(path))
    assert made.frame["race"].tolist() == ["Pale"] * 2 + [""] * 4 + ["Green", ""]
    assert "WHITE - RUSSIAN (1)" in made.notes[0]
    path.write_text("detailed,coarse\nWHITE,Pale\nWHITE,Pink\n")
    with pytest.raises(InputError, match="races.csv, line 3, column 'coarse': 'Pink'"):
        joined(races=str(path))
    path.write_text("name,group\n")
    with pytest.raises(InputError, match="columns name, group; expected detailed,coar"):
        joined(races=str(path))
    with pytest.raises(InputError, match="nowhere.csv: not a CSV of races"):
        joined(races=str(tmp_path / "nowhere.csv"))
