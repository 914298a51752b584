import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peers

from equity_jax.audit.decisions import sensitivity
from equity_jax.audit.decisions.sensitivity import TIPPING, Rows, table
from equity_jax.audit.reading.conflicts import POLICIES, resolve
from equity_jax.types import InputError


def study(seed=0, n=600):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(float)
    race = rng.choice(["a", "b", "", "c"], n, p=[0.5, 0.3, 0.1, 0.1])
    race = race.astype("<U8")
    score = rng.normal(y * np.where(race == "b", 0.8, 1.6), 1).round(2)
    return Rows(score, y, score >= 0.5), race, rng


def only(found, **where):
    for name, value in where.items():
        found = found[found[name] == value]
    return found


def test_rows_are_differences_and_their_bounds():
    rows, race, _ = study()
    found = table(rows, {"race": race}, {"race": "a"}, system="m", label="l")
    assert list(found.columns) == sensitivity.COLUMNS
    assert set(found.kind) == {"label error"} and set(found.group) == {"b", "c"}
    assert set(found.system) == {"m"} and set(found.label) == {"l"}
    assert len(found) == 2 * 4 * (len(sensitivity.SHARES) + 1)  # no row twice
    at = only(found, group="b", metric="auroc", setting="2 % of labels wrong").iloc[0]
    one, other = (
        peers.roc_auc_score(rows.y[race == g], rows.score[race == g]) for g in "ba"
    )
    assert at.value == pytest.approx(one - other, abs=1e-12)
    assert at.n == (race == "b").sum() and at.status == "OK"
    wider = only(found, group="b", metric="auroc", setting="5 % of labels wrong").iloc[
        0
    ]
    assert wider.low < at.low < at.value < at.high < wider.high


def test_recall_s_bounds_by_hand():
    y = np.repeat([1, 0, 1, 0], 20)
    decision = np.zeros(80, bool)
    decision[:12] = decision[40:56] = True  # 12 and 16 of 20
    group = np.repeat(["b", "a"], 40)
    rows = Rows(decision * 1.0, y, decision)
    found = table(
        rows, {"g": group}, {"g": "a"}, metrics=("recall",), shares=(0.05,)
    ).set_index("setting")
    at = found.loc["5 % of labels wrong"]  # two labels of 40 on either side
    worst_b, best_a = 12 / 22, 16 / 18  # two more missed; two misses were no cases
    best_b, worst_a = 12 / 18, 16 / 22
    assert at[["value", "low", "high"]].tolist() == pytest.approx(
        [-0.2, worst_b - best_a, best_b - worst_a]
    )
    # 12 / (20 - k) reaches 16 / 20 at k = 5 of 40.
    assert found.loc[TIPPING, "value"] == 5 / 40
    assert np.isnan(found.loc[TIPPING, ["low", "high"]].astype(float)).all()


def test_small_groups_are_suppressed_and_one_class_is_not_estimable():
    rows, race, _ = study()
    race[race == "c"] = "a"
    race[:9] = "few"
    race[20:45], rows.y[20:45] = "sick", 1
    found = table(rows, {"race": race}, {"race": "a"})
    few, sick = only(found, group="few"), only(found, group="sick")
    assert set(few.status) == {"SUPPRESSED"} and few.n.isna().all()
    assert set(sick.status) == {"NOT_ESTIMABLE"} and set(sick.n) == {25}
    for part in (few, sick):
        assert len(part) and part[["value", "low", "high"]].isna().all(axis=None)
    assert set(only(found, group="b").status) == {"OK"}


def test_a_small_reference_takes_all_differences_with_it():
    rows, race, _ = study()
    race[race == "a"] = "b"
    race[:5] = "a"
    found = table(rows, {"race": race}, {"race": "a"})
    assert set(found.status) == {"SUPPRESSED"} and found.value.isna().all()
    assert set(only(found, group="b").n) == {(race == "b").sum()}


def test_a_metric_that_is_not_defined_is_not_estimable():
    rows, race, _ = study()
    silent = rows._replace(decision=np.where(race == "b", False, rows.decision))
    found = only(table(silent, {"race": race}, {"race": "a"}), group="b")
    status = found.groupby("metric").status.unique().map(list)
    assert status["precision"] == ["NOT_ESTIMABLE"] and status["recall"] == ["OK"]
    assert only(found, metric="precision")[["value", "low"]].isna().all(axis=None)


def test_without_decisions_only_the_ranking_is_asked():
    rows, race, _ = study()
    found = table(rows._replace(decision=None), {"race": race}, {"race": "a"})
    assert set(found.metric) == {"auroc"}


def test_policies_are_compared_where_records_disagree():
    rows, race, rng = study(n=3000)
    patient = np.arange(3000) // 3
    sex = np.repeat(rng.choice(["F", "M"], 1000), 3)  # nobody's records disagree
    asked = {"race": race, "sex": sex}
    found = table(rows, asked, {"race": "a", "sex": "F"}, patient)
    told = only(found, kind="conflict policy")
    assert set(told.attribute) == {"race"} and set(told.setting) == set(POLICIES)
    assert set(only(found, kind="label error").attribute) == {"race", "sex"}
    for policy in POLICIES:
        values = resolve(race, patient, policy)[0]
        one, other = (rows.decision[(values == g) & (rows.y == 1)].mean() for g in "ba")
        at = only(told, setting=policy, group="b", metric="recall").iloc[0]
        assert at.value == pytest.approx(one - other, abs=1e-12)
        assert at.n == (values == "b").sum() and np.isnan(at.low)
    assert only(told, group="b", metric="recall").value.nunique() == 4


def test_a_policy_that_leaves_nobody_keeps_its_rows():
    rows, race, _ = study()
    found = table(rows, {"race": race}, {"race": "a"}, np.arange(600) // 300)
    told = only(found, setting="exclude")
    assert len(told) == 2 * 4 and set(told.status) == {"SUPPRESSED"}
    assert told.value.isna().all() and told.n.isna().all()


def test_types_hold_without_rows():
    found = table(Rows(*np.empty((3, 0))), {}, {})
    assert len(found) == 0 and found.n.dtype == pd.Int64Dtype()
    assert list(found.columns) == sensitivity.COLUMNS


def test_an_absent_reference_is_refused():
    rows, race, _ = study()
    with pytest.raises(InputError, match="no row has race 'x', the reference"):
        table(rows, {"race": race}, {"race": "x"})
