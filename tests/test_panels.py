"""The companions of the table, on one audit with several models, labels and cracks."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from equity_jax.audit import audit, view
from equity_jax.types import InputError


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    n = 2400
    patient = rng.integers(0, 1200, n)
    race = np.array(["A", "B", "C", ""])[rng.choice(4, 1200, p=[0.6, 0.3, 0.06, 0.04])]
    y = rng.integers(0, 2, n)
    score = 1 / (1 + np.exp(-rng.normal(1.2 * y - 0.6, 1)))
    return pd.DataFrame(
        {
            "y": y,
            "p": score,
            "q": np.clip(score + rng.normal(0, 0.1, n), 0, 1),
            "race": race[patient],
            "sex": rng.choice(["F", "M"], n),
            "pid": patient,
            "split": np.where(patient % 3 == 0, "valid", "test"),
        }
    )


@pytest.fixture(scope="module")
def report(frame):
    return audit(
        frame,
        label="y",
        score={"one": "p", "two": "q"},
        attributes=("race", "sex"),
        patient="pid",
        split="split",
        threshold="youden",
        metrics=("auroc", "recall", "fpr", "selection_rate", "accuracy"),
        replicates=100,
    )


def test_tests_adjust_over_the_metrics_of_one_system_and_attribute(report):
    t = report.tests
    assert len(t) == 2 * 3 * 5 and set(t.adjustment) == {"holm"}
    assert (t.p_adjusted >= t.p).all() and t.p.between(0, 1).all()
    mine = t[(t.system == "one") & (t.attribute == "race")]
    assert mine.p_adjusted.min() == pytest.approx(min(1, 5 * mine.p.min()))
    gaps = view(report.table, contrast="gap", metric="auroc", system="one")
    np.testing.assert_allclose(
        t[(t.metric == "auroc") & (t.system == "one")].gap, gaps.value
    )
    assert (t.gap_corrected <= t.gap + 1e-12).all() and (t.gap_corrected >= 0).all()


def test_power_says_what_each_group_could_have_shown(report):
    p = report.power
    row = p[(p.system == "one") & (p.metric == "auroc") & (p.attribute == "race")]
    assert row.group.tolist() == ["B", "C"] and set(row.reference) == {"A"}
    assert row.detectable.iloc[1] > row.detectable.iloc[0] > 0.02
    assert (row.rows_needed > 0).all() and set(row.wanted) == {0.05}


def test_two_models_are_compared_on_the_same_patients(report):
    rows = view(report.table, contrast="difference", reference="method:one")
    assert set(rows.system) == {"two"}
    row = view(rows, metric="auroc", attribute="race", group="all").iloc[0]
    alone = view(report.table, contrast="group", metric="auroc", attribute="race")
    a, b = (view(alone, system=s, group="all").iloc[0] for s in ("one", "two"))
    assert row.value == pytest.approx(b.value - a.value)
    assert row.high - row.low < 0.5 * (a.high - a.low)  # paired


def test_confusion_is_that_of_the_validation_threshold(report, frame):
    c = report.confusion
    row = view(c, system="one", attribute="race", group="A").iloc[0]
    part = frame[(frame.race == "A") & (frame.split == "test")]
    tn, fp, fn, tp = confusion_matrix(part.y, part.p >= row.threshold).ravel()
    assert (row.tp, row.fp, row.fn, row.tn) == (tp, fp, fn, tn)


def test_small_counts_are_not_shown(frame):
    some = frame[(frame.race != "C") | (np.arange(len(frame)) % 30 == 0)]
    few = (some.race == "C").sum()
    assert 1 < few < 10
    found = audit(
        some, label="y", score="p", attributes="race", patient="pid", replicates=20
    )
    small = view(found.table, group="C")
    assert set(small.status) == {"SUPPRESSED"}
    hidden = ["n", "patients", "positives", "negatives", "value", "low", "high"]
    assert small[hidden].isna().all(axis=None)
    assert (
        view(found.confusion, group="C")[["tp", "fp", "fn", "tn"]].isna().all(axis=None)
    )
    assert "C" not in set(found.curves.group)
    shown = audit(
        some,
        label="y",
        score="p",
        attributes="race",
        patient="pid",
        replicates=20,
        min_rows=2,
    )
    assert (view(shown.table, group="C", contrast="group").n == few).all()


def test_curves_end_at_the_corners(report):
    roc = view(report.curves, kind="roc", system="one", attribute="race")
    assert set(roc.group) >= {"all", "A", "B"}
    for _, curve in roc.groupby("group"):
        assert (curve.x.iloc[0], curve.y.iloc[0]) == (0, 0)
        assert (curve.x.iloc[-1], curve.y.iloc[-1]) == (1, 1)
    bins = view(report.curves, kind="calibration")
    assert ((bins.low <= bins.y) & (bins.y <= bins.high)).all() and (bins.n >= 10).all()


def test_sensitivity_bounds_hold_what_was_found(report):
    s = view(report.sensitivity, kind="label error")
    known = s[s.low.notna()]
    assert (
        len(known) and ((known.low <= known.value) & (known.value <= known.high)).all()
    )
    assert set(s.attribute) == {"race", "sex"}


def test_conflict_policies_are_all_shown(frame, report):
    # sex was drawn row by row, so patients' records disagree
    s = view(report.sensitivity, kind="conflict policy", attribute="sex")
    assert set(s.setting) == {"as_recorded", "first", "most_frequent", "exclude"}
    assert any("sex: the records of" in note for note in report.notes)
    options = dict(label="y", score="p", attributes="sex", patient="pid", extras=False)
    found = audit(frame, conflicts="exclude", replicates=20, **options)
    told = found.by_group(metric="auroc", group="all").n.item()
    assert told == (frame.groupby("pid").sex.transform("nunique") == 1).sum()


def test_a_policy_is_obeyed_whatever_the_unit_is_called(frame):
    options = dict(label="y", score="p", attributes="sex", patient="pid", extras=False)
    options |= dict(replicates=20, unit="person")
    found = audit(frame, conflicts="exclude", **options)
    told = found.by_group(metric="auroc", group="all").n.item()
    assert told == (frame.groupby("pid").sex.transform("nunique") == 1).sum()
    notes = audit(frame, **options).notes  # groups by nature, not by conflict
    assert not any("disagree" in note for note in notes)


def test_an_audit_needs_groups(frame):
    with pytest.raises(InputError, match="attributes"):
        audit(frame, label="y", score="p")


def test_many_labels_and_classes(frame):
    both = frame.assign(z=1 - frame.y, r=1 - frame.p)
    options = dict(attributes="race", replicates=20, metrics=("auroc", "recall"))
    t = audit(both, label=("y", "z"), score=("p", "r"), **options).table
    assert set(t.label) == {"y", "z"}
    a, b = (view(t, label=k, contrast="group", metric="auroc").value for k in "yz")
    np.testing.assert_allclose(a, b)
    third = np.arange(len(frame)) % 3 == 0
    three = frame.assign(
        kind=np.where(third, "sick", np.where(frame.y, "yes", "no")),
        p_no=(1 - frame.p) * 0.7,
        p_yes=frame.p * 0.7,
        p_sick=0.3,
    )
    t = audit(three, label="kind", score=("p_no", "p_yes", "p_sick"), **options).table
    assert set(t.label) == {"no", "yes", "sick"}
    row = view(t, label="yes", metric="auroc", contrast="group", group="A").iloc[0]
    part = three[three.race == "A"]
    assert row.value == pytest.approx(roc_auc_score(part.kind == "yes", part.p_yes))
