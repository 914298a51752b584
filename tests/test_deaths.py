"""The loader: one grain and level, honest targets, splits by time, a clear refusal."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equity_jax.config import Data, Twin
from equity_jax.data import DATASETS, deaths, simulate
from equity_jax.data.base import check, counts, split_hash
from equity_jax.data.deaths_names import AGES, RACES
from equity_jax.types import LEFT_OUT, TEST, TRAIN, VALID, Counted, InputError

SMALL = Twin(months=10, regions=3)


@pytest.fixture(scope="module")
def frame():
    return simulate.deaths(SMALL)[0]


@pytest.fixture
def csv(tmp_path):
    def save(frame: pd.DataFrame, name: str = "a.csv") -> str:
        frame.to_csv(tmp_path / name, index=False)
        return str(tmp_path / name)

    return save


@pytest.fixture(scope="module")
def twin():
    return deaths.load(Data(twin=SMALL))


def cell(dataset, *parts):
    [i] = np.flatnonzero(dataset.id == "|".join(parts))
    return i


def test_shapes_names_and_registry(twin):
    n = 10 * 3 * 8 * 9
    assert DATASETS["deaths"] is deaths.load
    assert twin.x.shape == (n, len(twin.spec.features)) and twin.x.dtype == np.float32
    assert isinstance(twin.y, Counted)
    for part in (*twin.y, twin.mask):
        assert part.shape == (n, 1) and part.dtype == np.float32
        assert np.isfinite(part).all()
    assert len(twin.table) == n and twin.spec.simulated
    assert twin.spec.task == "count(0.1)" and twin.spec.groups == RACES
    assert twin.spec.reference == "Non-Hispanic White"
    assert twin.spec.unit == "region × month block"
    assert len(np.unique(twin.patient)) == 30
    assert "2020-03|02|Non-Hispanic Black|50-64 years" in twin.id
    assert set(twin.attributes) == {"race", "age", "region", "period"}
    assert "SIMULATED" in twin.spec.notes[0]
    assert "risk" in twin.spec.notes[1] and "proportionate" in twin.spec.notes[1]


def test_targets_are_what_the_table_says(twin):
    y, table = twin.y, twin.table
    known = (table["total_low"] == table["total_high"]) & (table["total_low"] > 0)
    np.testing.assert_array_equal(twin.mask[:, 0] > 0, known)
    assert not y.exposure[~known].any() and not y.truncated.any()
    hidden = (table["footnote"] & (table["low"] < table["high"])).to_numpy()
    assert (
        hidden.any() and set(y.low[hidden, 0]) == {1} and set(y.high[hidden, 0]) == {9}
    )
    unnamed = twin.attributes["race"] == ""
    assert unnamed.sum() == 270 and (twin.group[unnamed] == -1).all()
    left = twin.spec.left_out
    assert left["United States (sums of the regions or states)"]["Hispanic"] == 90
    zero = left["total deaths are 0 (no share)"]
    hidden = left["total deaths suppressed or unknown"]
    assert sum(zero.values()) + sum(hidden.values()) == (twin.mask == 0).sum()


def test_splits_are_by_time(twin):
    period = twin.attributes["period"]
    train, valid, test = (set(period[twin.split == s]) for s in (TRAIN, VALID, TEST))
    assert (len(train), len(valid), len(test)) == (6, 2, 2)
    assert max(train) < min(valid) <= max(valid) < min(test)
    assert check(twin) is twin
    moved = twin.split.copy()
    moved[0] = TEST
    with pytest.raises(ValueError, match="in two splits"):
        check(twin._replace(split=moved))
    assert split_hash(twin) != split_hash(twin._replace(split=moved))
    with pytest.raises(ValueError, match="not finite"):
        check(twin._replace(x=twin.x * np.nan))
    with pytest.raises(ValueError, match="has 3 rows"):
        check(twin._replace(id=twin.id[:3]))
    with pytest.raises(ValueError, match="stands for two"):
        check(twin._replace(id=np.repeat("a", len(twin.id))))


def test_counts_are_of_usable_training_rows(twin):
    classes = (twin.y.low >= 10).astype(int)
    table = counts(twin, classes, 2).table
    usable = (twin.split == TRAIN) & (twin.mask[:, 0] > 0)
    assert table.sum() == usable.sum()
    white = usable & (twin.attributes["race"] == "Non-Hispanic White")
    assert table[0, 1, 6] == classes[white].sum()
    half = usable & (np.arange(len(usable)) % 2 == 0)
    assert counts(twin, classes, 2, half).table.sum() == half.sum()


def test_incomplete_periods_are_left_out():
    dataset = deaths.load(Data(twin=Twin(months=45, regions=1)))
    out = dataset.split == LEFT_OUT
    assert set(dataset.attributes["period"][out]) == {"2023-08-01", "2023-09-01"}
    assert (
        sum(dataset.spec.left_out["period not complete"].values()) == out.sum() == 144
    )
    assert any("2023-08-01, 2023-09-01" in note for note in dataset.spec.notes)
    later = set(dataset.history["period"])
    assert "2023-07-01" in later and "2023-08-01" not in later
    near = Data(twin=Twin(months=45, regions=1), incomplete_days=10)
    kept = deaths.load(near)  # August ended 27 days before the data date
    assert set(kept.attributes["period"][kept.split == LEFT_OUT]) == {"2023-09-01"}


def test_joint_blanks_and_truncation(frame, csv):
    covid, total = frame["COVID-19 Deaths"] == "", frame["Total Deaths"] == ""
    both = frame.copy()
    both.loc[covid | total, ["COVID-19 Deaths", "Total Deaths"]] = ""
    source = csv(both)
    joint = deaths.load(Data(source=source))
    hidden = joint.table["footnote"].to_numpy()
    assert set(joint.y.low[hidden, 0]) == {0} and set(joint.y.high[hidden, 0]) == {9}
    assert not joint.mask[hidden].any() and joint.table["exposure"][hidden].isna().all()
    assert (joint.y.truncated == 1).all() and not joint.spec.simulated
    assert any("both counts blank" in note for note in joint.spec.notes)
    assert any("conditional on not lying in 1-9" in note for note in joint.spec.notes)
    own = deaths.load(Data(source=source, blanks="own"))
    assert set(own.y.low[hidden, 0]) == {1} and not own.y.truncated.any()
    nation = deaths.load(Data(source=source, level="nation"))
    assert not nation.y.truncated.any() and nation.spec.unit == "month"


def test_dropped_rows_are_truncated_and_counted_as_lost(frame, csv):
    blank = frame[["COVID-19 Deaths", "Total Deaths"]].eq("").any(axis=1)
    kept = frame[~blank].assign(**{"Time Period": "x"})
    kept = kept.drop(columns=["Data As Of", "Month", "Footnote"])
    dropped = deaths.load(Data(source=csv(kept)))
    whole = deaths.load(Data(source=csv(frame, "b.csv")))
    assert (dropped.y.truncated == 1).all()
    a, b = (deaths.lost_to_suppression(d).set_index("group") for d in (dropped, whole))
    pd.testing.assert_series_equal(a["cells"], b["cells"])
    pd.testing.assert_series_equal(a["lost"], b["lost"])
    assert a["absent"].sum() > 0 and b["absent"].sum() == 0
    assert a["lost"]["Non-Hispanic White"] < a["lost"]["Non-Hispanic Asian"]


def test_unexplained_blanks_are_masked_counted_and_warned_about(frame, csv, caplog):
    [row] = np.flatnonzero(
        (frame["HHS Region"] == "02")
        & (frame["Month"] == "5")
        & (frame["Race and Hispanic Origin Group"] == "Non-Hispanic White")
        & (frame["Age Group"] == "85 years and over")
    )
    changed = frame.copy()
    changed.loc[row, ["COVID-19 Deaths", "Footnote"]] = ""
    with caplog.at_level("WARNING"):
        dataset = deaths.load(Data(source=csv(changed)))
    assert len(caplog.records) == 1 and "1 rows masked" in caplog.text
    i = cell(dataset, "2020-05", "02", "Non-Hispanic White", "85 years and over")
    assert dataset.mask[i] == 0 and dataset.table["unexplained"][i]
    left = dataset.spec.left_out["a blank that no footnote explains"]
    assert left == {"Non-Hispanic White": 1}
    assert any(f"lines {row + 2}" in note for note in dataset.spec.notes)


def test_burden_is_decided_by_intervals(csv, frame):
    white = {"Race and Hispanic Origin Group": "Non-Hispanic White"}
    row = frame[frame["HHS Region"] == "01"].iloc[:9].assign(**white)
    note = simulate.FOOTNOTE
    months = []
    cases = [
        *[("3", "30", ""), ("2", "30", ""), ("", "90", note), ("", "91", note)],
        *[("", "10", note), ("0", "", note), ("", "", note), ("0", "0", "")],
        ("12", "40", ""),
    ]
    for month in ("03/01/2021", "04/01/2021", "05/01/2021"):
        end = (pd.Timestamp(month) + pd.offsets.MonthEnd()).strftime("%m/%d/%Y")
        values = dict(
            zip(
                ["COVID-19 Deaths", "Total Deaths", "Footnote"],
                zip(*cases, strict=True),
                strict=True,
            )
        )
        dates = {"Start Date": month, "End Date": end}
        months.append(row.assign(**dates, **{k: list(v) for k, v in values.items()}))
    dataset = deaths.load(Data(source=csv(pd.concat(months)), task="burden"))
    found = dataset.y[:9, 0]
    # 1/90 < 10 % <= 9/90: undecided; 9/91 < 10 %; 1/10; 0; 1/9; no deaths; 12/40
    expected = [1, 0, np.nan, 0, 1, 0, 1, np.nan, 1]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(dataset.mask[:9, 0], ~np.isnan(expected))
    assert dataset.spec.task == "binary"
    left = dataset.spec.left_out
    undecided = left["high burden cannot be decided from the intervals"]
    assert undecided == {"Non-Hispanic White": 3}
    other = deaths.load(Data(source=csv(pd.concat(months)), task="burden", share=0.05))
    assert other.y[1, 0] == 1


def people(path: Path, size: int = 1000) -> str:
    keys = [(g, r, a) for g in ("1", "2.0", "03") for r in RACES for a in AGES]
    table = pd.DataFrame(keys, columns=["region", "race", "age"])
    table.assign(population=size).to_csv(path, index=False)
    return str(path)


def test_population_makes_it_a_rate(tmp_path):
    file = people(tmp_path / "p.csv")
    dataset = deaths.load(Data(twin=SMALL, population=file))
    i = cell(dataset, "2020-03", "02", "Non-Hispanic Black", "50-64 years")
    assert dataset.y.exposure[i, 0] == pytest.approx(1000 * 31 / 365.25)
    unnamed = dataset.attributes["race"] == ""
    assert not dataset.mask[unnamed].any() and dataset.mask[~unnamed].all()
    assert dataset.spec.left_out["no population given"] == {"not recorded": 270}
    assert any("rates" in note for note in dataset.spec.notes)
    assert not any("proportionate" in note for note in dataset.spec.notes)


def weekly(weeks: int = 6) -> pd.DataFrame:
    keys = [
        (f"{day:%Y-%m-%d}", "02", race, age)
        for day in pd.date_range("2020-04-04", periods=weeks, freq="7D")
        for race in RACES
        for age in AGES
    ]
    columns = ["Week", "HHS_Region", "Race", "Age_Group_inferred"]
    covid = [0 if i % 2 else 10 + i % 40 for i in range(len(keys))]
    return pd.DataFrame(keys, columns=columns).assign(COVID_Deaths=covid)


def test_the_weekly_layout_needs_a_population(tmp_path, csv):
    source = csv(weekly())
    with pytest.raises(InputError, match="line 1.*'Total Deaths'.*data.population"):
        deaths.load(Data(source=source))
    with pytest.raises(InputError, match="'Total Deaths'"):
        deaths.load(Data(source=source, task="burden"))
    made = deaths.load(Data(source=source, population=people(tmp_path / "p.csv")))
    assert made.mask.all() and made.spec.unit == "region × week block"
    zero = made.table["low"] == 0
    assert set(made.y.high[zero, 0]) == {9} and not made.y.truncated.any()
    assert "A 0 in this file means 0 to 9" in " ".join(made.spec.notes)
    assert "2020-03-29|02|Hispanic|0-4 years" in made.id


REFUSED = {
    "data.task": (Data(task="odds"), "counts or burden"),
    "data.group": (Data(group="sex"), "race or age"),
    "data.level": (Data(level="county"), "'regions' or 'nation'"),
    "data.blanks": (Data(blanks="zero"), "'own', 'joint'"),
    "data.ages": (Data(ages="old"), "'fine' or 'coarse'"),
    "data.grain": (Data(grain="day"), "week, month, year, total"),
    "data.lags": (Data(lags=(0, 1)), "from 1 up"),
    "data.share": (Data(share=1.5), "between 0 and 1"),
    "data.test": (Data(test=0.0), "between 0 and 1"),
    "data.reference": (Data(reference="White"), "Non-Hispanic White"),
    "Group": (Data(grain="week"), "no 'week' rows; the file has month"),
    "Age Group": (Data(ages="coarse"), "no 'coarse' age groups"),
    "population": (Data(task="burden", population="p.csv"), "does not go with"),
    "periods": (Data(twin=Twin(months=2)), "at least one each"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_config_cannot_have_is_refused(what):
    config, expected = REFUSED[what]
    if config.twin.months == 45:
        config.twin = Twin(months=4, regions=2)
    with pytest.raises(InputError, match=expected) as caught:
        deaths.load(config)
    assert what in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("1,Hispanic,0-4 years", "the row has 3 columns"),
        ("1,Hispanic,0-4 years,-5", "line 2, column 'population': '-5' is negative"),
        ("1,Hispanic,0-4 years,", "line 2, column 'population': is blank"),
        ("12,Hispanic,0-4 years,5", "line 2, column 'region'"),
        ("1,Hispanic,0-4 years,5\n01,Hispanic,0-4 years,5", "line 3.*given twice"),
        ("9,Hispanic,0-4 years,5", "no region, race and age of it"),
    ],
)
def test_bad_population_files_are_refused(tmp_path, rows, expected):
    path = tmp_path / "p.csv"
    path.write_text(f"region,race,age,population\n{rows}\n")
    with pytest.raises(InputError, match=expected):
        deaths.load(Data(twin=SMALL, population=str(path)))


def test_mixed_grains_are_refused_unless_one_is_named(frame, csv):
    year = frame[frame["Month"] == "1"].assign(
        **{"Group": "By Year", "End Date": "12/31/2020", "Year": "2020"}
    )
    total = year.assign(**{"Group": "By Total", "Year": "2020-2023"})
    source = csv(pd.concat([frame, year, total]))
    line = len(frame) + 2
    with pytest.raises(InputError, match=f"line {line}.*month, year, total"):
        deaths.load(Data(source=source))
    months = deaths.load(Data(source=source, grain="month"))
    assert set(months.table["grain"]) == {"month"}
    other = months.spec.left_out["other groupings in time"]
    assert other["Hispanic"] == 2 * 4 * 9
    cumulative = deaths.load(Data(source=source, grain="total"))
    assert cumulative.spec.unit == "region" and cumulative.history is None
    assert not any("lag" in f or "sin" in f for f in cumulative.spec.features)
    check(cumulative)


@pytest.mark.realdata
def test_the_real_monthly_table_loads_whole(real):
    path = real / "deaths/tpcp-uiv5_layout14_bymonth_2020_2021.csv.gz"
    dataset = deaths.load(Data(source=str(path)))
    assert dataset.x.shape[0] == 15120 and dataset.mask.sum() == 6357
    assert dataset.spec.reference == "Non-Hispanic White"
    assert dataset.recipe["splits"]["2021-12-01"] == TEST
    lost = deaths.lost_to_suppression(dataset).set_index("group")
    assert lost["suppressed"].sum() == 7559
    assert lost["lost"]["Non-Hispanic White"] < 0.25
    sibling = path.with_name("cdc_hhs_race_age_cleaned_bymonth_2020_2021.csv.gz")
    cleaned = deaths.load(Data(source=str(sibling)))
    assert cleaned.mask.sum() == 6357
    np.testing.assert_array_equal(cleaned.y.truncated, 1)


@pytest.mark.realdata
@pytest.mark.parametrize(("ages", "n"), [("", 11), ("fine", 11), ("coarse", 7)])
def test_the_real_state_table(real, ages, n):
    source = str(real / "deaths/ks3g-spdg_raw_asof_2021-10-20.csv.gz")
    dataset = deaths.load(Data(source=source, ages=ages), seed=1)
    assert len(set(dataset.attributes["age"])) == n
    assert dataset.spec.unit == "state" and len(np.unique(dataset.patient)) == 53
    assert not dataset.y.truncated.any()
    for split in (TRAIN, VALID, TEST):
        assert (dataset.split == split).any()
    json.dumps(dataset.recipe)
    other = deaths.load(Data(source=source, ages=ages), seed=2)
    assert split_hash(other) != split_hash(dataset)


@pytest.mark.realdata
def test_the_first_real_state_table_has_five_unexplained_blanks(real, caplog):
    source = str(real / "deaths/ks3g-spdg_raw_asof_2020-05-06.csv.gz")
    dataset = deaths.load(Data(source=source))
    left = dataset.spec.left_out["a blank that no footnote explains"]
    assert sum(left.values()) == 5 and "5 rows masked" in caplog.text
    with pytest.raises(InputError, match="no 'coarse' age groups"):
        deaths.load(Data(source=source, ages="coarse"))
