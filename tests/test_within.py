"""Accuracy within one source, against scikit-learn; one class is NOT_ESTIMABLE."""

import numpy as np
import pytest
from sklearn import metrics as peers
from test_multiclass import NAMES, world

from equity_jax.audit import NOT_ESTIMABLE
from equity_jax.audit.images.within import scored, within_source

P = world(n=600, systems=2, seed=3)
TRUTH = P.y[:, 0].astype(int)
SOURCE = np.array(["covid hospital", "kermany", "kermany"])[TRUTH]
SOURCE[TRUTH == 2] = np.where(np.arange((TRUTH == 2).sum()) % 2, "kermany", "mixed")
SOURCE[np.flatnonzero(TRUTH == 0)[:40]] = "mixed"
SOURCE[:6] = ""


def row(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, where
    return table.iloc[0]


def test_values_within_a_source_equal_scikit_learn():
    table = within_source(P, NAMES, SOURCE, replicates=50)
    for name, held in (("kermany", [1, 2]), ("mixed", [0, 2])):
        mine = SOURCE == name
        for s, system in enumerate(["m0", "m1"]):
            where = {"source": name, "system": f"{system}/s"}
            prob, truth = P.prob[s][mine], TRUTH[mine]
            found = row(table, metric="accuracy", **where)
            expected = peers.accuracy_score(truth, prob.argmax(1))
            assert found.value == pytest.approx(expected) and found.n == mine.sum()
            common = np.bincount(truth).max() / len(truth)
            assert found.chance == pytest.approx(common)
            among = prob[:, held].argmax(1)
            found = row(table, metric="balanced accuracy", **where)
            expected = peers.balanced_accuracy_score(truth, np.array(held)[among])
            assert found.value == pytest.approx(expected) and found.chance == 0.5
            found = row(table, metric="macro AUROC", **where)
            share = prob[:, held[1]] / prob[:, held].sum(1)
            expected = peers.roc_auc_score(truth == held[1], share)
            assert found.value == pytest.approx(expected)
            assert found.low < expected < found.high
            assert found.what == " or ".join(NAMES[c] for c in held)


def test_a_source_of_one_class_is_not_estimable():
    table = within_source(P, NAMES, SOURCE, replicates=50)
    found = row(table, source="covid hospital")
    assert found.status == NOT_ESTIMABLE and np.isnan(found.value)
    assert found.reason == "covid hospital holds one class only: COVID"
    assert found.n == (SOURCE == "covid hospital").sum()
    assert "" not in set(table.source)


def test_no_source_recorded_gives_an_empty_table():
    assert len(within_source(P, NAMES, np.full(600, ""), replicates=50)) == 0


def test_scores_stand_beside_chance():
    table = scored(P, NAMES, {"control": "lungs blanked"}, replicates=50)
    assert len(table) == 6 and set(table.control) == {"lungs blanked"}
    assert table.system.tolist() == ["m0/s"] * 3 + ["m1/s"] * 3
    common = np.bincount(TRUTH).max() / 600
    assert table.chance.tolist() == [common, 1 / 3, 0.5] * 2
    assert set(table.metric) == {"accuracy", "balanced accuracy", "macro AUROC"}
    assert (table.reason == "").all() and (table.patients == 300).all()


def test_a_class_too_rare_keeps_its_reason():
    few = np.flatnonzero(TRUTH == 0)[3:]
    mask = np.ones_like(P.mask)
    mask[few] = 0
    table = scored(P._replace(mask=mask), NAMES, {}, replicates=50)
    found = row(table, metric="macro AUROC", system="m0/s")
    assert found.status == NOT_ESTIMABLE
    assert found.reason == "fewer than 10 rows of class COVID"
