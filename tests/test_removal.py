"""removal.py and last_layers.py: what is planned, what is fitted, what stays."""

import math

import numpy as np
import pytest
from race_worlds import config, planted

from equity_jax import last_layers, removal
from equity_jax.config import Removal
from equity_jax.removal import CLOSED, frozen, planned
from equity_jax.types import TRAIN, VALID, InputError


def test_every_strength_of_every_method_is_planned_and_erm_comes_first():
    asked = Removal(
        methods=("dann", "laftr('parity')", "mmd(5.0)", "oversample('group')"),
        strengths=(1.0, 3.0),
        adversary=8,
    )
    none = pytest.approx(math.nan, nan_ok=True)
    assert planned(asked) == [
        ("erm", "erm", none),
        ("dann(hidden=8, strength=1.0)", "dann", 1.0),
        ("dann(hidden=8, strength=3.0)", "dann", 3.0),
        ("laftr(hidden=8, kind='parity', strength=1.0)", "laftr('parity')", 1.0),
        ("laftr(hidden=8, kind='parity', strength=3.0)", "laftr('parity')", 3.0),
        ("mmd(strength=5.0)", "mmd(5.0)", 5.0),
        ("oversample('group')", "oversample('group')", none),
    ]
    assert planned(Removal(methods=("dann(hidden=2)",)))[1][0].startswith(
        "dann(hidden=2"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"methods": ("dan",)}, "unknown method 'dan'"),
        ({"closed": ("leese",)}, "closed=leese; known: leace, inlp, dfr"),
        ({"model": "linear"}, "model=linear: nothing to encode"),
        ({"steps": 0}, "steps=0"),
    ],
)
def test_wrong_names_are_refused(options, told):
    with pytest.raises(InputError, match=told):
        planned(Removal(**options))


def test_the_defaults_name_what_there_is():
    assert Removal().closed == CLOSED
    assert len(planned(Removal())) == 1 + 7 * 4 + 2


def test_frozen_features_are_standardized_by_training_rows():
    dataset = planted()
    seen = frozen(dataset, 5 + 2 * dataset.x)
    train = dataset.split == TRAIN
    np.testing.assert_allclose(seen.x[train].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(seen.x[train].std(0), 1, atol=1e-5)
    assert seen.y is dataset.y and seen.x.dtype == np.float32
    with pytest.raises(InputError, match="3 rows of features for 900"):
        frozen(dataset, dataset.x[:3])


def test_labels_that_no_layer_can_learn_stay_unknown():
    dataset = planted()
    y, mask = dataset.y.copy(), dataset.mask.copy()
    y[dataset.split == TRAIN, 0] = 0  # no positive to learn from
    mask[dataset.split == VALID, 1] = 0  # nothing to choose a penalty by
    some = dataset._replace(y=y, mask=mask)
    assert [c is None for c in last_layers.labels(some)] == [True, True, False]
    prob = last_layers.plain(some)
    assert prob.shape == (len(last_layers.held(some)), 3)
    assert np.isnan(prob[:, :2]).all() and np.isfinite(prob[:, 2]).all()


def test_closed_forms_name_their_reference_and_what_they_leave():
    dataset = frozen(planted(), planted().x)
    asked = config(methods=(), closed=("leace", "equalized_odds"))
    made = {s.name: s for s in removal.closed(asked, dataset)}
    assert list(made) == ["last layer", "leace"]
    assert {s.against for s in made.values()} == {"last layer"}
    train = (dataset.split == TRAIN) & (dataset.group >= 0)
    left, group = made["leace"].features[train], dataset.group[train]
    means = np.stack([left[group == g].mean(0) for g in range(3)])
    np.testing.assert_allclose(means, means[:1].repeat(3, 0), atol=1e-4)
