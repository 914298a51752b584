"""Every layout becomes the same intervals; every bad file is one clear line."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equity_jax.data.deaths_names import LAYOUTS, RACES
from equity_jax.data.deaths_table import COLUMNS, joint, read
from equity_jax.data.simulate import FOOTNOTE
from equity_jax.types import InputError

HEADER = (
    "Data As Of,Start Date,End Date,Group,Year,Month,MMWR Week,Week-Ending Date,"
    "HHS Region,Race and Hispanic Origin Group,Age Group,COVID-19 Deaths,Total Deaths,"
    "Footnote"
)
NOTE = FOOTNOTE


def row(covid="12", total="40", note="", **other) -> str:
    cells = {
        **{"as_of": "10/05/2022", "start": "03/01/2021", "end": "03/31/2021"},
        **{"group": "By Month", "year": "2021", "month": "3", "region": "04"},
        **{"race": "Hispanic", "age": "50-64 years", **other},
    }
    c = cells.get
    return ",".join(
        (
            *(c("as_of"), c("start"), c("end"), c("group"), c("year"), c("month")),
            *("", "", c("region"), c("race"), c("age"), covid, total, note),
        )
    )


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def intervals(path: str) -> list[list[float]]:
    frame = read(path).frame
    return frame[["low", "high", "total_low", "total_high"]].to_numpy().tolist()


def test_each_count_is_suppressed_by_its_own_blank(tmp_path):
    file = write(
        tmp_path / "a.csv",
        HEADER,
        row(),
        row("", "40", NOTE, region="01"),
        row("0", "", NOTE, region="02"),
        row("", "", NOTE, region="03"),
        row("", "3", NOTE, region="United States"),
    )
    table = read(file)
    assert tuple(table.frame.columns) == COLUMNS
    assert table.frame["line"].tolist() == [2, 3, 4, 5, 6]
    assert table.frame["unexplained"].sum() == 0
    assert intervals(file) == [
        [12, 12, 40, 40],
        [1, 9, 40, 40],
        [0, 0, 1, 9],
        [1, 9, 1, 9],
        [1, 3, 3, 3],  # never above a known total
    ]


def test_a_blank_that_no_footnote_explains(tmp_path):
    lines = (row("", "40"), row("5", "", region="01"))
    frame = read(write(tmp_path / "a.csv", HEADER, *lines)).frame
    assert frame["unexplained"].all()
    assert frame["low"].tolist() == [0, 5] and frame["high"].tolist() == [40, 5]
    assert frame["total_high"].isna().tolist() == [False, True]


def test_names_of_other_versions(tmp_path):
    old = "Data as of,Start week,End Week,MMWR Year,HHS Region,"
    old += "Race and Hispanic Origin Group,Age Group,COVID-19 Deaths,Total Deaths"
    line = "05/06/2020,{},{},2019/2020,{},Hispanic or Latino,85 years and over,12.0,40"
    file = write(
        tmp_path / "a.csv",
        old,
        line.format("12/29/2019", "01/04/2020", "4"),
        line.format("2020-01-01T00:00:00.000", "2020-01-31", "4.0"),
        line.format("02/01/2020", "05/02/2020", "United States"),
    )
    table = read(file)
    frame = table.frame
    assert not table.footnotes and table.layout == "regions"
    assert frame["grain"].tolist() == ["week", "month", "total"]
    assert frame["region"].tolist() == ["04", "04", "United States"]
    assert frame["period"].tolist() == ["2019-12-29", "2020-01-01", "2020-02-01"]
    assert set(frame["race"]) == {"Hispanic"} and set(frame["low"]) == {12.0}


def test_api_names_and_blank_lines(tmp_path):
    api = "data_as_of,start_date,end_date,group,mmwr_year,month,mmwr_week,"
    api += "week_ending_date,hhs_region,race_and_hispanic_origin,age_group,"
    api += "covid_19_deaths,total_deaths,footnote"
    frame = read(write(tmp_path / "a.csv", api, "", row())).frame
    assert frame["line"].tolist() == [3]


def test_gzip_bytes_that_are_not_utf8_and_bom(tmp_path):
    text = "\n".join((HEADER, row("", "40", NOTE.replace("-", "\udc96")))) + "\n"
    path = tmp_path / "a.csv.gz"
    raw = b"\xef\xbb\xbf" + text.encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(raw))
    frame = read(str(path)).frame
    assert frame["high"].tolist() == [9] and frame["footnote"].all()


CASES = {
    "negative": (row("-3"), 3, "COVID-19 Deaths", "negative"),
    "fraction": (row("12.5"), 3, "COVID-19 Deaths", "whole"),
    "word": (row("12", "many"), 3, "Total Deaths", "number"),
    "not finite": (row("nan"), 3, "COVID-19 Deaths", "number"),
    "comma": (row('"1,200"', "2000"), 3, "COVID-19 Deaths", "number"),
    "above": (row("41"), 3, "COVID-19 Deaths", "above the 40"),
    "above zero": (row("", "0", NOTE), 3, "COVID-19 Deaths", "above the 0"),
    "above hidden": (row("10", "", NOTE), 3, "COVID-19 Deaths", "above the 9"),
    "region": (row(region="11"), 3, "HHS Region", "01 to 10"),
    "no region": (row(region="Ohio"), 3, "HHS Region", "01 to 10"),
    "race": (row(race="Martian"), 3, "Race and Hispanic Origin Group", "one of"),
    "age": (row(age="5 to 7"), 3, "Age Group", "50-64"),
    "date": (row(start="31/03/2021"), 3, "Start Date", "MM/DD/YYYY"),
    "no date": (row(end=""), 3, "End Date", "blank"),
    "backwards": (row(end="02/01/2021"), 3, "End Date", "later"),
    "group": (row(group="By Decade"), 3, "Group", "By Month"),
    "short": (row().rsplit(",", 1)[0], 3, "", "expected 14"),
    "again": (row(region="01"), 3, "HHS Region", "cell of line 2 again"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_cell_is_one_line_with_file_line_and_column(tmp_path, case):
    line, number, column, expected = CASES[case]
    file = write(tmp_path / "a.csv", HEADER, row(region="01"), line)
    with pytest.raises(InputError) as caught:
        read(file)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(f"{file}, line {number}, ")
    assert column in message and expected in message


@pytest.mark.parametrize(
    "dropped",
    ["COVID-19 Deaths", "Total Deaths", "HHS Region", "Age Group", "End Date"],
)
def test_a_missing_column_is_named_with_the_known_layouts(tmp_path, dropped):
    names = HEADER.split(",")
    cells = [c for n, c in zip(names, row().split(","), strict=True) if n != dropped]
    header = ",".join(n for n in names if n != dropped)
    with pytest.raises(InputError) as caught:
        read(write(tmp_path / "a.csv", header, ",".join(cells)))
    message = str(caught.value)
    if dropped != "End Date":  # then Week-Ending Date stands for it
        assert f"line 1, column {dropped!r}: missing" in message
        assert all(layout in message for layout in LAYOUTS.values())
    else:
        assert "line 2, column 'Week-Ending Date': is blank" in message


def test_a_bad_file_is_one_line(tmp_path):
    whole = gzip.compress("\n".join((HEADER, row())).encode())
    files = {
        "absent.csv": (None, "No such file"),
        "empty.csv": (b"", "empty"),
        "header.csv": (HEADER.encode(), "only a header"),
        "cut.csv.gz": (whole[:-20], "truncated"),
        "picture.csv": (bytes(range(256)) * 4, "not a text file"),
    }
    for name, (content, expected) in files.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=expected) as caught:
            read(str(path))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is a directory; expected a CSV"):
        read(str(tmp_path))


@pytest.mark.realdata
def test_the_real_monthly_table_and_its_cleaned_sibling_agree(real):
    folder = real / "deaths"
    rebuilt = read(str(folder / "tpcp-uiv5_layout14_bymonth_2020_2021.csv.gz"))
    cleaned = read(str(folder / "cdc_hhs_race_age_cleaned_bymonth_2020_2021.csv.gz"))
    assert (rebuilt.layout, cleaned.layout) == ("regions", "cleaned")
    assert joint(rebuilt.frame) and not joint(cleaned.frame)
    assert rebuilt.frame["footnote"].sum() == 7559
    keys = ["period", "region", "race", "age"]
    known = rebuilt.frame[~rebuilt.frame["footnote"]].set_index(keys).sort_index()
    same = cleaned.frame.set_index(keys).sort_index()
    for column in ("low", "high", "total_low", "total_high"):
        pd.testing.assert_series_equal(known[column], same[column])
    below = cleaned.frame["low"].between(1, 9)
    assert set(cleaned.frame["region"][below]) == {"United States"}


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("date", "rows", "blank_covid", "blank_total", "unexplained"),
    [
        ("2020-05-06", 4761, 658, 1643, 5),
        ("2021-02-17", 6489, 1700, 1764, 0),
        ("2021-10-20", 6489, 1892, 1505, 0),
    ],
)
def test_the_real_state_tables(real, date, rows, blank_covid, blank_total, unexplained):
    table = read(str(real / "deaths" / f"ks3g-spdg_raw_asof_{date}.csv.gz"))
    frame = table.frame
    assert (table.layout, len(frame)) == ("states", rows)
    assert set(frame["grain"]) == {"total"} and not joint(frame)
    explained = frame[~frame["unexplained"]]
    assert (explained["low"] < explained["high"]).sum() == blank_covid
    assert (frame["total_low"] < frame["total_high"]).sum() == blank_total
    assert frame["unexplained"].sum() == unexplained
    assert set(frame["race"]) == {*RACES, "Unknown", "Total Deaths"}


@pytest.mark.realdata
def test_the_real_weekly_table(real):
    table = read(str(real / "deaths/weekly_hhs_race_covid_2020w01_2021w08.csv.gz"))
    frame = table.frame
    assert table.layout == "weekly" and len(frame) == 38430
    hidden = frame["low"] == 0
    assert hidden.sum() == 33043 and set(frame["high"][hidden]) == {9.0}
    assert (frame["low"] == frame["high"])[~hidden].all()
    assert frame["total_low"].isna().all() and frame["as_of"].isna().all()
    assert set((frame["end"] - frame["start"]) / np.timedelta64(1, "D")) == {6.0}
    assert frame["end"].iloc[0] == pd.Timestamp("2020-01-04")
