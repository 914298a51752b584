"""Mean ranks, pairs that are told apart, and the bars over those that are not."""

import numpy as np
import pytest

from equity_jax.audit.statistics.inference import Estimate
from experiments.protocol.ranking import bars, difference, ranks


def estimate(value, noise=0.01, replicates=300, missing=()):
    rng = np.random.default_rng(0)
    value = np.array(value, float)
    draws = value[:, None] + noise * rng.normal(size=(len(value), replicates))
    draws += 0.2 * rng.normal(size=(1, replicates))  # patients that all share
    ok = ~np.isin(np.arange(len(value)), missing)
    full = np.full(len(value), 200.0)
    return Estimate(value, value[:, None], draws, full, ok, kind="edged")


def test_what_is_shared_cancels_in_a_pair_and_in_ranks():
    places, found = ranks(estimate([0.70, 0.90, 0.905, 0.60]), 0.95)
    assert places[0][[0, 3]] == pytest.approx([3, 4]), "told in every replicate"
    assert places[0][[1, 2]].sum() == pytest.approx(3)
    assert (places[1] <= places[0]).all() and (places[0] <= places[2]).all()
    assert found == [(0, 1)]
    gained = difference(estimate([0.7, 0.9]), np.array([1]), np.array([0]))
    assert gained.kind == "student" and gained.value[0] == pytest.approx(0.2)
    assert gained.draws.std() < 0.02


def test_what_cannot_be_estimated_has_no_rank():
    places, found = ranks(estimate([0.7, 0.9, 0.71], missing=(1,)), 0.95)
    assert np.isnan(places[:, 1]).all() and np.nanmax(places[0]) <= 2
    assert found == [(0, 1)]
    places, found = ranks(estimate([0.7, 0.9], missing=(1,)), 0.95)
    assert np.isnan(places).all() and found == []


def test_bars_are_the_longest_runs():
    apart = np.zeros((5, 5), bool)
    apart[0, 2:] = apart[1, 4] = True
    assert bars(apart) == [(0, 1), (1, 3), (2, 4)]
    assert bars(np.triu(np.ones((3, 3), bool), 1)) == []
    assert bars(np.zeros((3, 3), bool)) == [(0, 2)]
