"""Every number of a run, against loops over rows, and its floors."""

import numpy as np
import pytest
from protocol_worlds import dataset, played
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from equity_jax.types import TEST, VALID
from experiments.protocol import decisions, scores

ONE = {"erm": (1.5, 1.0)}


def both(data, leans=ONE, **how):
    made = played(data, leans, trials=1, **how)
    given = made.dataset, made.rows, made.prob
    return [scores.predictions(*given, split) for split in (VALID, TEST)]


def told(valid, test, rule="youden", classes=("absent", "present"), **how):
    cut = decisions.cuts(valid, [rule] * len(valid.prob))
    random = np.full(len(valid.prob), rule == decisions.RANDOM)
    return scores.measured(test, decisions.decided(test, cut, random), classes, **how)


def by_hand(test, called, classes):
    """The six numbers of one run and one label, row by row."""
    y, group = test.y[:, 0], test.attributes["place"]
    right, groups = called == y, ("here", "there")
    in_class = [right[y == c].mean() for c in classes]
    in_group = [right[group == g].mean() for g in groups]
    cells = [right[(y == c) & (group == g)].mean() for c in classes for g in groups]
    return {
        "worst_group_accuracy": min(in_group),
        "worst_cell_accuracy": min(cells),
        "worst_class_accuracy": min(in_class),
        "balanced_accuracy": balanced_accuracy_score(y, called),
    }


def test_two_classes_by_hand():
    valid, test = both(dataset())
    found = told(valid, test)
    for r in range(2):
        score, y, group = test.prob[r, :, 0], test.y[:, 0], test.attributes["place"]
        fpr, tpr, cut = roc_curve(
            valid.y[:, 0], valid.prob[r, :, 0], drop_intermediate=False
        )
        called = score >= cut[np.argmax(tpr - fpr)]
        by_group = [
            roc_auc_score(y[group == g], score[group == g]) for g in ("here", "there")
        ]
        wanted = by_hand(test, called, (0, 1))
        wanted |= {"auroc": roc_auc_score(y, score), "worst_group_auroc": min(by_group)}
        for name, value in wanted.items():
            assert found[name].value[r] == pytest.approx(value, abs=1e-9), name
    assert {m.lost for m in found.values()} == {()}  # rows of no group make no part
    assert set(found) == set(scores.METRICS)


def test_more_classes_are_called_by_the_largest():
    data = dataset(classes=("a", "b", "c"))
    valid, test = both(data)
    z = np.random.default_rng(0).normal(size=(2, len(test.y), 3))
    z += np.eye(3)[test.y[:, 0].astype(int)]
    prob = np.exp(z) / np.exp(z).sum(2, keepdims=True)
    valid = valid._replace(prob=np.repeat(valid.prob, 3, axis=2))
    found = told(valid, test._replace(prob=prob), classes=data.spec.classes)
    y, group = test.y[:, 0], test.attributes["place"]
    wanted = by_hand(test, prob[0].argmax(1), range(3))

    def macro(rows):
        return np.mean(
            [roc_auc_score(y[rows] == c, prob[0, rows, c]) for c in range(3)]
        )

    wanted["auroc"] = macro(y >= 0)
    wanted["worst_group_auroc"] = min(macro(group == g) for g in ("here", "there"))
    for name, value in wanted.items():
        assert found[name].value[0] == pytest.approx(value, abs=1e-9), name


def test_several_labels_are_averaged_before_the_worst_part_is_taken():
    data = dataset(targets=2)
    valid, test = both(data)
    found = told(valid, test, "0.5", ("negative", "positive"))
    right = (test.prob[0] >= 0.5) == test.y
    cells = []
    for c in (0, 1):
        for g in ("here", "there"):
            mine = (test.y == c) & (test.attributes["place"] == g)[:, None]
            cells.append(np.mean([right[mine[:, k], k].mean() for k in range(2)]))
    assert found["worst_cell_accuracy"].value[0] == pytest.approx(min(cells))


def test_a_random_decision_has_its_expected_accuracy():
    valid, test = both(dataset())
    found = told(valid, test, decisions.RANDOM)
    chance = np.where(test.y[:, 0] == 1, test.prob[0, :, 0], 1 - test.prob[0, :, 0])
    each = [chance[test.y[:, 0] == c].mean() for c in (0, 1)]
    assert found["balanced_accuracy"].value[0] == pytest.approx(np.mean(each))


def test_parts_below_the_floor_are_left_out_and_named():
    data = dataset()
    few = np.flatnonzero((data.attributes["place"] == "here") & (data.y[:, 0] == 1))
    data.attributes["place"][few[8:]] = "there"
    valid, test = both(data)
    found = told(valid, test)
    assert found["worst_cell_accuracy"].lost == ("present × here",)
    assert np.isfinite(found["worst_cell_accuracy"].value).all()
    assert np.isnan(found["worst_group_auroc"].value).all()
    assert "fewer than two" in found["worst_group_auroc"].why
    data.y[:] = np.where(np.arange(len(data.y)) % 200 == 0, 1.0, 0.0)[:, None]
    found = told(*both(data))
    for name in ("auroc", "balanced_accuracy", "worst_class_accuracy"):
        assert np.isnan(found[name].value).all() and found[name].why, name


def test_scores_that_are_no_numbers_give_none():
    valid, test = both(dataset())
    valid.prob[0, 3] = test.prob[0, 3] = np.nan
    found = told(valid, test)
    assert all(np.isnan(m.value[0]) and np.isfinite(m.value[1]) for m in found.values())


def test_replicates_draw_patients_and_are_shared():
    valid, test = both(dataset())
    alone = told(valid, test, replicates=40, seed=1)
    twice = test._replace(prob=test.prob[[1, 0, 1]])
    valid = valid._replace(prob=valid.prob[[1, 0, 1]])
    more = told(valid, twice, replicates=40, seed=1)
    for name, one in alone.items():
        assert np.array_equal(one.draws[[1, 0, 1]], more[name].draws)
        assert np.ptp(one.draws[0]) > 0 and one.draws.shape == (2, 40)
    assert alone["auroc"].effective <= len(np.unique(test.patient))
