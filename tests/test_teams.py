"""Who is fitted beside whom: every run once, in teams of one width."""

import pytest

from equity_jax.train.teams import waves


@pytest.mark.parametrize(
    ("team", "width", "devices", "expected"),
    [
        ("aaaba", 8, 1, [[[0, 1, 2, 4], [3, 3, 3, 3]]]),
        ("abcde", 2, 1, [[[0], [1]], [[2], [3]], [[4], [4]]]),
        ("abcde", 8, 2, [[[0], [1], [2], [3], [4], [4]]]),
        ("aaaaa", 4, 1, [[[0, 1, 2]], [[3, 4, 4]]]),  # cut evenly
        ("aaaaa", 8, 2, [[[0, 1, 2], [3, 4, 4]]]),  # something for every device
        ("a", 0 + 1, 1, [[[0]]]),
    ],
)
def test_waves(team, width, devices, expected):
    assert waves(list(team), width, devices) == expected


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("width", [1, 4, 7, 32])
def test_every_run_is_in_one_team_of_its_own(width, devices):
    team = [i * i % 5 for i in range(23)]
    made = waves(team, width, devices)
    assert {run for wave in made for lanes in wave for run in lanes} == set(range(23))
    assert len({len(wave) for wave in made}) == 1 and len(made[0]) % devices == 0
    assert len({len(lanes) for wave in made for lanes in wave}) == 1
    assert len(made[0]) // devices * len(made[0][0]) <= max(width, 1)
    for wave in made:
        assert all(len({team[run] for run in lanes}) == 1 for lanes in wave)
