"""Thresholds come from validation rows, stay frozen, and bring their uncertainty."""

import numpy as np
import pandas as pd
import pytest

from equity_jax.audit import audit
from equity_jax.audit.decisions.thresholds import parse, pick
from equity_jax.types import InputError


def rows(n=1200, seed=0, valid=0.5):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    race = rng.choice(["A", "B"], n, p=[0.7, 0.3])
    shift = np.where(race == "B", 0.7, 0.0)
    score = 1 / (1 + np.exp(-rng.normal(1.3 * y - 0.6 + shift, 1)))
    split = np.where(rng.random(n) < valid, "valid", "test")
    return pd.DataFrame({"y": y, "p": score, "race": race, "split": split})


def audited(frame, threshold="youden", **options):
    base = dict(label="y", score="p", attributes="race", split="split")
    base |= dict(replicates=200, threshold=threshold, metrics=("recall", "fpr"))
    return audit(frame, **(base | options))


@pytest.mark.parametrize("rule", ["youden", "f1", "sens@0.9", "spec@0.9", "cost@3"])
def test_the_threshold_is_that_of_the_validation_rows(rule):
    frame = rows()
    valid, test = (frame[frame.split == part] for part in ("valid", "test"))
    found = audited(frame, rule, extras=False).by_group(metric="recall", group="all")
    expected = pick(parse(rule), valid.p.to_numpy(), valid.y.to_numpy())
    assert found.threshold.item() == pytest.approx(expected)
    assert found.threshold_source.item() == f"validation: {rule}"
    sick = test[test.y == 1]
    assert found.value.item() == pytest.approx((sick.p >= expected).mean())


def test_the_threshold_never_sees_the_test_rows():
    frame = rows()
    other = frame.copy()
    flipped = other.split == "test"
    other.loc[flipped, "y"] = 1 - other.loc[flipped, "y"]
    a, b = (audited(f, extras=False).by_group().threshold for f in (frame, other))
    assert a.equals(b)


def test_a_rule_that_calls_nobody_positive_is_a_rule():
    """Few well validation rows, one with the largest score of all."""
    frame = rows()
    well = frame.index[(frame.split == "valid") & (frame.y == 0)]
    frame = frame.drop(well[9:])
    frame.loc[well[0], "p"] = 1.0
    found = audited(frame, "spec@0.9", extras=False).by_group(group="all")
    assert (found.threshold == np.inf).all()
    assert (found.value.isna() | (found.value == 0)).all()
    with pytest.raises(InputError, match="have one class only"):
        audited(frame.drop(well[:9]), "spec@0.9")


def test_few_validation_rows_make_wide_intervals():
    frame = rows(n=3000)
    few = frame.drop(frame[frame.split == "valid"].index[60:])
    many, scarce, fixed = (
        audited(f, t, extras=False).by_group(metric="recall", group="all").iloc[0]
        for f, t in ((frame, "youden"), (few, "youden"), (frame, "0.5"))
    )
    width = [r.high - r.low for r in (fixed, many, scarce)]
    assert width[0] < width[1] < width[2]
    assert "threshold" in scarce.interval and "threshold" not in fixed.interval


def test_the_three_policies_stand_side_by_side():
    found = audited(rows(n=4000)).policies
    assert list(dict.fromkeys(found.policy)) == [
        "group-blind",
        "group-aware",
        "equalized odds",
    ]
    by = found[found.metric == "fpr"].set_index(["policy", "group"])
    own = by.threshold["group-aware"]
    assert own["A"] != own["B"] and np.isnan(by.threshold["equalized odds"]["A"])
    gap = {p: abs(by.value[p]["A"] - by.value[p]["B"]) for p in by.index.levels[0]}
    assert gap["equalized odds"] < 0.06 < gap["group-blind"]
    assert set(found.group) == {"all", "A", "B"}


def test_rules_need_validation_rows_of_both_classes():
    frame = rows()
    with pytest.raises(InputError, match="comes from validation rows, and there are"):
        audited(frame.assign(split="test"))
    one = frame.copy()
    one.loc[one.split == "valid", "y"] = 0
    with pytest.raises(InputError, match="have one class only"):
        audited(one)
    with pytest.raises(InputError, match="youden, f1"):
        audited(frame, "best")


def test_net_benefit_is_at_its_own_threshold():
    frame = rows()
    test = frame[frame.split == "test"]
    found = audited(frame, net_benefit=(0.1, 0.3)).by_group(group="all")
    for t in (0.1, 0.3):
        row = found[found.metric == f"net_benefit@{t}"].iloc[0]
        called = test.p >= t
        expected = np.mean(called * (test.y - (1 - test.y) * t / (1 - t)))
        assert row.value == pytest.approx(expected) and row.threshold == t


def test_labels_of_text_rules_are_refused_with_the_known():
    with pytest.raises(InputError, match="unknown metric 'auc'; known: auroc, auprc"):
        audited(rows(), metrics=("auc",))
    with pytest.raises(
        InputError, match="no option 'treshold'; did you mean threshold"
    ):
        audited(rows(), treshold="0.5")
