import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as peers

from equity_jax import metrics
from equity_jax.types import InputError

PEERS = {
    "auroc": lambda s, y, w: peers.roc_auc_score(y, s, sample_weight=w),
    "accuracy": lambda s, y, w: peers.accuracy_score(y, s >= 0.5, sample_weight=w),
    "brier": lambda s, y, w: peers.brier_score_loss(y, s, sample_weight=w),
    "log_loss": lambda s, y, w: peers.log_loss(y, s, sample_weight=w),
}


def rows(seed, n=300, ties=True):
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    if ties:
        score = np.round(score, 1)  # eleven values, 0 and 1 among them
    y = (rng.random(n) < 0.2 + 0.5 * score).astype(float)
    return score, y, rng


@pytest.mark.parametrize("name", metrics.METRICS)
@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("weights", ["ones", "integers", "reals"])
def test_equals_scikit_learn(name, ties, weights):
    score, y, rng = rows(1, ties=ties)
    weight = {
        "ones": np.ones(len(y)),
        "integers": rng.integers(0, 4, len(y)).astype(float),
        "reals": rng.exponential(size=len(y)),
    }[weights]
    with jax.enable_x64():
        ours = float(metrics.METRICS[name](*map(jnp.asarray, (score, y, weight))))
    assert ours == pytest.approx(PEERS[name](score, y, weight), abs=1e-9)


def test_single_precision_is_close():
    score, y, _ = rows(2, n=5000)
    ours = metrics.auroc(jnp.asarray(score), jnp.asarray(y), jnp.ones(len(y)))
    assert float(ours) == pytest.approx(peers.roc_auc_score(y, score), abs=1e-5)


def test_weights_count_rows():
    score, y, rng = rows(3, n=80)
    weight = rng.integers(0, 4, 80)
    again = np.repeat(np.arange(80), weight)
    for name, metric in metrics.METRICS.items():
        with jax.enable_x64():
            a = metric(jnp.asarray(score), jnp.asarray(y), jnp.asarray(weight * 1.0))
            b = metric(
                jnp.asarray(score[again]), jnp.asarray(y[again]), jnp.ones(len(again))
            )
        assert float(a) == pytest.approx(float(b), abs=1e-12), name


def test_one_sort_serves_all_replicates():
    score, y, rng = rows(4)
    weights = rng.integers(0, 3, (20, len(y))).astype(float)
    with jax.enable_x64():
        ranks = metrics.presort(jnp.asarray(score))
        label = jnp.asarray(y)

        def one(w):
            return metrics.auroc_presorted(ranks, label, w)

        text = str(jax.make_jaxpr(jax.vmap(one))(jnp.asarray(weights)))
        ours = jax.jit(jax.vmap(one))(jnp.asarray(weights))
    assert "sort[" not in text
    theirs = [peers.roc_auc_score(y, score, sample_weight=w) for w in weights]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_auroc_but_an_accuracy(label):
    score, y = jnp.array([0.2, 0.7, 0.9]), jnp.full(3, label)
    assert np.isnan(metrics.auroc(score, y, jnp.ones(3)))
    assert np.isfinite(metrics.accuracy(score, y, jnp.ones(3)))


def test_empty_group_is_nan():
    score, y = jnp.array([0.2, 0.7]), jnp.array([0.0, 1.0])
    for name, metric in metrics.METRICS.items():
        assert np.isnan(metric(score, y, jnp.zeros(2))), name


def test_broken_rows_matter_only_where_they_count():
    score, y = jnp.array([0.2, 0.7, jnp.nan]), jnp.array([0.0, 1.0, jnp.nan])
    for name, metric in metrics.METRICS.items():
        assert np.isfinite(metric(score, y, jnp.array([1.0, 1.0, 0.0]))), name
        assert np.isnan(metric(score, y.at[2].set(1.0), jnp.ones(3))), name


def test_ratio_is_a_sum_over_a_sum():
    num, den = jnp.array([1.0, 8.0, jnp.nan]), jnp.array([1.0, 2.0, 5.0])
    weight = jnp.array([1.0, 2.0, 0.0])
    assert float(metrics.ratio(num, den, weight)) == pytest.approx(17 / 5)
    assert np.isnan(metrics.ratio(num, jnp.zeros(3), weight))


def test_by_group_leaves_out_what_is_not_recorded():
    score, y, rng = rows(5)
    group = rng.integers(-1, 3, len(y))
    with jax.enable_x64():
        ours = metrics.by_group(
            metrics.auroc,
            *map(jnp.asarray, (score, y, np.ones(len(y)), group)),
            groups=4,
        )
    for g in range(3):
        expected = peers.roc_auc_score(y[group == g], score[group == g])
        assert float(ours[g]) == pytest.approx(expected, abs=1e-9)
    assert np.isnan(ours[3])


def test_badness_points_the_right_way():
    worse = {
        "auroc": (0.6, 0.9),
        "deviance": (2.0, 1.0),
        "observed_expected": (0.4, 2.0),
        "coverage90": (0.99, 0.88),
    }
    for name, (bad, good) in worse.items():
        assert metrics.badness(name, bad) > metrics.badness(name, good), name
    with pytest.raises(InputError, match="unknown metric 'beauty'; known: absolute"):
        metrics.badness("beauty", 1.0)


def test_every_metric_has_a_fact():
    assert set(metrics.METRICS) | set(metrics.ROWS) <= set(metrics.FACTS)
    worse = {fact.worse for fact in metrics.FACTS.values()}
    assert worse <= {"lower", "higher", "far", "far_log"}
