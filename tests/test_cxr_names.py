"""Words for sex, age and view, in the spellings that real tables have."""

import numpy as np
import pytest

from equity_jax.data import cxr_names as names


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *((w, "Female") for w in ("F", "f", "Female", " female ", "FEMALE", "woman")),
        *((w, "Male") for w in ("M", "m", "Male", "MALE", "man")),
        *((w, "") for w in ("", " ", "U", "Unknown", "O", "nan", "N/A")),
    ],
)
def test_sex(word, expected):
    assert names.sex(word) == expected


def test_a_sex_that_is_none_is_not_guessed():
    with pytest.raises(KeyError):
        names.sex("fm")


@pytest.mark.parametrize(
    ("text", "years"),
    [("58", 58), ("058Y", 58), ("0", 0), ("61.5", 61.5), ("006M", 0.5), ("365D", 1)],
)
def test_age(text, years):
    assert names.age(text) == pytest.approx(years, abs=0.01)


@pytest.mark.parametrize("text", ["", "414", "121", "adult", "-3", "5 or 6", "58X"])
def test_ages_that_are_unknown(text):
    assert np.isnan(names.age(text))


def test_bands_hold_their_lower_end():
    ages = np.array([0, 17.9, 18, 39.9, 40, 59, 60, 79.9, 80, 120, np.nan])
    made = names.bands(ages).tolist()
    assert made == [
        *("0-17", "0-17", "18-39", "18-39", "40-59", "40-59", "60-79", "60-79"),
        *("80+", "80+", ""),
    ]


def test_views():
    words = ("AP", "pa", "L", "Lateral", "LL", "AP Supine", "", "axial")
    expected = ["AP", "PA", "lateral", "lateral", "lateral", "AP SUPINE", "", "AXIAL"]
    assert [names.view(word) for word in words] == expected


def test_columns_in_any_spelling():
    header = ["Patient ID", "IMAGE_PATH", "Gender", "view position", "notes"]
    assert names.columns(header) == {
        "file": "IMAGE_PATH",
        "patient": "Patient ID",
        "sex": "Gender",
        "view": "view position",
    }
