import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from equity_jax.audit import (
    COLUMNS,
    NOT_ESTIMABLE,
    OK,
    SUPPRESSED,
    against,
    audit,
    view,
)
from equity_jax.audit.resampling import parts, replicates
from equity_jax.audit.statistics import inference
from equity_jax.types import InputError, Predictions, Ratio

GROUPS = ["White", "Black", "Native"]


def predictions(seeds=2, schemes=("mixture", "transfer"), n=600, blocks=40, seed=0):
    rng = np.random.default_rng(seed)
    runs = [
        {"seed": s, "method": m, "scheme": c}
        for s in range(seeds)
        for m in ("erm", "focal(2.0)")
        for c in schemes
    ]
    race = rng.choice([*GROUPS, ""], n, p=[0.6, 0.25, 0.1, 0.05]).astype(object)
    y = (rng.random((n, 1)) < 0.4).astype(float)
    noise = np.where(race == "Native", 3.0, 1.0)[None] * rng.normal(size=(len(runs), n))
    prob = np.round(1 / (1 + np.exp(-(2 * y[None, :, 0] - 1 + noise))), 2)
    den = rng.integers(10, 200, n) * np.ones((len(runs), 1))
    ratios = {
        "deviance": Ratio(rng.exponential(size=den.shape), np.ones(den.shape)),
        "observed_expected": Ratio(den * rng.uniform(0.8, 1.3, den.shape), den),
    }
    return Predictions(
        prob[:, :, None],
        y,
        np.ones((n, 1)),
        {"race": race},
        np.arange(n).astype(str),
        rng.integers(0, blocks, n),
        runs,
        ratios,
    )


def report(p=None, **options):
    defaults = dict(
        attributes="race",
        reference="White",
        extras=False,
        metrics=("auroc", "brier"),
        replicates=200,
    )
    return audit(predictions() if p is None else p, **(defaults | options))


@pytest.fixture(scope="module")
def whole():
    compare = against(scheme="mixture") + against(method="erm")
    return report(compare=compare, target="y", part="test")


def test_columns_and_contrasts(whole):
    t = whole.table
    assert tuple(t.columns) == COLUMNS
    assert set(t.contrast) - {"pair"} == {
        "group",
        "band",
        "difference",
        "ratio",
        "gap",
        "worst",
    }
    assert set(t.metric) == {"auroc", "brier", "deviance", "observed_expected"}
    first = whole.by_group(metric="auroc", system="erm/mixture")
    assert first.group.tolist() == ["all", "White", "Black", "Native", "not recorded"]
    assert (t.status == OK).all() and t.interval.str.startswith(
        "bootstrap(patient+seed)"
    ).all()
    assert ((t.low <= t.value) & (t.value <= t.high)).all()
    assert not t.duplicated(
        ["system", "label", "group", "reference", "contrast", "metric"]
    ).any()


def test_values_are_means_over_seeds_of_the_metric_of_the_group(whole):
    p = predictions()
    race, y = p.attributes["race"], p.y[:, 0]
    for group in ("all", *GROUPS):
        keep = np.ones(len(y), bool) if group == "all" else race == group
        mine = [i for i, r in enumerate(p.runs) if r["scheme"] == "transfer"]
        mine = [i for i in mine if p.runs[i]["method"] == "erm"]
        where = dict(method="erm", scheme="transfer", group=group)
        row = whole.by_group(metric="auroc", **where).iloc[0]
        expected = np.mean([roc_auc_score(y[keep], p.prob[i, keep, 0]) for i in mine])
        assert row.value == pytest.approx(expected, abs=1e-9)
        assert row.n == keep.sum() and row.patients == len(set(p.patient[keep]))
        assert row.positives == y[keep].sum() and row.positives + row.negatives == row.n
        ratio = p.ratios["observed_expected"]
        row = whole.by_group(metric="observed_expected", **where).iloc[0]
        expected = [ratio.num[i, keep].sum() / ratio.den[i, keep].sum() for i in mine]
        assert row.value == pytest.approx(np.mean(expected), abs=1e-9)
        assert pd.isna(row.positives)


def value(whole, **where):
    rows = view(whole.table, **where)
    assert len(rows) == 1, where
    return rows.iloc[0]


def test_contrasts_follow_from_the_groups(whole):
    where = dict(system="erm/mixture", metric="auroc")
    by = whole.by_group(**where).set_index("group").value
    difference = value(
        whole, contrast="difference", group="Black", reference="White", **where
    )
    assert difference.value == pytest.approx(by["Black"] - by["White"])
    ratio = value(whole, contrast="ratio", group="Black", **where)
    assert ratio.value == pytest.approx(by["Black"] / by["White"])
    gap, worst = whole.gaps(**where).iloc[0], whole.worst(**where).iloc[0]
    assert gap.value == pytest.approx(by[GROUPS].max() - by[GROUPS].min())
    assert gap.group == worst.group == by[GROUPS].idxmin() == "Native"
    assert gap.reference == by[GROUPS].idxmax() and worst.value == by["Native"]
    alone = value(whole, contrast="group", group="Native", **where)
    assert worst.high - worst.low > alone.high - alone.low  # it was picked


def test_worst_reads_the_direction_of_the_metric(whole):
    where = dict(system="erm/mixture", contrast="group")
    for metric, worst in (("deviance", "idxmax"), ("brier", "idxmax")):
        by = view(whole.table, metric=metric, **where).set_index("group").value[GROUPS]
        assert (
            whole.worst(metric=metric, system="erm/mixture").group[0]
            == getattr(by, worst)()
        )
    by = view(whole.table, metric="observed_expected", **where).set_index("group").value
    far = np.abs(np.log(by[GROUPS])).idxmax()
    assert whole.worst(metric="observed_expected", system="erm/mixture").group[0] == far


def test_paired_comparisons(whole):
    where = dict(contrast="difference", reference="scheme:mixture", metric="brier")
    rows = view(whole.table, **where)
    assert set(rows.system) == {"erm/transfer", "focal(2.0)/transfer"}
    row = value(whole, group="Native", system="erm/transfer", **where)
    both = [
        value(
            whole, contrast="group", group="Native", metric="brier", system=f"erm/{s}"
        )
        for s in ("transfer", "mixture")
    ]
    assert row.value == pytest.approx(both[0].value - both[1].value)
    methods = view(whole.table, reference="method:erm", contrast="difference")
    assert set(methods.method) == {"focal(2.0)"}


def test_the_same_system_twice_differs_by_exactly_nothing():
    p = predictions()
    prob = p.prob.copy()
    pair = [
        [i for i, r in enumerate(p.runs) if r["scheme"] == s]
        for s in ("mixture", "transfer")
    ]
    prob[pair[1]] = prob[pair[0]]
    t = report(
        p._replace(prob=prob, ratios={}), compare=against(scheme="mixture")
    ).table
    rows = t[t.reference == "scheme:mixture"]
    assert len(rows) and (rows[["value", "low", "high"]] == 0).all(axis=None)


def test_one_seed_resamples_blocks_only():
    t = report(predictions(seeds=1)).table
    kinds = {"bootstrap(patient)", "DeLong, clustered"}
    assert set(t.interval) == kinds | {f"{kind}, simultaneous" for kind in kinds}
    assert (t.seed == 0).all() and set(t.run) == {0, 1, 2, 3}


def test_these_very_models_need_no_seeds():
    wide, narrow = report(), report(resample_seeds=False)
    assert set(narrow.by_group().interval) == {"bootstrap(patient)"}
    width = [(r.by_group().high - r.by_group().low).mean() for r in (wide, narrow)]
    assert width[0] > width[1]
    assert wide.by_group().value.equals(narrow.by_group().value)


def test_small_groups_and_one_class_stay_in_the_table_as_not_estimable():
    p = predictions()
    race = p.attributes["race"].copy()
    few = np.flatnonzero(race == "Native")[9:]
    race[few] = "White"
    y = p.y.copy()
    y[race == "Black"] = 1.0
    found = report(p._replace(attributes={"race": race}, y=y))
    lost = found.not_estimable
    assert set(lost.status) == {NOT_ESTIMABLE, SUPPRESSED}
    assert lost[["value", "low", "high"]].isna().all(axis=None)
    assert (lost.interval != "").all()  # the reason
    native = view(lost, group="Native", contrast="group")
    assert set(native.metric) == {"auroc", "brier", "deviance", "observed_expected"}
    assert (native.status == SUPPRESSED).all()
    assert native[["n", "patients", "positives", "negatives"]].isna().all(axis=None)
    black = view(lost, group="Black", contrast="group")
    assert set(black.metric) == {"auroc", "brier"} and (black.negatives == 0).all()
    # Only White is left for both: no gap, no worst, and the rows still stand.
    for contrast in ("gap", "worst"):
        rows = view(found.table, contrast=contrast, metric="auroc")
        assert (rows.status == NOT_ESTIMABLE).all() and (rows.group == "").all()
        rows = view(found.table, contrast=contrast, metric="deviance")
        assert (rows.status == OK).all() and "Native" not in set(rows.group)


def test_few_blocks_and_broken_scores_are_not_estimable():
    p = predictions()
    patient = p.patient.copy()
    patient[p.attributes["race"] == "Native"] %= 3
    lost = report(p._replace(patient=patient)).not_estimable
    assert "Native" in set(lost.group) and "White" not in set(lost.group)
    prob = p.prob.copy()
    prob[0, 5] = np.nan  # one row of one seed of erm/mixture
    lost = report(p._replace(prob=prob, ratios={})).not_estimable
    assert set(lost.system) == {"erm/mixture"} and "all" in set(lost.group)


def test_masked_rows_do_not_count():
    p = predictions()
    mask = p.mask.copy()
    mask[:100] = 0
    y = np.where(mask > 0, p.y, np.nan)
    prob = np.where(mask[None] > 0, p.prob, np.nan)
    found = report(p._replace(mask=mask, y=y, prob=prob))
    kept = Predictions(
        p.prob[:, 100:], p.y[100:], p.mask[100:],
        {"race": p.attributes["race"][100:]}, p.id[100:], p.patient[100:], p.runs,
        {k: Ratio(r.num[:, 100:], r.den[:, 100:]) for k, r in p.ratios.items()},
    )  # fmt: skip
    expected = report(kept)
    pd.testing.assert_frame_equal(found.table, expected.table)


def test_both_ways_to_auroc_agree(monkeypatch):
    p = predictions()._replace(ratios={})
    pairs = report(p, metrics=("auroc",)).table
    monkeypatch.setattr(parts, "FEW", 0)
    monkeypatch.setattr(replicates, "CHUNK", 2**10)  # several chunks, in threads
    rows = report(p, metrics=("auroc",)).table
    pd.testing.assert_frame_equal(pairs, rows, rtol=1e-9)


def test_replicates_are_those_of_a_loop():
    p = predictions(seeds=1)._replace(ratios={})
    rows = np.flatnonzero(p.attributes["race"] == "Black")
    drawn = replicates.resampled(int(p.patient.max()) + 1, 200, 0, "bootstrap")
    w = np.concatenate([drawn.drawn(i) for i in range(0, 200, drawn.step)])
    w = w[:, p.patient[rows]]
    score, y = p.prob[0, rows, 0], p.y[rows, 0]
    draws = [average_precision_score(y, score, sample_weight=v) for v in w]
    sick, well = (np.bincount(p.patient[rows], x) for x in (y, 1 - y))
    effective = min(inference.effective_number(x) for x in (sick, well))
    one = inference.Estimate(
        np.array(average_precision_score(y, score)),
        np.array([np.nan]),
        np.array(draws),
        np.array(effective),
        np.array(True),
        kind="logit",
    )
    low, high = inference.interval(one)
    where = dict(contrast="group", group="Black", system="erm/mixture")
    row = value(report(p, metrics=("auprc",)), metric="auprc", **where)
    assert (row.low, row.high) == pytest.approx((float(low), float(high)), rel=1e-5)


def test_many_labels_and_many_classes():
    p = predictions()._replace(ratios={})
    n = len(p.y)
    labels = np.concatenate([p.y, 1 - p.y], axis=1)
    prob = np.concatenate([p.prob, 1 - p.prob], axis=2)
    many = p._replace(prob=prob, y=labels, mask=np.ones((n, 2)))
    t = report(many, labels=("edema", "none")).by_group(
        metric="auroc", system="erm/mixture"
    )
    assert set(t.label) == {"edema", "none"}
    np.testing.assert_allclose(t[t.label == "edema"].value, t[t.label == "none"].value)
    three = np.concatenate([p.prob / 2, p.prob / 2, 1 - p.prob], axis=2)
    classes = p._replace(prob=three, y=p.y + (np.arange(n)[:, None] % 2))
    assert set(report(classes).table.label) == {"class 0", "class 1", "class 2"}


def test_save_is_deterministic_and_reads_back(whole, tmp_path):
    whole.save(tmp_path / "a.csv")
    compare = against(scheme="mixture") + against(method="erm")
    report(compare=compare, target="y", part="test").save(tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    back = pd.read_csv(tmp_path / "a.csv")
    np.testing.assert_allclose(back.value, whole.table.value, rtol=1e-8)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["a.csv", "b.csv"]
    other = report(seed=1)
    assert not np.allclose(other.by_group().low, report().by_group().low)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(attributes="sex"), "unknown attribute 'sex'; the rows have: race"),
        (dict(reference="Asian"), "no row has race 'Asian'"),
        (dict(metrics=("f2",)), "unknown metric 'f2'; known: auroc, auprc, accuracy"),
        (dict(compare=against(scheme="mixtur")), "no system has scheme 'mixtur'"),
        (dict(compare=against(depth="3")), "no system has depth '3'"),
        (dict(replicates=1), "replicates=1"),
    ],
)
def test_bad_options_are_said_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as error:
        report(**change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: dict(patient=p.patient[1:]), "patient has shape"),
        (lambda p: dict(runs=p.runs[1:]), "runs has shape"),
        (lambda p: dict(runs=[p.runs[0]] * len(p.runs)), "system 1 repeats"),
        (lambda p: dict(runs=[{"seed": 0}] * len(p.runs)), "lacks method, scheme"),
        (lambda p: dict(y=p.y + 1), "expected 0 or 1"),
        (lambda p: dict(ratios={"beauty": p.ratios["deviance"]}), "unknown metric"),
        (lambda p: dict(attributes={"race": ["all", "White"] * 300}), "rename it"),
    ],
)
def test_bad_predictions_are_said_in_one_line(change, message):
    p = predictions()
    with pytest.raises(InputError, match=message):
        report(p._replace(**change(p)))


def test_seeds_must_match_to_be_paired():
    p = predictions()
    runs = [dict(r) for r in p.runs]
    for r in runs:
        if r["scheme"] == "transfer":
            r["seed"] += 10
    with pytest.raises(InputError, match="different seeds"):
        report(p._replace(runs=runs), compare=against(scheme="mixture"))


def test_one_group_has_no_contrasts():
    p = predictions()
    t = report(p._replace(attributes={"race": np.full(len(p.y), "White")})).table
    assert set(t[t.status == OK].contrast) == {"group"}


def test_importing_the_audit_is_light():
    code = (
        "import sys, equity_jax.audit; "
        "print({'matplotlib', 'jinja2', 'tqdm'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
