"""The judgement: paired differences, what is told apart, what nothing may shift."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from protocol_worlds import BALANCED, ENTRIES, ERM, LEANS, dataset, played

from equity_jax.audit.statistics.homogeneity import adjust
from equity_jax.config import Config
from experiments.protocol import criteria
from experiments.protocol.judge import judge

CONFIG = Config()
CONFIG.audit = dataclasses.replace(CONFIG.audit, replicates=60)
TWIN = LEANS | {"swa": LEANS[BALANCED]}  # told from balanced erm by chance alone


@pytest.fixture(scope="module")
def found():
    return judge(CONFIG, played(dataset(), TWIN, seeds=3))


def rows(judged, metric="worst_cell_accuracy"):
    table = judged.methods
    return table[table["metric"] == metric].set_index("entry")


def test_a_line_a_method_and_metric(found):
    assert len(found.methods) == 4 * 6 and set(found.methods["status"]) == {"OK"}
    told = rows(found)
    assert (told["low"] <= told["value"]).all() and (
        told["value"] <= told["high"]
    ).all()
    assert told.loc["focal", "uses"] == ENTRIES["focal"].uses
    assert "worst_cell 0, " in told.loc[ERM, "choices"]
    assert told["choices"].str.count(",").eq(len(criteria.CRITERIA) - 1).all()
    assert found.chosen == dict.fromkeys(TWIN, 0)  # the second trial is worse by design
    assert found.metric == "worst_cell_accuracy" and found.best in (BALANCED, "swa")


def test_values_are_means_over_seeds_of_the_chosen_trials():
    made = played(dataset(), TWIN, seeds=3)
    found, every = judge(CONFIG, made), criteria.scored(made).table
    for split, column in (("valid", "valid"), ("test", "value")):
        mine = every[(every["split"] == split) & (every["trial"] == 0)]
        mean = mine.groupby("entry")["auroc"].mean()
        told = rows(found, "auroc")[column]
        assert told.to_numpy() == pytest.approx(mean[told.index].to_numpy())


def test_differences_are_paired_with_both_baselines(found):
    told = rows(found)
    for base, word in ((BALANCED, "difference"), (ERM, "erm_difference")):
        apart = told["value"] - told.loc[base, "value"]
        others = told.index != base
        assert told[word][others].to_numpy() == pytest.approx(apart[others].to_numpy())
        assert np.isnan(told.loc[base, word]) and np.isnan(told.loc[base, f"{word}_p"])
        holm = adjust(told[f"{word}_p"].to_numpy(), "holm")
        assert told[f"{word}_p_holm"].to_numpy() == pytest.approx(holm, nan_ok=True)
        inside = (told[f"{word}_low"] < 0) & (told[f"{word}_high"] > 0)
        assert (inside == (told[f"{word}_p"] > 0.05))[others].all()
        wide = told[f"{word}_band_high"] - told[f"{word}_band_low"]
        assert (wide > told[f"{word}_high"] - told[f"{word}_low"])[others].all()


def test_what_leans_on_the_group_is_told_and_a_twin_is_not(found):
    told = rows(found)
    assert (
        told.loc[ERM, "difference_high"] < 0 < told.loc[BALANCED, "erm_difference_low"]
    )
    assert told.loc[ERM, "difference_p_holm"] < 0.05
    assert told.loc["swa", "difference_p_holm"] > 0.05
    assert told["rank"].sum() == pytest.approx(1 + 2 + 3 + 4)
    assert set(told["rank"].nsmallest(2).index) == {BALANCED, "swa"}
    assert found.bars[0] == (0, 1)


def test_the_same_bytes_again_and_none_shifts_another(found):
    made = played(dataset(), TWIN, seeds=3)
    again = judge(CONFIG, made)
    pd.testing.assert_frame_equal(again.methods, found.methods)
    pd.testing.assert_frame_equal(again.optimism, found.optimism)
    keep = made.table["entry"] != "swa"
    fewer = made._replace(
        entries=tuple(e for e in made.entries if e.name != "swa"),
        table=made.table[keep].reset_index(drop=True),
        prob=made.prob[keep],
        encoding=made.encoding[keep],
    )
    less, more = (rows(judge(CONFIG, fewer)), rows(found).drop("swa"))
    columns = ["value", "low", "high", "difference", "difference_low", "difference_p"]
    pd.testing.assert_frame_equal(less[columns], more[columns])


def test_one_run_without_chance_stands_for_every_seed(found):
    made = played(dataset(), TWIN, seeds=3)
    keep = (made.table["entry"] != "swa") | (made.table["seed"] == 0)
    made = made._replace(
        table=made.table[keep], prob=made.prob[keep], encoding=made.encoding[keep]
    )
    told = rows(judge(CONFIG, made))
    assert (told.index == rows(found).index).all()
    assert np.isfinite(
        told.loc["swa", ["value", "low", "difference_p"]].astype(float)
    ).all()
    assert told.loc[ERM, "value"] == rows(found).loc[ERM, "value"]


def test_another_criterion_ranks_by_its_metric_and_floors_are_told():
    data = dataset()
    few = np.flatnonzero((data.attributes["place"] == "here") & (data.y[:, 0] == 1))
    data.attributes["place"][few] = "there"
    config = dataclasses.replace(CONFIG)
    config.protocol = dataclasses.replace(CONFIG.protocol, criterion="worst_group")
    found = judge(config, played(data))
    told = rows(found, "worst_group_auroc")
    assert found.metric == "worst_group_auroc"
    assert set(told["status"]) == {"NOT_ESTIMABLE"} and found.bars == []
    assert told["reason"].str.contains("fewer than two").all()
    assert told[["value", "low", "difference", "rank"]].isna().all(axis=None)
    assert "fewer than two" in found.lost["test"]["worst_group_auroc"]
    assert found.chosen == dict.fromkeys(LEANS, 0)
