"""Features look back only, and scoring new rows repeats what training did."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from equity_jax.config import Data, Twin
from equity_jax.data import deaths, simulate
from equity_jax.types import TEST, TRAIN, InputError

MONTHS = 12
TWIN = Twin(months=MONTHS, regions=3)


@pytest.fixture(scope="module")
def frame():
    return simulate.deaths(TWIN)[0]


def load(frame, path, **how):
    frame.to_csv(path, index=False)
    return deaths.load(Data(source=str(path)), **how)


def start(frame):
    return pd.to_datetime(frame["Start Date"]).to_numpy()


def test_a_lag_is_the_share_of_that_earlier_period(frame, tmp_path):
    dataset = load(frame, tmp_path / "a.csv")
    table, names = dataset.table, list(dataset.spec.features)
    key = ["region", "race", "age"]
    known = (table["low"] == table["high"]) & (table["exposure"] > 0)
    share = np.log((table["low"] + 0.5) / (table["exposure"] + 1)).where(known)
    wide = table.assign(share=share).pivot(index="period", columns=key, values="share")
    for lag in (1, 2, 3):
        past = wide.shift(lag).stack(key, future_stack=True).rename("past")
        found = table.merge(past.reset_index(), on=["period", *key], how="left")["past"]
        x = dataset.x[:, names.index(f"lag{lag} cell")]
        unknown = dataset.x[:, names.index(f"lag{lag} cell unknown")]
        np.testing.assert_array_equal(unknown == 1, found.isna())
        assert not x[unknown == 1].any()
        mean, sd = dataset.recipe["features"]["scales"][f"lag{lag} cell"]
        seen = unknown == 0
        np.testing.assert_allclose(x[seen] * sd + mean, found[seen], atol=1e-4)
        train = seen & (dataset.split == TRAIN)
        assert x[train].mean() == pytest.approx(0, abs=1e-4)
        assert x[train].std() == pytest.approx(1, abs=1e-4)


def test_the_region_share_pools_sums(frame, tmp_path):
    dataset = load(frame, tmp_path / "a.csv")
    table, names = dataset.table, list(dataset.spec.features)
    known = (table["low"] == table["high"]) & (table["exposure"] > 0)
    rows = known & (table["region"] == "02") & (table["period"] == "2020-05-01")
    deaths_, total = table["low"][rows].sum(), table["exposure"][rows].sum()
    mean, sd = dataset.recipe["features"]["scales"]["lag2 region"]
    then = (table["region"] == "02") & (table["period"] == "2020-07-01")
    x = dataset.x[then.to_numpy(), names.index("lag2 region")]
    expected = (np.log((deaths_ + 0.5) / (total + 1)) - mean) / sd
    np.testing.assert_allclose(x, expected, rtol=1e-4)


@pytest.mark.parametrize("race", [False, True])
def test_later_periods_change_nothing_earlier(frame, tmp_path, race):
    config = Data(source=str(tmp_path / "a.csv"), race_as_feature=race)
    frame.to_csv(config.source, index=False)
    before = deaths.load(config)
    first_test = min(before.attributes["period"][before.split == TEST])
    later = frame.copy()
    rows = start(frame) >= np.datetime64(first_test)
    plain = rows & (frame["COVID-19 Deaths"] != "") & (frame["Total Deaths"] != "")
    later.loc[plain, "COVID-19 Deaths"] = later.loc[plain, "Total Deaths"]
    later.to_csv(config.source, index=False)
    after = deaths.load(config)
    assert after.recipe == before.recipe
    same = before.attributes["period"] <= first_test  # its lags are older
    np.testing.assert_array_equal(before.x[same], after.x[same])
    assert (before.x[~same] != after.x[~same]).any()
    assert any("race=" in name for name in after.spec.features) == race


def test_the_trend_is_held_outside_training(frame, tmp_path):
    dataset = load(frame, tmp_path / "a.csv")
    trend = dataset.x[:, list(dataset.spec.features).index("trend")]
    train = dataset.split == TRAIN
    assert trend.max() == trend[train].max() and trend.min() == trend[train].min()
    assert set(trend[dataset.split == TEST]) == {trend[train].max()}


@pytest.mark.parametrize("as_csv", [False, True])
def test_history_gives_what_reading_all_at_once_gives(frame, tmp_path, as_csv):
    """The run kept its recipe and history; new months come in a file of their own."""
    cut = np.datetime64("2020-10-01")
    run = load(frame[start(frame) < cut], tmp_path / "old.csv")
    recipe, history = json.loads(json.dumps(run.recipe)), run.history
    assert list(history)[:4] == ["period", "region", "race", "age"]
    if as_csv:  # the way back may lose types: 02 becomes 2
        history = pd.read_csv(io.StringIO(history.to_csv(index=False)))
    new = frame[start(frame) >= cut]
    alone = load(new, tmp_path / "new.csv", recipe=recipe, history=history)
    whole = load(frame, tmp_path / "all.csv", recipe=recipe)
    rows = np.isin(whole.id, alone.id)
    assert whole.id[rows].tolist() == alone.id.tolist()
    np.testing.assert_array_equal(whole.x[rows], alone.x)
    assert set(alone.split) == {TEST} and alone.spec.groups == run.spec.groups
    assert alone.spec.features == run.spec.features
    np.testing.assert_array_equal(whole.split[: len(run.split)], run.split)
    bare = load(new, tmp_path / "new.csv", recipe=recipe)
    lag = list(bare.spec.features).index("lag3 cell unknown")
    assert bare.x[:, lag].all() and not alone.x[:, lag].all()


def test_the_files_own_rows_win_over_history(frame, tmp_path):
    run = load(frame, tmp_path / "a.csv")
    wrong = run.history.assign(low=0.0, high=0.0)
    again = load(frame, tmp_path / "a.csv", recipe=run.recipe, history=wrong)
    np.testing.assert_array_equal(run.x, again.x)


def test_unseen_categories_are_zero_and_said(frame, tmp_path):
    two = frame[frame["HHS Region"] != "03"]
    run = load(two, tmp_path / "a.csv")
    scored = load(frame, tmp_path / "b.csv", recipe=run.recipe)
    columns = [n.startswith("region=") for n in scored.spec.features]
    third = scored.attributes["region"] == "03"
    assert not scored.x[third][:, columns].any()
    assert scored.x[~third][:, columns].any(axis=1).all()
    said = "region 03 is not among the training rows"
    assert any(said in note for note in scored.spec.notes)
    assert not any("training rows" in note for note in run.spec.notes)


def test_a_recipe_of_another_table_is_refused(frame, tmp_path):
    run = load(frame, tmp_path / "a.csv")
    states = frame.rename(columns={"HHS Region": "State"})
    states = states[states["Month"] == "5"].assign(State="Ohio")
    states = states.drop_duplicates(["Race and Hispanic Origin Group", "Age Group"])
    with pytest.raises(InputError, match="by state.*expected what the run was"):
        load(states, tmp_path / "b.csv", recipe=run.recipe)
    week = frame.assign(Group="By Week")
    with pytest.raises(InputError, match="no 'month' rows"):
        load(week, tmp_path / "b.csv", recipe=run.recipe)


def test_scoring_with_a_simulated_recipe_stays_simulated(frame, tmp_path):
    run = deaths.load(Data(twin=TWIN))
    scored = load(frame, tmp_path / "a.csv", recipe=run.recipe)
    assert scored.spec.simulated and "SIMULATED" in scored.spec.notes[0]


@pytest.mark.realdata
def test_history_on_the_real_table(real, tmp_path):
    source = real / "deaths/tpcp-uiv5_layout14_bymonth_2020_2021.csv.gz"
    frame = pd.read_csv(source, dtype=str, keep_default_na=False)
    cut = np.datetime64("2021-09-01")
    run = load(frame[start(frame) < cut], tmp_path / "old.csv")
    new = frame[start(frame) >= cut]
    new = load(new, tmp_path / "new.csv", recipe=run.recipe, history=run.history)
    whole = load(frame, tmp_path / "all.csv", recipe=run.recipe)
    np.testing.assert_array_equal(whole.x[np.isin(whole.id, new.id)], new.x)
    assert (new.y.truncated == 1).all()
