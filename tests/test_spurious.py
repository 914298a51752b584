"""The simulated table with a misleading attribute: what was planted is there."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from equity_jax.config import Data, Spurious
from equity_jax.data import DATASETS
from equity_jax.types import TEST, TRAIN, InputError

MANY = Spurious(seed=1, train=20_000, test=200_000, features=8)


def made(**fields):
    options = dataclasses.replace(Spurious(), **fields)
    return DATASETS["spurious"](Data(name="spurious", spurious=options))


@pytest.fixture(scope="module")
def many():
    return made(**dataclasses.asdict(MANY))


def cells(dataset, right, split=TEST):
    """Accuracy by class and background, float[2, 2]."""
    rows = dataset.split == split
    y, a = dataset.y[rows, 0], dataset.group[rows]
    return np.array(
        [[right[rows][(y == c) & (a == g)].mean() for g in (0, 1)] for c in (0, 1)]
    )


def bayes(dataset, options):
    """The log odds of the module's docstring, float64[N]."""
    u, v = (dataset.x[:, i : i + 4].sum(1, dtype=float) / 2 for i in (0, 4))
    s, r = options.spurious, options.agree
    up, down = np.exp(s * v / 2), np.exp(-s * v / 2)
    ratio = (r * up + (1 - r) * down) / ((1 - r) * up + r * down)
    odds = options.prevalence / (1 - options.prevalence)
    return np.log(odds) + options.core * u + np.log(ratio)


def test_the_truth_is_what_the_rules_reach(many):
    truth, y = many.recipe["truth"], many.y[:, 0] == 1
    found = [list(row.values()) for row in truth["found"].values()]
    right = (bayes(many, MANY) > 0) == y
    np.testing.assert_allclose(cells(many, right), found, atol=0.02)
    core = (many.x[:, :4].sum(1) > 0) == y
    expected = np.full((2, 2), truth["core"]["accuracy"])
    np.testing.assert_allclose(cells(many, core), expected, atol=0.02)
    assert truth["core"]["accuracy"] == pytest.approx(0.8413, abs=1e-4)


def test_rows_as_found_mislead_and_balanced_ones_do_not(many):
    train, y = many.split == TRAIN, many.y[:, 0].astype(int)
    cell = 2 * y + many.group
    weight = 1 / np.bincount(cell[train])[cell]
    worst = []
    for weights in (np.ones(len(y)), weight / weight[train].mean()):
        model = LogisticRegression().fit(many.x[train], y[train], weights[train])
        worst.append(cells(many, model.predict(many.x) == y).min())
    assert worst[0] < 0.5 and worst[1] > 0.82


def test_every_split_is_made_alike():
    dataset = made(agree=0.9)
    agree = dataset.y[:, 0] == dataset.group
    for split in range(3):
        assert agree[dataset.split == split].mean() == pytest.approx(0.9, abs=0.03)
    assert dataset.spec.reference == "usual"
    assert len(dataset.spec.features) == dataset.x.shape[1] == 24
    np.testing.assert_array_equal(made(agree=0.9).x, dataset.x)
    assert (made(agree=0.9, seed=1).x != dataset.x).all()
    assert made(seed=1).spec.fingerprint != dataset.spec.fingerprint


def test_what_cannot_be_made_is_refused():
    with pytest.raises(InputError, match="data.spurious.agree=1.0; expected 0.01 to"):
        made(agree=1.0)
    with pytest.raises(InputError, match="features=7; expected 8"):
        made(features=7)
    with pytest.raises(InputError, match="spurious is simulated only"):
        DATASETS["spurious"](Data(name="spurious", source="table.csv"))
