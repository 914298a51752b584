"""posthoc.py: temperatures, priors, thresholds and equalized odds of a finished run."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax
from sklearn.base import BaseEstimator
from toy import toy

from equity_jax import calibration, last_layers
from equity_jax.posthoc import POSTHOC, Learned, processed
from equity_jax.types import TEST, VALID, InputError

GROUPED = ("group_temperature", "logit_adjustment(by='group')", "group_thresholds")
GROUPED += ("prior_correction(by='group')", "equalized_odds")


def learned(n=900, classes=2, groups=3, seed=0):
    """Logits 1.8 times too sure, of three groups and of nobody's (-1)."""
    rng = np.random.default_rng(seed)
    group = rng.choice(groups + 1, n) - 1
    z = 1.5 * rng.normal(size=(n, classes)) + 0.3 * group[:, None] * np.eye(classes)[0]
    y = (rng.random(n)[:, None] > softmax(z, 1).cumsum(1)).sum(1)
    if classes == 2:
        z = np.stack([0 * z[:, 0], z[:, 1] - z[:, 0]], 1)
    counts = rng.integers(5, 90, (classes, groups + 1)).astype(float)
    return Learned(1.8 * z, y, group, counts)


def put(dataset, seed=0):
    """float32[n, 1]: a made-up run's probabilities, too sure in the second group."""
    rows = last_layers.held(dataset)
    told = 2 * np.nan_to_num(dataset.y[rows, 0]) - 1 + dataset.x[rows, 0]
    z = 0.5 * told + np.random.default_rng(seed).normal(size=len(rows))
    return expit(z * np.array([1, 4, 1, 1])[dataset.group[rows]])[:, None]


def test_one_temperature_is_the_most_likely():
    known = learned(classes=3)
    made = POSTHOC.get("temperature").fit(known)(known.logits, known.group)

    def loss(t):
        return -log_softmax(known.logits / t, 1)[range(len(known.y)), known.y].sum()

    best = minimize_scalar(loss, bounds=(0.1, 9), method="bounded")
    np.testing.assert_allclose(made, softmax(known.logits / best.x, 1), atol=1e-5)
    assert 1.4 < best.x < 2.3


def test_groups_have_temperatures_of_their_own():
    known = learned()
    made = POSTHOC.get("group_temperature").fit(known)(known.logits, known.group)
    scale = calibration.by_group(*known[:3], 3).scale
    for g in (-1, 0, 1, 2):
        mine = known.group == g
        expected = softmax(known.logits[mine] * scale[g], 1)
        np.testing.assert_allclose(made[mine], expected, rtol=1e-12)
    whole = POSTHOC.get("temperature").fit(known)(known.logits, known.group)
    np.testing.assert_allclose(made[known.group < 0], whole[known.group < 0], rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("by", ["class", "group"])
def test_logit_adjustment_is_z_minus_tau_log_pi(by, classes):
    known = learned(classes=classes)
    known.counts[1, 0] = 0  # a class that a group lacks: half a row
    known.counts[:, 2] = 0  # a group without training rows: the shares of all
    z, expected = known.logits, np.zeros_like(known.logits)
    for i, g in enumerate(known.group):
        table = known.counts.sum(1)
        if by == "group" and g in (0, 1):
            table = np.maximum(known.counts[:, g], 0.5)
        pi = table / table.sum()
        expected[i] = softmax(z[i] - 0.7 * np.log(pi))
    made = POSTHOC.get(f"logit_adjustment(0.7, by={by!r})").fit(known)(z, known.group)
    np.testing.assert_allclose(made, expected, rtol=1e-10)
    there = POSTHOC.get(f"prior_correction(0.7, by={by!r})").fit(known)
    np.testing.assert_allclose(
        there(np.log(made), known.group), softmax(z, 1), rtol=1e-9
    )


def test_the_prior_undoes_the_weighted_loss():
    """methods.md 1: w_pos = f_neg moves the optimum by log(f_neg / f_pos)."""
    pos, neg = 30.0, 170.0  # of training; at one x a share of 0.4 has y = 1
    true, f = 0.4, pos / (pos + neg)

    def risk(z):
        pull = -(1 - f) * true * np.log(expit(z))
        return pull - f * (1 - true) * np.log(expit(-z))

    fine = {"bounds": (-9, 9), "method": "bounded", "options": {"xatol": 1e-9}}
    z = minimize_scalar(risk, **fine).x
    counts = np.array([[neg, 0], [pos, 0]])
    known = Learned(np.zeros((2, 2)), np.array([0, 1]), np.array([0, 0]), counts)
    fixed = POSTHOC.get("prior_correction").fit(known)
    made = fixed(np.array([[0, z]]), np.array([-1]))
    assert made[0, 1] == pytest.approx(true, abs=1e-6)


def test_thresholds_of_groups_reach_their_target():
    known = learned(n=3000)
    rule = POSTHOC.get("group_thresholds('sens@0.8')")
    made = rule.fit(known)(known.logits, known.group)[:, 1]
    for g in (0, 1, 2):
        mine = (known.group == g) & (known.y == 1)
        assert 0.8 <= np.mean(made[mine] >= 0.5) < 0.8 + 2 / mine.sum()
        order = np.argsort(known.logits[mine, 1], kind="stable")
        assert (np.diff(made[mine][order]) >= 0).all()  # the group's order stays
    cut = POSTHOC.get("group_thresholds('0.27')").fit(known)
    same = cut(known.logits, known.group)[:, 1]
    expected = expit(known.logits[:, 1] - logit(0.27))
    np.testing.assert_allclose(same, expected, rtol=1e-9)


class Passed(BaseEstimator):
    """An estimator whose prediction is its one feature."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0]


def test_equalized_odds_equal_fairlearn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        from fairlearn.postprocessing import ThresholdOptimizer
    known, rng = learned(), np.random.default_rng(9)
    known = known._replace(group=rng.integers(0, 3, len(known.y)))
    z = known.logits[:, 1:]
    peer = ThresholdOptimizer(
        estimator=Passed(),
        constraints="equalized_odds",
        objective="balanced_accuracy_score",
        predict_method="predict",
    ).fit(z, known.y, sensitive_features=known.group)
    post = POSTHOC.get("equalized_odds")
    made = post.fit(known)(known.logits, known.group)
    theirs = peer._pmf_predict(z, sensitive_features=known.group)
    np.testing.assert_allclose(made, theirs, atol=1e-9)
    assert post.decides and post.uses == "test"


@pytest.mark.parametrize("name", sorted(POSTHOC))
def test_a_run_is_processed_from_its_validation_rows_alone(name):
    dataset = toy(n=1200)
    prob, post = put(dataset), POSTHOC.get(name)
    rows = last_layers.held(dataset)
    made = processed(post, prob, dataset)
    assert made.shape == prob.shape and made.dtype == np.float32
    assert ((made >= 0) & (made <= 1)).all()
    test = dataset.split == TEST
    turned = dataset._replace(y=np.where(test[:, None], 1 - dataset.y, dataset.y))
    np.testing.assert_array_equal(processed(post, prob, turned), made)
    # the attribute of new rows is looked at where the rule says so, and only there
    race = dataset.attributes["race"].copy()
    race[test] = np.roll(race[test], 1)
    other = processed(post, prob, dataset._replace(attributes={"race": race}))
    assert (
        other[dataset.split[rows] == VALID] == made[dataset.split[rows] == VALID]
    ).all()
    assert (other == made).all() == (post.uses == "none")


def test_several_labels_one_by_one_and_one_of_several_classes():
    dataset = toy(n=1200)
    y = np.concatenate([dataset.y, 1 - dataset.y, np.ones_like(dataset.y)], 1)
    many = dataset._replace(
        spec=dataset.spec._replace(task="multilabel(3)"), y=y, mask=np.ones_like(y)
    )
    prob = put(dataset)
    post = POSTHOC.get("group_temperature")
    made = processed(post, np.concatenate([prob, 1 - prob, prob], 1), many)
    np.testing.assert_allclose(made[:, :1], processed(post, prob, dataset), rtol=1e-6)
    np.testing.assert_allclose(made[:, 1], 1 - made[:, 0], atol=1e-5)
    assert np.isnan(made[:, 2]).all()  # nobody is without it
    third = np.where(np.arange(1200)[:, None] % 5 == 0, 2, dataset.y).astype(int)
    three = dataset._replace(spec=dataset.spec._replace(task="multiclass(3)"), y=third)
    prob = np.concatenate([0.8 * (1 - prob), 0.8 * prob, 0.2 + 0 * prob], 1)
    for name in ("temperature", "logit_adjustment(by='group')"):
        made = processed(POSTHOC.get(name), prob, three)
        np.testing.assert_allclose(made.sum(1), 1, rtol=1e-5)
    for name in ("group_thresholds", "equalized_odds"):
        with pytest.raises(InputError, match=f"{name} needs labels of two classes"):
            processed(POSTHOC.get(name), prob, three)


def test_what_cannot_be_done_is_refused():
    dataset = toy()
    alone = dataset._replace(spec=dataset.spec._replace(groups=("a",)))
    for name in GROUPED:
        with pytest.raises(InputError, match="needs two groups or more; found 1"):
            processed(POSTHOC.get(name), put(dataset), alone)
    counted = dataset._replace(spec=dataset.spec._replace(task="count(0.1)"))
    with pytest.raises(InputError, match="need classes"):
        processed(POSTHOC.get("temperature"), put(dataset), counted)
    for bad in ("logit_adjustment(by='race')", "group_thresholds('best')"):
        with pytest.raises(InputError, match=r"'race'|'best'"):
            POSTHOC.get(bad)
    with pytest.raises(InputError, match="unknown objective 'f1'"):
        processed(POSTHOC.get("equalized_odds('f1')"), put(dataset), dataset)
