"""Every value against scikit-learn and fairlearn; every replicate against a loop."""

import fairlearn.metrics as fair
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn import metrics as peers

from equity_jax.audit import audit
from equity_jax.audit.resampling.moments import BINS, equal_mass, equal_width, logits


def ece(bins):
    def of(y, s, w):
        code = bins(np.asarray(s), None)
        gaps = [np.sum((w * (y - s))[code == b]) for b in range(BINS)]
        return np.abs(gaps).sum() / w.sum()

    return of


def calibration(y, s, w, slope):
    x = logits(np.asarray(s))
    design = sm.add_constant(x) if slope else np.ones((len(x), 1))
    model = sm.GLM(
        y,
        design,
        sm.families.Binomial(),
        freq_weights=w,
        offset=None if slope else x,
    )
    return model.fit(tol=1e-14, maxiter=200).params[-1]


def cut(metric, **named):
    return lambda y, s, w: metric(y, s >= 0.4, sample_weight=w, **named)


def net_benefit(y, s, w):
    called = s >= 0.2
    return (w * called * (y - (1 - y) * 0.2 / 0.8)).sum() / w.sum()


PEERS = {
    "auroc": lambda y, s, w: peers.roc_auc_score(y, s, sample_weight=w),
    "auprc": lambda y, s, w: peers.average_precision_score(y, s, sample_weight=w),
    "accuracy": cut(peers.accuracy_score),
    "balanced_accuracy": cut(peers.balanced_accuracy_score),
    "precision": cut(peers.precision_score),
    "recall": cut(peers.recall_score),
    "specificity": cut(peers.recall_score, pos_label=0),
    "fpr": cut(fair.false_positive_rate),
    "fnr": cut(fair.false_negative_rate),
    "npv": cut(peers.precision_score, pos_label=0),
    "f1": cut(peers.f1_score),
    "selection_rate": cut(fair.selection_rate),
    "prevalence": lambda y, s, w: np.average(y, weights=w),
    "brier": lambda y, s, w: peers.brier_score_loss(y, s, sample_weight=w),
    "log_loss": lambda y, s, w: peers.log_loss(y, s, sample_weight=w),
    "ece_width": ece(equal_width),
    "ece_mass": ece(equal_mass),
    "calibration_slope": lambda y, s, w: calibration(y, s, w, slope=True),
    "calibration_intercept": lambda y, s, w: calibration(y, s, w, slope=False),
    "net_benefit@0.2": net_benefit,
}


def rows(n=900, weighted=False, ties=True, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    score = 1 / (1 + np.exp(-rng.normal(y - 0.5, 1)))
    score = np.round(score, 2).clip(0.01, 0.99) if ties else score
    race = rng.choice(["A", "B", "C", ""], n, p=[0.5, 0.3, 0.15, 0.05])
    weight = rng.exponential(size=n) if weighted else np.ones(n)
    return pd.DataFrame({"y": y, "p": score, "race": race, "w": weight})


def audited(frame, **options):
    options = {"replicates": 20, "extras": False, "metrics": tuple(PEERS)} | options
    return audit(frame, label="y", score="p", attributes="race", **options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_every_value_equals_a_public_package(weighted, ties):
    frame = rows(weighted=weighted, ties=ties)
    report = audited(frame, threshold="0.4", weight="w" if weighted else "")
    groups = report.by_group()
    for name, peer in PEERS.items():
        for group in ("all", "A", "B", "C", "not recorded"):
            keep = frame.race == {"not recorded": ""}.get(group, group)
            part = frame[keep | (group == "all")]
            found = groups[(groups.metric == name) & (groups.group == group)]
            expected = peer(part.y.to_numpy(), part.p.to_numpy(), part.w.to_numpy())
            assert len(found) == 1
            if weighted and name.startswith("ece"):
                assert "bias is not known" in found.interval.item()
                continue
            assert found.value.item() == pytest.approx(expected, abs=1e-9), (
                name,
                group,
            )


def test_equal_width_bins_are_open_below_and_closed_above():
    edges = np.array([0.0, 1 / 15, 1 / 15 + 1e-12, 14 / 15, 1.0])
    assert equal_width(edges, None).tolist() == [0, 0, 1, 13, 14]


def test_values_equal_metric_frame():
    frame = rows(seed=3)
    frame = frame[frame.race != ""].reset_index(drop=True)
    names = {
        "accuracy": peers.accuracy_score,
        "recall": peers.recall_score,
        "fpr": fair.false_positive_rate,
        "selection_rate": fair.selection_rate,
    }
    theirs = fair.MetricFrame(
        metrics=names,
        y_true=frame.y,
        y_pred=frame.p >= 0.5,
        sensitive_features=frame.race,
    )
    report = audited(frame, extras=True, metrics=tuple(names))
    for name in names:
        by = report.by_group(metric=name).set_index("group").value
        for group in "ABC":
            assert by[group] == pytest.approx(theirs.by_group[name][group], abs=1e-9)
        gap = report.gaps(metric=name).value.item()
        assert gap == pytest.approx(theirs.difference()[name], abs=1e-9)
    told = report.table[report.table.contrast == "summary"].set_index("metric").value
    args = dict(y_true=frame.y, y_pred=frame.p >= 0.5, sensitive_features=frame.race)
    for name in (
        "demographic_parity_difference",
        "demographic_parity_ratio",
        "equalized_odds_difference",
        "equalized_odds_ratio",
        "equal_opportunity_difference",
    ):
        assert told[name] == pytest.approx(getattr(fair, name)(**args), abs=1e-9), name


def test_a_column_of_ones_changes_nothing():
    frame = rows(seed=4)
    plain, weighed = audited(frame), audited(frame, weight="w")
    a, b = (r.by_group(metric="auprc") for r in (plain, weighed))
    np.testing.assert_allclose(a[["value", "low"]], b[["value", "low"]], rtol=1e-5)


def test_integer_weights_are_repeated_rows():
    frame = rows(seed=5)
    frame["w"] = np.random.default_rng(0).integers(1, 4, len(frame))
    again = frame.loc[frame.index.repeat(frame.w)]
    a, b = audited(frame, weight="w"), audited(again)
    same = [n for n in PEERS if not n.startswith("ece")]
    for name in same:
        x, y = (r.by_group(metric=name).value for r in (a, b))
        np.testing.assert_allclose(x, y, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", [n for n in PEERS if n[:3] != "cal"])
def test_replicates_are_those_of_a_loop(name):
    from equity_jax.audit.resampling.estimates import answer
    from equity_jax.audit.resampling.measures import Cut, Scored
    from equity_jax.audit.resampling.replicates import resampled
    from equity_jax.audit.subjects import Subjects

    frame = rows(n=240, seed=6)
    block = np.arange(240) // 3
    subjects = Subjects(block, 80, (np.arange(240),), ())
    where = np.full((1, 1), 0.2 if "@" in name else 0.4)
    ranked = (name,) if name in ("auroc", "auprc") else ()
    sums = (name,) if name in ("brier", "log_loss", "ece_width", "ece_mass") else ()
    cuts = () if ranked or sums else (Cut("", (name,), where),)
    y, s = frame.y.to_numpy(), frame.p.to_numpy()
    question = Scored("", s[None], y, np.ones(240, bool), ranked, sums, cuts)
    drawn = resampled(80, 30, 0, "bootstrap")
    ours = answer(question, subjects, drawn)[0].draws[0, 0]
    for r, weights in enumerate(drawn.drawn(0)):
        w = weights[block].astype(float)
        keep = w > 0
        bins = {"ece_width": equal_width, "ece_mass": equal_mass}.get(name)
        if bins is None:
            expected = PEERS[name](y[keep], s[keep], w[keep])
        else:  # the bins are those of all rows
            code = bins(s, None)
            gaps = [np.sum((w * (y - s))[code == b]) for b in range(BINS)]
            expected = np.abs(gaps).sum() / w.sum()
        assert ours[r] == pytest.approx(expected, abs=2e-6)


def test_a_step_of_newton_is_close_to_the_refitted_slope():
    from equity_jax.audit.resampling.moments import intercept, slope

    frame = rows(n=2000, seed=7)
    y, s, w = frame.y.to_numpy(), frame.p.to_numpy(), frame.w.to_numpy()
    rng = np.random.default_rng(0)
    for make, is_slope in ((slope, True), (intercept, False)):
        moment = make(s, y, w)
        steps, fits = [], []
        for _ in range(20):
            drawn = np.bincount(rng.integers(0, 2000, 2000), minlength=2000)
            steps.append(float(moment.value(drawn @ moment.columns)))
            fits.append(calibration(y, s, drawn, is_slope))
        assert np.abs(np.subtract(steps, fits)).max() < 0.2 * np.std(fits)


def test_separated_labels_have_no_slope():
    y = np.repeat([0, 1], 50)
    frame = pd.DataFrame({"y": y, "p": 0.3 + 0.4 * y, "race": "A"})
    frame["p"] += np.linspace(0, 0.01, 100)
    told = audited(frame, metrics=("calibration_slope", "auroc")).by_group()
    told = told[told.group == "A"].set_index("metric")
    assert told.status["calibration_slope"] == "NOT_ESTIMABLE"
    assert told.value["auroc"] == 1.0
