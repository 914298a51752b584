"""The removal section of the race study, on features with a planted attribute."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from race_worlds import GROUPS, config, planted

from equity_jax import removal as machine
from equity_jax.audit import view
from equity_jax.audit.pages.page import Page, write
from equity_jax.run import Result
from equity_jax.store import open_run
from equity_jax.types import InputError
from experiments import race_frontier, race_removal
from experiments.race_frontier import FAILS, PRICE, REMOVES, WRONG
from experiments.race_views import Views

ASKED = {"methods": ("dann",), "strengths": (0.0, 3.0)}
ASKED |= {"closed": ("leace", "dfr", "equalized_odds")}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(store, section): removal.csv and its section, once."""
    settings, dataset = config(**ASKED), planted()
    store = open_run(tmp_path_factory.mktemp("race"), settings)
    result = Result(store, settings, dataset, None, None, None, {})
    views = Views(None, None, dataset.x, {}, {})
    return store, race_removal.removal(result, views)


@pytest.fixture(scope="module")
def table(made):
    return made[0].read_csv("removal.csv")


def test_a_linear_sign_is_erased_in_closed_form_and_the_findings_stay(table):
    everyone = table[table["group"].isna()]
    for row in everyone.itertuples():
        print(
            f"{row.method} {row.strength} {row.what}: {row.value:.3f}"
            f" [{row.low:.3f}, {row.high:.3f}], change {row.change:.3f}; {row.verdict}"
        )
    rows = view(everyone, what="probe").set_index("method")
    assert rows.loc["last layer", "low"] > 0.75, "planted 2.5 SD apart: Bayes 0.93"
    assert rows.loc["leace", "verdict"] in (REMOVES, PRICE)
    assert rows.loc["leace", "low"] < 0.5 < rows.loc["leace", "high"] + 0.03
    assert rows.loc["dfr", "change"] == 0 and rows.loc["dfr", "verdict"] == FAILS


def test_strength_0_changes_nothing_and_strength_moves_the_right_way(table):
    rows = view(table[table["group"].isna()], method="dann").set_index(
        ["what", "strength"]
    )
    none = rows.xs(0.0, level="strength")
    np.testing.assert_array_equal(none[["change", "change_low", "change_high"]], 0)
    assert rows.loc[("probe", 3.0), "verdict"] in (REMOVES, PRICE)
    assert set(view(table, method="erm")["verdict"].dropna()) == set()


def test_every_group_and_the_worst_have_their_price(table):
    rows = view(table, method="leace", what="disease")
    assert set(rows["group"].dropna()) == set(GROUPS)
    assert rows["change"].notna().all() and rows["labels"].str.startswith("mean").all()
    worst = view(table, method="leace", what="disease, worst").iloc[0]
    named = rows.dropna(subset="group")
    assert worst["value"] == named["value"].min()


def test_the_section_says_it_and_is_drawn(made, tmp_path):
    store, section = made
    text = "\n".join(section.text)
    for words in ("leace (−", "**Equalized odds**, sensitivity", "fitted to 9 of 9"):
        assert words in text, text
    assert (store.path / "figures/removal.png").stat().st_size > 20_000
    rates = store.read_csv("removal_rates.csv")
    assert set(rates["method"]) == {"last layer", "equalized_odds"}
    write(Page("Race", "", True, [section]), store.path)
    lines = race_removal.summary(store)
    assert any("leace" in line and REMOVES in line for line in lines)


def test_names_are_refused_before_anything_is_read():
    race_removal.refuse(config())
    wrong = dataclasses.replace(config().removal, images=("dan",))
    with pytest.raises(InputError, match="unknown method 'dan'"):
        race_removal.refuse(dataclasses.replace(config(), removal=wrong))


def test_nothing_asked_for_makes_no_section(tmp_path):
    settings = config(methods=(), closed=())
    store = open_run(tmp_path / "run", settings)
    result = Result(store, settings, planted(), None, None, None, {})
    assert race_removal.removal(result, None) is None
    assert race_removal.summary(store) == []


@pytest.mark.parametrize(
    ("probe", "disease", "expected"),
    [
        ((-0.2, -0.3, -0.1), (0.0, -0.1, 0.1), REMOVES),
        ((-0.2, -0.3, -0.1), (-0.1, -0.2, -0.05), PRICE),
        ((-0.02, -0.1, 0.1), (-0.1, -0.2, -0.05), FAILS),
        ((0.2, 0.1, 0.3), (0.0, -0.1, 0.1), WRONG),
        ((np.nan,) * 3, (0.0, -0.1, 0.1), "NOT_ESTIMABLE"),
    ],
)
def test_the_verdict_is_where_the_interval_of_the_change_lies(probe, disease, expected):
    names = ["change", "change_low", "change_high"]
    rows = pd.DataFrame([probe, disease], columns=names)
    rows = rows.assign(what=["probe", "disease"], group="", method="m", against="erm")
    assert race_frontier.word(rows) == expected
    assert race_frontier.word(rows.assign(against="m")) == "", "a reference"


def test_groups_too_small_to_be_told_are_left_out():
    dataset = planted()
    few = np.where(
        dataset.attributes["race"] == "Asian", "", dataset.attributes["race"]
    )
    few[np.flatnonzero(dataset.split == 0)[:9]] = "Asian"
    names, target = race_frontier.told(dataset._replace(attributes={"race": few}))
    assert names == ("Black", "White") and set(target) == {-1, 0, 1}
    assert machine.frozen(dataset, dataset.x).spec is dataset.spec
