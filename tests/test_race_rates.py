"""Equalized odds at its operating point: the gap it evens, the price, the words."""

from types import SimpleNamespace

import numpy as np
import pytest
from race_worlds import config, planted

from equity_jax import last_layers
from equity_jax.audit import view
from equity_jax.removal import LAYER, System
from experiments.race_frontier import Judged
from experiments.race_rates import ODDS, rates, sentences


@pytest.fixture(scope="module")
def found():
    """A last layer that scores one group a step lower, sick or well."""
    dataset = planted(n=3000)
    held = last_layers.held(dataset)
    noise = np.random.default_rng(1).normal(size=(len(held), 3))
    logit = 2.0 * dataset.y[held] + noise - 1.5 * (dataset.group[held] == 1)[:, None]
    prob = 1 / (1 + np.exp(-logit))
    made = Judged(System(LAYER, np.nan, "closed form", LAYER, prob, None), prob, "knn")
    result = SimpleNamespace(dataset=dataset, config=config())
    return rates(result, [made])


def test_the_gap_is_evened_and_the_price_is_named(found):
    table, said = found
    for metric in ("macro_recall", "macro_fpr"):
        gaps = view(table, metric=metric, contrast="gap").set_index("system")
        print(metric, gaps[["value", "low", "high"]].round(3).to_dict("index"))
        assert gaps.loc[LAYER, "low"] > 0.1
        assert gaps.loc[ODDS, "high"] < gaps.loc[LAYER, "low"]
    text = sentences(table)
    assert len(text) == 2 and all("evened out" in line for line in text)
    assert "9 of 9 pairs" in said


def test_nothing_is_said_of_nothing(found):
    table, _ = found
    assert sentences(table[:0]) == []
