"""audit/averages.py: the mean over labels, its groups, its paired differences."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from equity_jax.audit import NOT_ESTIMABLE, OK, view
from equity_jax.audit.averages import FEW, aurocs, averaged, common
from equity_jax.types import InputError, Predictions

N = 600


@pytest.fixture(scope="module")
def p():
    """Two systems, three labels; group c has no positive of label 2."""
    rng = np.random.default_rng(0)
    patient, group = np.arange(N) // 2, np.array(["a", "b", "c", ""])
    code = np.repeat(rng.choice(4, N // 2, p=(0.5, 0.25, 0.15, 0.1)), 2)
    y = (rng.random((N, 3)) < (0.5, 0.3, 0.2)).astype(float)
    y[(code == 2), 2] = 0
    prob = y[None] * np.array([1.0, 0.3])[:, None, None] + rng.normal(size=(2, N, 3))
    mask = (rng.random((N, 3)) < 0.9).astype(np.float32)
    runs = [{"seed": 0, "method": m, "scheme": ""} for m in ("good", "poor")]
    ids = np.arange(N).astype(str)
    return Predictions(prob, y, mask, {"race": group[code]}, ids, patient, runs)


def by_hand(p, system, rows, labels):
    return np.mean(
        [
            roc_auc_score(p.y[keep, k], p.prob[system, keep, k])
            for k in labels
            for keep in [rows & (p.mask[:, k] > 0)]
        ]
    )


def test_it_is_the_mean_over_labels_and_groups_share_their_labels(p):
    found = averaged(p, aurocs(p), attribute="race", replicates=50)
    every = view(found, contrast="group", attribute="")
    assert every["label"].tolist() == ["mean of 3"] * 2
    anyone = np.ones(N, bool)
    expected = [by_hand(p, s, anyone, (0, 1, 2)) for s in (0, 1)]
    np.testing.assert_allclose(every["value"], expected, rtol=1e-12)
    named = view(found, contrast="group", attribute="race", method="good")
    assert set(named["label"]) == {"mean of 2"}, "group c knows two labels alone"
    for row in named[named["group"].isin(["a", "b", "c"])].itertuples():
        mine = p.attributes["race"] == row.group
        assert row.value == pytest.approx(by_hand(p, 0, mine, (0, 1)))
        assert row.low < row.value < row.high and row.status == OK
    worst = view(found, contrast="worst", method="good").iloc[0]
    least = named[named["group"].isin(["a", "b", "c"])].sort_values("value").iloc[0]
    assert (worst["group"], worst["value"]) == (least["group"], least["value"])


def test_differences_are_paired(p):
    found = averaged(p, aurocs(p), against={"poor": "good"}, replicates=50)
    change = view(found, contrast="difference").iloc[0]
    values = view(found, contrast="group").set_index("method")["value"]
    assert change["value"] == pytest.approx(values["poor"] - values["good"])
    assert change["high"] < 0 and change["reference"] == "good"
    with pytest.raises(InputError, match="no such system 'none'; known: good, poor"):
        averaged(p, aurocs(p), against={"poor": "none"}, replicates=2)


def test_a_group_without_any_label_is_left_out_and_says_so(p):
    well = p._replace(y=p.y * (p.attributes["race"] != "c")[:, None])
    found = averaged(well, aurocs(well), attribute="race", replicates=50)
    named = view(found, contrast="group", attribute="race", method="good")
    lost = view(named, group="c").iloc[0]
    assert lost["status"] == NOT_ESTIMABLE and lost["interval"] == FEW
    assert set(view(named, group="a")["label"]) == {"mean of 3"}


def test_a_label_that_one_system_cannot_score_is_left_out_for_all(p):
    prob = p.prob.copy()
    prob[1, :, 0] = np.nan
    holed = p._replace(prob=prob)
    found = averaged(holed, aurocs(holed), replicates=50)
    anyone = np.ones(N, bool)
    expected = [by_hand(p, s, anyone, (1, 2)) for s in (0, 1)]
    np.testing.assert_allclose(view(found, contrast="group")["value"], expected)


def test_nothing_to_average_is_said(p):
    none = p._replace(mask=0 * p.mask + (np.arange(N) < 12)[:, None])
    found = averaged(none, aurocs(none), replicates=10)
    assert set(found["status"]) == {NOT_ESTIMABLE}


def test_labels_in_common_leave_out_as_few_groups_as_they_can():
    fine = np.array([[1, 0, 1, 0], [0, 0, 1, 1], [1, 0, 1, 0]], bool)
    labels, groups = common(fine)
    assert groups.tolist() == [True, False, True, False] and labels.tolist() == [0, 2]
    labels, groups = common(np.zeros((2, 3), bool))
    assert not len(labels) and not groups.any()
