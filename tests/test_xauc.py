import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from equity_jax.audit import audit, view


@pytest.fixture(scope="module")
def told():
    rng = np.random.default_rng(0)
    n = 900
    race = rng.choice(["A", "B", "C", ""], n, p=[0.5, 0.3, 0.15, 0.05])
    y = rng.integers(0, 2, n)
    score = rng.normal(y + (race == "B"), 1).round(1)
    frame = pd.DataFrame({"y": y, "p": 1 / (1 + np.exp(-score)), "race": race})
    options = dict(label="y", score="p", attributes="race", replicates=50)
    report = audit(frame, metrics=("auroc",), **options)
    return frame, view(report.table, contrast="cross")


def between(sick, well):
    y = np.r_[np.ones(len(sick)), np.zeros(len(well))]
    return roc_auc_score(y, np.r_[sick, well])


def test_pairs_of_groups(told):
    frame, rows = told
    sick, well = (frame[frame.y == c] for c in (1, 0))
    pairs = rows[rows.reference != "everyone else"]
    assert len(pairs) == 6 and set(pairs.metric) == {"xauc_positives"}
    for row in pairs.itertuples():
        expected = between(
            sick.p[sick.race == row.group], well.p[well.race == row.reference]
        )
        assert row.value == pytest.approx(expected, abs=1e-12)
        assert row.low < row.value < row.high


def test_everyone_else_leaves_out_what_is_not_recorded(told):
    frame, rows = told
    frame = frame[frame.race != ""]
    sick, well = (frame[frame.y == c] for c in (1, 0))
    rest = view(rows, reference="everyone else", group="A").set_index("metric").value
    expected = between(sick.p[sick.race == "A"], well.p[well.race != "A"])
    assert rest["xauc_positives"] == pytest.approx(expected, abs=1e-12)
    expected = between(sick.p[sick.race != "A"], well.p[well.race == "A"])
    assert rest["xauc_negatives"] == pytest.approx(expected, abs=1e-12)


def test_a_shifted_group_ranks_above_the_others(told):
    _, rows = told
    rest = view(rows, metric="xauc_negatives", reference="everyone else", group="B")
    inside = view(rows, group="A", reference="C").value.item()
    assert rest.high.item() < inside
