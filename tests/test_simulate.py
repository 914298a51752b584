"""The twin has the real table's columns and quirks, and its truth is the truth."""

import numpy as np
import pytest

from equity_jax.config import Twin
from equity_jax.data import simulate
from equity_jax.data.deaths_names import AGES, NATION
from equity_jax.data.deaths_table import read
from equity_jax.types import InputError


def test_columns_quirks_and_suppression():
    frame, truth = simulate.deaths(Twin(months=45))
    assert len(frame) == 45 * 792 and tuple(frame.columns) == simulate.COLUMNS
    assert set(frame["Data As Of"]) == {"09/27/2023"}
    assert frame["End Date"].iloc[-1] == "09/23/2023"  # cut short
    assert set(frame["HHS Region"]) == {NATION, *(f"{i:02d}" for i in range(1, 11))}
    assert set(frame["Race and Hispanic Origin Group"]) == set(simulate.RACES)
    region = (frame["HHS Region"] != NATION).to_numpy()
    for name, true in (("COVID-19 Deaths", truth.covid), ("Total Deaths", truth.total)):
        blank = (frame[name] == "").to_numpy()
        np.testing.assert_array_equal(blank, region & (true >= 1) & (true <= 9))
        np.testing.assert_array_equal(frame[name][~blank].astype(float), true[~blank])
    either = frame[["COVID-19 Deaths", "Total Deaths"]].eq("").any(axis=1)
    assert (frame["Footnote"].ne("") == either).all()
    assert (truth.covid <= truth.total).all()


def test_the_nation_is_the_sum_and_early_2020_is_zero():
    frame, truth = simulate.deaths(Twin(months=4))
    shape = (4, 11, len(simulate.RACES), len(AGES))
    for values in (truth.covid, truth.total, truth.mu):
        cells = values.reshape(shape)
        np.testing.assert_allclose(cells[:, 0], cells[:, 1:].sum(1), rtol=1e-12)
    assert not truth.covid.reshape(shape)[:2].any()
    assert np.isneginf(truth.log_rate.reshape(shape)[:2, 1:]).all()
    nation = truth.total.reshape(shape)[2, 0].sum(1)
    white = simulate.RACES.index(simulate.REFERENCE)
    assert 190e3 < nation[white] < 240e3 and 300 < nation[white - 1] < 600


def test_the_truth_is_what_is_drawn():
    twin = Twin(months=24, size=40.0, block_sd=0.0, dispersion=0.01, slope=0.0)
    frame, truth = simulate.deaths(twin)
    region = (frame["HHS Region"] != NATION).to_numpy()
    oldest = (frame["Age Group"] == "65-74 years").to_numpy() & region
    race = frame["Race and Hispanic Origin Group"].to_numpy()
    assert truth.log_ratio[simulate.REFERENCE] == 0
    for name, ratio in truth.log_ratio.items():
        rows = oldest & (race == name) & (truth.mu > 0)
        white = oldest & (race == simulate.REFERENCE) & (truth.mu > 0)
        found = truth.log_rate[rows] - truth.log_rate[white]
        np.testing.assert_allclose(found, ratio, atol=1e-12)
        observed = truth.covid[rows].sum() / truth.mu[rows].sum()
        assert observed == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(
        truth.mu[region], (truth.total * np.exp(truth.log_rate))[region], rtol=1e-9
    )


def test_dispersion_and_blocks_have_their_size():
    twin = Twin(months=24, size=200.0, block_sd=0.2, dispersion=0.1)
    frame, truth = simulate.deaths(twin)
    rows = (frame["HHS Region"] != NATION).to_numpy() & (truth.mu > 1000)
    ratio = truth.covid[rows] / truth.mu[rows]
    assert ratio.var() == pytest.approx(0.1, rel=0.15)
    planned = truth.total * np.exp(truth.log_rate)
    shared = np.log(truth.mu[rows] / planned[rows])
    assert shared.std() == pytest.approx(0.2, rel=0.15)
    assert len(np.unique(shared.round(9))) <= 240  # one a region and month


def test_another_draw_is_fresh_data_of_the_same_population():
    a, first = simulate.deaths(Twin(months=6))
    again, _ = simulate.deaths(Twin(months=6))
    b, second = simulate.deaths(Twin(months=6), draw=1)
    assert a.equals(again) and not a.equals(b)
    np.testing.assert_array_equal(first.total, second.total)
    np.testing.assert_array_equal(first.log_rate, second.log_rate)
    assert (first.covid != second.covid).any() and (first.mu != second.mu).any()
    other = simulate.deaths(Twin(months=6, seed=1))[1]
    assert other.log_ratio == first.log_ratio and (other.total != first.total).any()


def test_without_suppression_nothing_is_blank():
    frame, truth = simulate.deaths(Twin(months=3), suppress=False)
    assert not frame["Footnote"].any()
    table = read(frame).frame
    np.testing.assert_array_equal(table["low"], truth.covid)
    np.testing.assert_array_equal(table["high"], truth.covid)


@pytest.mark.parametrize(
    ("field", "value"),
    [("months", 46), ("months", 0), ("regions", 11), ("dispersion", -1.0)],
)
def test_impossible_twins_are_refused(field, value):
    with pytest.raises(InputError, match=f"data.twin.{field}={value}; expected"):
        simulate.deaths(Twin(**{field: value}))
