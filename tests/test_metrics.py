import numpy as np
import pytest
from sklearn import metrics as peers

from equity_jax import metrics
from equity_jax.types import InputError

PEERS = {
    "accuracy": peers.accuracy_score,
    "balanced_accuracy": peers.balanced_accuracy_score,
    "precision": peers.precision_score,
    "recall": peers.recall_score,
    "specificity": lambda y, d: peers.recall_score(y, d, pos_label=0),
    "fpr": lambda y, d: 1 - peers.recall_score(y, d, pos_label=0),
    "fnr": lambda y, d: 1 - peers.recall_score(y, d),
    "npv": lambda y, d: peers.precision_score(y, d, pos_label=0),
    "f1": peers.f1_score,
    "selection_rate": lambda y, d: d.mean(),
    "prevalence": lambda y, d: y.mean(),
}


@pytest.mark.parametrize("name", metrics.CONFUSION)
def test_formulas_equal_scikit_learn(name):
    rng = np.random.default_rng(0)
    y, d = rng.integers(0, 2, 50), rng.integers(0, 2, 50)
    tn, fp, fn, tp = peers.confusion_matrix(y, d).ravel().astype(float)
    ours = metrics.CONFUSION[name](metrics.Confusion(tp, fp, fn, tn))
    assert ours == pytest.approx(PEERS[name](y, d), abs=1e-12)


def test_one_formula_serves_any_shape():
    counts = metrics.Confusion(*np.arange(1, 25.0).reshape(4, 3, 2))
    assert counts.n.shape == (3, 2)
    for name, formula in metrics.CONFUSION.items():
        assert formula(counts).shape == (3, 2), name


def test_row_terms_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    p, y = rng.random(200), rng.integers(0, 2, 200)
    assert metrics.ROWS["brier"](p, y).mean() == pytest.approx(
        peers.brier_score_loss(y, p)
    )
    assert metrics.ROWS["log_loss"](p, y).mean() == pytest.approx(peers.log_loss(y, p))
    sure = metrics.surprisal(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    assert np.isfinite(sure).all() and (sure > 30).all()


def test_sigmoid_does_not_overflow():
    z = np.array([-1e4, -1.0, 0.0, 1e4])
    np.testing.assert_allclose(
        metrics.sigmoid(z), [0, 1 / (1 + np.e), 0.5, 1], atol=1e-15
    )


def test_badness_points_the_right_way():
    worse = {
        "auroc": (0.6, 0.9),
        "fnr": (0.3, 0.1),
        "deviance": (2.0, 1.0),
        "observed_expected": (0.4, 2.0),
        "coverage90": (0.99, 0.88),
        "calibration_slope": (1.5, 0.8),
        "net_benefit@0.2": (0.01, 0.1),
    }
    for name, (bad, good) in worse.items():
        assert metrics.badness(name, bad) > metrics.badness(name, good), name
    assert np.isnan(metrics.badness("selection_rate", 0.3))
    with pytest.raises(InputError, match="unknown metric 'beauty'; known: absolute"):
        metrics.badness("beauty", 1.0)


def test_every_metric_has_a_fact():
    assert set(metrics.CONFUSION) | set(metrics.ROWS) <= set(metrics.FACTS)
    worse = {fact.worse for fact in metrics.FACTS.values()}
    assert worse <= {"lower", "higher", "far", "far_log", "neither"}
    assert metrics.FACTS["net_benefit@0.2"].title == "net benefit at 0.2"
    with pytest.raises(InputError, match="unknown metric 'auroc2@0.1'"):
        metrics.FACTS["auroc2@0.1"]
