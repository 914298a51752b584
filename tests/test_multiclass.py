"""Every value against scikit-learn; what is absent says so; intervals cover."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peers

from equity_jax.audit import NOT_ESTIMABLE, view
from equity_jax.audit.multiclass import METRICS, best, confusion, multiclass
from equity_jax.types import InputError, Predictions

NAMES = ("COVID", "Normal", "Viral")


def world(n=600, systems=2, seed=0, images=2, skill=1.5, classes=3):
    """`images` rows a patient, scores softmax(noise + skill × truth); sex at random."""
    rng = np.random.default_rng(seed)
    patient = np.arange(n) // images
    y = rng.choice(
        classes,
        n,
        p=np.array([0.2, 0.5, 0.3])[:classes] / (np.sum([0.2, 0.5, 0.3][:classes])),
    )
    logits = rng.normal(size=(systems, n, classes))
    logits += rng.normal(size=(systems, patient.max() + 1, 1))[:, patient] / 2
    gain = skill + 0.3 * np.arange(systems)
    logits += gain[:, None, None] * np.eye(classes)[y][None]
    prob = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    sex = rng.choice(["Female", "Male", ""], patient.max() + 1, p=[0.3, 0.6, 0.1])
    runs = [{"seed": 0, "method": f"m{i}", "scheme": "s"} for i in range(systems)]
    y = y[:, None].astype(float)
    return Predictions(
        prob, y, np.ones_like(y), {"sex": sex[patient]}, np.arange(n).astype(str),
        patient, runs,
    )  # fmt: skip


def peer_values(y, prob):
    called = prob.argmax(1)
    both = {"zero_division": 0.0}
    found = {
        ("accuracy", ""): peers.accuracy_score(y, called),
        ("macro_precision", ""): peers.precision_score(y, called, average="macro"),
        ("macro_recall", ""): peers.balanced_accuracy_score(y, called),
        ("macro_f1", ""): peers.f1_score(y, called, average="macro"),
        ("macro_auroc", ""): peers.roc_auc_score(
            y, prob, multi_class="ovr", average="macro"
        ),
    }
    for c, name in enumerate(NAMES):
        one = y == c, called == c
        found["precision", name] = peers.precision_score(*one, **both)
        found["recall", name] = peers.recall_score(*one, **both)
        found["f1", name] = peers.f1_score(*one, **both)
        found["auroc", name] = peers.roc_auc_score(y == c, prob[:, c])
    return found


def test_every_value_equals_scikit_learn():
    p = world()
    table = multiclass(p, NAMES, ("sex",), replicates=20)
    rows = view(table, contrast="group")
    assert set(METRICS) | {"precision", "recall", "f1", "auroc"} == set(rows.metric)
    for s, system in enumerate(["m0/s", "m1/s"]):
        for group in ("all", "Female", "Male", "not recorded"):
            value = {"not recorded": ""}.get(group, group)
            keep = (p.attributes["sex"] == value) | (group == "all")
            expected = peer_values(p.y[keep, 0].astype(int), p.prob[s][keep])
            for (metric, label), number in expected.items():
                found = view(
                    rows, metric=metric, label=label, group=group, system=system
                )
                alone = label and metric == "auroc"  # `audit` has it by group
                expected_rows = (group == "all") + (not alone)
                assert len(found) == expected_rows
                np.testing.assert_allclose(found.value, number, rtol=0, atol=1e-9)
                assert ((found.low < number) & (number < found.high)).all()
                assert (found.n == keep.sum()).all()


def test_a_weight_is_a_weight():
    p = world(systems=1)
    weight = np.random.default_rng(1).exponential(size=len(p.y))
    table = multiclass(p._replace(weight=weight), NAMES, replicates=20)
    y, called = p.y[:, 0].astype(int), p.prob[0].argmax(1)
    expected = peers.f1_score(y, called, average="macro", sample_weight=weight)
    assert view(table, metric="macro_f1").value.item() == pytest.approx(expected)


def test_the_whole_alone_has_one_row_a_number():
    table = multiclass(world(systems=1), NAMES, replicates=20)
    assert set(table.contrast) == {"group"} and set(table.attribute) == {""}
    assert len(table) == len(METRICS) + 3 * 4
    assert (table.status == "OK").all() and (table.patients == 300).all()
    sources = dict(zip(table.metric, table.threshold_source, strict=True))
    assert sources["macro_f1"] == sources["recall"] == "argmax"
    assert sources["macro_auroc"] == ""


def test_groups_are_contrasted_as_in_an_audit():
    table = multiclass(world(), NAMES, ("sex",), replicates=50)
    rows = view(table, attribute="sex", metric="macro_f1", system="m0/s")
    assert {"group", "band", "difference", "gap", "worst"} <= set(rows.contrast)


def test_a_class_absent_in_a_group_says_so():
    p = world()
    sick = (p.y[:, 0] == 0) & (p.attributes["sex"] == "Female")
    p = p._replace(mask=np.where(sick[:, None], 0.0, 1.0))
    rows = view(
        multiclass(p, NAMES, ("sex",), replicates=20),
        contrast="group", group="Female", system="m0/s",
    )  # fmt: skip
    lost = rows[rows.metric.str.startswith("macro") | (rows.label == "COVID")]
    assert (lost.status == NOT_ESTIMABLE).all() and lost.value.isna().all()
    assert set(lost.interval) == {"no row of class COVID"}
    kept = rows.drop(lost.index)
    assert (kept.status == "OK").all() and "accuracy" in set(kept.metric)


def test_a_class_too_rare_for_an_average_says_so():
    p = world(systems=1)
    few = np.flatnonzero(p.y[:, 0] == 0)[4:]
    mask = np.ones_like(p.y)
    mask[few] = 0
    table = multiclass(p._replace(mask=mask), NAMES, replicates=20)
    found = view(table, metric="macro_recall")
    assert found.interval.item() == "fewer than 10 rows of class COVID"
    mask[few[:9]] = 1  # rows enough, but of ever fewer patients
    one = p.patient.copy()
    one[p.y[:, 0] == 0] = 0
    table = multiclass(p._replace(mask=mask, patient=one), NAMES, replicates=20)
    for metric, least in (("macro_recall", 10), ("macro_auroc", 5)):
        said = view(table, metric=metric).interval.item()
        assert said == f"fewer than {least} effective patients of class COVID"


def test_a_class_never_predicted_has_no_precision():
    p = world(systems=1)
    prob = p.prob.copy()
    prob[..., 0] = 0
    table = multiclass(p._replace(prob=prob), NAMES, replicates=20)
    for metric, label in (("macro_precision", ""), ("precision", "COVID")):
        found = view(table, metric=metric, label=label)
        assert found.interval.item() == "class COVID is never predicted"
    called = prob[0].argmax(1)
    expected = peers.f1_score(p.y[:, 0], called, average="macro")
    assert view(table, metric="macro_f1").value.item() == pytest.approx(expected)


def test_a_perfect_system_is_not_perfectly_sure():
    p = world(systems=1)
    p = p._replace(prob=np.eye(3)[p.y[:, 0].astype(int)][None])
    table = multiclass(p, NAMES, replicates=20)
    assert (table.status == "OK").all() and (table.value == 1).all()
    assert (table.high == 1).all() and table.low.between(0.9, 0.999).all()


def test_a_system_that_always_says_one_class_has_its_numbers():
    p = world(systems=1)
    p = p._replace(prob=np.tile(np.eye(3)[1], (1, 600, 1)))
    table = multiclass(p, NAMES, replicates=20)
    found = view(table, metric="macro_recall").iloc[0]
    assert found.value == pytest.approx(1 / 3) and found.low < 0.3 < 0.4 < found.high
    found = view(table, metric="macro_auroc").iloc[0]
    assert found.value == 0.5 and found.status == "OK"


def test_scores_that_are_no_numbers_are_not_judged():
    p = world(systems=2)
    prob = p.prob.copy()
    prob[0, 7] = np.nan
    table = multiclass(p._replace(prob=prob), NAMES, replicates=20)
    assert (view(table, system="m0/s").status == NOT_ESTIMABLE).all()
    assert (view(table, system="m1/s").status == "OK").all()


def test_systems_are_compared_pairwise_with_the_best_on_validation():
    p = world(systems=3, seed=1)
    valid = world(systems=3, seed=2)
    valid = valid._replace(prob=valid.prob[[2, 1, 0]])  # m0 is the best there
    assert best(valid, NAMES) == "m0/s"
    table = multiclass(p._replace(valid=valid), NAMES, replicates=200)
    rows = view(table, contrast="difference", metric="accuracy")
    assert rows.system.tolist() == ["m1/s", "m2/s"]
    assert set(rows.reference) == {"method:m0,scheme:s"}
    value = view(table, contrast="group", metric="accuracy").value.to_numpy()
    np.testing.assert_allclose(rows.value, value[1:] - value[0])
    named = multiclass(p, NAMES, replicates=20, against="m2/s")
    rows = view(named, contrast="difference", metric="macro_f1")
    assert rows.system.tolist() == ["m0/s", "m1/s"]
    with pytest.raises(InputError, match="no such system; known: m0/s, m1/s, m2/s"):
        multiclass(p, NAMES, replicates=20, against="m9")


def test_a_pair_of_equal_systems_differs_by_nothing():
    p = world(systems=1)
    twice = p._replace(
        prob=np.concatenate([p.prob, p.prob]),
        runs=[*p.runs, {"seed": 0, "method": "other", "scheme": "s"}],
    )
    table = multiclass(twice, NAMES, replicates=50, against="m0/s")
    row = view(table, contrast="difference", metric="macro_auroc").iloc[0]
    assert row.value == row.low == row.high == 0


def test_seeds_of_a_system_are_averaged():
    p = world(systems=2)
    runs = [{"seed": s, "method": "m", "scheme": "s"} for s in range(2)]
    joined = multiclass(p._replace(runs=runs), NAMES, replicates=50)
    apart = view(multiclass(p, NAMES, replicates=50), metric="macro_f1")
    found = view(joined, metric="macro_f1")
    assert found.value.item() == pytest.approx(apart.value.mean())
    assert found.interval.item() == "bootstrap(patient+seed)"


def test_confusion_counts_rows_of_truth_and_call():
    p = world()
    rows = p.attributes["sex"] == "Male"
    found = confusion(p, NAMES, rows)
    for s in range(2):
        theirs = peers.confusion_matrix(p.y[rows, 0], p.prob[s].argmax(1)[rows])
        np.testing.assert_array_equal(found[s], theirs)
    unknown = p._replace(y=np.where(rows[:, None], np.nan, p.y))
    assert confusion(unknown, NAMES).sum() == 2 * (~rows).sum()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prob": np.ones((1, 4, 2))}, r"expected \[S, N, 3\] for COVID"),
        ({"y": np.full((4, 1), 3.0)}, "expected a class 0..2"),
        ({"y": np.full((4, 1), np.nan)}, "expected a class 0..2"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    p = world(n=4, systems=1)
    with pytest.raises(InputError, match=said):
        multiclass(p._replace(**change), NAMES)


def test_the_same_rows_give_the_same_table():
    one, two = (multiclass(world(), NAMES, ("sex",), replicates=50) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_intervals_cover_the_truth():
    """200 worlds of 100 patients with 2 images each, 95 % intervals."""
    truth = peer_values(*_huge())
    inside = {"accuracy": 0, "macro_f1": 0, "macro_auroc": 0}
    worlds = 200
    for seed in range(worlds):
        p = world(n=200, systems=1, seed=seed)
        table = multiclass(p, NAMES, replicates=100)
        for metric in inside:
            row = view(table, metric=metric, label="").iloc[0]
            inside[metric] += row.low <= truth[metric, ""] <= row.high
    for metric, count in inside.items():  # 91 % is 2.6 standard errors below 95 %
        assert count >= 0.91 * worlds, (metric, count)


def _huge():
    p = world(n=200_000, systems=1, seed=12345)
    return p.y[:, 0].astype(int), p.prob[0]
