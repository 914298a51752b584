"""Who is on which image, by a hospital known by heart and by a slow join."""

import hospital
import numpy as np
import pandas as pd
import pytest
from hospital import joined

from equity_jax.config import Embeddings
from equity_jax.data.mimic_join import join, left_out
from equity_jax.types import InputError


def column(name, **options):
    return dict(zip("acdefghi", joined(**options).frame[name], strict=True))


def test_metadata_and_split():
    frame = joined(said=False).frame
    assert frame["dicom_id"].tolist() == list("acdefghi")
    expected = ["10", "10", "11", "11", "11", "12", "13", "14"]
    assert frame["subject_id"].tolist() == expected  # from metadata
    assert frame["study_id"].tolist()[2:5] == ["510", "511", "512"]
    assert frame["view"].tolist() == ["AP", "PA", "AP", "PA", "AP", "AP", "PA", "AP"]
    assert frame["study_date"].tolist()[0] == "2180-01-05"
    words = ["train"] * 2 + ["test"] * 3 + ["valid", "train", "train"]
    assert frame["split"].tolist() == words
    pd.testing.assert_frame_equal(frame, joined().frame)


def test_the_nearest_admission_lends_its_insurance():
    assert column("hadm_id") == {
        **{"a": "900", "c": "901"},  # on the day of discharge; 3 days after one
        # e: 5 days after 911, 10 before 912; f: 354 after 912, years before 913
        **{"d": "910", "e": "911", "f": "912", "g": "920", "h": "930", "i": ""},
    }
    days = [0, 3, 0, 5, 354, 150, 0, np.nan]
    np.testing.assert_equal(list(column("hadm_days").values()), days)
    assert list(column("insurance").values()) == [
        *("Medicare", "Medicaid", "Other", "Medicare", "Private", "Medicare"),
        *("No charge", ""),
    ]


def test_age_and_sex():
    ages = [62.0, 62.0, 30.0, 31.0, 32.0, 101.0, 20.0, np.nan]
    np.testing.assert_equal(list(column("age_years").values()), ages)
    assert column("age")["g"] == "80+" and column("age")["i"] == ""
    assert [*column("sex").values()][-3:] == ["Female", "Male", ""]


def test_rows_that_have_no_part_are_counted():
    tables = hospital.tables()
    tables["metadata"] = tables["metadata"][1:]
    tables["split"] = tables["split"][:-1]
    tables["metadata"].loc[2, "ViewPosition"] = "LL"
    made = joined(tables)
    lost = dict(zip("acdefghi", made.frame["lost"], strict=True))
    assert lost == {
        **{"a": "no row in metadata", "c": "a view that is not frontal"},
        **{"d": "no ejection fraction within 30 days", "e": "", "h": ""},
        **{"f": "no ejection fraction within 30 days", "i": "no row in split"},
        "g": "no ejection fraction within 30 days",
    }
    assert left_out(made.frame, "race") == {
        "a view that is not frontal": {"White": 1},
        "no ejection fraction within 30 days": {"Black": 2, "not recorded": 1},
        "no row in metadata": {"White": 1},
        "no row in split": {"not recorded": 1},
    }
    everything = joined(tables, views="all").frame["lost"]
    assert everything[1] == ""


def test_tables_that_are_not_there():
    tables = hospital.tables()
    some = {k: tables[k] for k in ("metadata", "ejection_fraction")}
    made = joined(some)
    assert made.notes[:2] == (
        "No table admissions: race and insurance are not recorded.",
        "No table patients: sex and age are not recorded.",
    )
    assert (made.frame[["race", "sex", "insurance", "age", "split"]] == "").all().all()
    none = joined({}, strict=False).frame
    assert none["label"].isna().all() and len(none) == 8


def test_older_versions_and_data_errors():
    tables = hospital.tables()
    tables["admissions"] = tables["admissions"].rename(columns={"race": "ethnicity"})
    tables["admissions"].loc[0, "dischtime"] = "2179-01-01 10:00:00"  # before it began
    frame = joined(tables).frame
    assert frame["race"][0] == "White" and frame["hadm_days"][0] == 4


CASES = [
    (
        "metadata",
        "StudyDate",
        "2180-01-05",
        "'2180-01-05'; expected a date as YYYYMMDD",
    ),
    ("admissions", "admittime", "", "''; expected a date as YYYY-MM-DD HH:MM:SS"),
    ("admissions", "dischtime", "2180-02-30 10:00:00", "expected a date"),
    ("admissions", "hadm_id", "", "blank; expected an id"),
    ("patients", "gender", "X", "'X'; expected one of: F, M, blank"),
    ("patients", "anchor_age", "old", "'old'; expected an age, 0 to 120"),
    ("patients", "anchor_year", "18", "'18'; expected a year, 1800 to 2300"),
    ("split", "split", "dev", "'dev'; expected one of: train, validate, test"),
    ("ejection_fraction", "ef", "135", "'135'; expected a percent, 0 to 100"),
    ("ejection_fraction", "ef", "", "''; expected a percent, 0 to 100"),
    ("ejection_fraction", "date", "5/1/2180", "expected a date as YYYY-MM-DD"),
]


@pytest.mark.parametrize(("key", "name", "cell", "why"), CASES)
def test_bad_cells_name_file_line_and_column(key, name, cell, why):
    tables = hospital.tables()
    tables[key].loc[0, name] = cell
    tables[key].attrs["name"] = f"{key}.csv"
    with pytest.raises(InputError) as error:
        joined(tables)
    assert str(error.value).startswith(f"{key}.csv, line 2, column {name!r}: ")
    assert why in str(error.value)


def test_keys_are_unique():
    tables = hospital.tables()
    again = pd.concat([tables["metadata"], tables["metadata"][2:3]], ignore_index=True)
    with pytest.raises(
        InputError, match="line 11, column 'dicom_id': c again, as in l"
    ):
        joined({**tables, "metadata": again})


def test_ids_that_do_not_meet():
    with pytest.raises(InputError, match="an embedding's id is 'x', a dicom_id .* 'a'"):
        one = np.array(["x"])
        join(one, one, one, hospital.tables(), Embeddings())
    id, subject, study = hospital.embedded()
    subject = np.where(id == "d", "12", subject)
    with pytest.raises(InputError, match="line 5, column 'subject_id': 11, but .* 12"):
        join(id, subject, study, hospital.tables(), Embeddings())
    with pytest.raises(InputError, match="views='back'; expected all or frontal"):
        joined(views="back")
    with pytest.raises(InputError, match="conflicts='last'; expected one of: most_f"):
        joined(conflicts="last")


def test_a_slow_join_of_three_hundred_images():
    rng = np.random.default_rng(0)
    n = 300
    start = np.datetime64("2150-01-01")
    day = start + rng.integers(0, 2000, n)
    person = rng.integers(0, 40, n).astype(str)
    metadata = pd.DataFrame(
        {
            "dicom_id": [f"d{i}" for i in range(n)],
            "subject_id": person,
            "study_id": rng.integers(0, 200, n).astype(str),
            "ViewPosition": "AP",
            "StudyDate": np.char.replace(day.astype(str), "-", ""),
        }
    )
    m = 150
    came = start + rng.integers(0, 2000, m)
    admissions = pd.DataFrame(
        {
            "subject_id": rng.integers(0, 45, m).astype(str),
            "hadm_id": rng.permutation(m).astype(str),
            "admittime": np.char.add(came.astype(str), " 13:00:00"),
            "dischtime": np.char.add(
                (came + rng.integers(0, 15, m)).astype(str), " 11:00:00"
            ),
            "insurance": rng.choice(["Medicare", "Other"], m),
            "race": rng.choice(["WHITE", "ASIAN", "UNKNOWN", "ASIAN - KOREAN"], m),
        }
    )
    echo = pd.DataFrame(
        {
            "subject_id": rng.integers(0, 45, m).astype(str),
            "study_id": "",
            "date": (start + rng.integers(0, 2000, m)).astype(str),
            "ef": rng.integers(15, 75, m).astype(str),
        }
    )
    tables = {
        "metadata": metadata,
        "admissions": admissions,
        "ejection_fraction": echo,
    }
    who = (metadata[c].to_numpy(str) for c in ("dicom_id", "subject_id", "study_id"))
    frame = join(*who, tables, Embeddings(conflicts="first")).frame
    slow = metadata.assign(day=day).merge(admissions, on="subject_id", how="left")
    first = pd.to_datetime(slow["admittime"]).dt.floor("D")
    last = pd.to_datetime(slow["dischtime"]).dt.floor("D")
    slow["away"] = np.maximum(
        np.maximum((first - slow["day"]).dt.days, (slow["day"] - last).dt.days), 0
    )
    slow = slow.sort_values(["away", "admittime"], kind="stable")
    slow = slow.drop_duplicates("dicom_id").set_index("dicom_id")
    slow = slow.loc[metadata["dicom_id"]]
    assert frame["hadm_id"].tolist() == slow["hadm_id"].fillna("").tolist()
    np.testing.assert_array_equal(frame["hadm_days"], slow["away"])
    coarse = {"WHITE": "White", "ASIAN": "Asian", "ASIAN - KOREAN": "Asian"}
    for row in frame.itertuples():
        mine = echo[echo["subject_id"] == row.subject_id]
        away = (pd.to_datetime(mine["date"]) - pd.Timestamp(row.study_date)).dt.days
        near = away.abs()[away.abs() <= 30]
        if len(near):
            best = mine.loc[near.index[near == near.min()], "ef"].astype(float)
            assert row.ef in best.tolist() and row.ef_days == near.min()
        else:
            assert np.isnan(row.ef)
        said = admissions[admissions["subject_id"] == row.subject_id]
        said = said[said["race"] != "UNKNOWN"].sort_values("admittime", kind="stable")
        assert row.race == (coarse[said["race"].iloc[0]] if len(said) else "")


def test_tables_without_rows():
    tables = {k: t if k == "metadata" else t[:0] for k, t in hospital.tables().items()}
    frame = joined(tables).frame
    assert (frame[["race", "sex", "insurance", "age"]] == "").all().all()
    assert set(frame["lost"]) == {"no row in split"}
    for label in ("heart_failure", "Edema"):
        assert joined(tables, label=label).frame["label"].isna().all()
