"""The table of correlations, from predictions."""

import numpy as np
import pytest

from equity_jax.audit.represented import patients_of, represented
from equity_jax.audit.status import NOT_ESTIMABLE, OK
from equity_jax.types import Predictions

RACES = ("A", "B", "C", "D", "E")


@pytest.fixture(scope="module")
def rows():
    """400 patients of each race, two images each; A is ranked worst, E best."""
    rng = np.random.default_rng(0)
    race = np.repeat(np.arange(5), 400)
    y = (rng.random(2000) < 0.5).astype(float)
    score = 1 / (1 + np.exp(-rng.normal(0.4 * race * (2 * y - 1), 1)))
    sex = np.where(np.arange(2000) % 2, "F", "M")
    return Predictions(
        score[None, :, None],
        y[:, None],
        np.ones((2000, 1)),
        {"race": np.array(RACES)[race], "sex": sex},
        np.arange(2000).astype(str),
        np.arange(2000) // 2,
        [{"seed": 0, "method": "erm", "scheme": "mixture"}],
    )


@pytest.fixture(scope="module")
def trained():
    """10, 20, 40, ... training patients of A, B, C, ..., two images each."""
    counts = 2 * 10 * 2 ** np.arange(5)
    race = np.repeat(RACES, counts)
    sex = np.where(np.arange(len(race)) // 2 % 2, "F", "M")
    return {"race": race, "sex": sex}, np.arange(len(race)) // 2


def test_patients_are_counted_not_images(trained):
    assert patients_of(["race"], *trained)["A"] == 10
    crossed = patients_of(["race", "sex"], *trained)
    assert crossed["A × F"] + crossed["A × M"] == 10


def test_unrecorded_rows_count_for_nobody():
    found = patients_of(["race"], {"race": np.array(["A", ""])}, np.array([0, 1]))
    assert found == {"A": 1}


def test_more_patients_and_better_ranked_is_found(rows, trained):
    found = represented(
        rows, *trained, attributes="race", metrics=("auroc", "brier"), replicates=200
    )
    by = found.table.set_index("metric")
    assert by.loc["auroc", "rho"] == pytest.approx(1)
    assert by.loc["auroc", "slope_low"] > 0 > by.loc["brier", "slope_high"]
    assert by.loc["auroc", "p"] == pytest.approx(2 / 120)
    groups = found.groups[found.groups["metric"] == "auroc"].set_index("group")
    assert groups.loc[list(RACES), "patients"].tolist() == [10, 20, 40, 80, 160]
    assert (groups["low"] < groups["value"]).all() and (groups["status"] == OK).all()


def test_two_groups_are_not_estimable_their_crossing_is(rows, trained):
    found = represented(
        rows, *trained, attributes=("race", "sex"), metrics=("auroc",), replicates=50
    )
    by = found.table.set_index("attribute")
    assert (
        by.loc["sex", "status"] == NOT_ESTIMABLE
        and "fewer than 4" in by.loc["sex", "why"]
    )
    assert by.loc["race × sex", "status"] == OK and by.loc["race × sex", "groups"] == 10


def test_the_same_seed_gives_the_same_table(rows, trained):
    options = {"attributes": "race", "metrics": ("auroc",), "replicates": 50}
    one, two = (represented(rows, *trained, **options).table for _ in range(2))
    assert one.equals(two)
